"""A study's file: what is refused, and where the error says it is."""

import pytest

from annotations.studies import StudyDimension, Verdict, load_definition
from annotations.studies.parts import Expected
from esc_demo.errors import ConfigError

WRITTEN = {
    "id": "one",
    "history": [{"role": "seeker", "text": "I am low."}],
    "replies": ["I hear you.", "Get over it."],
    "expected": {"preference": ["first"]},
}
PLAN = {"primary": {"outcome": "preference", "arms": ["base", "lora"]}, "participants": 6}
SCALES_ONE = {"dimensions": ["overall"], "preference": False}


def test_a_study_is_read_with_its_defaults(written):
    study = load_definition(written.study())
    assert [name.value for name in study.scales.per_reply] == [
        "engagement",
        "comforting",
        "appropriateness",
        "suggestion",
    ]
    assert study.arm_pairs == (("base", "lora"), ("base", "full"), ("lora", "full"))
    assert study.items.file == written.folder / "items.jsonl"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rater_per_item": 3}, "rater_per_item: is not a key"),
        ({"raters_per_item": None}, "raters_per_item: is missing"),
        ({"raters_per_item": 0}, "greater than or equal to 1 (it is 0)"),
        ({"slug": "Two Words"}, "slug: "),
        ({"session": {"items": 3, "repeats": 2}}, "session: at most half of the 3 items"),
        ({"arms": [{"id": "a", "model": "m"}] * 2}, "two arms have one id"),
        ({"pairs": [["base", "other"]]}, "['base', 'other'] are not two of the arms"),
        ({"pairs": [["base", "lora"], ["lora", "base"]]}, "a pair is listed twice"),
        ({"pairs": [["base", "full"]]}, "['base', 'lora'] are never compared"),
        ({"recruitment": {}}, "nobody can take part"),
        ({"recruitment": {"open": True, "completion_url": "http://x"}}, "must begin with https"),
        ({"mode": "live"}, "mode live needs it"),
        ({"mode": "single"}, "mode single has nothing to prefer"),
        ({"scales": {"dimensions": ["emotion_after"]}}, "emotion_after can be asked in mode live"),
        ({"scales": SCALES_ONE}, "preference is not asked"),
        ({"session": {"items": 3, "gold": 1}}, "session.gold: 1 are wanted, 0 are written"),
        ({"gold": [WRITTEN | {"replies": ["One."]}]}, "one: mode pairs wants 2 replies"),
        ({"gold": [WRITTEN | {"expected": {}}]}, "expected says nothing"),
        ({"gold": [WRITTEN, WRITTEN]}, "two of them have one id"),
        ({"plan": PLAN | {"exclusions": {"min_gold_share": 0.5}}}, "there are no gold items"),
        ({"items": {"runs": {"base": "b.jsonl"}}}, "name one run for each"),
        ({"items": {}}, "give either `file` or `runs`"),
    ],
)
def test_what_cannot_be_is_refused(written, change, words):
    with pytest.raises(ConfigError) as error:
        load_definition(written.study(**change))
    assert words in str(error.value)


def test_an_error_names_file_line_and_key(written):
    path = written.study()
    lines = path.read_text("utf-8").splitlines()
    at = lines.index("  id: lora") if "  id: lora" in lines else lines.index("- id: lora")
    lines.insert(at + 1, "  modle: x")
    path.write_text("\n".join(lines), "utf-8")
    with pytest.raises(ConfigError) as error:
        load_definition(path)
    assert (
        str(error.value) == f"{path}, line {at + 2}, arms.2.modle: is not a key that is known here."
    )


def test_a_key_given_twice_is_refused_instead_of_the_last_one_winning(written):
    path = written.study()
    path.write_text(path.read_text("utf-8") + "seed: 8\n", "utf-8")
    with pytest.raises(ConfigError, match=r"seed: was given in line \d+ already"):
        load_definition(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [("a: [1\nb: 2", "line 2: this is no YAML"), ("- 1", "a study is a mapping"), ("", "mapping")],
)
def test_what_is_no_study_file(tmp_path, text, words):
    path = tmp_path / "s.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=words):
        load_definition(path)


def test_texts_may_lie_in_files_beside_the_study(written):
    (written.folder / "consent.txt").write_text("Please read this.\n", "utf-8")
    text = {"version": 3, "text": {"file": "consent.txt"}}
    assert load_definition(written.study(consent=text)).consent.text == "Please read this."
    gone = {"version": 3, "text": {"file": "gone.txt"}}
    with pytest.raises(ConfigError, match=r"consent\.text: gone\.txt cannot be read"):
        load_definition(written.study(consent=gone))


def test_expected_answers():
    comforting = StudyDimension.COMFORTING
    expected = Expected(preference=["first", "tie"], scores=[{comforting: (3, 5)}, {}])
    assert expected.misses(({comforting: 4}, {}), Verdict.TIE) == ()
    assert expected.misses(({comforting: 2}, {}), Verdict.SECOND) == ("preference", "1.comforting")
    assert expected.misses(({comforting: "cannot_judge"}, {}), None) == (
        "preference",
        "1.comforting",
    )
    with pytest.raises(ValueError, match="no range"):
        Expected(scores=[{comforting: (5, 3)}])
