"""Exports: what is in them, that all of it is described, and that nobody is named."""

import csv
import io
import json
import zipfile
from datetime import datetime

import pytest
from pyarrow import parquet

from annotations import exporting
from annotations.data_dictionary import TABLES
from annotations.exporting import Format, export_study, write_export
from esc_demo.errors import ConfigError, StorageError
from tests.annotations.studies.conftest import item_lines
from tests.annotations.studies.raters import GOLD, PRACTICE, form

CODE = "invited-by-name-1"


@pytest.fixture
def answered(office):
    """P001 did all and corrected an answer, P002 withdrew, P003 has just come: (office, slug)."""
    slug = office.found(
        item_lines(4),
        practice=[PRACTICE],
        gold=[GOLD],
        session={"items": 3, "gold": 1, "repeats": 1},
        recruitment={"open": True, "invitations": [CODE], "completion_code": "PAY-ME"},
        plan={
            "primary": {"outcome": "preference", "arms": ["base", "lora"]},
            "participants": 2,
            "exclusions": {"max_straight_line_share": 0.5},
        },
    )
    first = office.rater(slug, invitation=CODE)
    office.clock.advance(seconds=5)
    last = first.work(comment="I am Jane Roe").can_correct
    view = office.desk.answered(slug, first.key, last)
    correction = form(view.item, score="cannot_judge", preference="both_bad")
    office.desk.correct(slug, first.key, last, correction, "slip")
    second = office.rater(slug)
    second.work(preference="1")
    office.desk.withdraw(slug, second.key)
    office.rater(slug)
    return office, slug


def table(export, name):
    """The rows of an exported CSV."""
    return list(csv.DictReader(io.StringIO(export.files[f"{name}.csv"].decode())))


def test_rows_are_those_of_the_analysis_and_all_on_demand(answered):
    office, slug = answered
    plain, whole = (
        export_study(office.store, slug, [Format.CSV], everything=one) for one in (False, True)
    )
    ratings = table(plain, "ratings")
    assert len(ratings) == 3 * 2 * 4
    assert {row["rater"] for row in ratings} == {"P001"}
    assert {row["kind"] for row in ratings} == {"main"}
    assert {row["excluded_by"] for row in ratings} == {"max_straight_line_share"}
    assert len({row["screen"] for row in ratings}) == 3 == len(table(plain, "preferences"))
    everything = table(whole, "preferences")
    assert {row["kind"] for row in everything} == {"main", "gold", "repeat", "practice"}
    assert [row["in_force"] for row in everything].count("False") == 1
    unknown = [row for row in table(whole, "ratings") if row["status"] == "cannot_judge"]
    assert len(unknown) == 8 and {row["score"] for row in unknown} == {""}
    by_name = {row["rater"]: row for row in table(plain, "participants")}
    assert {name: row["state"] for name, row in by_name.items()} == {
        "P001": "done",
        "P002": "withdrawn",
        "P003": "unfinished",
    }
    assert (by_name["P001"]["items"], by_name["P002"]["items"]) == ("3", "")
    assert (by_name["P001"]["gold_n"], by_name["P003"]["gold_n"]) == ("1", "0")
    assert by_name["P001"]["straight_line_share"] in ("1.0", "1")
    about = json.loads(plain.files["study.json"])
    assert about["excluded"][0].startswith("P001: max_straight_line_share is 0.5")
    assert about["content_hash"] == office.desk.study(slug).content_hash


def test_formats_agree_and_the_dictionary_describes_every_column(answered):
    office, slug = answered
    export = export_study(office.store, slug, [Format.CSV, Format.JSONL])
    described = list(csv.DictReader(io.StringIO(export.files["dictionary.csv"].decode())))
    for name in TABLES:
        rows = table(export, name)
        columns = [row["column"] for row in described if row["table"] == name]
        assert list(rows[0]) == columns
        lines = [json.loads(line) for line in export.files[f"{name}.jsonl"].splitlines()]
        assert [list(line) for line in lines] == [columns] * len(rows)
        for row, line in zip(rows, lines, strict=True):
            for column in columns:
                told, value = row[column], line[column]
                if value is None:
                    assert told == ""
                elif isinstance(value, bool | str):
                    assert told == str(value)
                else:
                    assert float(told) == value
        assert f"## {name}" in export.files["dictionary.md"].decode()
    times = [row["submitted_at"] for row in table(export, "ratings")]
    assert times[0] == "2026-05-01T09:00:05Z"


