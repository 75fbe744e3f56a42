"""The project's own dialogues: enough, varied, well formed, and held out cleanly."""

from itertools import pairwise

import pytest

from esc_demo.dialogue import Dialogue, Role, Turn
from esc_demo.settings import PROJECT_ROOT
from finetune.corpus import check_corpus
from finetune.data import check_disjoint, load

CORPUS = PROJECT_ROOT / "finetune" / "corpus"


@pytest.fixture(scope="module")
def parts():
    return {name: load(CORPUS / f"{name}.json") for name in ("train", "validation", "heldout")}


@pytest.fixture(scope="module")
def dialogues(parts):
    return [dialogue for part in parts.values() for dialogue in part.dialogues]


def test_the_corpus_is_what_it_should_be(dialogues):
    report = check_corpus(dialogues)
    assert not report.failures
    assert report.dialogues >= 160
    assert report.shortest >= 8
    assert report.longest <= 16
    assert report.distinct_3 >= 0.65
    assert not report.shared_sequences
    assert not report.equal_openings
    assert len(report.scenes) == 36 and all(report.scenes.values())
    assert len(report.strategies) == 16 and all(report.strategies.values())


def test_they_alternate_and_every_reply_has_a_strategy(dialogues):
    for dialogue in dialogues:
        assert dialogue.turns[0].role is Role.SEEKER, dialogue.id
        assert all(a.role is not b.role for a, b in pairwise(dialogue.turns)), dialogue.id
        assert dialogue.situation, dialogue.id


def test_the_files_have_no_problems_and_share_no_dialogue(parts):
    assert not [problem for part in parts.values() for problem in part.problems]
    check_disjoint({name: part.dialogues for name, part in parts.items()})
    assert len(parts["heldout"].dialogues) >= 10


def dialogue(number, *texts, scene="Academic Stress", strategy="Others"):
    roles = (Role.SEEKER, Role.SUPPORTER)
    turns = tuple(
        Turn(roles[index % 2], text, strategy if index % 2 else None)
        for index, text in enumerate(texts)
    )
    return Dialogue(turns, scene, id=f"d{number}")


def test_a_sequence_in_too_many_dialogues_is_found_despite_commas():
    said = "one two three four five six seven eight"
    comma = f"One, {said[4:]}."
    made = [dialogue(n, f"start {n}", f"{n} {said}" if n % 2 else comma) for n in range(4)]
    assert check_corpus(made[:3]).shared_sequences == ()
    (shared,) = check_corpus(made).shared_sequences
    assert shared.words == said
    assert shared.dialogues == ("d0", "d1", "d2", "d3")


def test_a_sequence_many_times_in_one_dialogue_counts_once():
    said = "one two three four five six seven eight"
    assert not check_corpus([dialogue(0, *[said] * 8)]).shared_sequences


def test_no_sequence_crosses_an_utterance():
    halves = ("one two three four", "five six seven eight")
    assert not check_corpus([dialogue(n, *halves) for n in range(9)]).shared_sequences


def test_equal_openings_are_found():
    report = check_corpus([dialogue(0, "Hi, you.", "a"), dialogue(1, "hi you", "b")])
    assert report.equal_openings == (("d0", "d1"),)


def test_distinct_3_is_over_the_whole_corpus():
    # a b c, b c d, and again a b c: 2 of 3.
    made = [dialogue(0, "a b c d"), dialogue(1, "A b c")]
    assert check_corpus(made).distinct_3 == pytest.approx(2 / 3)


def test_failures_say_what_is_missing():
    report = check_corpus(
        [dialogue(0, "a b c a b c a b c a b c", "b", scene="Chess", strategy=None)]
    )
    said = " ".join(report.failures)
    for words in (
        "1 dialogues; at least 160",
        "2 to 2 utterances",
        "distinct-3 is 0.3",
        "Scenario 'Academic Stress' does not occur",
        "Strategy 'Offer Hope' does not occur",
        "'Chess' is no scenario",
        "'(none)' is no strategy",
    ):
        assert words in said


def test_an_empty_corpus_fails_and_does_not_break():
    assert check_corpus([]).failures
