"""The first tables: conversations, turns, generations, ratings, preferences."""

import sqlalchemy as sa
from alembic import op

from annotations.migrations.building import (
    ID,
    MOMENT,
    WORD,
    ck,
    first_only,
    fk,
    index,
    may,
    need,
    pk,
    same_rater,
    uq,
)

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APPEND_ONLY = ("generation", "rating_submission", "rating", "preference")

# All columns of a turn but `chosen_generation_id`, which follows the person's choice.
TURN_FIXED = (
    "id, conversation_id, position, revision, seeker_text, history_policy, supersedes, created_at"
)

CURRENT_RATING = """
CREATE VIEW current_rating AS
SELECT s.id AS submission_id, s.generation_id, s.rater_id, s.rater_kind,
       r.dimension, r.status, r.score, s.comment, s.scales_version, s.created_at
FROM rating_submission AS s JOIN rating AS r ON r.submission_id = s.id
WHERE NOT EXISTS (SELECT 1 FROM rating_submission AS later WHERE later.supersedes = s.id)
"""

CURRENT_PREFERENCE = """
CREATE VIEW current_preference AS
SELECT p.id AS submission_id, p.turn_id, p.rater_id, p.rater_kind, p.choice,
       p.preferred_generation_id, p.compared, p.comment, p.scales_version, p.created_at
FROM preference AS p
WHERE NOT EXISTS (SELECT 1 FROM preference AS later WHERE later.supersedes = p.id)
"""


def upgrade() -> None:
    """Create everything."""
    _conversation()
    _turn()
    _generation()
    if op.get_context().dialect.name != "sqlite":  # there the table itself carries the key
        op.create_foreign_key(
            "fk_turn_chosen_generation_id", "turn", "generation", ["chosen_generation_id"], ["id"]
        )
    _rating_submission()
    _rating()
    _preference()
    op.execute(CURRENT_RATING)
    op.execute(CURRENT_PREFERENCE)
    _refuse_changes()


def downgrade() -> None:
    """Stored judgements are never taken back."""
    raise NotImplementedError("Go back by restoring a copy of the database.")


def _conversation() -> None:
    name = "conversation"
    op.create_table(
        name,
        need("id", ID),
        need("created_at", MOMENT),
        need("app_version", sa.String(64)),
        need("origin", WORD),
        need("history_policy", WORD),
        ck(name, "history_policy", "history_policy IN ('independent', 'shared')"),
        ck(name, "origin", "origin IN ('page', 'study')"),
        pk(name),
    )


def _turn() -> None:
    name = "turn"
    op.create_table(
        name,
        need("id", ID),
        need("conversation_id", ID),
        need("position", sa.Integer()),
        need("revision", sa.Integer()),
        need("seeker_text", sa.Text()),
        need("history_policy", WORD),
        may("supersedes", ID),
        may("chosen_generation_id", ID),
        need("created_at", MOMENT),
        ck(name, "history_policy", "history_policy IN ('independent', 'shared')"),
        ck(name, "edited", "(revision = 0) = (supersedes IS NULL)"),
        ck(name, "not_empty", "length(seeker_text) > 0"),
        ck(name, "position", "position >= 0"),
        ck(name, "revision", "revision >= 0"),
        sa.ForeignKeyConstraint(
            ["chosen_generation_id"],
            ["generation.id"],
            name="fk_turn_chosen_generation_id",
            use_alter=True,
        ),
        fk(name, "conversation_id", "conversation"),
        fk(name, "supersedes", "turn"),
        pk(name),
        uq(name, "conversation_id", "position", "revision"),
    )


def _generation() -> None:
    name = "generation"
    known_prompt = (
        "model_revision",
        "template_hash",
        "prompt_tokens",
        "prompt_tokens_raw",
        "dropped_turns",
        "window",
    )
    known_end = ("new_tokens", "queued_s", "prefill_s", "decode_s")
    not_negative = (*known_prompt[2:], *known_end, "attempt", "seconds", "seed")
    op.create_table(
        name,
        need("id", ID),
        need("conversation_id", ID),
        need("turn_id", ID),
        need("pane", sa.Integer()),
        need("attempt", sa.Integer()),
        need("status", WORD),
        need("model_id", sa.String(128)),
        may("model_revision", sa.String(128)),
        may("template_hash", sa.String(128)),
        need("prompt_hash", sa.String(64)),
        need("prompt_parts", sa.JSON()),
        may("messages", sa.JSON()),
        need("raw_turns", sa.JSON()),
        need("profile", sa.JSON()),
        need("context_kind", WORD),
        need("keep_negation", sa.Boolean()),
        need("scope", WORD),
        may("last_k", sa.Integer()),
        need("history_policy", WORD),
        need("temperature", sa.Float()),
        need("top_p", sa.Float()),
        need("top_k", sa.Integer()),
        need("max_new_tokens", sa.Integer()),
        need("seed", sa.BigInteger()),
        need("reply", sa.Text()),
        may("finish_reason", WORD),
        may("error", sa.Text()),
        may("new_tokens", sa.Integer()),
        may("prompt_tokens", sa.Integer()),
        may("prompt_tokens_raw", sa.Integer()),
        may("dropped_turns", sa.Integer()),
        may("window", sa.Integer()),
        may("queued_s", sa.Float()),
        may("prefill_s", sa.Float()),
        may("decode_s", sa.Float()),
        need("seconds", sa.Float()),
        need("created_at", MOMENT),
        ck(name, "status", "status IN ('done', 'stopped', 'failed')"),
        ck(name, "context_kind", "context_kind IN ('raw', 'keypos', 'nostopwords')"),
        ck(name, "scope", "scope IN ('earlier', 'all')"),
        ck(name, "history_policy", "history_policy IN ('independent', 'shared')"),
        ck(name, "finish_reason", "finish_reason IN ('end', 'length', 'stopped')"),
        ck(name, "pane", "pane BETWEEN 0 AND 3"),
        ck(name, "last_k", "last_k >= 1"),
        ck(name, "temperature", "temperature BETWEEN 0 AND 2"),
        ck(name, "top_p", "top_p > 0 AND top_p <= 1"),
        ck(name, "top_k", "top_k BETWEEN 0 AND 1000"),
        ck(name, "max_new_tokens", "max_new_tokens BETWEEN 1 AND 1024"),
        *(ck(name, column, f"{_quoted(column)} >= 0") for column in not_negative),
        ck(name, "error", "(status = 'failed') = (error IS NOT NULL)"),
        ck(name, "done_has_end", "status <> 'done' OR finish_reason IS NOT NULL"),
        ck(name, "done_has_prompt", "status <> 'done' OR messages IS NOT NULL"),
        *(
            ck(name, f"{part}_known", f"({_quoted(part)} IS NULL) = ({whole} IS NULL)")
            for whole, parts in (("messages", known_prompt), ("finish_reason", known_end))
            for part in parts
        ),
        fk(name, "conversation_id", "conversation"),
        fk(name, "turn_id", "turn"),
        pk(name),
        uq(name, "turn_id", "pane", "attempt"),
    )
    index(name, "conversation_id")


