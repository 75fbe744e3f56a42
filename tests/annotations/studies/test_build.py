"""From definition and items to tasks, strata, flags and the hash."""

import dataclasses
import json
import sys

import pytest
import yaml

from annotations.scales import load_scales
from annotations.scales_study import load_study_scales, read_study_scales
from annotations.studies import StudyDimension, build, differing, load_definition
from annotations.values import JUDGES_ONLY
from esc_demo.errors import ConfigError
from tests.annotations.studies.raters import GOLD, PRACTICE


def lines(count=4, **replies):
    """Items with some replies of the first one changed."""
    found = [
        {
            "id": f"item-{number}",
            "history": [{"role": "seeker", "text": "A long day."}],
            "replies": {arm: f"{arm[0]} says {number}." for arm in ("base", "lora", "full")},
        }
        for number in range(count)
    ]
    found[0]["replies"] |= replies
    return found


def test_every_item_meets_every_pair_once(new_study):
    built = new_study()
    assert len({(task.item, task.arms) for task in built.tasks}) == len(built.tasks) == 4 * 3
    assert [(stratum.id, stratum.tasks, stratum.needed) for stratum in built.strata] == [
        ("base+lora", 4, 8),
        ("base+full", 4, 8),
        ("lora+full", 4, 8),
    ]
    assert built.needed == 24
    assert built.raters == 8  # 24 answers at 3 each; one item needs 6 different people


def test_strata_are_pairs_by_label(new_study):
    items = lines()
    for number, item in enumerate(items):
        item["stratum"] = "risk" if number == 0 else "other"
    source = {"file": "items.jsonl", "stratum": "given"}
    built = new_study(items, items=source, pairs=[["base", "lora"]])
    found = {stratum.id: (stratum.label, stratum.tasks) for stratum in built.strata}
    assert found == {"base+lora / risk": ("risk", 1), "base+lora / other": ("other", 3)}


def test_single_mode_has_a_task_for_each_arm(new_study):
    plan = {"primary": {"outcome": "overall", "arms": ["base", "full"]}, "participants": 9}
    scales = {"dimensions": ["overall"], "preference": False}
    built = new_study(mode="single", scales=scales, plan=plan)
    assert {task.arms for task in built.tasks} == {("base",), ("lora",), ("full",)}
    assert list(built.wordings) == [StudyDimension.OVERALL]


def test_live_mode_has_chats_with_situations_in_turn(new_study):
    live = {"chats_per_pair": 3, "situations": ["A", "B"]}
    built = new_study(mode="live", items=None, live=live)
    assert [item.situation for item in built.items] == ["A", "B", "A"]
    assert len(built.tasks) == 9
    with pytest.raises(ConfigError, match="only 2 items"):
        new_study(mode="live", items=None, live={"chats_per_pair": 2})


def test_a_reply_that_names_its_model_keeps_the_study_from_opening(new_study):
    items = lines(lora="I am model-lora-x.", full="b says 0.")
    built = new_study(items)
    assert [flag.key for flag in built.unaccepted] == [
        "names_model:item-0:lora",
        "identical:item-0:base+full",
    ]
    with pytest.raises(ConfigError, match="names_model:item-0:lora: It says lora, model-lora-x"):
        built.ready()
    new_study(items, accept_flags=["names_model:item-0:lora", "identical"]).ready()


def test_items_must_have_every_arm_and_be_enough(new_study):
    items = lines()
    del items[2]["replies"]["full"]
    with pytest.raises(ConfigError, match="item item-2 has no reply of full"):
        new_study(items)
    with pytest.raises(ConfigError, match=r"session\.items is 5, but there are only 4"):
        new_study(session={"items": 5})


def test_the_hash_covers_what_is_shown_and_says_what_differs(new_study):
    first = new_study(lines())
    assert new_study(lines()).content_hash == first.content_hash
    changed = new_study(lines(lora="Something else."), seed=8)
    assert changed.content_hash != first.content_hash
    assert differing(first.canonical, changed.canonical) == (
        "definition.seed",
        "shown.item-0.replies.lora",
    )
    told = lines()
    told[1]["reference"] = "What happened?"
    assert differing(first.canonical, new_study(told).canonical) == ("shown.item-1.reference",)


