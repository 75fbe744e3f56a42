"""What a rater posts, checked before it comes near the database.

Forms are made with `parse`, which turns every problem into one `BadInput` whose sentences can
be shown beside the form.
"""

from __future__ import annotations

from collections.abc import Mapping
from string import whitespace
from typing import Annotated, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from annotations.checking import form_sentences, is_answer, problem, shown
from annotations.values import (
    HIGHEST_SCORE,
    LOWEST_SCORE,
    Choice,
    Dimension,
    RaterKind,
    Score,
)
from esc_demo.dialogue import clean_message
from esc_demo.errors import BadInput

MAX_COMMENT_CHARS = 2000
"""Longest comment."""

MOST_COMPARED = 4
"""As many replies as there can be panes."""

Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{8,64}$")]
"""An id, or a nonce made by the client."""

_INVISIBLE = whitespace + "".join(map(chr, range(32))) + "\x7f"


class _Form(BaseModel):
    """What ratings and preferences have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    submission_id: Key = Field(description="Made anew by the client for each submission")
    rater_id: str = Field(pattern=r"^[\w.:@+-]{1,64}$", description="Who judges")
    rater_kind: RaterKind = Field(RaterKind.HUMAN, description="human or judge")
    comment: str = Field("", description="Free text; may be empty")

    @field_validator("comment", mode="before")
    @classmethod
    def _clean_comment(cls, comment: object) -> str:
        """Keep the text as typed, under the rules for messages."""
        if not isinstance(comment, str):
            raise problem("The comment must be text.")
        if not comment.strip(_INVISIBLE):
            return ""
        try:
            return clean_message(comment, MAX_COMMENT_CHARS)
        except BadInput as error:
            raise problem(str(error).replace("The message", "The comment", 1)) from error

    @classmethod
    def parse(cls, **values: object) -> Self:
        """A checked form.

        Raises:
            BadInput: one plain sentence for each thing that is wrong.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise BadInput(form_sentences(error)) from error


class RatingForm(_Form):
    """One rater's answers about one reply: all four dimensions, each a score or cannot judge."""

    generation_id: Key = Field(description="The reply that is rated")
    scores: Mapping[Dimension, Score] = Field(description="The answer on each dimension")

    @field_validator("scores", mode="before")
    @classmethod
    def _all_answered(cls, scores: object) -> dict[Dimension, Score]:
        """Each dimension has one answer, and every answer is one that exists."""
        if not isinstance(scores, Mapping):
            raise problem("The scores must be given by dimension.")
        problems = [
            f"{str(name)[:40]!r} is not something that is rated here."
            for name in scores
            if name not in set(Dimension)
        ]
        for dimension in Dimension:
            answer = scores.get(dimension)
            if answer is None:
                problems.append(f"Choose a score for {dimension}, or 'cannot judge'.")
            elif not is_answer(answer):
                problems.append(
                    f"{dimension} is {shown(answer)[:40]}; it must be a whole number from"
                    f" {LOWEST_SCORE} to {HIGHEST_SCORE}, or 'cannot judge'."
                )
        if problems:
            raise problem(" ".join(problems))
        return {dimension: scores[dimension] for dimension in Dimension}


class PreferenceForm(_Form):
    """Which of the compared replies to one message is best, or that none stands out."""

    turn_id: Key = Field(description="The message that was answered")
    choice: Choice = Field(description="generation, tie or both_bad")
    preferred_generation_id: Key | None = Field(None, description="Only with `generation`")
    compared: tuple[Key, ...] = Field(description="All replies that were shown, left to right")

    @field_validator("choice", mode="before")
    @classmethod
    def _chosen(cls, choice: object) -> object:
        """Nothing is preselected, so nothing may have been chosen."""
        if choice is None or choice == "":
            raise problem("Choose the better reply, 'tie' or 'both bad'.")
        if not isinstance(choice, str) or choice not in set(Choice):
            raise problem(f"The choice is {str(choice)[:40]!r}; it must be {_or(Choice)}.")
        return choice

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """The preferred reply was among those compared, and a tie prefers none."""
        if not 2 <= len(self.compared) <= MOST_COMPARED:
            raise problem(
                f"{len(self.compared)} replies are compared; it takes 2 to {MOST_COMPARED}."
            )
        if len(set(self.compared)) != len(self.compared):
            raise problem("A reply is compared with itself.")
        if self.choice is Choice.GENERATION:
            if self.preferred_generation_id is None:
                raise problem("Say which reply is the better one.")
            if self.preferred_generation_id not in self.compared:
                raise problem("The preferred reply is not among those that were compared.")
        elif self.preferred_generation_id is not None:
            raise problem(f"The choice is '{self.choice}', so no reply can be preferred.")
        return self


def _or(words: type[Choice]) -> str:
    *first, last = [word.value for word in words]
    return f"{', '.join(first)} or {last}"
