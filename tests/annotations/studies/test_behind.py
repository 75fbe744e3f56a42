"""What lies behind a number: texts, comments in force, chats of one person; and a part's plan."""

import pytest

from annotations.analysis.plan import PlanView, primary
from annotations.analysis.synthetic import Design, make_study
from annotations.analysis.tidy import Frames
from annotations.behind import read_behind
from esc_demo.errors import BadInput
from tests.annotations.judge.judging import chatted
from tests.annotations.studies.test_people import LIVE


def test_a_comment_is_the_last_one_and_goes_with_its_answers(office):
    slug = office.found()
    rater = office.rater(slug)
    item = rater.item()
    rater.submit(item, comment="At first.")
    key = office.sql(
        "SELECT i.key FROM study_item AS i JOIN study_task AS t ON t.item_id = i.id"
        " JOIN study_assignment AS a ON a.task_id = t.id WHERE a.id = ?",
        item.assignment_id,
    )[0][0]
    behind = read_behind(office.store, slug, key)
    assert [(one.rater, one.text) for one in behind.comments] == [("P001", "At first.")]
    assert behind.history == item.history
    assert set(item.replies) <= {text for _, text in behind.replies}
    office.desk.withdraw(slug, rater.key)
    assert read_behind(office.store, slug, key).comments == ()
    with pytest.raises(BadInput, match="no item 'nowhere'"):
        read_behind(office.store, slug, "nowhere")


def test_a_live_item_is_the_chats_of_one_person(office):
    slug = office.found(**LIVE)
    chatted(office, slug)
    key = office.sql("SELECT key FROM study_item ORDER BY position")[0][0]
    behind = read_behind(office.store, slug, f"{key}/P001")
    assert [one.rater for one in behind.chats] == ["P001", "P001"]
    assert len({one.arm for one in behind.chats}) == 2
    said = [turn.text for turn in behind.chats[0].turns]
    assert said == [
        "I feel low.",
        "A calm answer to message 0.",
        "Still low.",
        "A calm answer to message 1.",
    ]
    assert read_behind(office.store, slug, f"{key}/P002").chats == ()


def test_a_stratum_without_the_planned_arms_has_no_primary_outcome_but_is_no_error():
    frames = make_study(Design(items=4, effects={"base": 0.0, "full": 0.2, "lora": 0.4}), 1)
    part = Frames(
        frames.ratings[frames.ratings["arm"] != "lora"],
        frames.preferences[frames.preferences["arm_b"] != "lora"],
    )
    plan = PlanView("comforting", "lora", "base")
    with pytest.raises(BadInput, match="names the arm 'lora'"):
        primary(part, plan)
    found = primary(part, plan, frames)
    assert found.result.value is None and "cannot be made" in found.verdict
