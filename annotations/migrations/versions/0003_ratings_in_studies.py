"""Ratings and preferences may belong to an assignment of a study; guards for all of it.

Rows of the first version stay as they are. SQLite cannot change the constraints of a table, so
there the rating tables are built anew beside the old ones and the rows moved over, all in one
transaction.
"""

import sqlalchemy as sa
from alembic import op

from annotations.migrations.building import (
    ID,
    MOMENT,
    WORD,
    add_rules,
    ck,
    first_only,
    fk,
    guard,
    guard_truncate,
    index,
    may,
    need,
    on_sqlite,
    pk,
    same_rater,
    uq,
    withdrawn,
)

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

JUDGED = ("rating", "preference", "rating_submission")
"""Who refers to others comes first."""

DIMENSIONS = (
    *("emotion_before", "engagement", "comforting", "appropriateness", "suggestion", "fluency"),
    *("identification", "empathy", "safety", "overall", "emotion_after"),
)

CURRENT_RATING = """
CREATE VIEW current_rating AS
SELECT s.id AS submission_id, s.generation_id, s.rater_id, s.rater_kind,
       r.dimension, r.status, r.score, s.comment, s.scales_version, s.created_at,
       s.assignment_id, s.reply_id
FROM rating_submission AS s JOIN rating AS r ON r.submission_id = s.id
WHERE NOT EXISTS (SELECT 1 FROM rating_submission AS later WHERE later.supersedes = s.id)
"""

CURRENT_PREFERENCE = """
CREATE VIEW current_preference AS
SELECT p.id AS submission_id, p.turn_id, p.rater_id, p.rater_kind, p.choice,
       p.preferred_generation_id, p.compared, p.comment, p.scales_version, p.created_at,
       p.assignment_id, p.preferred_reply_id
FROM preference AS p
WHERE NOT EXISTS (SELECT 1 FROM preference AS later WHERE later.supersedes = p.id)
"""


def upgrade() -> None:
    """Widen the rating tables, then put all guards in their places."""
    op.execute("DROP VIEW current_rating")
    op.execute("DROP VIEW current_preference")
    if on_sqlite():
        _rebuild_judgements()
        _drop_guards_of_chats("{table}_no_delete")
    else:
        _alter_judgements()
        _drop_guards_of_judgements()
    for table, columns in (
        ("rating_submission", ("assignment_id", "reply_id")),
        ("preference", ("assignment_id",)),
    ):
        index(table, "assignment_id")
        first_only(table, *columns, "rater_kind", "rater_id", study=True)
    op.execute(CURRENT_RATING)
    op.execute(CURRENT_PREFERENCE)
    _guard_judgements()
    _guard_chats()
    _guard_studies()


def downgrade() -> None:
    """Stored judgements are never taken back."""
    raise NotImplementedError("Go back by restoring a copy of the database.")


def _dimensions() -> sa.CheckConstraint:
    words = ", ".join(f"'{name}'" for name in DIMENSIONS)
    return ck("rating", "dimension", f"dimension IN ({words})")


def _submission_rules() -> tuple[sa.Constraint, ...]:
    """What is new about rating_submission."""
    name = "rating_submission"
    return (
        ck(name, "one_reply", "(generation_id IS NULL) = (reply_id IS NOT NULL)"),
        ck(name, "in_study", "(reply_id IS NULL) = (assignment_id IS NULL)"),
        fk(name, "assignment_id", "study_assignment"),
        fk(name, "reply_id", "study_reply"),
    )


def _preference_rules() -> tuple[sa.Constraint, ...]:
    """What is new about preference."""
    name = "preference"
    chosen = "(choice = 'generation' AND {place} IS NOT NULL) = ({preferred} IS NOT NULL)"
    return (
        ck(name, "one_place", "(turn_id IS NULL) = (assignment_id IS NOT NULL)"),
        ck(name, "preferred", chosen.format(place="turn_id", preferred="preferred_generation_id")),
        ck(
            name,
            "preferred_reply",
            chosen.format(place="assignment_id", preferred="preferred_reply_id"),
        ),
        fk(name, "assignment_id", "study_assignment"),
        fk(name, "preferred_reply_id", "study_reply"),
    )


