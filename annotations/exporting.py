"""A study's answers as tidy tables for others: CSV, JSON lines and Parquet, with a dictionary.

Nothing that names a person directly goes out: no keys, no hashes of names, no free text. By
default the rows are those the analysis starts from, participants left out by the plan among
them and marked; `everything` adds gold items, repeats, practice, surplus and superseded rows.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import pandas as pd
from sqlmodel import Session, col, select

from annotations.columns import utc_now
from annotations.data_dictionary import TABLES, dictionary_csv, dictionary_markdown
from annotations.frames import Keep, preferences_frame, ratings_frame
from annotations.parquet import parquet_bytes, parquet_is_there
from annotations.schema_study import Study, StudyParticipant
from annotations.store import Store
from annotations.studies.answers import Answers, read_answers
from annotations.studies.people import pseudonym
from annotations.studies.stored import find_study
from annotations.transactions import Transactions
from annotations.values import HIGHEST_SCORE, LOWEST_SCORE
from esc_demo.errors import ConfigError, StorageError

ALL = Keep(practice=True, gold=True, repeats=True, surplus=True, superseded=True)
"""Everything but the answers of those who withdrew, which never go out."""


class Format(StrEnum):
    """How a table is written."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


@dataclass(frozen=True, eq=False)
class Export:
    """The files of an export by name, and what was left out of it and why."""

    files: Mapping[str, bytes]
    notes: tuple[str, ...]

    def zipped(self) -> bytes:
        """All of it as one zip file."""
        whole = io.BytesIO()
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in self.files.items():
                archive.writestr(name, content)
        return whole.getvalue()


def export_study(
    store: Store, slug: str, formats: Iterable[Format] = (), *, everything: bool = False
) -> Export:
    """The tables of a study in `formats`; in all that can be written, when none is named.

    Raises:
        StudyError: 404, no such study.
        StorageError: the database cannot be read.
        ConfigError: Parquet is asked for by name and pyarrow is not installed.
    """
    asked, notes = list(dict.fromkeys(formats)), []
    if not parquet_is_there():
        missing = (
            "Parquet needs pyarrow, which is not installed: pip install 'pyarrow>=26.0.1,<27'."
        )
        if Format.PARQUET in asked:
            raise ConfigError(missing)
        if not asked:
            notes.append(f"{missing} The other formats hold the same tables.")
            asked = [Format.CSV, Format.JSONL]
    answers = read_answers(store, slug)
    tables = tables_of(store, answers, everything=everything)
    files = {
        f"{name}.{form.value}": _written(name, table, form)
        for form in asked or list(Format)
        for name, table in tables.items()
    }
    files["dictionary.csv"] = dictionary_csv().encode()
    files["dictionary.md"] = dictionary_markdown().encode()
    files["study.json"] = _study_json(answers, everything)
    return Export(files, tuple(notes))


def tables_of(
    store: Store, answers: Answers, *, everything: bool = False
) -> dict[str, pd.DataFrame]:
    """The tables `ratings`, `preferences` and `participants`, as `data_dictionary` says.

    Raises:
        StorageError: the database cannot be read.
    """
    keep, slug = ALL if everything else Keep(), answers.view.slug
    ratings = _with_judges(ratings_frame(store, slug, keep), answers.judges.ratings)
    preferences = _with_judges(preferences_frame(store, slug, keep), answers.judges.preferences)
    both = pd.concat([frame[["assignment", "submitted_at"]] for frame in (ratings, preferences)])
    ordered = both.sort_values("submitted_at", kind="stable")["assignment"].drop_duplicates()
    screens = {name: number for number, name in enumerate(ordered, 1)}
    found = {
        "ratings": _tidied(ratings, screens, answers),
        "preferences": _tidied(preferences, screens, answers),
        "participants": _participants(store, answers),
    }
    return {name: table[[one.name for one in TABLES[name]]] for name, table in found.items()}


def write_export(export: Export, out: Path) -> None:
    """Write a zip file when `out` ends so, else a folder. What is there already is replaced.

    Raises:
        StorageError: it cannot be written; a file that was there is left as it was.
    """
    whole = {out: export.zipped()} if out.suffix.lower() == ".zip" else {}
    try:
        for path, content in (whole or {out / n: c for n, c in export.files.items()}).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
            try:
                draft.write_bytes(content)
                os.replace(draft, path)
            finally:
                draft.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"The export cannot be written to {out}: {error.strerror}. Name another with --out."
        ) from error


