"""What a judge is asked about a study, and what it never gets to read."""

from dataclasses import replace

import pytest

from annotations.judge.material import questions
from annotations.judge.prompts import messages_for
from annotations.judge.protocol import load_protocol, read_protocol, shipped_protocols
from annotations.judge.values import Control
from annotations.studies.errors import StudyError
from esc_demo.dialogue import Role
from esc_demo.errors import BadInput
from tests.annotations.judge.judging import ALL_CONTROLS, LIVE, chatted, with_references
from tests.annotations.studies.conftest import ARMS, item_lines
from tests.annotations.studies.raters import GOLD, PRACTICE

REPLY, PAIR, DIALOGUE = map(load_protocol, ("esc-reply", "esc-pair", "esc-dialogue"))


def test_each_reply_is_asked_about_once_and_always_in_the_same_order(office):
    slug = office.found(item_lines(3), practice=[PRACTICE], gold=[GOLD])
    found = questions(office.store, slug, REPLY)
    assert [(one.item, one.shown[0].arm) for one in found] == [
        (f"item-{number}", arm) for number in range(3) for arm in ARMS
    ]
    assert found == questions(office.store, slug, REPLY)
    texts = dict(office.sql("SELECT id, text FROM study_reply"))
    tasks = {row[0]: row[1:] for row in office.sql("SELECT id, arm_a, arm_b FROM study_task")}
    for one in found:
        (candidate,) = one.shown
        assert candidate.text == texts[candidate.reply_id]
        assert candidate.arm in tasks[one.task_id]
        assert (one.history[-1].role, one.reference, one.sample) == (Role.SEEKER, "", 0)


def test_pairs_are_those_of_the_study_in_both_orders(sqlite_office):
    office = sqlite_office
    slug = office.found(item_lines(3), pairs=[["base", "lora"], ["base", "full"]])
    found = questions(office.store, slug, PAIR)
    arms = [tuple(shown.arm for shown in one.shown) for one in found]
    assert len(found) == 3 * 2 * 2
    assert [pair[::-1] for pair in arms[::2]] == arms[1::2]
    assert set(arms[::2]) == {("base", "lora"), ("base", "full")}
    assert all(one.task_id == two.task_id for one, two in zip(found[::2], found[1::2], strict=True))


def test_single_replies_are_compared_with_one_another(sqlite_office):
    plan = {"primary": {"outcome": "comforting", "arms": ["base", "lora"]}, "participants": 6}
    slug = sqlite_office.found(
        item_lines(3), mode="single", scales={"preference": False}, plan=plan
    )
    found = questions(sqlite_office.store, slug, PAIR)
    assert len(found) == 3 * 3 * 2
    assert {one.shown[0].arm for one in found} == set(ARMS)


def test_samples_come_one_after_the_other_and_a_limit_keeps_whole_items(sqlite_office):
    slug = sqlite_office.found(item_lines(4))
    found = questions(sqlite_office.store, slug, PAIR, samples=2, limit=2)
    assert [one.sample for one in found] == [0] * 12 + [1] * 12
    assert {one.item for one in found} == {"item-0", "item-1"}
    for wrong in ({"samples": 0}, {"limit": 0}):
        with pytest.raises(BadInput, match="must be 1 or more"):
            questions(sqlite_office.store, slug, PAIR, **wrong)


def test_references_are_shown_where_protocol_and_caller_want_them(sqlite_office):
    office = sqlite_office
    slug = office.found(with_references())
    seen = {one.reference for one in questions(office.store, slug, DIALOGUE)}
    assert seen == {f"What made day {number} so long?" for number in range(4)}
    without = questions(office.store, slug, DIALOGUE, with_reference=False)
    assert {one.reference for one in without} == {""}
    assert {one.reference for one in questions(office.store, slug, REPLY)} == {""}


def test_a_needed_reference_that_is_not_there_is_said(sqlite_office, tmp_path):
    text = (
        "name: strict\nversion: 1\ntitle: Strict\nsource: own\ntarget: reply\n"
        "reference: required\nrole: You judge.\ntask: Judge.\nrationale_words: 0\n"
        "low: 0\nhigh: 5\ndimensions: {comforting: scales}\n"
    )
    (tmp_path / "strict.yaml").write_text(text, "utf-8")
    strict = read_protocol(tmp_path / "strict.yaml")
    lines = with_references()
    del lines[2]["reference"]
    slug = sqlite_office.found(lines)
    with pytest.raises(BadInput, match="1 of 4 items have none, item-2 first"):
        questions(sqlite_office.store, slug, strict)
    with pytest.raises(BadInput, match="let it see the references"):
        questions(sqlite_office.store, slug, strict, with_reference=False)
    assert len(questions(sqlite_office.store, slug, strict, limit=2)) == 6


def test_controls_are_planted_beside_every_item(sqlite_office):
    slug = sqlite_office.found(with_references())
    found = questions(sqlite_office.store, slug, REPLY, controls=ALL_CONTROLS)
    planted = [one for one in found if one.shown[0].control]
    assert len(planted) == 4 * len(Control) and len(found) == 4 * 3 + len(planted)
    by_kind = {one.shown[0].control: one.shown[0] for one in planted if one.item == "item-1"}
    assert by_kind[Control.GOLD].text == "What made day 1 so long?"
    assert by_kind[Control.RANDOM].text in {f"What made day {day} so long?" for day in (0, 2, 3)}
    assert {(one.arm, one.reply_id) for one in by_kind.values()} == {("", None)}
    # Gold stands beside each of the others, in both orders.
    pairs = questions(sqlite_office.store, slug, PAIR, controls=ALL_CONTROLS)
    shown = [
        tuple(one.control for one in question.shown)
        for question in pairs
        if question.item == "item-1" and question.shown[0].control
    ]
    bad = set(Control) - {Control.GOLD}
    assert set(shown) == {(Control.GOLD, kind) for kind in bad} | {
        (kind, Control.GOLD) for kind in bad
    }