def test_practice_and_gold_look_like_all_the_others(new_study, office):
    practice = PRACTICE | {"replies": ["Assistant: That hurts.  Go on.</s>", "Study more."]}
    gold = GOLD | {"replies": ["I am ChatGPT, and sorry. " * 20, "Buy another one."]}
    changes = {"practice": [practice], "gold": [gold], "session": {"items": 3, "gold": 1}}
    built = new_study(**changes)
    assert built.definition.practice[0].replies == ("That hurts. Go on.", "Study more.")
    assert built.canonical["definition"]["practice"][0]["replies"] == practice["replies"]
    shown = built.definition.gold[0].replies[0]
    assert len(shown) <= built.definition.items.max_chars == 200
    assert {flag.key for flag in built.flags} == {
        "stripped:warm-up:first",
        "cut:clear-case:first",
        "names_model:clear-case:first",
    }
    with pytest.raises(ConfigError, match="names_model:clear-case:first"):
        built.ready()
    same = new_study(**changes | {"gold": [GOLD | {"replies": ["Oh.", "Oh."]}]})
    assert "identical:clear-case:first+second" in {flag.key for flag in same.flags}
    slug = office.found(**changes, accept_flags=["names_model"])
    stored = {text for (text,) in office.sql("SELECT text FROM study_reply")}
    assert {"That hurts. Go on.", shown} < stored
    screen = office.rater(slug).item()
    assert set(screen.replies) == {"That hurts. Go on.", "Study more."}


def test_invitations_and_places_of_files_are_outside_the_hash(tmp_path, new_study):
    first = new_study(recruitment={"invitations": ["code-one"]})
    second = new_study(recruitment={"invitations": ["code-one", "code-two"]})
    assert first.content_hash == second.content_hash
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("items.jsonl", "study.yaml"):
        (moved / name).write_bytes((tmp_path / name).read_bytes())
    assert build(load_definition(moved / "study.yaml")).content_hash == first.content_hash


def test_the_canonical_form_comes_back_from_json_unchanged(new_study):
    built = new_study(scales={"dimensions": ["overall"]})
    assert json.loads(json.dumps(built.canonical)) == built.canonical


def test_a_changed_wording_changes_the_hash(new_study, monkeypatch):
    first = new_study()
    scales = load_study_scales()
    core = scales.core.model_copy(update={"version": 1})
    again = core.dimensions[next(iter(core.dimensions))].model_copy(update={"question": "Why?"})
    worded = core.model_copy(
        update={"dimensions": core.dimensions | {next(iter(core.dimensions)): again}}
    )
    monkeypatch.setattr(
        sys.modules["annotations.studies.build"],  # its package has a function of that name
        "load_study_scales",
        lambda: dataclasses.replace(scales, core=worded),
    )
    assert differing(first.canonical, new_study().canonical) == ("wording.engagement.question",)


def test_warnings_for_the_owner(new_study):
    few = " ".join(new_study().warnings())
    assert "plan.participants is 6, but the answers need at least 8 people" in few
    assert "no practice items" in few
    text = {"version": 1, "text": "We are [NAME OF INSTITUTION]."}
    assert "[NAME OF INSTITUTION] is still to be filled in" in " ".join(
        new_study(consent=text).warnings()
    )


def test_study_scales_describe_every_dimension():
    scales = load_study_scales()
    for name in set(StudyDimension) - JUDGES_ONLY:
        assert list(scales.wording(name).points) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"core_version": 99}, "core_version is 99"),
        ({"dimensions": {}}, "no scale for emotion_after"),
        ({"extra": 1}, "extra"),
    ],
)
def test_wrong_study_scales(tmp_path, change, words):
    from annotations import scales_study

    shipped = scales_study.Path(scales_study.__file__).with_suffix(".yaml")
    values = yaml.safe_load(shipped.read_text("utf-8")) | change
    path = tmp_path / "s.yaml"
    path.write_text(yaml.safe_dump(values), "utf-8")
    with pytest.raises(ConfigError, match=words):
        read_study_scales(path, load_scales())
