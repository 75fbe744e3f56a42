"""What a study varies and on which data, read from a YAML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from esc_demo.contexts import ContextKind, ContextSpec
from esc_demo.errors import BadInput, ConfigError
from esc_demo.settings import PROJECT_ROOT

DEFAULT = Path(__file__).parent / "grids" / "factorial.yaml"


class _Strict(BaseModel):
    """Unknown keys are errors; values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ContextEntry(_Strict):
    """A representation of the conversation."""

    kind: ContextKind = Field(description="raw, keypos or nostopwords")
    keep_negation: bool = Field(False, description="Never drop not, no, never and the like")

    @property
    def spec(self) -> ContextSpec:
        """As the engine takes it."""
        return ContextSpec(self.kind, self.keep_negation)

    @model_validator(mode="after")
    def _possible(self) -> ContextEntry:
        """Refuse what has no meaning, at once."""
        _ = self.spec
        return self


class DataEntry(_Strict):
    """A data set, and how much of it is answered."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="Folder of its runs")
    title: str = Field(min_length=1, description="Heading on the page")
    path: Path | None = Field(
        None, description="File, from the project's folder on; none where each user brings it"
    )
    get: str = Field("", description="Where to get it, for data that may not be shipped")
    dialogues: int = Field(ge=2, description="Dialogues, evenly spaced over the file")
    replies: int = Field(ge=1, description="Replies of each, evenly spaced over the dialogue")


class Grid(_Strict):
    """A study: every model with every prompt and context, on every data set."""

    version: Literal[1] = Field(description="Of this layout")
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="Of the study")
    models: tuple[str, ...] = Field(
        min_length=1, description="Ids of models.yaml or folders of runs; the first is the base"
    )
    prompt: tuple[bool, ...] = Field(min_length=1, description="Structured prompt on, off")
    contexts: tuple[ContextEntry, ...] = Field(min_length=1, description="Representations")
    profile: bool = Field(True, description="Tell the profile where the prompt is on")
    greedy: bool = Field(True, description="Most likely token; otherwise the usual sampling")
    seed: int = Field(0, ge=0, description="Each reply's own seed follows from it")
    max_new_tokens: int = Field(64, ge=1, description="Longest reply, in tokens")
    concurrency: int = Field(12, ge=1, le=64, description="Replies at once; changes no reply")
    replicates: int = Field(
        10_000, ge=100, description="Bootstrap replicates of the differences and trade-offs"
    )
    data: tuple[DataEntry, ...] = Field(min_length=1, description="Data sets")

    @model_validator(mode="after")
    def _each_once(self) -> Grid:
        """Equal entries would write one file twice."""
        lists: dict[str, Sequence[object]] = {
            "models": self.models,
            "prompt": self.prompt,
            "contexts": self.contexts,
            "data": [one.name for one in self.data],
        }
        for name, found in lists.items():
            if len(set(found)) < len(found):
                raise ValueError(f"{name} names an entry twice")
        return self


@dataclass(frozen=True)
class Source:
    """A data set of a grid; `path` is None where nobody brought it."""

    entry: DataEntry
    path: Path | None


def load_grid(path: Path = DEFAULT) -> Grid:
    """Read a grid.

    Raises:
        ConfigError: no such file, not YAML, an unknown key or an unusable value.
    """
    try:
        found = yaml.safe_load(path.read_text("utf-8"))
        return Grid.model_validate(found)
    except OSError as error:
        raise ConfigError(f"Cannot read the grid {path}: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"The grid {path} is not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg']}"
            for one in error.errors()
        ]
        raise ConfigError(f"The grid {path} cannot be used. {'; '.join(faults)}.") from error


def find_sources(grid: Grid, given: Sequence[str]) -> tuple[Source, ...]:
    """Where each data set lies: as `given` says, else as the grid does.

    Each is PATH or NAME=PATH; a bare path fills the first data set that has none.

    Raises:
        BadInput: more paths than data sets without one, a data set given twice, or no file.
    """
    paths = {one.name: _inside(one.path) for one in grid.data}
    named: set[str] = set()
    for text in given:
        name, equals, rest = text.partition("=")
        if not equals or name not in paths:
            empty = [known for known, path in paths.items() if path is None]
            if not empty:
                raise BadInput(
                    f"--data {text}: every data set of the grid {grid.name} has its file. Say"
                    f" which one is meant with --data NAME=PATH; names: {', '.join(paths)}."
                )
            name, rest = empty[0], text
        if name in named:
            raise BadInput(f"--data names a file for {name} twice; leave one out.")
        named.add(name)
        paths[name] = Path(rest).expanduser()
    for name, path in paths.items():
        if path is not None and not path.is_file():
            raise BadInput(f"The file {path} of the data set {name} is not there.")
    if not any(paths.values()):
        raise BadInput(f"No data set of the grid {grid.name} has a file; name one with --data.")
    return tuple(Source(one, paths[one.name]) for one in grid.data)


def limited(grid: Grid, limit: int | None) -> Grid:
    """The grid with at most `limit` dialogues of each data set, for a trial."""
    if limit is None:
        return grid
    data = tuple(
        one.model_copy(update={"dialogues": min(one.dialogues, limit)}) for one in grid.data
    )
    return grid.model_copy(update={"data": data})


def _inside(path: Path | None) -> Path | None:
    """A path of the grid, from the project's folder on."""
    return None if path is None else PROJECT_ROOT / path.expanduser()
