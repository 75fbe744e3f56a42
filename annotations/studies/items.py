"""The items of a study: read from its own file, or taken from files of generated replies."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from annotations.studies.normalise import to_sentence_end
from annotations.studies.parts import Arm
from annotations.studies.values import Item
from esc_demo.dialogue import MAX_MESSAGE_CHARS, Role, Turn
from esc_demo.errors import BadInput, ConfigError

_RUN_KIND = "esc-replies"
_ROLES = {"user": Role.SEEKER, "assistant": Role.SUPPORTER}
_ID = r"^[A-Za-z0-9][\w.:-]{0,79}$"

Label = Literal["none", "scene", "emotion"]


class _Line(BaseModel):
    """A turn within a line of the items' file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Role
    text: str = Field(min_length=1, max_length=MAX_MESSAGE_CHARS)


class _ItemLine(BaseModel):
    """A line of the items' file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=_ID)
    stratum: str = Field("", max_length=120)
    history: tuple[_Line, ...] = Field(min_length=1)
    replies: dict[str, str] = Field(min_length=1)
    source: dict[str, str] = Field(default_factory=dict)
    reference: str = Field("", max_length=MAX_MESSAGE_CHARS)
    crisis: bool | None = None

    @field_validator("history")
    @classmethod
    def _seeker_last(cls, history: tuple[_Line, ...]) -> tuple[_Line, ...]:
        """A reply answers the seeker."""
        if history[-1].role is not Role.SEEKER:
            raise ValueError("must end with the seeker, whom the replies answer")
        return history


def read_items(path: Path) -> tuple[Item, ...]:
    """The items of a file with one JSON object a line, in its order.

    Each has `id`, `history` [{role: seeker|supporter, text}], `replies` {arm: text}, and may
    have `stratum`, `source` {arm: where the reply is from}, `reference` (what the supporter of
    the data said here, for judges) and `crisis` (true or false: whether the seeker is in danger;
    missing answers are counted by it).

    Raises:
        BadInput: unreadable, empty or wrong; the text names file, line and key.
    """
    items: list[Item] = []
    lines: dict[str, int] = {}
    for number, line in _numbered(path):
        try:
            found = _ItemLine.model_validate_json(line)
        except ValidationError as error:
            raise BadInput("\n".join(_sentences(path, number, error))) from error
        if found.id in lines:
            raise BadInput(
                f"{path}, line {number}, id: {found.id!r} is the id of line {lines[found.id]} too."
                " Give each item its own."
            )
        lines[found.id] = number
        turns = tuple(Turn(turn.role, turn.text) for turn in found.history)
        items.append(
            Item(
                found.id,
                turns,
                found.replies,
                found.stratum,
                source=found.source,
                reference=found.reference,
                crisis=found.crisis,
            )
        )
    if not items:
        raise BadInput(f"{path} holds no item. Write one with `python -m annotations study items`.")
    return tuple(items)


def items_text(items: Sequence[Item]) -> str:
    """Items as the text of such a file."""
    lines = [
        json.dumps(
            {
                "id": item.id,
                "stratum": item.stratum,
                "history": [{"role": turn.role.value, "text": turn.text} for turn in item.history],
                "replies": dict(item.replies),
                "source": dict(item.source),
            }
            | ({"reference": item.reference} if item.reference else {})
            | ({} if item.crisis is None else {"crisis": item.crisis}),
            ensure_ascii=False,
        )
        for item in items
    ]
    return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True)
class _Run:
    """A file of generated replies."""

    path: Path
    header: dict[str, Any]
    records: dict[tuple[str, int], dict[str, Any]]

    @property
    def whole_history(self) -> bool:
        """Whether its messages are the conversation as it was said."""
        context = self.header["condition"]["context"]
        return context["kind"] == "raw" and context["last_k"] is None


def items_from_runs(
    runs: Mapping[str, Path],
    *,
    per_dialogue: int = 1,
    limit: int | None = None,
    label: Label = "none",
    arms: Sequence[Arm] = (),
) -> tuple[Item, ...]:
    """Items with the replies of one run file an arm, chosen without a look at the replies.

    Taken are `per_dialogue` replies of each dialogue, evenly spaced, and of what that gives
    `limit` items, evenly spaced again. The conversation is read from a run in the Raw context;
    an item whose beginning no such run saw whole is left out beforehand. A reply that ended at
    the longest number of tokens loses the sentence it broke off in, in every arm alike.

    Raises:
        BadInput: a file is unreadable or unfinished, the runs do not belong together, or nothing
            is left.
        ConfigError: a run was generated in another condition than the one of `arms` it is for.
    """
    loaded = {arm: _read_run(path) for arm, path in runs.items()}
    _check_conditions(loaded, arms)
    _check_together(loaded)
    histories = _histories(loaded)
    chosen: list[tuple[str, int]] = []
    for _, keys in groupby(sorted(histories, key=_order(loaded)), key=lambda key: key[0]):
        chosen += _spaced(list(keys), per_dialogue)
    chosen = _spaced(chosen, limit) if limit else chosen
    if not chosen:
        raise BadInput(
            "No item is left: no run in the Raw context saw a conversation whole. Generate one"
            " with --context raw and a window that holds the dialogues."
        )
    return tuple(_item(loaded, key, histories[key], label) for key in chosen)


def _item(
    runs: Mapping[str, _Run], key: tuple[str, int], history: tuple[Turn, ...], label: Label
) -> Item:
    """One item."""
    any_record = next(iter(runs.values())).records[key]
    stratum = str(any_record[label] or "") if label != "none" else ""
    replies = {arm: _reply(run.records[key]) for arm, run in runs.items()}
    source = {arm: f"{run.header['run_hash']} {run.path.name}" for arm, run in runs.items()}
    reference = str(any_record.get("reference") or "")
    return Item(f"{key[0]}.{key[1]}", history, replies, stratum, source=source, reference=reference)


def _reply(record: Mapping[str, Any]) -> str:
    """The text of a reply."""
    text = str(record["hypothesis"])
    return to_sentence_end(text) if record["finish"] == "length" else text


def _histories(runs: Mapping[str, _Run]) -> dict[tuple[str, int], tuple[Turn, ...]]:
    """The conversation before each reply, where some run saw it whole.

    Raises:
        BadInput: two runs saw different conversations, or none is in the Raw context.
    """
    whole = [run for run in runs.values() if run.whole_history]
    if not whole:
        raise BadInput(
            "None of the runs is in the Raw context without --last-k, so the conversations cannot"
            " be read from them. Generate the first arm's replies with --context raw as well, and"
            " write the items' file from that."
        )
    found: dict[tuple[str, int], tuple[Turn, ...]] = {}
    for run in whole:
        for key, record in run.records.items():
            if not record["messages"] or record["dropped_turns"]:
                continue
            turns = tuple(
                Turn(_ROLES[message["role"]], message["content"])
                for message in record["messages"]
                if message["role"] in _ROLES
            )
            if found.setdefault(key, turns) != turns:
                raise BadInput(
                    f"{run.path}: the conversation before reply {key[1]} of {key[0]} is not that"
                    " of the other runs. Generate all of them from one data file with --mode"
                    " forced."
                )
    return {key: found[key] for key in found if all(key in run.records for run in runs.values())}


def _check_conditions(runs: Mapping[str, _Run], arms: Sequence[Arm]) -> None:
    """Each run was generated as its arm says.

    Raises:
        ConfigError: it was not; the text names arm, file and keys.
    """
    for arm in arms:
        if (run := runs.get(arm.id)) is None:
            continue
        condition = run.header["condition"]
        made = condition["context"] | {"context": condition["context"]["kind"]}
        made |= {"prompt": condition["prompt"]} if "prompt" in condition else {}
        wanted = {
            "context": arm.context.value,
            "keep_negation": arm.keep_negation,
            "last_k": arm.last_k,
            "prompt": arm.prompt,
        }
        if odd := [
            f"{key} is {json.dumps(value)}, but {json.dumps(made[key])} in the run"
            for key, value in wanted.items()
            if key in made and made[key] != value
        ]:
            raise ConfigError(
                f"arms: {arm.id} does not describe its run {run.path}: {'; '.join(odd)}. Mend the"
                " arm, or name the run that was generated so."
            )


def _check_together(runs: Mapping[str, _Run]) -> None:
    """The runs answer the same messages.

    Raises:
        BadInput: they do not, or one of them answered after its own earlier replies.
    """
    first = next(iter(runs.values()))
    for arm, run in runs.items():
        protocol = run.header["protocol"]
        if protocol["mode"] != "forced":
            raise BadInput(
                f"{run.path} (arm {arm}) was generated with --mode {protocol['mode']}, in which"
                " each model has a conversation of its own. Generate it with --mode forced."
            )
        if protocol["data_hash"] != first.header["protocol"]["data_hash"]:
            raise BadInput(
                f"{run.path} (arm {arm}) and {first.path} were generated from different dialogues."
                " Generate both with the same --data, --limit and --sample."
            )
        if run.records.keys() != first.records.keys():
            raise BadInput(
                f"{run.path} (arm {arm}) and {first.path} answer different messages. Generate both"
                " with the same --per-dialogue."
            )


def _read_run(path: Path) -> _Run:
    """A finished file of generated replies.

    Raises:
        BadInput: it is none, a line is damaged, or replies failed or are missing.
    """
    lines = list(_numbered(path))
    try:
        header = json.loads(lines[0][1])
        wanted = header["protocol"]["items"]
        known = header["kind"] == _RUN_KIND and header["condition"]["context"]["kind"] is not None
    except (ValueError, KeyError, TypeError, IndexError):
        known = False
    if not known:
        raise BadInput(
            f"{path} does not begin with the header of a file of generated replies. Make one with"
            " `python -m finetune generate`."
        )
    records: dict[tuple[str, int], dict[str, Any]] = {}
    for number, line in lines[1:]:
        try:
            record = json.loads(line)
            key = (str(record["dialogue"]), int(record["item"]))
            failed = record["status"] == "failed"
            record["hypothesis"], record["messages"], record["finish"]
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput(
                f"{path}, line {number} is damaged. Mend the run with --resume."
            ) from error
        if failed:
            raise BadInput(
                f"{path}, line {number}: this reply failed ({record.get('error')}). Ask for it"
                " again with --resume."
            )
        records[key] = record
    if len(records) < wanted:
        raise BadInput(
            f"{path} is unfinished: {len(records):,} of {wanted:,} replies. Finish it with"
            " --resume."
        )
    return _Run(path, header, records)


def _order(runs: Mapping[str, _Run]) -> Any:
    """A key that sorts replies as the first run file lists them."""
    places = {key: place for place, key in enumerate(next(iter(runs.values())).records)}
    return places.__getitem__


def _spaced(keys: Sequence[tuple[str, int]], number: int) -> list[tuple[str, int]]:
    """`number` of `keys`, evenly spaced from the middle of each stretch; all if there are fewer."""
    if len(keys) <= number:
        return list(keys)
    return [keys[int((place + 0.5) * len(keys) / number)] for place in range(number)]


def _numbered(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file that are not blank, counted from 1.

    Raises:
        BadInput: it cannot be read.
    """
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8 text. Save it as UTF-8.") from error
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from error
    # Not splitlines(): line separators within a text do not end a line of JSON.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line


def _sentences(path: Path, number: int, error: ValidationError) -> Iterator[str]:
    """What is wrong with a line."""
    for item in error.errors(include_url=False):
        key = ".".join(str(part + 1 if isinstance(part, int) else part) for part in item["loc"])
        text = item["msg"].removeprefix("Value error, ").rstrip(".")
        yield f"{path}, line {number}{', ' + key if key else ''}: {text}."