def _quoted(column: str) -> str:
    """`window` is a reserved word of PostgreSQL."""
    return f'"{column}"' if column == "window" else column


def _rating_submission() -> None:
    name = "rating_submission"
    op.create_table(
        name,
        need("id", ID),
        need("generation_id", ID),
        need("rater_id", sa.String(64)),
        need("rater_kind", WORD),
        need("comment", sa.Text()),
        need("scales_version", sa.Integer()),
        may("supersedes", ID),
        need("created_at", MOMENT),
        ck(name, "rater_kind", "rater_kind IN ('human', 'judge')"),
        ck(name, "rater_id", "length(rater_id) BETWEEN 1 AND 64"),
        ck(name, "comment", "length(comment) <= 2000"),
        ck(name, "not_itself", "supersedes <> id"),
        fk(name, "generation_id", "generation"),
        *same_rater(name, "generation_id"),
        pk(name),
        uq(name, "supersedes"),
    )
    index(name, "generation_id")
    first_only(name, "generation_id", "rater_kind", "rater_id")


def _rating() -> None:
    name = "rating"
    dimensions = "'engagement', 'comforting', 'appropriateness', 'suggestion'"
    op.create_table(
        name,
        need("id", sa.Integer()),
        need("submission_id", ID),
        need("dimension", WORD),
        need("status", WORD),
        may("score", sa.Integer()),
        ck(name, "dimension", f"dimension IN ({dimensions})"),
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


def _preference() -> None:
    name = "preference"
    op.create_table(
        name,
        need("id", ID),
        need("turn_id", ID),
        need("rater_id", sa.String(64)),
        need("rater_kind", WORD),
        need("choice", WORD),
        may("preferred_generation_id", ID),
        need("compared", sa.JSON()),
        need("comment", sa.Text()),
        need("scales_version", sa.Integer()),
        may("supersedes", ID),
        need("created_at", MOMENT),
        ck(name, "rater_kind", "rater_kind IN ('human', 'judge')"),
        ck(name, "choice", "choice IN ('generation', 'tie', 'both_bad')"),
        ck(name, "rater_id", "length(rater_id) BETWEEN 1 AND 64"),
        ck(name, "comment", "length(comment) <= 2000"),
        ck(name, "preferred", "(choice = 'generation') = (preferred_generation_id IS NOT NULL)"),
        ck(name, "not_itself", "supersedes <> id"),
        fk(name, "preferred_generation_id", "generation"),
        *same_rater(name, "turn_id"),
        fk(name, "turn_id", "turn"),
        pk(name),
        uq(name, "supersedes"),
    )
    index(name, "turn_id")
    first_only(name, "turn_id", "rater_kind", "rater_id")


def _refuse_changes() -> None:
    """Triggers that keep what was said and what was judged as it was, whoever writes."""
    sqlite = op.get_context().dialect.name == "sqlite"
    if not sqlite:
        op.execute(
            "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE"
            " EXCEPTION USING ERRCODE = 'restrict_violation',"
            " MESSAGE = TG_TABLE_NAME || ' is append-only; add a row instead'; END $$"
        )
    refuse = _refuse_in_sqlite if sqlite else _refuse_in_postgresql
    refuse("turn", f"UPDATE OF {TURN_FIXED}")
    for table in APPEND_ONLY:
        refuse(table, "UPDATE")


def _refuse_in_sqlite(table: str, update: str) -> None:
    """Refuse `update` and DELETE; SQLite wants one trigger for each."""
    for event in (update, "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_no_{event.split()[0].lower()} BEFORE {event} ON {table}"
            f" BEGIN SELECT RAISE(ABORT, '{table} is append-only; add a row instead'); END"
        )


def _refuse_in_postgresql(table: str, update: str) -> None:
    """Refuse `update`, DELETE, and TRUNCATE, which fires no trigger of a row."""
    op.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE {update} OR DELETE ON {table}"
        " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )
    op.execute(
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table}"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