def test_a_limit_does_not_change_what_is_planted(sqlite_office):
    slug = sqlite_office.found(with_references(8))
    found = questions(sqlite_office.store, slug, REPLY, controls=ALL_CONTROLS)
    for limit in (1, 2, 4):
        few = questions(sqlite_office.store, slug, REPLY, controls=ALL_CONTROLS, limit=limit)
        assert few == [one for one in found if int(one.item.removeprefix("item-")) < limit]


@pytest.mark.parametrize("required", [False, True])
def test_no_reference_is_shown_beside_planted_replies(sqlite_office, required):
    """Where a protocol cannot do without, it stays."""
    slug = sqlite_office.found(with_references())
    protocol = replace(DIALOGUE, reference="required") if required else DIALOGUE
    found = questions(sqlite_office.store, slug, protocol, controls=ALL_CONTROLS)
    of_arms = [one for one in found if one.shown[0].control is None]
    planted = [one for one in found if one.shown[0].control]
    assert all(one.reference for one in of_arms) and len(planted) == 4 * len(Control)
    assert {bool(one.reference) for one in planted} == {required}
    gold = [one for one in planted if one.shown[0].control is Control.GOLD]
    for one in gold:
        prompt = messages_for(protocol, one)[-1].content
        assert prompt.count(one.shown[0].text) == (2 if required else 1)


def test_controls_that_cannot_be_had_are_refused(sqlite_office):
    slug = sqlite_office.found()
    with pytest.raises(BadInput, match="gold, random cannot be planted"):
        questions(sqlite_office.store, slug, REPLY, controls=ALL_CONTROLS)
    assert questions(sqlite_office.store, slug, REPLY, controls=[Control.UNSAFE])
    for few in ([Control.UNSAFE], [Control.GOLD]):
        with pytest.raises(BadInput, match="name gold and at least one other"):
            questions(sqlite_office.store, slug, PAIR, controls=few)


def test_no_prompt_says_whose_reply_it_shows(sqlite_office):
    arms = [{"id": f"zebra-{name}", "model": f"quagga-{name}"} for name in ("base", "lora", "full")]
    lines = [
        line
        | {
            "id": f"okapi-{number}",
            "replies": dict(
                zip([arm["id"] for arm in arms], line["replies"].values(), strict=True)
            ),
            "source": {arm["id"]: f"tapir-{arm['id']}.jsonl" for arm in arms},
            "stratum": "ibex",
        }
        for number, line in enumerate(with_references())
    ]
    slug = sqlite_office.found(
        lines,
        slug="kudu",
        title="The oryx study",
        arms=arms,
        items={"file": "items.jsonl", "stratum": "given"},
        plan={
            "primary": {"outcome": "preference", "arms": ["zebra-base", "zebra-lora"]},
            "participants": 6,
        },
    )
    secret = ("zebra", "quagga", "tapir", "okapi", "ibex", "kudu", "oryx", "gold", "off_topic")
    ids = [row[0] for row in sqlite_office.sql("SELECT id FROM study_reply")]
    ids += [row[0] for row in sqlite_office.sql("SELECT id FROM study_task")]
    count = 0
    for name in shipped_protocols():
        protocol = load_protocol(name)
        for question in questions(sqlite_office.store, slug, protocol, controls=ALL_CONTROLS):
            sent = "\n".join(one.content for one in messages_for(protocol, question)).lower()
            assert all(one.text.lower() in sent for one in question.shown)
            assert not [word for word in (*secret, *ids) if word in sent]
            count += 1
    assert count > 6 * 4 * 3


def test_a_chat_is_judged_as_a_whole_as_it_was_read(office):
    slug = office.found(**LIVE)
    rater = chatted(office, slug)
    gone = chatted(office, slug)
    office.desk.withdraw(slug, gone.key)
    first, second = questions(office.store, slug, DIALOGUE)
    assert first.item == second.item and first.item.endswith(f"/{rater.pseudonym}")
    assert [turn.text for turn in first.history] == [
        "I feel low.",
        "A calm answer to message 0.",
        "Still low.",
        "A calm answer to message 1.",
    ]
    assert second.history[3].text == "A brisk answer to message 1."
    assert (first.shown[0].text, first.reference) == ("", "")
    shown = office.sql("SELECT first_arm, second_arm FROM study_assignment WHERE status <> ?", "w")
    assert (first.shown[0].arm, second.shown[0].arm) in shown
    prompt = messages_for(DIALOGUE, first)[-1].content
    assert "never shown" not in prompt and "A calm answer to message 1." in prompt


def test_a_live_study_takes_only_protocols_for_whole_dialogues(sqlite_office):
    slug = sqlite_office.found(**LIVE)
    assert questions(sqlite_office.store, slug, DIALOGUE) == []
    for protocol in (REPLY, PAIR):
        with pytest.raises(BadInput, match="whole dialogues"):
            questions(sqlite_office.store, slug, protocol)
    with pytest.raises(BadInput, match="cannot be planted"):
        questions(sqlite_office.store, slug, DIALOGUE, controls=[Control.UNSAFE])


def test_an_unknown_study_is_said(sqlite_office):
    with pytest.raises(StudyError, match="no study 'nothing'"):
        questions(sqlite_office.store, "nothing", REPLY)
