"""Raw, KeyPOS, NoStopwords: what is kept, what is dropped, and when."""

import pytest

from esc_demo.contexts import ContextKind, ContextSpec, DiffOp, Scope, diff_words, render_context
from esc_demo.contexts.keypos import KEPT, keypos
from esc_demo.contexts.nostopwords import nostopwords, stopwords
from esc_demo.dialogue import Role, Turn
from esc_demo.errors import ConfigError

SENTENCE = "I can't stop crying and I am not sure what to do."

TURNS = (
    Turn(Role.SEEKER, "I have been sleeping badly since the move."),
    Turn(Role.SUPPORTER, "What is the hardest hour of the night?"),
    Turn(Role.SEEKER, "It is the one before the alarm."),
)


def test_the_stopword_list_is_nltks():
    assert len(stopwords()) == 198
    assert {"not", "no", "nor", "don't", "she'll"} <= stopwords()


def test_nostopwords_drops_the_negation_and_its_variant_keeps_it():
    assert "not" not in nostopwords(SENTENCE).split()
    assert nostopwords(SENTENCE, keep_negation=True).split().count("not") == 1
    assert nostopwords("I don\u2019t, you know, sleep.", True) == "don\u2019t, know, sleep."


@pytest.mark.weights
def test_keypos_is_paper_bs_tag_set():
    assert {"NOUN", "VERB", "ADJ", "ADV", "ADP", "PROPN", "NUM", "SCONJ", "PRON"} == KEPT
    assert keypos("I can't stop crying and I am not sure what to do.") == (
        "I stop crying I sure what"
    )


@pytest.mark.weights
def test_keypos_can_keep_negation():
    assert keypos(SENTENCE, keep_negation=True) == "I not stop crying I not sure what"


def test_only_earlier_utterances_are_transformed_by_default():
    spec = ContextSpec(ContextKind.NOSTOPWORDS)
    view = render_context(TURNS, spec)
    assert [turn.changed for turn in view.turns] == [True, True, False]
    everything = render_context(TURNS, ContextSpec(ContextKind.NOSTOPWORDS, scope=Scope.ALL))
    assert everything.turns[-1].text == "one alarm."
    assert tuple(turn.raw for turn in everything.turns) == TURNS


def test_raw_changes_nothing():
    assert [turn.text for turn in render_context(TURNS, ContextSpec()).turns] == [
        turn.text for turn in TURNS
    ]


def test_last_k_counts_what_it_leaves_out():
    view = render_context(TURNS, ContextSpec(last_k=2))
    assert [turn.raw for turn in view.turns] == list(TURNS[1:])
    assert view.outside_window == 1


@pytest.mark.parametrize("arguments", [{"keep_negation": True}, {"last_k": 0}])
def test_meaningless_combinations_are_refused(arguments):
    with pytest.raises(ConfigError):
        ContextSpec(**arguments)


@pytest.mark.weights
def test_an_utterance_is_never_emptied():
    for text in ("Hi!", "Yes, and?"):
        assert keypos(text) == ""
        turns = (Turn(Role.SEEKER, text),)
        view = render_context(turns, ContextSpec(ContextKind.KEYPOS, scope=Scope.ALL))
        assert view.turns[0].text == text


def test_a_kept_word_stays_kept_when_its_comma_goes():
    runs = diff_words("I lost my dog, and I don't sleep.", "I lost dog I not sleep")
    kept = " ".join(run.text for run in runs if run.op is DiffOp.KEPT)
    assert kept == "I lost dog I sleep"
    assert [run.text for run in runs if run.op is DiffOp.ADDED] == ["not"]


def test_diff_is_by_word_and_complete():
    runs = diff_words("I am so very tired today", "tired today")
    assert [(run.op, run.text) for run in runs] == [
        (DiffOp.DROPPED, "I am so very"),
        (DiffOp.KEPT, "tired today"),
    ]
    assert [run.op for run in diff_words("a b", "a c")] == [
        DiffOp.KEPT,
        DiffOp.DROPPED,
        DiffOp.ADDED,
    ]