def _alter_judgements() -> None:
    """PostgreSQL: change the tables in place."""
    op.drop_constraint("ck_rating_dimension", "rating")
    op.drop_constraint("ck_preference_preferred", "preference")
    op.alter_column("rating_submission", "generation_id", nullable=True)
    op.alter_column("preference", "turn_id", nullable=True)
    for table, column in (
        ("rating_submission", "assignment_id"),
        ("rating_submission", "reply_id"),
        ("preference", "assignment_id"),
        ("preference", "preferred_reply_id"),
    ):
        op.add_column(table, may(column, ID))
    add_rules("rating", _dimensions())
    add_rules("rating_submission", *_submission_rules())
    add_rules("preference", *_preference_rules())
    for table, judged in (
        ("rating_submission", ("assignment_id", "reply_id")),
        ("preference", ("assignment_id",)),
    ):
        key, unique = same_rater(table, *judged, study=True)
        add_rules(table, unique, key)


def _rebuild_judgements() -> None:
    """SQLite: new tables beside the old ones, the rows moved over, the old ones dropped.

    Dropping a table deletes its rows first, and they may not be referred to by then; so all
    three move at once, and those that refer to others are dropped first.
    """
    for table in JUDGED:
        for event in ("update", "delete"):
            op.execute(f"DROP TRIGGER {table}_no_{event}")
    for name in ("rating_submission_generation_id", "preference_turn_id"):
        op.drop_index(f"ix_{name}")
    for name in ("rating_submission", "preference"):
        op.drop_index(f"uq_{name}_first")
    for table in JUDGED:
        op.rename_table(table, f"{table}_before")
    moved = {
        "rating_submission": _new_rating_submission(),
        "rating": _new_rating(),
        "preference": _new_preference(),
    }
    for table, columns in moved.items():
        listed = ", ".join(columns)
        op.execute(f"INSERT INTO {table} ({listed}) SELECT {listed} FROM {table}_before")
    for table in JUDGED:
        op.drop_table(f"{table}_before")
    index("rating_submission", "generation_id")
    index("preference", "turn_id")
    first_only("rating_submission", "generation_id", "rater_kind", "rater_id")
    first_only("preference", "turn_id", "rater_kind", "rater_id")


def _new_rating_submission() -> list[str]:
    name = "rating_submission"
    old = (
        need("id", ID),
        may("generation_id", ID),
        need("rater_id", sa.String(64)),
        need("rater_kind", WORD),
        need("comment", sa.Text()),
        need("scales_version", sa.Integer()),
        may("supersedes", ID),
        need("created_at", MOMENT),
    )
    op.create_table(
        name,
        *old,
        may("assignment_id", ID),
        may("reply_id", ID),
        ck(name, "rater_kind", "rater_kind IN ('human', 'judge')"),
        ck(name, "rater_id", "length(rater_id) BETWEEN 1 AND 64"),
        ck(name, "comment", "length(comment) <= 2000"),
        ck(name, "not_itself", "supersedes <> id"),
        *_submission_rules(),
        fk(name, "generation_id", "generation"),
        *same_rater(name, "generation_id"),
        *same_rater(name, "assignment_id", "reply_id", study=True),
        pk(name),
        uq(name, "supersedes"),
    )
    return [column.name for column in old]


def _new_rating() -> list[str]:
    name = "rating"
    old = (
        need("id", sa.Integer()),
        need("submission_id", ID),
        need("dimension", WORD),
        need("status", WORD),
        may("score", sa.Integer()),
    )
    op.create_table(
        name,
        *old,
        _dimensions(),
        ck(
            name,
            "score",
            "(status = 'scored' AND score IS NOT NULL AND score IN (0, 1, 2, 3, 4, 5))"
            " OR (status = 'cannot_judge' AND score IS NULL)",
        ),
        fk(name, "submission_id", "rating_submission"),
        pk(name),
        uq(name, "submission_id", "dimension"),
    )
    return [column.name for column in old]


def _new_preference() -> list[str]:
    name = "preference"
    old = (
        need("id", ID),
        may("turn_id", ID),
        need("rater_id", sa.String(64)),
        need("rater_kind", WORD),
        need("choice", WORD),
        may("preferred_generation_id", ID),
        need("compared", sa.JSON()),
        need("comment", sa.Text()),
        need("scales_version", sa.Integer()),
        may("supersedes", ID),
        need("created_at", MOMENT),
    )
    op.create_table(
        name,
        *old,
        may("assignment_id", ID),
        may("preferred_reply_id", ID),
        ck(name, "rater_kind", "rater_kind IN ('human', 'judge')"),
        ck(name, "choice", "choice IN ('generation', 'tie', 'both_bad')"),
        ck(name, "rater_id", "length(rater_id) BETWEEN 1 AND 64"),
        ck(name, "comment", "length(comment) <= 2000"),
        ck(name, "not_itself", "supersedes <> id"),
        *_preference_rules(),
        fk(name, "preferred_generation_id", "generation"),
        fk(name, "turn_id", "turn"),
        *same_rater(name, "turn_id"),
        *same_rater(name, "assignment_id", study=True),
        pk(name),
        uq(name, "supersedes"),
    )
    return [column.name for column in old]


