"""The parts of a study's definition, each checked on its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from annotations.studies.values import ASKED_ONCE, Scores, StudyDimension, Verdict
from annotations.values import HIGHEST_SCORE, JUDGES_ONLY, LOWEST_SCORE, Dimension
from esc_demo.contexts import ContextKind, ContextSpec
from esc_demo.dialogue import MAX_MESSAGE_CHARS, Role, Turn

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
"""Lower-case letters, digits and hyphens: fit for an address and a column name."""

Text = Annotated[str, Field(min_length=1, max_length=20_000)]
Share = Annotated[float, Field(ge=0, le=1)]


class Strict(BaseModel):
    """Frozen; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Arm(Strict):
    """One condition: who answers, what it remembers, and whether it gets the prompt."""

    id: Name = Field(description="Name in tables and exports; raters never see it")
    model: str = Field(min_length=1, description="Id of models.yaml, or how the replies were made")
    context: ContextKind = Field(ContextKind.RAW, description="How the conversation is remembered")
    keep_negation: bool = Field(False, description="KeyPOS and NoStopwords: keep not, no, never")
    last_k: int | None = Field(None, ge=1, description="Only the newest K utterances")
    prompt: bool = Field(True, description="Whether the structured prompt is sent")

    def spec(self) -> ContextSpec:
        """The representation as the engine wants it (live mode)."""
        return ContextSpec(self.context, keep_negation=self.keep_negation, last_k=self.last_k)


