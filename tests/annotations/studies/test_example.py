"""The shipped examples are whole, kind and buildable."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

import annotations.studies
from annotations.studies import build, load_definition
from annotations.studies.normalise import give_aways, normalised
from annotations.studies.values import StudyMode

FOLDER = Path(annotations.studies.__file__).parent / "examples"
NAMES = ("pairs", "single", "live")


def load(name):
    return load_definition(FOLDER / f"{name}.yaml")


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_valid_and_says_what_people_must_know(name):
    study = load(name)
    assert study.mode is StudyMode(name)
    for words in ("TEMPLATE", "ethics board", "voluntary", "skip", "withdraw", "crisis"):
        assert words in study.consent.text
    assert str(study.retention_days) not in study.consent.text  # said once, in the file
    assert "crisis line" in study.debrief


@pytest.mark.parametrize("name", NAMES)
def test_the_texts_name_the_button_for_support_as_the_page_does(name):
    study, page = load(name), files("esc_demo.ui.study") / "static" / "study.html"
    button = re.search(r'id="open-support"[^>]*>([^<]+)<', page.read_text("utf-8"))[1]
    for text in (study.consent.text, study.content_note, study.debrief):
        assert f'"{button}"' in text
        assert "Help" not in text
    assert f'"{button}"' in (FOLDER / "README.md").read_text("utf-8")


@pytest.mark.parametrize("name", ["pairs", "single"])
def test_written_replies_give_nothing_away_and_stand_as_they_are(name):
    study = load(name)
    for item in (*study.practice, *study.gold):
        for text in item.replies:
            assert normalised(text, study.items.max_chars) == (text, ())
            assert give_aways(item.id, "", text, ()) == []


@pytest.mark.parametrize("name", ["pairs", "single"])
def test_gold_sides_are_mixed_and_bad_replies_are_not_longer(name):
    study = load(name)
    if study.mode is StudyMode.PAIRS:
        assert {item.expected.preference for item in study.gold} == {("first",), ("second",)}
    assert len(study.gold) >= study.session.gold


def test_the_live_example_can_open():
    built = build(load("live"))
    built.ready()
    assert built.raters <= built.definition.plan.participants


@pytest.mark.parametrize("name", ["pairs", "single"])
def test_the_examples_with_replies_can_open(name):
    built = build(load(name))
    built.ready()
    assert len(built.items) >= 12
    assert {arm for item in built.items for arm in item.source} == set(built.definition.arm_ids)
    assert built.raters <= built.definition.plan.participants
    assert not [w for w in built.warnings() if "plan.participants" in w]


def test_the_items_are_from_the_held_out_dialogues():
    from annotations.studies import read_items

    for item in read_items(FOLDER / "items.jsonl"):
        assert item.id.startswith("extes-heldout-")
        assert item.reference and item.reference not in item.replies.values()
