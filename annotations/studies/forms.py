"""What a participant's page posts, checked before it comes near the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from annotations.checking import form_sentences, is_answer, problem, shown
from annotations.forms import MAX_COMMENT_CHARS, Key
from annotations.studies.errors import unusable
from annotations.studies.values import Scores, StudyDimension, Verdict
from annotations.values import HIGHEST_SCORE, LOWEST_SCORE, Score
from esc_demo.dialogue import clean_message
from esc_demo.errors import BadInput

MAX_REASON_CHARS = 500
MAX_PROBLEM_CHARS = 2000
MOST_CLIENT_MS = 7 * 24 * 3600 * 1000

ANSWERS = ("1", "2", "tie", "both_bad")
"""What a preference may be: the number of the shown reply, or neither."""


class SubmissionForm(BaseModel):
    """One answered screen. `scores` has a mapping for each shown reply, in the shown order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    assignment_id: Key
    nonce: Key = Field(description="Made by the page once for this screen")
    scores: tuple[Mapping[str, Score], ...] = ()
    once: Mapping[str, Score] = Field(default_factory=dict)
    preference: str | None = None
    comment: str = ""
    client_ms: int | None = Field(None, description="Active milliseconds as the page counted")

    @field_validator("scores", mode="before")
    @classmethod
    def _scores(cls, given: object) -> tuple[dict[str, Score], ...]:
        """A list of answers by dimension."""
        if not isinstance(given, Sequence) or isinstance(given, str) or len(given) > 2:
            raise problem("The scores must be a list with one entry for each reply.")
        return tuple(_answers(part, f"Reply {number}, ") for number, part in enumerate(given, 1))

    @field_validator("once", mode="before")
    @classmethod
    def _once(cls, given: object) -> dict[str, Score]:
        """Answers by dimension; may be left out."""
        return {} if given is None else _answers(given, "")

    @field_validator("preference", mode="before")
    @classmethod
    def _preference(cls, given: object) -> object:
        """One of the words, or nothing."""
        if given is not None and (not isinstance(given, str) or given not in ANSWERS):
            shown_as = str(given)[:40]
            raise problem(f"The preference is {shown_as!r}; it must be 1, 2, tie or both_bad.")
        return given

    @field_validator("comment", mode="before")
    @classmethod
    def _comment(cls, given: object) -> str:
        """Text of a bearable length."""
        try:
            return free_text(given, MAX_COMMENT_CHARS, "The comment")
        except BadInput as error:
            raise problem(str(error)) from error

    @field_validator("client_ms", mode="before")
    @classmethod
    def _client_ms(cls, given: object) -> int | None:
        """For information only: what cannot be a duration counts as unknown."""
        return given if type(given) is int and 0 <= given <= MOST_CLIENT_MS else None

    @classmethod
    def parse(cls, values: object) -> SubmissionForm:
        """A checked form.

        Raises:
            StudyError: 422 with one plain sentence for each thing that is wrong.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise unusable(form_sentences(error, name_chars=40)) from error


def free_text(given: object, most: int, what: str) -> str:
    """Text as typed, or nothing; `what` begins the sentence when it cannot be used.

    Raises:
        BadInput: not text, too long, or with characters no database takes.
    """
    if given is None:
        return ""
    if not isinstance(given, str):
        raise BadInput(f"{what} must be text.")
    if not given.strip():
        return ""
    try:
        return clean_message(given, most)
    except BadInput as error:
        raise BadInput(str(error).replace("The message", what, 1)) from error


class Asked(BaseModel):
    """What a screen asked, to hold an answer against."""

    model_config = ConfigDict(frozen=True)

    replies: int
    dimensions: tuple[StudyDimension, ...]
    once: tuple[StudyDimension, ...]
    preference: bool

    def check(self, form: SubmissionForm) -> None:
        """Everything is answered and nothing else.

        Raises:
            StudyError: 422; each sentence names what is missing or too much.
        """
        problems = []
        wanted = self.replies if self.dimensions else 0
        if len(form.scores) != wanted and not (wanted == 0 and not any(form.scores)):
            problems.append(f"There are scores for {len(form.scores)} replies; it takes {wanted}.")
        for number, answers in enumerate(form.scores[:wanted], 1):
            problems += _compare(answers, self.dimensions, f"reply {number}, ")
        problems += _compare(form.once, self.once, "")
        if self.preference and form.preference is None:
            problems.append("Choose the better reply, 'about equal' or 'neither is good'.")
        if not self.preference and form.preference is not None:
            problems.append("No preference was asked for.")
        if problems:
            raise unusable(" ".join(problems))

    def scores(self, form: SubmissionForm) -> tuple[Scores, ...]:
        """The answers about each shown reply."""
        return tuple(_typed(answers) for answers in form.scores) if self.dimensions else ()


def once_of(form: SubmissionForm) -> Scores:
    """The answers to what was asked once."""
    return _typed(form.once)


def verdict_of(preference: str | None, swapped: bool) -> Verdict | None:
    """The preference in the written order of the replies; `swapped`: shown the other way."""
    if preference is None:
        return None
    if preference in ("1", "2"):
        first = (preference == "1") != swapped
        return Verdict.FIRST if first else Verdict.SECOND
    return Verdict(preference)


def _typed(answers: Mapping[str, Score]) -> Scores:
    return {StudyDimension(name): score for name, score in answers.items()}


def _compare(
    answers: Mapping[str, Score], asked: Sequence[StudyDimension], where: str
) -> list[str]:
    missing = [name.value for name in asked if name not in answers]
    extra = [name for name in answers if name not in asked]
    return [
        *(f"Choose a score for {where}{name}, or 'cannot judge'." for name in missing),
        *(f"{name} is not asked here." for name in extra),
    ]


def _answers(given: object, where: str) -> dict[str, Score]:
    """Answers by dimension, each one that exists."""
    if not isinstance(given, Mapping):
        raise problem(f"{where}the scores must be given by dimension.".capitalize())
    problems = []
    for name, answer in given.items():
        if name not in set(StudyDimension):
            problems.append(f"{str(name)[:40]!r} is not something that is rated here.")
        elif not is_answer(answer):
            problems.append(
                f"{where}{name} is {shown(answer)[:40]}; it must be a whole number from"
                f" {LOWEST_SCORE} to {HIGHEST_SCORE}, or 'cannot_judge'."
            )
    if problems:
        raise problem(" ".join(problems))
    return dict(given)
