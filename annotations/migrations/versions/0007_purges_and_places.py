"""The record that a study's answers were deleted, and at which place of a session items stood."""

import sqlalchemy as sa
from alembic import op

from annotations.migrations.building import (
    ID,
    MOMENT,
    ck,
    fk,
    guard,
    guard_truncate,
    may,
    need,
    pk,
    uq,
)

_COUNTED = """
UPDATE study_assignment SET place = 1 + (
    SELECT count(*) FROM study_assignment AS earlier
    WHERE earlier.participant_id = study_assignment.participant_id AND earlier.kind = 'main'
    AND earlier.number < study_assignment.number
    AND earlier.status IN ('submitted', 'surplus', 'skipped'))
WHERE kind = 'main' AND id NOT LIKE 'import-%'
"""
"""Where main items stood in sessions that began before; imported ones were in no session."""

_ENDED = "UPDATE study_assignment SET lease_expires_at = leased_at WHERE status = 'skipped'"
"""From now on a skip ends its lease, which tells how long it took; of earlier ones nobody knows."""

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table, where what is said stays said, and a column; take out one without use."""
    name = "study_purge"
    op.create_table(
        name,
        need("id", ID),
        need("study_id", ID),
        need("participants", sa.Integer()),
        need("removed", sa.JSON()),
        need("created_at", MOMENT),
        ck(name, "participants", "participants >= 0"),
        fk(name, "study_id", "study"),
        pk(name),
        uq(name, "study_id"),
    )
    for event in ("UPDATE", "DELETE"):
        guard(name, event)
    guard_truncate(name)
    op.add_column("study_assignment", may("place", sa.Integer()))
    op.execute(_COUNTED)
    op.execute(_ENDED)
    op.drop_column("study_participant", "resting")  # nothing ever set it


def downgrade() -> None:
    """What was deleted does not come back."""
    raise NotImplementedError("Go back by restoring a copy of the database.")
