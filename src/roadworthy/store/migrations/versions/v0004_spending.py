"""The table of what spenders spent of budgets that several processes share."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "spending",
        sa.Column("deployment", sa.Text, nullable=False),
        sa.Column("budget", sa.String(64), nullable=False),
        sa.Column("minute", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("spender", sa.String(64), nullable=False),
        sa.Column("usd", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("deployment", "budget", "minute", "spender", name="pk_spending"),
    )