class ItemsSource(Strict):
    """Where the items come from. Paths are relative to the study's file."""

    file: Path | None = Field(None, description="items.jsonl, as `study items` writes it")
    runs: dict[Name, Path] | None = Field(None, description="Run file of generated replies by arm")
    per_dialogue: int = Field(1, ge=1, description="runs: items taken from each dialogue")
    limit: int | None = Field(None, ge=1, description="At most so many items")
    max_chars: int = Field(
        600, ge=80, le=MAX_MESSAGE_CHARS, description="Longest reply, equal for all arms"
    )
    stratum: Literal["none", "given", "scene", "emotion"] = Field(
        "none", description="none; given: the items' own label; runs: scene or emotion"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        """Items come from one place."""
        if (self.file is None) == (self.runs is None):
            raise ValueError("give either `file` or `runs`")
        if self.file is not None and self.stratum in ("scene", "emotion"):
            raise ValueError("with `file`, stratum is `none` or `given`")
        if self.runs is not None and self.stratum == "given":
            raise ValueError("with `runs`, stratum is `none`, `scene` or `emotion`")
        return self


class LiveRules(Strict):
    """Live mode: how many chats, how long, and about what."""

    chats_per_pair: int = Field(ge=1, description="Chats (slots) for each pair of arms")
    least_turns: int = Field(3, ge=1, description="Messages before the chat may be ended")
    most_turns: int = Field(10, ge=1, le=50, description="Messages after which it ends")
    situations: tuple[Text, ...] = Field(
        (), description="Invented situations to play, given out in turn; empty: no suggestion"
    )

    @model_validator(mode="after")
    def _least_below_most(self) -> Self:
        """A chat can be long enough."""
        if self.most_turns < self.least_turns:
            raise ValueError(f"most_turns is below least_turns ({self.least_turns})")
        return self


class ScalesChoice(Strict):
    """What is asked, in the wording of scales_study.yaml."""

    dimensions: tuple[StudyDimension, ...] = Field(
        tuple(StudyDimension(dimension.value) for dimension in Dimension),
        description="Scores from 0 to 5 for each reply, and the seeker's emotion once a chat",
    )
    preference: bool = Field(True, description="Whether the better reply is asked for")

    @field_validator("dimensions")
    @classmethod
    def _in_order(cls, dimensions: tuple[StudyDimension, ...]) -> tuple[StudyDimension, ...]:
        """No dimension twice; they come back in the order they are asked."""
        if len(set(dimensions)) != len(dimensions):
            raise ValueError("a dimension is listed twice")
        if odd := [name.value for name in dimensions if name in JUDGES_ONLY]:
            raise ValueError(f"{', '.join(odd)}: asked of judges only")
        return tuple(name for name in StudyDimension if name in dimensions)

    @property
    def per_reply(self) -> tuple[StudyDimension, ...]:
        """Those asked about each reply."""
        return tuple(name for name in self.dimensions if name not in ASKED_ONCE)

    @property
    def once(self) -> tuple[StudyDimension, ...]:
        """Those asked once a chat."""
        return tuple(name for name in self.dimensions if name in ASKED_ONCE)


class SessionRules(Strict):
    """The length of one participant's work. Gold and repeats come on top of `items`."""

    items: int = Field(ge=1, le=200, description="Items a participant judges")
    break_every: int = Field(10, ge=1, description="Offer a break after so many screens")
    most_minutes: int = Field(60, ge=5, le=240, description="Longest time at the task, in all")
    lease_minutes: int = Field(20, ge=2, le=240, description="How long an unanswered item is held")
    gold: int = Field(0, ge=0, description="Gold items mixed in")
    repeats: int = Field(0, ge=0, description="Items shown a second time, sides swapped")

    @model_validator(mode="after")
    def _few_repeats(self) -> Self:
        """There is room between an item and its repeat."""
        if self.repeats * 2 > self.items:
            raise ValueError(f"at most half of the {self.items} items can be repeated")
        return self

    @property
    def screens(self) -> int:
        """Items, gold and repeats together."""
        return self.items + self.gold + self.repeats


class Utterance(Strict):
    """One turn of a written conversation."""

    role: Role
    text: str = Field(min_length=1, max_length=MAX_MESSAGE_CHARS)

    def turn(self) -> Turn:
        """The same as a value."""
        return Turn(self.role, self.text)


class Expected(Strict):
    """The answers that count as right, for the replies in the order they are written."""

    preference: tuple[Verdict, ...] = Field((), description="Accepted preferences; empty: any")
    scores: tuple[dict[StudyDimension, tuple[int, int]], ...] = Field(
        (), description="For each reply, the accepted range of a dimension: [lowest, highest]"
    )

    @field_validator("scores")
    @classmethod
    def _ranges(
        cls, scores: tuple[dict[StudyDimension, tuple[int, int]], ...]
    ) -> tuple[dict[StudyDimension, tuple[int, int]], ...]:
        """Ranges lie on the scale and are the right way round."""
        for ranges in scores:
            for dimension, (low, high) in ranges.items():
                if not LOWEST_SCORE <= low <= high <= HIGHEST_SCORE:
                    raise ValueError(
                        f"{dimension.value}: [{low}, {high}] is no range within"
                        f" {LOWEST_SCORE} to {HIGHEST_SCORE}"
                    )
        return scores

    @property
    def empty(self) -> bool:
        """Whether any answer is right."""
        return not self.preference and not any(self.scores)

    def misses(self, scores: tuple[Scores, ...], verdict: Verdict | None) -> tuple[str, ...]:
        """Where answers differ from the expected: `preference`, or `1.comforting` and so on.

        "Cannot judge" misses an expected range: these items are made to be judged. `scores` and
        `verdict` are in the written order of the replies, not the shown one.
        """
        missed = ["preference"] if self.preference and verdict not in self.preference else []
        for number, (ranges, given) in enumerate(zip(self.scores, scores, strict=False), 1):
            for dimension, (low, high) in ranges.items():
                score = given.get(dimension)
                if not (isinstance(score, int) and low <= score <= high):
                    missed.append(f"{number}.{dimension.value}")
        return tuple(missed)


class WrittenItem(Strict):
    """An item whose replies and right answers are part of the definition."""

    id: Name = Field(description="Name in exports")
    history: tuple[Utterance, ...] = Field(min_length=1, description="Ends with the seeker")
    replies: tuple[Text, ...] = Field(min_length=1, max_length=2, description="In written order")
    expected: Expected = Field(description="What counts as right")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """The seeker spoke last, and the expectation fits the replies."""
        if self.history[-1].role is not Role.SEEKER:
            raise ValueError("the conversation must end with the seeker")
        if len(self.expected.scores) not in (0, len(self.replies)):
            raise ValueError(
                f"expected.scores has {len(self.expected.scores)} entries for"
                f" {len(self.replies)} replies"
            )
        if self.expected.empty:
            raise ValueError("expected says nothing; name a preference or a range of scores")
        return self

    def turns(self) -> tuple[Turn, ...]:
        """The conversation as values."""
        return tuple(utterance.turn() for utterance in self.history)


class PracticeItem(WrittenItem):
    """An item to learn the scales on; `feedback` is shown after the answer."""

    feedback: Text = Field(description="Why these answers, in a few kind words")
    must_pass: bool = Field(False, description="Ask again until the answers are as expected")


class GoldItem(WrittenItem):
    """An item with a clear answer, mixed in unmarked."""


class UrlParameters(Strict):
    """Name of the parameter by which a recruiting site says who comes (Prolific's name)."""

    participant: str = Field("PROLIFIC_PID", pattern=r"^\w{1,64}$")

    @model_validator(mode="before")
    @classmethod
    def _who_is_enough(cls, values: Any) -> Any:
        """Studies stored earlier name two more parameters, which nothing has ever needed."""
        if isinstance(values, dict):
            return {name: value for name, value in values.items() if name not in _UNNEEDED}
        return values


_UNNEEDED = ("study", "session")


class Recruitment(Strict):
    """Who may take part. Invitations may be added after opening; they are not in the hash."""

    open: bool = Field(False, description="Anyone who has the link")
    invitations: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{6,64}$")], ...] = Field(
        (), description="One code for each person"
    )
    url_parameters: UrlParameters | None = Field(None, description="A recruiting site sends people")
    completion_code: str | None = Field(
        None, pattern=r"^[\w-]{4,64}$", description="One code for all; else one a participant"
    )
    completion_url: str | None = Field(None, description="Where to go at the end; {code} is filled")

    @property
    def known_by(self) -> tuple[str, ...]:
        """The parameters of the address that say who comes."""
        outside = self.url_parameters
        return ("invitation", *((outside.participant,) if outside is not None else ()))

    @model_validator(mode="after")
    def _someone(self) -> Self:
        """There is a way in, no code twice, and a safe way out."""
        if not (self.open or self.invitations or self.url_parameters):
            raise ValueError("nobody can take part: set open, invitations or url_parameters")
        if len(set(self.invitations)) != len(self.invitations):
            raise ValueError("an invitation is listed twice")
        if self.completion_url is not None:
            if not self.completion_url.startswith("https://"):
                raise ValueError("completion_url must begin with https://")
            if left := re.findall(r"[{}]", self.completion_url.replace("{code}", "")):
                raise ValueError(f"completion_url may hold only {{code}}, not {left[0]!r}")
        return self


