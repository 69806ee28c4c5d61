"""What Alembic runs to migrate: `metadata.migrate` gives it the open connection."""

from __future__ import annotations

from typing import Any

from alembic import context

from roadworthy.store.metadata import VERSION_TABLE, metadata


def migrate(connection: Any) -> None:
    """Run the migrations inside the transaction of the connection: all of them, or none."""
    context.configure(
        connection=connection, target_metadata=metadata, version_table=VERSION_TABLE, transactional_ddl=True
    )
    with context.begin_transaction():
        context.run_migrations()


# Only Alembic sets `context.config`; whoever imports this file otherwise (a documentation tool, pytest) runs nothing.
if hasattr(context, "config"):
    migrate(context.config.attributes["connection"])
