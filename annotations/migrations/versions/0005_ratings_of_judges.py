"""Ratings and preferences may belong to a call of a judge.

Rows of earlier versions stay as they are. As before, SQLite builds the rating
tables anew beside the old ones, and PostgreSQL changes them in place.
"""

import sqlalchemy as sa
from alembic import op

from annotations.migrations.building import (
    ID,
    MOMENT,
    WORD,
    add_rules,
    ck,
    drop_guard,
    first_only,
    fk,
    guard,
    index,
    may,
    need,
    on_sqlite,
    pk,
    same_rater,
    uq,
    withdrawn,
)

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

JUDGED = ("rating", "preference", "rating_submission")
"""Who refers to others comes first."""

DIMENSIONS = (
    *("emotion_before", "engagement", "comforting", "appropriateness", "suggestion", "fluency"),
    *("identification", "empathy", "safety", "overall", "relevance", "informativeness"),
    *("coherence", "emotion_after"),
)

CURRENT_RATING = """
CREATE VIEW current_rating AS
SELECT s.id AS submission_id, s.generation_id, s.rater_id, s.rater_kind,
       r.dimension, r.status, r.score, s.comment, s.scales_version, s.created_at,
       s.assignment_id, s.reply_id, s.judge_call_id, s.control
FROM rating_submission AS s JOIN rating AS r ON r.submission_id = s.id
WHERE NOT EXISTS (SELECT 1 FROM rating_submission AS later WHERE later.supersedes = s.id)
"""

CURRENT_PREFERENCE = """
CREATE VIEW current_preference AS
SELECT p.id AS submission_id, p.turn_id, p.rater_id, p.rater_kind, p.choice,
       p.preferred_generation_id, p.compared, p.comment, p.scales_version, p.created_at,
       p.assignment_id, p.preferred_reply_id, p.judge_call_id, p.aspect, p.preferred_control
FROM preference AS p
WHERE NOT EXISTS (SELECT 1 FROM preference AS later WHERE later.supersedes = p.id)
"""


def upgrade() -> None:
    """Widen the rating tables, then put their guards in place again."""
    op.execute("DROP VIEW current_rating")
    op.execute("DROP VIEW current_preference")
    for table in ("rating_submission", "preference"):
        for name in ("update", "comment", "delete"):
            drop_guard(table, name)
    for name in ("update", "delete"):
        drop_guard("rating", name)
    if on_sqlite():
        _rebuild_judgements()
    else:
        _alter_judgements()
    index("rating_submission", "reply_id")
    op.execute(CURRENT_RATING)
    op.execute(CURRENT_PREFERENCE)
    _guard_judgements()


def downgrade() -> None:
    """Stored judgements are never taken back."""
    raise NotImplementedError("Go back by restoring a copy of the database.")


def _dimensions() -> sa.CheckConstraint:
    words = ", ".join(f"'{name}'" for name in DIMENSIONS)
    return ck("rating", "dimension", f"dimension IN ({words})")


def _rules_of_both(name: str, page: str) -> tuple[sa.Constraint, ...]:
    """What is new about rating_submission and preference alike."""
    given = " + ".join(
        f"CASE WHEN {column} IS NULL THEN 0 ELSE 1 END"
        for column in (page, "assignment_id", "judge_call_id")
    )
    return (
        ck(name, "one_place", f"{given} = 1"),
        ck(
            name,
            "of_judge",
            "judge_call_id IS NULL OR (rater_kind = 'judge' AND supersedes IS NULL)",
        ),
        fk(name, "judge_call_id", "judge_call"),
    )


def _controls(name: str, column: str) -> sa.CheckConstraint:
    return ck(name, column, f"{column} IN ('gold', 'random', 'generic', 'off_topic', 'unsafe')")


def _submission_rules() -> tuple[sa.Constraint, ...]:
    """What is new about rating_submission."""
    name = "rating_submission"
    return (
        *_rules_of_both(name, "generation_id"),
        ck(name, "on_page", "generation_id IS NULL OR reply_id IS NULL"),
        ck(name, "in_study", "assignment_id IS NULL OR reply_id IS NOT NULL"),
        _controls(name, "control"),
        ck(
            name,
            "planted",
            "(judge_call_id IS NOT NULL AND reply_id IS NULL) = (control IS NOT NULL)",
        ),
        uq(name, "judge_call_id"),
    )


def _preference_rules() -> tuple[sa.Constraint, ...]:
    """What is new about preference."""
    name = "preference"
    return (
        *_rules_of_both(name, "turn_id"),
        ck(
            name,
            "judges_only",
            "judge_call_id IS NOT NULL OR (aspect = '' AND preferred_control IS NULL)",
        ),
        _controls(name, "preferred_control"),
        ck(
            name,
            "preferred_reply",
            "(choice = 'generation' AND turn_id IS NULL)"
            " = (preferred_reply_id IS NOT NULL OR preferred_control IS NOT NULL)",
        ),
        ck(name, "one_preferred", "preferred_reply_id IS NULL OR preferred_control IS NULL"),
        uq(name, "judge_call_id", "aspect"),
    )


