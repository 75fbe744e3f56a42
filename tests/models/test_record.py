"""What an artefact says of its training, and when serving warns."""

import json

import pytest

from esc_demo.contexts import ContextKind, ContextSpec
from esc_demo.engine import PaneConfig, mismatch
from esc_demo.models import TrainedOn
from esc_demo.models.local.record import read_record
from esc_demo.prompts import Part, PromptTemplate

WHOLE = {
    "base_sha256": "abc",
    "prompt_hash": PromptTemplate().content_hash,
    "context": "Raw",
    "template_fingerprint": "t1",
}


def record(folder, **changes):
    (folder / "metrics.json").write_text(json.dumps(WHOLE | changes))
    return read_record(folder, "abc")


def test_agreement_says_nothing(tmp_path):
    assert record(tmp_path).notice("t1") == ""
    assert record(tmp_path).trained == TrainedOn(WHOLE["prompt_hash"], "Raw", "t1")


@pytest.mark.parametrize(
    ("changes", "template", "said"),
    [
        ({"base_sha256": "xyz"}, "t1", "another copy of the base weights"),
        ({"base_sha256": None}, "t1", "does not say which base"),
        ({}, "t2", "another chat template or vocabulary"),
        ({"context": None}, "t1", "does not say with which prompt"),
    ],
)
def test_each_difference_is_told(tmp_path, changes, template, said):
    assert said in record(tmp_path, **changes).notice(template)


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_an_unreadable_record_is_none(tmp_path, content):
    (tmp_path / "metrics.json").write_text(content)
    found = read_record(tmp_path, "abc")
    assert found.trained is None
    assert found.same_base is None


def test_a_pane_that_asks_otherwise_is_told_so():
    trained = TrainedOn(PromptTemplate().content_hash, "Raw", "t1")
    assert mismatch(trained, PaneConfig("m")) == ()
    assert mismatch(None, PaneConfig("m", prompt=PromptTemplate.off())) == ()
    (said,) = mismatch(trained, PaneConfig("m", ContextSpec(ContextKind.KEYPOS)))
    assert said == "the context KeyPOS instead of Raw"
    (said,) = mismatch(trained, PaneConfig("m"), system_role=False)
    assert "another place" in said
    assert mismatch(trained, PaneConfig("m"), system_role=True) == ()
    edited = PromptTemplate().edited(Part.ROLE, "Be brief.")
    assert mismatch(trained, PaneConfig("m", prompt=edited)) == ("another structured prompt",)