class Consent(Strict):
    """What people agree to; the version is stored with each agreement."""

    version: int = Field(ge=1, description="Raised with every change of the text")
    text: Text


class PrimaryOutcome(Strict):
    """The one comparison the study is about."""

    outcome: Literal["preference"] | StudyDimension = Field(description="preference or dimension")
    arms: tuple[Name, Name] = Field(description="The second is compared with the first")


class Exclusions(Strict):
    """Whose answers the analysis leaves out; each rule is off unless it has a value.

    `at_least` says from how many answers on a rule applies: a share of two screens tells little.
    """

    min_gold_share: Share | None = Field(None, description="Gold answers as expected")
    min_median_seconds: float | None = Field(None, ge=0, description="Median time at an item")
    max_straight_line_share: Share | None = Field(
        None, description="Screens with one and the same score everywhere"
    )
    min_self_consistency: Share | None = Field(
        None, description="Repeated scores within one point of the first"
    )
    max_side_bias: Annotated[float, Field(ge=0, le=0.5)] | None = Field(
        None, description="Distance of the share of left preferences from a half"
    )
    min_items: int | None = Field(None, ge=1, description="Items answered")
    at_least: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict,
        description="For a rule above: answers its measure must rest on before it applies",
    )

    @model_validator(mode="after")
    def _of_rules_in_use(self) -> Self:
        """`at_least` names rules that are on and that a number of answers can be asked for."""
        if odd := [name for name in self.at_least if name not in self.limits()]:
            known = ", ".join(self.limits()) or "none"
            raise ValueError(f"at_least names {odd[0]!r}; rules with a value: {known}")
        if "min_items" in self.at_least:
            raise ValueError("at_least: min_items counts answers itself; raise or lower its value")
        return self

    def limits(self) -> dict[str, float]:
        """The rules that are on, with their values."""
        found: dict[str, float] = self.model_dump(exclude_none=True, exclude={"at_least"})
        return found

    def words(self) -> tuple[str, ...]:
        """Each rule in words: `max_straight_line_share 0.8 (from n = 6)`."""
        return tuple(
            f"{name} {limit:g}"
            + (f" (from n = {self.at_least[name]})" if name in self.at_least else "")
            for name, limit in self.limits().items()
        )


class Plan(Strict):
    """What was decided before the first answer came in."""

    primary: PrimaryOutcome
    hypothesis: str = Field("", description="One sentence")
    participants: int = Field(ge=1, description="How many people are to take part")
    alpha: float = Field(0.05, gt=0, lt=0.5, description="Two-sided error level")
    power: float = Field(0.8, gt=0.5, lt=1, description="Chance to find the smallest effect")
    smallest_effect: float | None = Field(
        None, gt=0, description="Preference: share above one half; dimension: points"
    )
    exclusions: Exclusions = Field(Exclusions(), description="Rules that are applied, no others")
    notes: str = Field("", description="Secondary outcomes, analysis, registration")
