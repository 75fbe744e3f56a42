"""Alembic's way in: on the connection the program hands over, or on the configured database."""

from alembic import context
from sqlmodel import SQLModel

import annotations.schema  # noqa: F401  fills SQLModel.metadata
from annotations.database import open_engine
from esc_demo.settings import get_settings


def migrate(connection) -> None:
    """Run the migrations inside the connection's transaction: all of them or none."""
    context.configure(connection=connection, target_metadata=SQLModel.metadata)
    with context.begin_transaction():
        context.run_migrations()


def migrate_configured() -> None:
    """Run on the database of the settings, for `alembic` on the command line."""
    engine = open_engine(get_settings().database_url)
    try:
        with engine.execution_options(esc_write=True).begin() as connection:
            migrate(connection)
    finally:
        engine.dispose()


def write_script() -> None:
    """Print the SQL instead of running it (`alembic upgrade head --sql`)."""
    context.configure(
        dialect_name=context.config.attributes.get("dialect", "sqlite"),
        target_metadata=SQLModel.metadata,
        literal_binds=True,
    )
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    write_script()
elif (given := context.config.attributes.get("connection")) is not None:
    migrate(given)
else:
    migrate_configured()
