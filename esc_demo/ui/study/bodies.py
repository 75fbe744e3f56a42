"""What the rater's page posts. Unknown keys are refused; the Desk checks what the values mean."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from esc_demo.dialogue import MAX_MESSAGE_CHARS

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Short = Annotated[str, Field(max_length=500)]
Parameters = Annotated[dict[Annotated[str, Field(max_length=64)], Short], Field(max_length=20)]


class Body(BaseModel):
    """One request."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EnterBody(Body):
    """Somebody comes in: anew, with a code, or from a recruiting site."""

    resume: Short | None = Field(None, description="Resume code, as it was typed")
    invitation: Short | None = Field(None, description="Invitation code, as it was typed")
    parameters: Parameters = Field(default_factory=dict, description="Of the page's address")
    mine: bool = Field(False, description="Says to be the one who began with this link")


class ConsentBody(Body):
    """Somebody agrees to the text they were shown."""

    version: int


class EmptyBody(Body):
    """An act that needs no words."""


class ItemBody(Body):
    """Something about one item."""

    assignment_id: Id


class DraftBody(ItemBody):
    """What is ticked so far; only this page reads it again."""

    draft: dict[str, Any]


class SubmitBody(ItemBody):
    """The answers about one item, checked by the Desk's form."""

    nonce: Any
    scores: list[Any] = Field(max_length=4)
    once: dict[str, Any] = Field(default_factory=dict, max_length=10)
    preference: Any = None
    comment: Any = ""
    client_ms: Any = None


class CorrectBody(SubmitBody):
    """Other answers about an item answered before."""

    reason: Short


class SkipBody(ItemBody):
    """An item that somebody would rather not judge."""

    reason: Short = ""


class ReportBody(Body):
    """A problem, with an item or with the study."""

    assignment_id: Id | None = None
    text: str = Field(min_length=1, max_length=2000)


class SayBody(ItemBody):
    """A message to both partners; `position` counts from 0 and makes a repeat harmless."""

    position: int = Field(ge=0, le=200)
    text: str = Field(max_length=MAX_MESSAGE_CHARS * 2)
