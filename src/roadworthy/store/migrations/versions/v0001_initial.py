"""The first schema of the metadata database, as it was; later changes are later migrations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables, and the triggers that keep history append-only."""
    _releases_and_aliases()
    _rollouts_and_events()
    for statement in _TRIGGERS.get(op.get_bind().dialect.name, []):
        op.execute(statement)


def _releases_and_aliases() -> None:
    op.create_table(
        "releases",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("made_at", sa.Double, nullable=False),
        sa.Column("manifest", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_releases"),
    )
    op.create_table(
        "aliases",
        sa.Column("seq", _SEQ, autoincrement=True, nullable=False),
        sa.Column("deployment", sa.Text, nullable=False),
        sa.Column("alias", sa.Text, nullable=False),
        sa.Column("digest", sa.String(64)),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("by", sa.Text, nullable=False, quote=True),
        sa.Column("why", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_aliases"),
        sa.ForeignKeyConstraint(["digest"], ["releases.digest"], name="fk_aliases_digest"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_aliases", "aliases", ["deployment", "alias", "seq"])


def _rollouts_and_events() -> None:
    op.create_table(
        "rollouts",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("deployment", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_rollouts"),
    )
    op.create_index("ix_rollouts", "rollouts", ["deployment", "status"])
    op.create_table(
        "events",
        sa.Column("seq", _SEQ, autoincrement=True, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_events"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events", "events", ["kind", "subject", "at"])


_TRIGGERS = {
    "sqlite": [
        f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} BEGIN"
        f" SELECT RAISE(ABORT, '`{table}` is append-only: write a new row instead'); END"
        for table in ("aliases", "events")
        for verb in ("UPDATE", "DELETE")
    ],
    "postgresql": [
        "CREATE FUNCTION roadworthy_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION USING MESSAGE = '`' || TG_TABLE_NAME || '` is append-only: write a new row instead'; END $$",
        *(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION roadworthy_append_only()"
            for table in ("aliases", "events")
        ),
    ],
}
