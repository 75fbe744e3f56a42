"""A small study that is open for a judge, and what lies in its tables afterwards."""

import shutil
from pathlib import Path

from annotations import Store
from annotations.studies import build, load_definition
from tests.annotations import raw
from tests.annotations.studies.conftest import Writer, item_lines

_CALLS = "place, attempt, key, status, cached, cost, requests, messages, raw, error"


def open_study(url, folder, items=4, **changes):
    """Found and open it; returns its slug. The first arm of the last item says the reference."""
    lines = item_lines(items)
    for number, line in enumerate(lines):
        line["reference"] = f"I hear how long day {number} was."
    lines[-1]["reference"] = lines[-1]["replies"]["base"]
    folder.mkdir(parents=True, exist_ok=True)
    built = build(load_definition(Writer(folder).study(lines, **changes)))
    with Store(url) as store:
        store.desk().create(built)
        store.desk().open(built.definition.slug)
    return built.definition.slug


def founded(migrated, folder):
    """A file with an open study, to be copied: so all copies have the same ids."""
    path = Path(shutil.copy(migrated, folder / "esc.db"))
    open_study(f"sqlite:///{path}", folder / "study")
    return path


def calls(url):
    """Every call that was stored."""
    rows = raw.run(url, f"SELECT {_CALLS} FROM judge_call ORDER BY place, attempt")
    return [dict(zip(_CALLS.split(", "), row, strict=True)) for row in rows]


def table(url):
    """Statuses, scores and picks by what was asked, however often it was asked and at what cost."""
    return raw.run(
        url,
        "SELECT c.place, c.status, r.dimension, r.score, p.aspect, p.preferred_reply_id, p.choice"
        " FROM judge_call AS c"
        " LEFT JOIN rating_submission AS s ON s.judge_call_id = c.id"
        " LEFT JOIN rating AS r ON r.submission_id = s.id"
        " LEFT JOIN preference AS p ON p.judge_call_id = c.id"
        " WHERE c.status <> 'api_error' ORDER BY c.place, r.dimension, p.aspect",
    )
