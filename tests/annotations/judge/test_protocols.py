"""The protocol files, their checks, and the schema of their answers."""

import shutil

import pytest
import yaml

from annotations.judge import protocol as protocols
from annotations.judge.protocol import load_protocol, load_wording, shipped_protocols
from annotations.judge.schema import answer_schema
from annotations.judge.values import OVERALL, Pick, Target
from annotations.scales import load_scales
from annotations.values import Dimension, StudyDimension
from esc_demo.errors import ConfigError

CORE = tuple(StudyDimension(dimension.value) for dimension in Dimension)


def spoilt(tmp_path, name, spoil):
    """The path of a shipped protocol that somebody has changed."""
    data = yaml.safe_load((protocols.FOLDER / f"{name}.yaml").read_text("utf-8"))
    spoil(data)
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False), "utf-8")
    return str(path)


def test_the_shipped_protocols_ask_what_they_say():
    asked = {name: load_protocol(name) for name in shipped_protocols()}
    assert {
        name: (p.target, p.dimensions, (p.low, p.high), p.aspects) for name, p in asked.items()
    } == {
        "esc-dialogue": (Target.DIALOGUE, CORE, (0, 5), ()),
        "esc-reply": (Target.REPLY, CORE, (0, 5), ()),
        "esc-pair": (Target.PAIR, (), (0, 0), (OVERALL,)),
        "esconv-pair": (Target.PAIR, (), (0, 0), ("exploration", "comforting", "action", OVERALL)),
        "g-score": (
            Target.REPLY,
            tuple(map(StudyDimension, ("relevance", "fluency", "informativeness", "coherence"))),
            (1, 5),
            (),
        ),
        "g-score-single": (Target.REPLY, (StudyDimension.OVERALL,), (1, 5), ()),
    }
    assert asked["esc-pair"].picks == tuple(Pick)
    assert asked["esconv-pair"].picks == (Pick.FIRST, Pick.SECOND, Pick.TIE)
    assert len({p.content_hash for p in asked.values()}) == len(asked)
    assert "Figure 7" in asked["esc-dialogue"].source


def test_a_reply_is_rated_in_the_words_raters_read():
    shown = load_protocol("esc-reply").criteria
    for dimension, scale in load_scales().dimensions.items():
        criterion = shown[StudyDimension(dimension.value)]
        assert (criterion.question, criterion.points) == (scale.question, scale.points)


def test_the_hash_is_of_the_words_and_the_order_and_not_of_the_file(tmp_path):
    shipped = load_protocol("g-score").content_hash
    same = spoilt(tmp_path, "g-score", lambda data: None)  # rewritten: no comments, other layout
    assert load_protocol(same).content_hash == shipped

    def reworded(data):
        data["dimensions"]["fluency"]["points"][3] += " Hm."

    def reordered(data):
        data["dimensions"] = dict(reversed(data["dimensions"].items()))

    changes = (reworded, reordered, lambda data: data.update(version=2))
    hashes = {load_protocol(spoilt(tmp_path, "g-score", change)).content_hash for change in changes}
    assert len(hashes | {shipped}) == 4


def test_the_hash_covers_the_shared_sentences(tmp_path, monkeypatch):
    before = load_protocol("esc-pair").content_hash
    data = yaml.safe_load(protocols.WORDING.read_text("utf-8"))
    data["material"] += " Really."
    changed = tmp_path / "wording.yaml"
    changed.write_text(yaml.safe_dump(data), "utf-8")
    monkeypatch.setattr(protocols, "WORDING", changed)
    load_wording.cache_clear()
    try:
        assert load_protocol("esc-pair").content_hash != before
    finally:
        monkeypatch.undo()
        load_wording.cache_clear()


def point_missing(data):
    data["dimensions"]["comforting"]["points"].pop(2)


def point_too_much(data):
    data["dimensions"]["comforting"]["points"][6] = "Off the scale."


