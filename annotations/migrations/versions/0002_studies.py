"""Studies: what is judged, by whom, and what was given to whom."""

import sqlalchemy as sa
from alembic import op

from annotations.migrations.building import (
    ID,
    MOMENT,
    WORD,
    ck,
    fk,
    index,
    may,
    need,
    only_one,
    pk,
    uq,
)

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

HASH = sa.String(64)
KEY = sa.String(200)


def upgrade() -> None:
    """Add the tables of studies; the next migration makes ratings refer to them."""
    _studies()
    _people()
    _assignments()
    _replies()
    _submissions()


def downgrade() -> None:
    """Stored answers are never taken back."""
    raise NotImplementedError("Go back by restoring a copy of the database.")


def one_of(table: str, column: str, *words: str) -> sa.CheckConstraint:
    """The column holds one of these words."""
    return ck(table, column, f"{column} IN ({', '.join(repr(word) for word in words)})")


def _studies() -> None:
    name = "study"
    op.create_table(
        name,
        need("id", ID),
        need("slug", sa.String(64)),
        need("title", sa.Text()),
        need("mode", WORD),
        need("status", WORD),
        need("version", sa.Integer()),
        need("seed", sa.BigInteger()),
        need("content_hash", HASH),
        need("definition", sa.JSON()),
        need("canonical", sa.Text()),
        need("scales_version", sa.Integer()),
        need("completion_key", HASH),
        need("created_at", MOMENT),
        may("opened_at", MOMENT),
        may("closed_at", MOMENT),
        one_of(name, "mode", "pairs", "single", "live"),
        one_of(name, "status", "draft", "open", "paused", "closed"),
        ck(name, "version", "version >= 1"),
        ck(name, "opened", "status = 'draft' OR opened_at IS NOT NULL"),
        ck(name, "closed", "(status = 'closed') = (closed_at IS NOT NULL)"),
        pk(name),
        uq(name, "slug"),
    )
    name = "study_item"
    op.create_table(
        name,
        need("id", ID),
        need("study_id", ID),
        need("kind", WORD),
        need("key", KEY),
        need("position", sa.Integer()),
        need("stratum", KEY),
        need("situation", sa.Text()),
        need("history", sa.JSON()),
        need("source", sa.JSON()),
        one_of(name, "kind", "main", "gold", "practice"),
        ck(name, "position", "position >= 0"),
        fk(name, "study_id", "study"),
        pk(name),
        uq(name, "study_id", "kind", "key"),
    )
    name = "study_task"
    op.create_table(
        name,
        need("id", ID),
        need("study_id", ID),
        need("item_id", ID),
        need("kind", WORD),
        need("key", KEY),
        need("position", sa.Integer()),
        need("arm_a", sa.String(64)),
        may("arm_b", sa.String(64)),
        need("stratum", KEY),
        need("needed", sa.Integer()),
        one_of(name, "kind", "main", "gold", "practice"),
        ck(name, "position", "position >= 0"),
        ck(name, "needed", "(kind = 'main' AND needed >= 1) OR (kind <> 'main' AND needed = 0)"),
        ck(name, "arms", "arm_b IS NULL OR arm_a <> arm_b"),
        fk(name, "study_id", "study"),
        fk(name, "item_id", "study_item"),
        pk(name),
        uq(name, "study_id", "kind", "key"),
    )


def _people() -> None:
    name = "study_participant"
    op.create_table(
        name,
        need("id", ID),
        need("study_id", ID),
        need("number", sa.Integer()),
        need("key_hash", HASH),
        may("external_hash", HASH),
        may("consent_version", sa.Integer()),
        may("consented_at", MOMENT),
        may("practised_at", MOMENT),
        need("rested_after", sa.Integer()),
        need("resting", sa.Boolean()),
        may("ended_as", WORD),
        may("ended_at", MOMENT),
        may("withdrawal", WORD),
        may("withdrawn_at", MOMENT),
        need("created_at", MOMENT),
        need("seen_at", MOMENT),
        ck(name, "number", "number >= 1"),
        ck(name, "rested_after", "rested_after >= 0"),
        one_of(name, "ended_as", "done", "capped", "full"),
        one_of(name, "withdrawal", "delete", "anonymise"),
        ck(name, "consent", "(consent_version IS NULL) = (consented_at IS NULL)"),
        ck(name, "ended", "(ended_as IS NULL) = (ended_at IS NULL)"),
        ck(name, "withdrawn", "(withdrawal IS NULL) = (withdrawn_at IS NULL)"),
        fk(name, "study_id", "study"),
        pk(name),
        uq(name, "study_id", "number"),
        uq(name, "study_id", "external_hash"),
        uq(name, "key_hash"),
    )
    name = "study_invitation"
    op.create_table(
        name,
        need("id", ID),
        need("study_id", ID),
        need("code_hash", HASH),
        may("participant_id", ID),
        need("created_at", MOMENT),
        fk(name, "study_id", "study"),
        fk(name, "participant_id", "study_participant"),
        pk(name),
        uq(name, "study_id", "code_hash"),
        uq(name, "participant_id"),
    )
    name = "study_withdrawal"
    op.create_table(
        name,
        need("id", ID),
        need("study_id", ID),
        need("participant_id", ID),
        need("how", WORD),
        need("answers", sa.Integer()),
        need("code_hash", HASH),
        need("created_at", MOMENT),
        one_of(name, "how", "delete", "anonymise"),
        ck(name, "answers", "answers >= 0"),
        fk(name, "study_id", "study"),
        fk(name, "participant_id", "study_participant"),
        pk(name),
        uq(name, "participant_id"),
    )
    index(name, "study_id")