def test_nothing_names_a_person(answered):
    office, slug = answered
    export = export_study(office.store, slug, [Format.CSV, Format.JSONL], everything=True)
    whole = b"\n".join(export.files.values()).decode()
    secret = [CODE, "Jane Roe", "PAY-ME"]
    secret += [row[0] for row in office.sql("SELECT id FROM study_participant")]
    secret += [row[0] for row in office.sql("SELECT key_hash FROM study_participant")]
    secret += [row[0] for row in office.sql("SELECT id FROM study_assignment")]
    secret += [row[0] for row in office.sql("SELECT completion_key FROM study")]
    assert [word for word in secret if word in whole] == []


READ = {
    "text": str,
    "whole number": int,
    "number": float,
    "boolean": {"True": True, "False": False}.__getitem__,
    "time": lambda text: datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z"),
}
STORED = {
    "text": "string",
    "whole number": "int64",
    "number": "double",
    "boolean": "bool",
    "time": "timestamp[ms, tz=UTC]",
}


@pytest.mark.parametrize("everything", [False, True])
def test_parquet_reads_back_as_the_values_and_types_of_the_csv(answered, everything):
    office, slug = answered
    export = export_study(office.store, slug, everything=everything)
    assert export.notes == ()
    described = list(csv.DictReader(io.StringIO(export.files["dictionary.csv"].decode())))
    for name in TABLES:
        found = parquet.read_table(io.BytesIO(export.files[f"{name}.parquet"]))
        kinds = {one["column"]: one["type"] for one in described if one["table"] == name}
        meanings = {one["column"]: one["meaning"] for one in described if one["table"] == name}
        assert {one.name: str(one.type) for one in found.schema} == {
            column: STORED[kind] for column, kind in kinds.items()
        }
        for one in found.schema:
            assert one.metadata[b"description"].decode() == meanings[one.name]
        rows = table(export, name)
        assert len(rows) == found.num_rows > 0
        for column, kind in kinds.items():
            told = [READ[kind](row[column]) if row[column] else None for row in rows]
            values = found[column].to_pylist()
            if kind == "text":
                values = [value or None for value in values]  # a CSV cannot tell "" from nothing
            assert values == told, (name, column)
    empty = export_study(office.store, office.found(slug="empty"), [Format.PARQUET])
    for name in TABLES:
        found = parquet.read_table(io.BytesIO(empty.files[f"{name}.parquet"]))
        assert found.num_rows == 0
        assert {str(one.type) for one in found.schema} <= set(STORED.values())


def test_without_pyarrow_it_says_what_to_install(answered, monkeypatch):
    office, slug = answered
    monkeypatch.setattr(exporting, "parquet_is_there", lambda: False)
    with pytest.raises(ConfigError, match="pip install 'pyarrow"):
        export_study(office.store, slug, [Format.PARQUET])
    rest = export_study(office.store, slug)
    assert "pyarrow" in rest.notes[0]
    assert {"ratings.csv", "ratings.jsonl"} <= set(rest.files)
    assert "ratings.parquet" not in rest.files


def test_a_zip_or_a_folder_is_written_whole(office, tmp_path):
    slug = office.found()
    export = export_study(office.store, slug, [Format.CSV, Format.JSONL])
    write_export(export, tmp_path / "new" / "study.zip")
    write_export(export, tmp_path / "folder")
    with zipfile.ZipFile(tmp_path / "new" / "study.zip") as archive:
        assert archive.testzip() is None
        inside = {name: archive.read(name) for name in archive.namelist()}
    outside = {path.name: path.read_bytes() for path in (tmp_path / "folder").iterdir()}
    assert inside == outside == dict(export.files)
    assert export.files["ratings.jsonl"] == b""
    assert table(export, "ratings") == []
    (tmp_path / "file").write_text("here already")
    with pytest.raises(StorageError, match="--out"):
        write_export(export, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "here already"
