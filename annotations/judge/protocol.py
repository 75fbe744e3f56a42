"""A judge's protocol: what is asked, on which scale, in which words; one YAML file each.

Its `content_hash` is over everything that shapes the prompt, the sentences all protocols share
and the scale points taken from the raters' own scales included: the same hash, the same prompt.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from annotations.checking import checked, read_yaml_text
from annotations.judge.values import OVERALL, Pick, Target
from annotations.scales_study import load_study_scales
from annotations.values import (
    ASKED_ONCE,
    HIGHEST_SCORE,
    JUDGES_ONLY,
    LOWEST_SCORE,
    StudyDimension,
)
from esc_demo.errors import ConfigError

FOLDER = Path(__file__).parent / "protocols"
WORDING = Path(__file__).parent / "wording.yaml"

Scales = Literal["scales"]
"""In a protocol, in place of a criterion's wording: as raters are asked."""

RATIONALE = "rationale"
"""Key of the explanation in an answer; it comes first, so that it is written first."""

Reference = Literal["required", "optional", "none"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,29}$")]
Aspect = Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,19}$")]
Text = Annotated[str, Field(min_length=1, max_length=4000)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Criterion(_Strict):
    """One dimension, as it is put to the judge."""

    title: Text = Field(description="Name in the prompt")
    question: Text = Field(description="What is asked, in one line")
    points: dict[int, Text] = Field(description="Meaning of each point of the scale")


class Wording(_Strict):
    """The sentences that all protocols share."""

    version: int = Field(ge=1, description="Raised with every change of wording")
    material: Text = Field(description="How the material is marked, and that it is no instruction")
    rationale: Text = Field(description="What to write before the verdict; {words} is its length")
    cannot_judge: Text = Field(description="When no score can be given, and how to say so")
    picks: dict[Pick, Text] = Field(description="Meaning of each answer about a pair")
    answer: Text = Field(description="The form of the answer, put before an example of it")
    reminder: Text = Field(description="Said again after the material")
    repair: Text = Field(description="Said when an answer cannot be read; {why} is the reason")

    @field_validator("rationale", "repair")
    @classmethod
    def _has_its_place(cls, text: str, info: ValidationInfo) -> str:
        """What is filled in has a place to go to."""
        place = "{words}" if info.field_name == "rationale" else "{why}"
        if place not in text:
            raise ValueError(f"{place} is missing")
        return text

    @field_validator("picks")
    @classmethod
    def _all_picks(cls, picks: dict[Pick, str]) -> dict[Pick, str]:
        """Each answer has its meaning."""
        if missing := [pick.value for pick in Pick if pick not in picks]:
            raise ValueError(f"no meaning for {', '.join(missing)}")
        return picks


class _ProtocolFile(_Strict):
    """The file as it is written."""

    name: Name = Field(description="The file's own name")
    version: int = Field(ge=1, description="Raised with every change")
    title: Text = Field(description="One line for people")
    source: Text = Field(description="Where the protocol comes from and where it departs from it")
    target: Target = Field(description="What one call judges")
    reference: Reference = Field("none", description="Whether the judge sees the data's own reply")
    role: Text = Field(description="Who the judge is")
    task: Text = Field(description="What is judged, and what to take no notice of")
    rationale_words: int = Field(ge=0, le=200, description="Longest explanation; 0 asks for none")
    low: int | None = Field(None, ge=LOWEST_SCORE, description="Lowest score (not for pairs)")
    high: int | None = Field(None, le=HIGHEST_SCORE, description="Highest score (not for pairs)")
    cannot_judge: bool = Field(False, description="Whether a score may be withheld")
    dimensions: dict[StudyDimension, Scales | Criterion] = Field(
        default_factory=dict, description="What is scored: its wording, or `scales`"
    )
    aspects: dict[Aspect, Text] = Field(
        default_factory=dict, description="pair: the questions of the comparison, by name"
    )
    picks: tuple[Pick, ...] = Field((), description="pair: the answers allowed")

    @field_validator("dimensions")
    @classmethod
    def _about_replies(
        cls, dimensions: dict[StudyDimension, Scales | Criterion]
    ) -> dict[StudyDimension, Scales | Criterion]:
        """Nothing that only the seeker can answer."""
        if odd := sorted(ASKED_ONCE & set(dimensions)):
            raise ValueError(f"{', '.join(odd)} can only be answered by the seeker")
        return dimensions

    @model_validator(mode="after")
    def _fits_its_target(self) -> Self:
        """Pairs have aspects and picks; single replies and dialogues have a scale."""
        if self.target is Target.PAIR:
            self._check_pair()
        else:
            self._check_single()
        return self

    def _check_pair(self) -> None:
        if self.dimensions or self.low is not None or self.high is not None or self.cannot_judge:
            raise ValueError("low, high, dimensions and cannot_judge do not go with target pair")
        if RATIONALE in self.aspects:
            raise ValueError(f"an aspect cannot be called {RATIONALE}: that is the explanation")
        if OVERALL not in self.aspects:
            raise ValueError(f"aspects must contain {OVERALL}")
        if len(set(self.picks)) != len(self.picks):
            raise ValueError("a pick is listed twice")
        if missing := [pick.value for pick in (Pick.FIRST, Pick.SECOND) if pick not in self.picks]:
            raise ValueError(f"picks must contain {' and '.join(missing)}")

    def _check_single(self) -> None:
        if self.aspects or self.picks:
            raise ValueError(f"aspects and picks do not go with target {self.target.value}")
        if not self.dimensions:
            raise ValueError("dimensions is missing")
        if self.low is None or self.high is None or self.low >= self.high:
            raise ValueError(f"low ({self.low}) must be below high ({self.high})")
        wanted = list(range(self.low, self.high + 1))
        for name, criterion in self.dimensions.items():
            if isinstance(criterion, str):  # as raters are asked
                if name in JUDGES_ONLY or wanted != list(range(LOWEST_SCORE, HIGHEST_SCORE + 1)):
                    raise ValueError(f"{name.value}: the raters' scales have no such wording")
            elif sorted(criterion.points) != wanted:
                raise ValueError(
                    f"{name.value}: the points are {sorted(criterion.points)}; they must be"
                    f" {wanted}"
                )


@dataclass(frozen=True)
class Protocol:
    """A protocol with all its wording resolved."""

    name: str
    version: int
    title: str
    source: str
    target: Target
    reference: Reference
    role: str
    task: str
    rationale_words: int
    low: int
    """The ends of the scale, both included; both 0 for a pair, which has no scale."""
    high: int
    cannot_judge: bool
    criteria: dict[StudyDimension, Criterion]
    questions: dict[str, str]
    """About a pair, by aspect."""
    picks: tuple[Pick, ...]
    wording: Wording

    @property
    def dimensions(self) -> tuple[StudyDimension, ...]:
        """What is scored, in the order it is asked; empty for a pair."""
        return tuple(self.criteria)

    @property
    def aspects(self) -> tuple[str, ...]:
        """What a pair is compared in, in the order it is asked; `OVERALL` is among them."""
        return tuple(self.questions)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 in 64 hex digits of the protocol with all its wording."""
        content = asdict(self) | {
            "criteria": [[name, kept.model_dump()] for name, kept in self.criteria.items()],
            "questions": list(self.questions.items()),  # the order asked is part of a protocol
            "wording": self.wording.model_dump(),
        }
        text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def shipped_protocols() -> tuple[str, ...]:
    """The names of the protocols that come with the program, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def load_protocol(name: str) -> Protocol:
    """A protocol by the name of a shipped one, or by the path of a YAML file.

    Raises:
        ConfigError: there is none, or it is not as it should be; the text says what.
    """
    shipped = FOLDER / f"{name}.yaml"
    if name in shipped_protocols():
        return read_protocol(shipped)
    path = Path(name)
    if path.suffix not in {".yaml", ".yml"}:
        raise ConfigError(
            f"There is no judge's protocol {name!r}. Shipped are {', '.join(shipped_protocols())};"
            " a protocol of your own is named by the path of its .yaml file."
        )
    return read_protocol(path)


def read_protocol(path: Path) -> Protocol:
    """The protocol of one file.

    Raises:
        ConfigError: unreadable, with unknown keys, or contradicting itself.
    """
    found = checked(_ProtocolFile, read_yaml_text(path), path)
    if found.name != path.stem:
        raise ConfigError(f"{path}: name is {found.name!r}; it must be the file's, {path.stem!r}.")
    return Protocol(
        name=found.name,
        version=found.version,
        title=found.title,
        source=found.source,
        target=found.target,
        reference=found.reference,
        role=found.role,
        task=found.task,
        rationale_words=found.rationale_words,
        low=found.low or 0,
        high=found.high or 0,
        cannot_judge=found.cannot_judge,
        criteria={name: _criterion(name, given) for name, given in found.dimensions.items()},
        questions=dict(found.aspects),
        picks=found.picks,
        wording=load_wording(),
    )


@lru_cache(maxsize=1)
def load_wording() -> Wording:
    """The sentences that all protocols share."""
    return checked(Wording, read_yaml_text(WORDING), WORDING)


def _criterion(name: StudyDimension, given: Scales | Criterion) -> Criterion:
    """The criterion as written, or in the raters' wording."""
    if isinstance(given, Criterion):
        return given
    asked = load_study_scales().wording(name)
    return Criterion(title=asked.title, question=asked.question, points=dict(asked.points))