def _assignments() -> None:
    name = "study_assignment"
    op.create_table(
        name,
        need("id", ID),
        need("study_id", ID),
        need("participant_id", ID),
        need("task_id", ID),
        need("kind", WORD),
        need("status", WORD),
        need("number", sa.Integer()),
        need("first_arm", sa.String(64)),
        may("second_arm", sa.String(64)),
        need("leased_at", MOMENT),
        need("lease_expires_at", MOMENT),
        may("submitted_at", MOMENT),
        may("draft", sa.JSON()),
        need("skip_reason", sa.Text()),
        may("passed", sa.Boolean()),
        may("first_chat_id", ID),
        may("second_chat_id", ID),
        may("chat_ended_at", MOMENT),
        one_of(name, "kind", "main", "repeat", "gold", "practice"),
        one_of(
            *(name, "status", "open", "submitted", "skipped", "expired", "surplus", "withdrawn")
        ),
        ck(name, "number", "number >= 1"),
        ck(name, "sides", "second_arm IS NULL OR first_arm <> second_arm"),
        ck(
            name,
            "answered",
            "(status IN ('submitted', 'surplus') AND submitted_at IS NOT NULL)"
            " OR (status NOT IN ('submitted', 'surplus') AND submitted_at IS NULL)",
        ),
        ck(name, "chats", "(first_chat_id IS NULL) = (second_chat_id IS NULL)"),
        fk(name, "study_id", "study"),
        fk(name, "participant_id", "study_participant"),
        fk(name, "task_id", "study_task"),
        fk(name, "first_chat_id", "conversation"),
        fk(name, "second_chat_id", "conversation"),
        pk(name),
        uq(name, "participant_id", "number"),
    )
    index(name, "study_id")
    index(name, "task_id")
    only_one("uq_study_assignment_open", name, "participant_id", where="status = 'open'")
    only_one("uq_study_assignment_main", name, "participant_id", "task_id", where="kind = 'main'")


def _replies() -> None:
    name = "study_reply"
    op.create_table(
        name,
        need("id", ID),
        need("item_id", ID),
        may("assignment_id", ID),
        need("kind", WORD),
        need("arm", sa.String(64)),
        need("text", sa.Text()),
        need("created_at", MOMENT),
        one_of(name, "kind", "written", "chat", "seeker"),
        ck(name, "written", "(kind = 'written') = (assignment_id IS NULL)"),
        ck(name, "arm", "(kind = 'seeker') = (arm = '')"),
        fk(name, "item_id", "study_item"),
        fk(name, "assignment_id", "study_assignment"),
        pk(name),
        uq(name, "assignment_id", "arm"),
    )
    only_one("uq_study_reply_written", name, "item_id", "arm", where="assignment_id IS NULL")


def _submissions() -> None:
    name = "study_submission"
    op.create_table(
        name,
        need("id", ID),
        need("assignment_id", ID),
        need("nonce", ID),
        need("number", sa.Integer()),
        need("status", WORD),
        need("seconds", sa.Float()),
        may("client_ms", sa.BigInteger()),
        need("comment", sa.Text()),
        need("reason", sa.Text()),
        need("created_at", MOMENT),
        ck(name, "number", "number >= 0"),
        ck(name, "seconds", "seconds >= 0"),
        ck(name, "client_ms", "client_ms >= 0"),
        one_of(name, "status", "submitted", "surplus"),
        ck(name, "comment", "length(comment) <= 2000"),
        fk(name, "assignment_id", "study_assignment"),
        pk(name),
        uq(name, "assignment_id", "nonce"),
        uq(name, "assignment_id", "number"),
    )
    name = "study_problem"
    op.create_table(
        name,
        need("id", ID),
        need("study_id", ID),
        need("participant_id", ID),
        may("assignment_id", ID),
        need("text", sa.Text()),
        need("created_at", MOMENT),
        fk(name, "study_id", "study"),
        fk(name, "participant_id", "study_participant"),
        fk(name, "assignment_id", "study_assignment"),
        pk(name),
    )
    index(name, "study_id")
