"""Questions that judges are asking just now, and whether an item is about a crisis."""

import sqlalchemy as sa
from alembic import op

from annotations.migrations.building import ID, MOMENT, ck, fk, index, may, need

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A table whose rows come and go, so nothing guards them, and one column more."""
    op.add_column("study_item", may("crisis", sa.Boolean()))
    name = "judge_claim"
    counts = ("sample", "prompt_tokens", "completion_tokens", "cost")
    op.create_table(
        name,
        need("key", sa.String(64)),
        need("run_id", ID),
        need("task_id", ID),
        need("place", sa.String(200)),
        need("sample", sa.Integer()),
        need("candidates", sa.JSON()),
        need("prompt_tokens", sa.Integer()),
        need("completion_tokens", sa.Integer()),
        need("cost", sa.Float()),
        need("claimed_at", MOMENT),
        *(ck(name, column, f"{column} >= 0") for column in counts),
        fk(name, "run_id", "judge_run"),
        fk(name, "task_id", "study_task"),
        sa.PrimaryKeyConstraint("key", name=op.f(f"pk_{name}")),
    )
    index(name, "run_id")


def downgrade() -> None:
    """Stored judgements are never taken back."""
    raise NotImplementedError("Go back by restoring a copy of the database.")
