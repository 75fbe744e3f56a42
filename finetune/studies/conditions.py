"""The cells of a grid: which model is asked how, and the files that hold its replies."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from esc_demo.contexts import ContextSpec
from esc_demo.engine import PaneConfig
from esc_demo.prompts import PromptTemplate
from finetune.generate import Mode
from finetune.generate.cli import sampling
from finetune.generate.job import Job
from finetune.generate.sample import Sample
from finetune.studies.grid import DataEntry, Grid


@dataclass(frozen=True)
class Condition:
    """One combination."""

    model: str
    prompt: bool
    context: ContextSpec

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.short_model} · {self.context.label()} · prompt {self.switch}"

    @property
    def switch(self) -> str:
        """Whether the structured prompt is used."""
        return "on" if self.prompt else "off"

    @property
    def short_model(self) -> str:
        """The model's id, or the name of its run's folder."""
        return self.model.rstrip("/").rsplit("/", 1)[-1]

    @property
    def stem(self) -> str:
        """Name of its file."""
        parts = (self.short_model, self.context.label(), "prompt" if self.prompt else "no-prompt")
        return "-".join(re.sub(r"[^a-z0-9._]+", "-", part.lower()).strip("-") for part in parts)


def conditions_of(grid: Grid) -> tuple[Condition, ...]:
    """Every combination, those of one model together."""
    return tuple(
        Condition(model, prompt, context.spec)
        for model in grid.models
        for prompt in grid.prompt
        for context in grid.contexts
    )


def replies_file(folder: Path, entry: DataEntry, condition: Condition) -> Path:
    """Where the replies of a condition lie."""
    return folder / entry.name / f"{condition.stem}.jsonl"


def job_of(grid: Grid, entry: DataEntry, path: Path, condition: Condition) -> Job:
    """The run of `generate` that writes them."""
    template = PromptTemplate() if condition.prompt else PromptTemplate.off()
    params = replace(
        sampling(grid.greedy, None, None, None, endpoint=False),
        seed=grid.seed,
        max_new_tokens=grid.max_new_tokens,
    )
    return Job(
        model=condition.model,
        data=path,
        mode=Mode.FORCED,
        pane=PaneConfig(condition.model, condition.context, template),
        params=params,
        profile=grid.profile and condition.prompt,
        sample=Sample(dialogues=entry.dialogues, per_dialogue=entry.replies),
        concurrency=grid.concurrency,
        quiet=True,
    )