def _drop_guards_of_chats(name: str) -> None:
    for table in ("turn", "generation"):
        op.execute(f"DROP TRIGGER {name.format(table=table)}")


def _drop_guards_of_judgements() -> None:
    """PostgreSQL: one trigger guarded both UPDATE and DELETE; the former come back as they were."""
    for table in (*JUDGED, "turn", "generation"):
        op.execute(f"DROP TRIGGER {table}_append_only ON {table}")
    guard("turn", f"UPDATE OF {TURN_FIXED}")
    guard("generation", "UPDATE")


TURN_FIXED = (
    "id, conversation_id, position, revision, seeker_text, history_policy, supersedes, created_at"
)


def _guard_judgements() -> None:
    """Answers cannot be changed or deleted, unless the one who gave them has withdrawn.

    Withdrawing with `delete` lets the rows go; either way comments may be emptied, since they
    may tell who wrote them. Nothing else passes, whoever writes.
    """
    fixed = {
        "rating_submission": "id, generation_id, assignment_id, reply_id, rater_id, rater_kind,"
        " scales_version, supersedes, created_at",
        "preference": "id, turn_id, assignment_id, rater_id, rater_kind, choice,"
        " preferred_generation_id, preferred_reply_id, compared, scales_version, supersedes,"
        " created_at",
        "study_submission": "id, assignment_id, nonce, number, status, seconds, client_ms,"
        " created_at",
    }
    of_assignment = "(SELECT a.participant_id FROM study_assignment AS a WHERE a.id = OLD.{id})"
    for table, columns in fixed.items():
        who = of_assignment.format(id="assignment_id")
        free = ("comment", "reason") if table == "study_submission" else ("comment",)
        emptied = " AND ".join(f"NEW.{column} = ''" for column in free)
        guard(table, f"UPDATE OF {columns}")
        guard(table, f"UPDATE OF {', '.join(free)}", f"{emptied} AND {withdrawn(who)}", "comment")
        guard(table, "DELETE", withdrawn(who, "delete"))
    guard("rating", "UPDATE")
    rater = (
        "(SELECT a.participant_id FROM study_assignment AS a JOIN rating_submission AS s"
        " ON s.assignment_id = a.id WHERE s.id = OLD.submission_id)"
    )
    guard("rating", "DELETE", withdrawn(rater, "delete"))
    guard_truncate("study_submission")


def _guard_chats() -> None:
    """What was said stays, but for the chats in a study of somebody who has withdrawn."""
    for table in ("turn", "generation"):
        guard(
            table,
            "DELETE",
            "EXISTS (SELECT 1 FROM study_assignment AS a JOIN study_participant AS p"
            " ON p.id = a.participant_id WHERE p.withdrawal IS NOT NULL"
            " AND OLD.conversation_id IN (a.first_chat_id, a.second_chat_id))",
        )


def _guard_studies() -> None:
    """What a study asks can be changed and deleted while it is a draft, and never after."""
    guard(
        "study",
        "UPDATE OF id, slug, title, mode, version, seed, content_hash, definition, canonical,"
        " scales_version, completion_key, created_at",
        "OLD.status = 'draft'",
    )
    guard("study", "DELETE", "OLD.status = 'draft'")
    draft = "EXISTS (SELECT 1 FROM study AS s WHERE s.id = {study} AND s.status = 'draft')"
    for table in ("study_item", "study_task"):
        guard(table, "UPDATE")
        guard(table, "DELETE", draft.format(study="OLD.study_id"))
    guard("study_reply", "UPDATE")
    study = "(SELECT i.study_id FROM study_item AS i WHERE i.id = OLD.item_id)"
    who = "(SELECT a.participant_id FROM study_assignment AS a WHERE a.id = OLD.assignment_id)"
    guard("study_reply", "DELETE", f"{draft.format(study=study)} OR {withdrawn(who, 'delete')}")
    for table in ("study_item", "study_task", "study_reply"):
        guard_truncate(table)