@pytest.mark.parametrize(
    ("name", "spoil", "said"),
    [
        ("esc-reply", lambda data: data.update(colour="red"), "colour"),
        ("esc-reply", lambda data: data.pop("version"), "version"),
        ("esc-reply", lambda data: data.update(target="sentence"), "target"),
        ("esc-reply", lambda data: data.update(reference="maybe"), "reference"),
        ("esc-reply", lambda data: data.update(low=5, high=5), r"low \(5\) must be below high"),
        ("esc-reply", lambda data: data.update(high=10), "high"),
        ("esc-reply", lambda data: data.pop("low"), r"low \(None\)"),
        ("esc-reply", lambda data: data.update(low=1), "the raters' scales have no such wording"),
        ("esc-reply", lambda data: data.update(aspects={"overall": "Which?"}), "do not go with"),
        ("esc-reply", lambda data: data.update(dimensions={}), "dimensions is missing"),
        (
            "esc-reply",
            lambda data: data["dimensions"].update(relevance="scales"),
            "no such wording",
        ),
        ("esc-reply", lambda data: data["dimensions"].update(charm="scales"), "charm"),
        ("esc-reply", lambda data: data["dimensions"].update(emotion_after="scales"), "seeker"),
        ("esc-reply", lambda data: data["dimensions"].update(safety="mine"), "safety"),
        ("esc-dialogue", point_missing, r"comforting: the points are \[0, 1, 3, 4, 5\]"),
        ("esc-dialogue", point_too_much, r"comforting: the points are \[0, 1, 2, 3, 4, 5, 6\]"),
        ("esc-pair", lambda data: data.update(low=0, high=5), "do not go with target pair"),
        ("esc-pair", lambda data: data.update(dimensions={"safety": "scales"}), "do not go with"),
        (
            "esc-pair",
            lambda data: data.update(aspects={"warmth": "Which?"}),
            "must contain overall",
        ),
        ("esc-pair", lambda data: data["aspects"].update(rationale="Why?"), "called rationale"),
        ("esc-pair", lambda data: data["aspects"].update({"Two words": "Why?"}), "aspects"),
        ("esc-pair", lambda data: data.update(picks=["first", "tie"]), "must contain second"),
        ("esc-pair", lambda data: data.update(picks=["first", "second", "tie", "tie"]), "twice"),
        ("esc-pair", lambda data: data.update(picks=["first", "second", "third"]), "picks"),
        ("esc-pair", lambda data: data.update(name="other"), "name is 'other'"),
    ],
)
def test_a_protocol_that_contradicts_itself_is_refused(tmp_path, name, spoil, said):
    with pytest.raises(ConfigError, match=said) as raised:
        load_protocol(spoilt(tmp_path, name, spoil))
    assert f"{name}.yaml" in str(raised.value)


def test_an_unknown_name_lists_the_shipped_ones_and_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"'esc-replies'.*esc-dialogue, esc-pair, esc-reply"):
        load_protocol("esc-replies")
    with pytest.raises(ConfigError, match=r"mine\.yaml cannot be read"):
        load_protocol(str(tmp_path / "mine.yaml"))
    with pytest.raises(ConfigError):
        load_protocol("../wording")


def test_a_protocol_of_ones_own_is_read_from_its_path(tmp_path):
    copy = tmp_path / "esc-pair.yaml"
    shutil.copy(protocols.FOLDER / "esc-pair.yaml", copy)
    assert load_protocol(str(copy)) == load_protocol("esc-pair")


@pytest.mark.parametrize("name", shipped_protocols())
def test_the_schema_is_strict_and_asks_for_the_explanation_first(name):
    protocol = load_protocol(name)
    whole = answer_schema(protocol)
    assert whole["strict"] is True and whole["name"].replace("_", "-") == name
    schema = whole["schema"]
    keys = list(schema["properties"])
    assert keys == ["rationale", *(d.value for d in protocol.dimensions), *protocol.aspects]
    assert schema["required"] == keys and schema["additionalProperties"] is False
    for key in keys[1:]:
        allowed = [
            value
            for part in schema["properties"][key].get("anyOf", [schema["properties"][key]])
            for value in part["enum"]
        ]
        if protocol.target is Target.PAIR:
            assert allowed == [pick.value for pick in protocol.picks]
        else:
            withheld = ["cannot_judge"] * protocol.cannot_judge
            assert allowed == [*range(protocol.low, protocol.high + 1), *withheld]
