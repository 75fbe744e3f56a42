"""Judges: their runs and calls, and the reference that a judge may be shown beside a reply."""

import sqlalchemy as sa
from alembic import op

from annotations.migrations.building import (
    ID,
    MOMENT,
    WORD,
    ck,
    fk,
    guard,
    guard_truncate,
    index,
    may,
    need,
    only_one,
    pk,
    uq,
    withdrawn,
)

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """New tables, and one column more."""
    op.add_column("study_item", may("reference", sa.Text()))
    _create_runs()
    _create_calls()
    _guard_calls()


def downgrade() -> None:
    """Stored judgements are never taken back."""
    raise NotImplementedError("Go back by restoring a copy of the database.")


def _create_runs() -> None:
    name = "judge_run"
    op.create_table(
        name,
        need("id", ID),
        need("study_id", ID),
        need("rater_id", sa.String(64)),
        need("protocol", sa.String(64)),
        need("protocol_version", sa.Integer()),
        need("protocol_hash", sa.String(64)),
        need("dimensions", sa.JSON()),
        need("aspects", sa.JSON()),
        need("model", sa.Text()),
        need("endpoint", sa.Text()),
        need("asking", sa.JSON()),
        need("samples", sa.Integer()),
        need("with_reference", sa.Boolean()),
        need("controls", sa.JSON()),
        need("spec_hash", sa.String(64)),
        need("created_at", MOMENT),
        may("finished_at", MOMENT),
        ck(name, "rater_id", "length(rater_id) BETWEEN 1 AND 64"),
        ck(name, "samples", "samples >= 1"),
        fk(name, "study_id", "study"),
        pk(name),
        uq(name, "study_id", "spec_hash"),
        uq(name, "study_id", "rater_id"),
    )


def _create_calls() -> None:
    name = "judge_call"
    counts = ("sample", "attempt", "cost", "requests", "seconds")
    op.create_table(
        name,
        need("id", ID),
        need("run_id", ID),
        need("task_id", ID),
        may("assignment_id", ID),
        need("place", sa.String(200)),
        need("sample", sa.Integer()),
        need("attempt", sa.Integer()),
        need("key", sa.String(64)),
        need("candidates", sa.JSON()),
        need("status", WORD),
        need("messages", sa.JSON()),
        need("raw", sa.Text()),
        may("verdict", sa.JSON()),
        need("error", sa.Text()),
        need("cached", sa.Boolean()),
        need("prompt_tokens", sa.Integer()),
        need("completion_tokens", sa.Integer()),
        need("cost", sa.Float()),
        need("requests", sa.Integer()),
        need("seconds", sa.Float()),
        need("created_at", MOMENT),
        ck(
            name,
            "status",
            "status IN ('ok', 'parse_error', 'refused', 'content_filtered', 'api_error')",
        ),
        *(
            ck(name, column, f"{column} >= 0")
            for column in (*counts, "prompt_tokens", "completion_tokens")
        ),
        ck(name, "verdict", "(status = 'ok') = (verdict IS NOT NULL)"),
        ck(name, "cached", "NOT cached OR (status <> 'api_error' AND cost = 0 AND requests = 0)"),
        fk(name, "run_id", "judge_run"),
        fk(name, "task_id", "study_task"),
        fk(name, "assignment_id", "study_assignment"),
        pk(name),
        uq(name, "run_id", "place", "attempt"),
    )
    index(name, "assignment_id")
    index(name, "key")
    only_one("uq_judge_call_answer", name, "run_id", "place", where="status <> 'api_error'")


def _guard_calls() -> None:
    """A run's settings and its calls stay, but for calls about a chat that was taken back."""
    guard(
        "judge_run",
        "UPDATE OF id, study_id, rater_id, protocol, protocol_version, protocol_hash, dimensions,"
        " aspects, model, endpoint, asking, samples, with_reference, controls, spec_hash,"
        " created_at",
    )
    guard("judge_run", "DELETE")
    guard("judge_call", "UPDATE")
    who = "(SELECT a.participant_id FROM study_assignment AS a WHERE a.id = OLD.assignment_id)"
    guard("judge_call", "DELETE", withdrawn(who))
    for table in ("judge_run", "judge_call"):
        guard_truncate(table)
