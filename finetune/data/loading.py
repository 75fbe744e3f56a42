"""The one way in: a path to a `DataSet`."""

from __future__ import annotations

from pathlib import Path

from esc_demo.dialogue import Dialogue
from esc_demo.errors import BadInput
from finetune.data.dataset import DataSet, content_key, set_hash
from finetune.data.esconv import parse_esconv
from finetune.data.extes import parse_extes
from finetune.data.formats import DataFormat
from finetune.data.jsonl import parse_jsonl
from finetune.data.nlpcc import parse_nlpcc
from finetune.data.parsing import Findings
from finetune.data.reading import Source, read_source, sniff


def load(
    path: Path, format: DataFormat = DataFormat.AUTO, *, allow_empty_replies: bool = False
) -> DataSet:
    """Read a dialogue file; `auto` finds the format by the content, never by the name.

    Utterances keep their words and their cuts: adjacent turns of one speaker are not joined
    here. `allow_empty_replies` reads NLPCC's test file, whose supporter turns are empty.

    Raises:
        BadInput: the file cannot be read, is in another format, or some dialogue is unusable;
            the text names file, dialogue, utterance, what was found and what was expected.
    """
    source = read_source(path)
    found = sniff(source)
    if format not in (DataFormat.AUTO, found):
        raise BadInput(f"{path} is in the format {found}; expected {format}.")
    findings = Findings()
    dialogues = _parse(source, found, findings, allow_empty_replies=allow_empty_replies)
    _refuse_equal_ids(path, dialogues)
    _note_copies(dialogues, findings)
    return DataSet(
        path.name, found, dialogues, findings.problems, set_hash(dialogues), source.sha256
    )


def _parse(
    source: Source, format_: DataFormat, findings: Findings, *, allow_empty_replies: bool
) -> tuple[Dialogue, ...]:
    """The dialogues by the format's own loader."""
    if format_ is DataFormat.NLPCC:
        return parse_nlpcc(source, findings, allow_empty_replies=allow_empty_replies)
    parse = {
        DataFormat.ESCONV: parse_esconv,
        DataFormat.EXTES: parse_extes,
        DataFormat.JSONL: parse_jsonl,
    }[format_]
    return parse(source, findings)


def _refuse_equal_ids(path: Path, dialogues: tuple[Dialogue, ...]) -> None:
    """Results are kept by id, so that two dialogues of one id would be taken for one."""
    owners: dict[str, int] = {}
    for index, dialogue in enumerate(dialogues):
        if dialogue.id in owners:
            raise BadInput(
                f"{path}, dialogue {index}: the id {dialogue.id!r} is already that of dialogue"
                f" {owners[dialogue.id]}; ids must differ."
            )
        owners[dialogue.id] = index


def _note_copies(dialogues: tuple[Dialogue, ...], findings: Findings) -> None:
    """Note dialogues that say the same; a split keeps them in one part."""
    firsts: dict[str, str] = {}
    for dialogue in dialogues:
        key = content_key(dialogue)
        if key in firsts:
            where = f"{dialogue.id} (as {firsts[key]})"
            findings.left(where, "the same turns as an earlier dialogue")
        else:
            firsts[key] = dialogue.id
