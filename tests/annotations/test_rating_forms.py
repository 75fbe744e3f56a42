"""What the forms refuse, and in which words."""

import math

import pytest

from annotations import Dimension, PreferenceForm, RatingForm
from esc_demo.errors import BadInput

NONCE, REPLY, OTHER = "n" * 32, "a" * 32, "b" * 32
GOOD = {dimension.value: 3 for dimension in Dimension}


def rate(**changes):
    values = {"submission_id": NONCE, "generation_id": REPLY, "rater_id": "ann", "scores": GOOD}
    return RatingForm.parse(**{**values, **changes})


def prefer(**changes):
    values = {
        "submission_id": NONCE,
        "turn_id": REPLY,
        "rater_id": "ann",
        "choice": "tie",
        "compared": (REPLY, OTHER),
    }
    return PreferenceForm.parse(**{**values, **changes})


def test_a_complete_form_passes():
    form = rate(scores={**GOOD, "suggestion": "cannot_judge", "comforting": 0})
    assert form.scores[Dimension.SUGGESTION] == "cannot_judge"
    assert form.scores[Dimension.COMFORTING] == 0
    assert form.comment == ""


@pytest.mark.parametrize(
    "score", [9, 6, -1, math.nan, math.inf, True, False, 3.0, 2.5, "3", "high", [3]]
)
def test_what_is_no_score_is_refused(score):
    with pytest.raises(BadInput) as caught:
        rate(scores={**GOOD, "engagement": score})
    assert str(caught.value) == (
        f"engagement is {score}; it must be a whole number from 0 to 5, or 'cannot judge'."
    )


def test_every_missing_answer_is_named_and_no_other():
    with pytest.raises(BadInput) as caught:
        rate(scores={"engagement": 1, "suggestion": None, "appropriateness": 2})
    assert str(caught.value) == (
        "Choose a score for comforting, or 'cannot judge'."
        " Choose a score for suggestion, or 'cannot judge'."
    )


def test_unknown_dimensions_and_fields_are_refused():
    with pytest.raises(BadInput, match=r"'{wit}' is not something that is rated here\."):
        rate(scores={**GOOD, "{wit}": 3})
    with pytest.raises(BadInput, match="colour"):
        rate(colour="red")
    with pytest.raises(BadInput, match="submission_id"):
        rate(submission_id="")
    with pytest.raises(BadInput, match="rater_id"):
        rate(rater_id="ann\n")
    with pytest.raises(BadInput, match="by dimension"):
        rate(scores=[1, 2, 3, 4])


def test_comments_follow_the_rules_of_messages_but_may_be_empty():
    assert rate(comment=" \n\x00 ").comment == ""
    assert rate(comment="line\r\nnext\x07").comment == "line\nnext"
    assert len(rate(comment="x" * 2000).comment) == 2000
    with pytest.raises(BadInput, match=r"The comment has 2,001 characters; at most 2,000 fit"):
        rate(comment="x" * 2001)
    with pytest.raises(BadInput, match="The comment contains half of a character pair"):
        rate(comment="odd \ud83d")
    with pytest.raises(BadInput, match="must be text"):
        rate(comment=None)


def test_a_consistent_preference_passes():
    form = prefer(choice="generation", preferred_generation_id=OTHER)
    assert form.preferred_generation_id == OTHER
    assert form.compared == (REPLY, OTHER)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"choice": None}, "Choose the better reply, 'tie' or 'both bad'."),
        ({"choice": "best"}, "The choice is 'best'; it must be generation, tie or both_bad."),
        ({"choice": ["tie"]}, "it must be generation, tie or both_bad."),
        ({"choice": "generation"}, "Say which reply is the better one."),
        ({"preferred_generation_id": REPLY}, "The choice is 'tie', so no reply can be preferred."),
        ({"compared": (REPLY,)}, "1 replies are compared; it takes 2 to 4."),
        ({"compared": (REPLY, REPLY)}, "A reply is compared with itself."),
        (
            {"choice": "generation", "preferred_generation_id": "c" * 32},
            "The preferred reply is not among those that were compared.",
        ),
    ],
)
def test_an_inconsistent_preference_is_refused(changes, sentence):
    with pytest.raises(BadInput) as caught:
        prefer(**changes)
    assert str(caught.value).endswith(sentence)
