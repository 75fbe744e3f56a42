"""What migrations build tables with: columns and constraints, named alike everywhere."""

import sqlalchemy as sa
from alembic import op

ID = sa.String(64)
WORD = sa.String(16)
MOMENT = sa.DateTime(timezone=True)


def ck(table: str, name: str, sql: str) -> sa.CheckConstraint:
    """A named CHECK."""
    return sa.CheckConstraint(sql, name=op.f(f"ck_{table}_{name}"))


def fk(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    """A named foreign key to another table's id."""
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=op.f(f"fk_{table}_{column}"))


def same_rater(
    table: str, *judged: str, study: bool = False
) -> tuple[sa.ForeignKeyConstraint, sa.UniqueConstraint]:
    """A row supersedes only an answer of the same rater about the same thing."""
    rest = (*judged, "rater_kind", "rater_id")
    mine = ("id", *rest)
    suffix = "_study" if study else ""
    key = sa.ForeignKeyConstraint(
        ("supersedes", *rest),
        [f"{table}.{column}" for column in mine],
        name=op.f(f"fk_{table}_supersedes{suffix}"),
    )
    if study:
        return key, sa.UniqueConstraint(*mine, name=op.f(f"uq_{table}_study"))
    return key, uq(table, *mine)


def uq(table: str, *columns: str) -> sa.UniqueConstraint:
    """A named UNIQUE."""
    return sa.UniqueConstraint(*columns, name=op.f(f"uq_{table}_{'_'.join(columns)}"))


def pk(table: str) -> sa.PrimaryKeyConstraint:
    """The named primary key."""
    return sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}"))


def need(name: str, kind: object) -> sa.Column:
    """A column that must be filled."""
    return sa.Column(name, kind, nullable=False)


def may(name: str, kind: object) -> sa.Column:
    """A column that may be NULL."""
    return sa.Column(name, kind, nullable=True)


def index(table: str, column: str) -> None:
    """A plain index on one column."""
    op.create_index(op.f(f"ix_{table}_{column}"), table, [column])


def only_one(name: str, table: str, *columns: str, where: str) -> None:
    """An index: at most one row per key for which `where` holds."""
    sql = sa.text(where)
    op.create_index(name, table, list(columns), unique=True, sqlite_where=sql, postgresql_where=sql)


def first_only(table: str, *columns: str, study: bool = False) -> None:
    """At most one row per key may supersede nothing."""
    suffix = "_study" if study else ""
    only_one(f"uq_{table}{suffix}_first", table, *columns, where="supersedes IS NULL")


def on_sqlite() -> bool:
    """Whether the database is SQLite."""
    return op.get_context().dialect.name == "sqlite"


def guard(table: str, event: str, unless: str = "", name: str = "") -> None:
    """A trigger that refuses `event` (UPDATE, UPDATE OF columns, DELETE) on rows of `table`.

    `unless` is a condition on OLD and NEW under which it passes. `name` tells two guards of
    one table and event apart.
    """
    word = event.split()[0].lower()
    label = f"{table}_no_{name or word}"
    message = f"{table} is append-only; add a row instead"
    if on_sqlite():
        when = f" WHEN NOT ({unless})" if unless else ""
        op.execute(
            f"CREATE TRIGGER {label} BEFORE {event} ON {table}{when}"
            f" BEGIN SELECT RAISE(ABORT, '{message}'); END"
        )
        return
    function = "refuse_change"  # of the first migration
    if unless:
        function, row = f"guard_{label}", "OLD" if word == "delete" else "NEW"
        op.execute(
            f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" IF {unless} THEN RETURN {row}; END IF;"
            f" RAISE EXCEPTION USING ERRCODE = 'restrict_violation', MESSAGE = '{message}'; END $$"
        )
    op.execute(
        f"CREATE TRIGGER {label} BEFORE {event} ON {table}"
        f" FOR EACH ROW EXECUTE FUNCTION {function}()"
    )


def drop_guard(table: str, name: str) -> None:
    """Take out a guard that had an `unless`, to be put up anew; `name` as it was given."""
    label = f"{table}_no_{name}"
    if on_sqlite():
        op.execute(f"DROP TRIGGER {label}")
        return
    op.execute(f"DROP TRIGGER {label} ON {table}")
    op.execute(f"DROP FUNCTION IF EXISTS guard_{label}()")


def withdrawn(participant: str, how: str = "") -> str:
    """The condition that this participant took the answers back (by `how`, if given)."""
    means = f" AND p.withdrawal = '{how}'" if how else ""
    return (
        "EXISTS (SELECT 1 FROM study_participant AS p"
        f" WHERE p.id = {participant} AND p.withdrawal IS NOT NULL{means})"
    )


def add_rules(table: str, *rules: sa.Constraint) -> None:
    """Constraints for a table that is there (PostgreSQL; SQLite builds tables anew instead)."""
    for rule in rules:
        if isinstance(rule, sa.CheckConstraint):
            op.create_check_constraint(rule.name, table, rule.sqltext)
        elif isinstance(rule, sa.UniqueConstraint):
            op.create_unique_constraint(rule.name, table, list(rule._pending_colargs))
        else:
            targets = [element.target_fullname.split(".") for element in rule.elements]
            op.create_foreign_key(
                rule.name, table, targets[0][0], list(rule.column_keys), [to for _, to in targets]
            )


def guard_truncate(table: str) -> None:
    """PostgreSQL's TRUNCATE fires no trigger of a row, so it needs one of its own."""
    if not on_sqlite():
        op.execute(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
