"""Tables for watching: profiles, rollups, bookmarks, silences, audits, explanations, holds, samples of the host."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Add the tables; nothing that is there changes."""
    _of_releases()
    _of_counting()
    _of_people()


def _of_releases() -> None:
    op.create_table(
        "profiles",
        sa.Column("release", sa.String(64), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("profile", sa.LargeBinary, nullable=False),
        sa.Column("sample", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("release", name="pk_profiles"),
    )
    op.create_table(
        "explanations",
        sa.Column("id", sa.String(512), nullable=False),
        sa.Column("release", sa.String(64), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", "release", name="pk_explanations"),
    )
    op.create_index("ix_explanations", "explanations", ["at"])


def _of_counting() -> None:
    op.create_table(
        "rollups",
        sa.Column("minute", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("release", sa.String(64), nullable=False),
        sa.Column("arm", sa.String(16), nullable=False),
        sa.Column("tag", sa.String(128), nullable=False),
        sa.Column("value", sa.String(256), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("minute", "release", "arm", "tag", "value", name="pk_rollups"),
    )
    op.create_table(
        "bookmarks",
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_bookmarks"),
    )
    op.create_table(
        "host_samples",
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("at", name="pk_host_samples"),
    )


def _of_people() -> None:
    op.create_table(
        "silences",
        sa.Column("seq", _SEQ, autoincrement=True, nullable=False),
        sa.Column("matcher", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("until", sa.Double, nullable=False),
        sa.Column("by", sa.Text, nullable=False, quote=True),
        sa.Column("why", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_silences"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "audits",
        sa.Column("id", sa.String(512), nullable=False),
        sa.Column("release", sa.String(64), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("chance", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audits"),
    )
    op.create_index("ix_audits", "audits", ["at"])
    op.create_table(
        "holds",
        sa.Column("seq", _SEQ, autoincrement=True, nullable=False),
        sa.Column("since", sa.Double, nullable=False),
        sa.Column("until", sa.Double, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("by", sa.Text, nullable=False, quote=True),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("lifted_at", sa.Double),
        sa.PrimaryKeyConstraint("seq", name="pk_holds"),
        sqlite_autoincrement=True,
    )
