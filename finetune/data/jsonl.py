"""People's own data: one dialogue a line, as JSON.

    {"id": "night-1", "scene": "Sleep", "situation": "Lies awake since the move.",
     "profile": {"name": "Ana", "age": "31"},
     "turns": [{"role": "seeker", "text": "I cannot sleep."},
               {"role": "supporter", "text": "Since when?", "strategy": "Question"}]}

(each on a single line of the file). Only `turns` is required, and in a turn `role` and `text`.
`profile` takes the fields of `UserProfile`: name, sex, nickname, age, occupation, hobby,
appearance, education_background, emotion_type, problem_type, situation. Strategies of ESConv
and ExTES are known; others are kept and reported. A key that is not named here is refused, so
that a misspelt one cannot go unread.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from esc_demo.dialogue import Dialogue, Role, Turn, UserProfile
from esc_demo.errors import BadInput
from finetune.data.formats import DataFormat
from finetune.data.labels import all_strategies
from finetune.data.parsing import Findings, id_prefix, object_with, parse_each, strategy, utterance
from finetune.data.reading import Shape, Source, found_value

_PROFILE_FIELDS = tuple(field.name for field in fields(UserProfile))


class _Form(BaseModel):
    """Refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _TurnForm(_Form):
    """One utterance."""

    role: Role
    text: str
    strategy: str | None = None


class _DialogueForm(_Form):
    """One line."""

    id: str | None = Field(None, pattern=r"^\S(.*\S)?$")
    scene: str = ""
    situation: str = ""
    profile: dict[str, str] = Field(default_factory=dict)
    turns: list[_TurnForm]


def parse_jsonl(source: Source, findings: Findings) -> tuple[Dialogue, ...]:
    """Every line of a file in this project's own layout, in file order.

    Raises:
        BadInput: not such a file, an unknown key, or an empty text.
    """
    if source.shape is Shape.ARRAY:
        raise BadInput(f"{source.path}: expected one dialogue a line, found {source.shape}.")
    prefix = id_prefix(DataFormat.JSONL, source.path)

    def parse(where: str, item: Any) -> Dialogue:
        number = int(where.removeprefix("dialogue "))
        return _dialogue(where, _form(where, item), f"{prefix}-{number:05d}", findings)

    items = ((f"dialogue {index}", item) for index, item in enumerate(source.records))
    return parse_each(source, items, parse)


def _form(where: str, item: Any) -> _DialogueForm:
    """The line with its types checked."""
    object_with(where, item, "turns")
    try:
        return _DialogueForm.model_validate(item)
    except ValidationError as error:
        first = error.errors()[0]
        place = list(first["loc"])
        at = where
        if len(place) > 1 and place[0] == "turns":
            at, place = f"{where}, utterance {place[1]}", place[2:]
        key = ".".join(map(str, place)) or "the entry"
        said = {"extra_forbidden": "unknown key", "missing": "is missing"}.get(first["type"])
        found = "" if first["type"] == "missing" else f", found {found_value(first['input'])}"
        raise BadInput(f"{at}: {key}: {said or first['msg']}{found}.") from error


def _dialogue(where: str, form: _DialogueForm, made_id: str, findings: Findings) -> Dialogue:
    """The value; the situation goes into the profile unless the profile has its own."""
    unknown = sorted(set(form.profile) - set(_PROFILE_FIELDS))
    if unknown:
        known = ", ".join(_PROFILE_FIELDS)
        raise BadInput(f"{where}: profile: unknown key {unknown[0]!r}; known are {known}.")
    turns = tuple(
        _turn(f"{where}, utterance {index}", turn, findings)
        for index, turn in enumerate(form.turns)
    )
    situation = " ".join(form.situation.split())
    profile = UserProfile(**form.profile)
    if not profile.situation:
        profile = replace(profile, situation=situation)
    return Dialogue(turns, " ".join(form.scene.split()), situation, form.id or made_id, profile)


def _turn(where: str, form: _TurnForm, findings: Findings) -> Turn:
    """One utterance; only supporters have strategies."""
    text = utterance(where, form.text, findings)
    if form.role is Role.SEEKER:
        if form.strategy is not None:
            raise BadInput(f"{where}: a seeker's turn has no strategy, found {form.strategy!r}.")
        return Turn(form.role, text)
    return Turn(form.role, text, strategy(where, form.strategy, all_strategies(), findings))