def _new_columns() -> dict[str, tuple[sa.Column, ...]]:
    return {
        "rating_submission": (may("judge_call_id", ID), may("control", WORD)),
        "preference": (
            may("judge_call_id", ID),
            sa.Column("aspect", sa.String(64), nullable=False, server_default=sa.text("''")),
            may("preferred_control", WORD),
        ),
    }


def _alter_judgements() -> None:
    """PostgreSQL: change the tables in place."""
    for table, names in (
        ("rating", ("dimension",)),
        ("rating_submission", ("one_reply", "in_study")),
        ("preference", ("one_place", "preferred_reply")),
    ):
        for name in names:
            op.drop_constraint(f"ck_{table}_{name}", table)
    for table, columns in _new_columns().items():
        for column in columns:
            op.add_column(table, column)
    add_rules("rating", _dimensions())
    add_rules("rating_submission", *_submission_rules())
    add_rules("preference", *_preference_rules())


def _rebuild_judgements() -> None:
    """SQLite: new tables beside the old ones, the rows moved over, the old ones dropped.

    Dropping a table deletes its rows first, and they may not be referred to by then; so all
    three move at once, and those that refer to others are dropped first.
    """
    pages = {"rating_submission": "generation_id", "preference": "turn_id"}
    for table, page in pages.items():
        for column in (page, "assignment_id"):
            op.drop_index(f"ix_{table}_{column}")
        for name in ("first", "study_first"):
            op.drop_index(f"uq_{table}_{name}")
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
    rater = ("rater_kind", "rater_id")
    for table, page in pages.items():
        index(table, page)
        index(table, "assignment_id")
        first_only(table, page, *rater)
    first_only("rating_submission", "assignment_id", "reply_id", *rater, study=True)
    first_only("preference", "assignment_id", *rater, study=True)


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
        may("assignment_id", ID),
        may("reply_id", ID),
    )
    op.create_table(
        name,
        *old,
        *_new_columns()[name],
        ck(name, "rater_kind", "rater_kind IN ('human', 'judge')"),
        ck(name, "rater_id", "length(rater_id) BETWEEN 1 AND 64"),
        ck(name, "comment", "length(comment) <= 2000"),
        ck(name, "not_itself", "supersedes <> id"),
        *_submission_rules(),
        fk(name, "generation_id", "generation"),
        fk(name, "assignment_id", "study_assignment"),
        fk(name, "reply_id", "study_reply"),
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
        may("assignment_id", ID),
        may("preferred_reply_id", ID),
    )
    op.create_table(
        name,
        *old,
        *_new_columns()[name],
        ck(name, "rater_kind", "rater_kind IN ('human', 'judge')"),
        ck(name, "choice", "choice IN ('generation', 'tie', 'both_bad')"),
        ck(name, "rater_id", "length(rater_id) BETWEEN 1 AND 64"),
        ck(name, "comment", "length(comment) <= 2000"),
        ck(name, "not_itself", "supersedes <> id"),
        ck(
            name,
            "preferred",
            "(choice = 'generation' AND turn_id IS NOT NULL)"
            " = (preferred_generation_id IS NOT NULL)",
        ),
        *_preference_rules(),
        fk(name, "preferred_generation_id", "generation"),
        fk(name, "turn_id", "turn"),
        fk(name, "assignment_id", "study_assignment"),
        fk(name, "preferred_reply_id", "study_reply"),
        *same_rater(name, "turn_id"),
        *same_rater(name, "assignment_id", study=True),
        pk(name),
        uq(name, "supersedes"),
    )
    return [column.name for column in old]


def _guard_judgements() -> None:
    """As before; and ratings of a chat go with it when the one who chatted withdraws."""
    fixed = {
        "rating_submission": "id, generation_id, assignment_id, judge_call_id, reply_id, control,"
        " rater_id, rater_kind, scales_version, supersedes, created_at",
        "preference": "id, turn_id, assignment_id, judge_call_id, aspect, rater_id, rater_kind,"
        " choice, preferred_generation_id, preferred_reply_id, preferred_control, compared,"
        " scales_version, supersedes, created_at",
    }
    answered = "(SELECT a.participant_id FROM study_assignment AS a WHERE a.id = {id})"
    chatted = (
        "(SELECT a.participant_id FROM study_assignment AS a JOIN judge_call AS c"
        " ON c.assignment_id = a.id WHERE c.id = {id})"
    )
    for table, columns in fixed.items():
        who, whose = answered.format(id="OLD.assignment_id"), chatted.format(id="OLD.judge_call_id")
        guard(table, f"UPDATE OF {columns}")
        guard(table, "UPDATE OF comment", f"NEW.comment = '' AND {withdrawn(who)}", "comment")
        guard(table, "DELETE", f"{withdrawn(who, 'delete')} OR {withdrawn(whose)}")
    guard("rating", "UPDATE")
    submission = "(SELECT s.{id} FROM rating_submission AS s WHERE s.id = OLD.submission_id)"
    who = answered.format(id=submission.format(id="assignment_id"))
    whose = chatted.format(id=submission.format(id="judge_call_id"))
    guard("rating", "DELETE", f"{withdrawn(who, 'delete')} OR {withdrawn(whose)}")
