"""Tables for releasing: audit log, signatures, approvals, holds on releases, leases; an index on times of aliases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Add the tables; nothing that is there changes."""
    op.create_index("ix_releases", "releases", ["made_at"])
    op.create_index("ix_aliases_at", "aliases", ["deployment", "alias", "at", "seq"])
    _of_audit()
    _of_releases()
    op.create_table(
        "leases",
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("until", sa.Double, nullable=False),
        sa.Column("turn", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )


def _of_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", _SEQ, autoincrement=True, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("by", sa.Text, nullable=False, quote=True),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit"),
        sa.UniqueConstraint("hash"),
        sqlite_autoincrement=True,
    )
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_no_{verb.lower()} BEFORE {verb} ON audit BEGIN"
                " SELECT RAISE(ABORT, '`audit` is append-only: write a new row instead'); END"
            )
    else:
        op.execute(
            "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit"
            " FOR EACH STATEMENT EXECUTE FUNCTION roadworthy_append_only()"
        )


def _of_releases() -> None:
    op.create_table(
        "signatures",
        sa.Column("digest", sa.String(64), sa.ForeignKey("releases.digest"), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("signature", sa.LargeBinary, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("by", sa.Text, nullable=False, quote=True),
        sa.PrimaryKeyConstraint("digest", "key", name="pk_signatures"),
    )
    op.create_table(
        "approvals",
        sa.Column("digest", sa.String(64), sa.ForeignKey("releases.digest"), nullable=False),
        sa.Column("by", sa.Text, nullable=False, quote=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("digest", "by", name="pk_approvals"),
    )
    op.create_table(
        "release_holds",
        sa.Column("seq", _SEQ, autoincrement=True, nullable=False),
        sa.Column("digest", sa.String(64), sa.ForeignKey("releases.digest"), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("by", sa.Text, nullable=False, quote=True),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("lifted_at", sa.Double),
        sa.PrimaryKeyConstraint("seq", name="pk_release_holds"),
        sqlite_autoincrement=True,
    )