def _with_judges(people: pd.DataFrame, judges: pd.DataFrame) -> pd.DataFrame:
    """Both in one table with all columns; what only judges have is empty for people."""
    people = people.rename(columns={"participant": "rater"})
    texts = [name for name in judges if name not in people]
    whole = pd.concat([people, judges], ignore_index=True) if len(judges) else people
    whole = whole.reindex(columns=[*people, *texts])
    whole[texts] = whole[texts].astype(object).where(whole[texts].notna(), "")
    if "sample" in texts:  # the one of them that is a number
        whole["sample"] = whole["sample"].replace("", pd.NA).astype("Int64")
    return whole


def _tidied(frame: pd.DataFrame, screens: dict[str, int], answers: Answers) -> pd.DataFrame:
    """Pseudonyms and numbers for ids, and why a rater is left out."""
    table = frame.copy()
    if "scale" in table:
        table["scale"] = table["scale"].replace("", f"{LOWEST_SCORE}-{HIGHEST_SCORE}")
    table["screen"] = [screens[name] for name in table.pop("assignment")]
    human = table["rater_kind"] == "human"
    why = {name: answers.excluded_by(name) for name in set(table["rater"])}
    table["excluded_by"] = table["rater"].map(why).where(human, "").astype(object)
    table["seconds"] = table["seconds"].round(3)
    table["submitted_at"] = table["submitted_at"].dt.floor("s")
    return table


def _participants(store: Store, answers: Answers) -> pd.DataFrame:
    """A row for everybody who came in; of those who withdrew only that they did."""

    def work(session: Session) -> list[dict[str, object]]:
        study = find_study(session, answers.view.slug)
        rows = session.exec(
            select(StudyParticipant)
            .where(StudyParticipant.study_id == study.id)
            .order_by(col(StudyParticipant.number))
        )
        return [_participant(study, row) for row in rows]

    people = pd.DataFrame(
        Transactions(store.engine).read(work),
        columns=["study", "rater", "state", "consent_version"],
    )
    people["consent_version"] = people["consent_version"].astype("Int64")
    measures = answers.quality.rename(columns={"participant": "rater"})
    whole = people.merge(measures, on="rater", how="left")
    for name in measures.columns:
        if name == "items" or name.endswith("_n"):
            whole[name] = whole[name].astype("Int64").fillna(0)
        elif name != "rater":
            whole[name] = whole[name].astype("Float64").round(4)
    withdrawn = whole["state"] == "withdrawn"
    whole.loc[withdrawn, [name for name in measures if name != "rater"]] = pd.NA
    whole["excluded_by"] = [answers.excluded_by(name) for name in whole["rater"]]
    return whole


def _participant(study: Study, row: StudyParticipant) -> dict[str, object]:
    state = "withdrawn" if row.withdrawn_at is not None else row.ended_as or "unfinished"
    return {
        "study": study.slug,
        "rater": pseudonym(row),
        "state": state,
        "consent_version": row.consent_version,
    }


def _written(name: str, table: pd.DataFrame, form: Format) -> bytes:
    """One table in one format."""
    if form is Format.PARQUET:
        return parquet_bytes(table, TABLES[name])
    if form is Format.CSV:
        text = table.to_csv(index=False, lineterminator="\n", date_format="%Y-%m-%dT%H:%M:%SZ")
        return str(text).encode()
    shown = table.copy()
    for column in shown.select_dtypes("datetimetz"):
        shown[column] = shown[column].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    # to_json would make an empty line of an empty table.
    lines = str(shown.to_json(orient="records", lines=True, force_ascii=False))
    return lines.encode() if len(shown) else b""


def _study_json(answers: Answers, everything: bool) -> bytes:
    """What one has to know of the study to read the tables."""
    view, definition = answers.view, answers.definition
    values = {
        "study": view.slug,
        "title": view.title,
        "mode": view.mode.value,
        "version": view.version,
        "content_hash": view.content_hash,
        "status": view.status.value,
        "opened_at": _moment(view.opened_at),
        "closed_at": _moment(view.closed_at),
        "exported_at": _moment(utc_now()),
        "rows": "everything" if everything else "main answers in force that count",
        "answers": {"needed": view.needed, "submitted": view.submitted},
        "arms": [arm.model_dump(mode="json") for arm in definition.arms],
        "dimensions": [name.value for name in definition.scales.dimensions],
        "raters_per_item": definition.raters_per_item,
        "retention_days": definition.retention_days,
        "plan": definition.plan.model_dump(mode="json"),
        "excluded": [str(one) for one in answers.excluded],
        "judges": [asdict(run) for run in answers.judges.runs],
    }
    return (json.dumps(values, ensure_ascii=False, indent=2) + "\n").encode()


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.replace(microsecond=0).isoformat()
