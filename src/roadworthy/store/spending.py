"""What each spender of a deployment spent of a budget, minute by minute, so that several processes can share one."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct
from sqlalchemy import Engine, case, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from roadworthy.store.metadata import spending

# A window of a day, and the minute that has begun.
HOUR_MINUTES, DAY_MINUTES = 60, 1440


class Spent(Struct, frozen=True):
    """The US dollars that one spender spent of a budget in a minute (of Unix time) in all, as far as it is over.

    `spender` is one handler in the life of one process: whoever starts anew has another name, and what died stays.
    """

    deployment: str
    budget: str
    spender: str
    minute: int
    usd: float


class Elsewhere(NamedTuple):
    """What all other spenders of a budget spent within the last hour and the last day, in US dollars."""

    hour: float
    day: float


def note_spent(engine: Engine, spent: Spent) -> None:
    """Write what was spent in a minute; written twice it counts once. What is older than a day is let go."""
    insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
    key = {"deployment": spent.deployment, "budget": spent.budget, "spender": spent.spender, "minute": spent.minute}
    row = insert(spending).values(**key, usd=spent.usd)
    of_budget = (spending.c.deployment == spent.deployment) & (spending.c.budget == spent.budget)
    with engine.begin() as connection:
        connection.execute(row.on_conflict_do_update(index_elements=list(key), set_={"usd": spent.usd}))
        connection.execute(delete(spending).where(of_budget, spending.c.minute < spent.minute - DAY_MINUTES))


def spent_elsewhere(engine: Engine, deployment: str, budget: str, spender: str, minute: int) -> Elsewhere:
    """What the other spenders spent in the windows that end with `minute`, which is counted whole."""
    c = spending.c
    recent = case((c.minute >= minute - HOUR_MINUTES, c.usd), else_=0.0)
    sums = select(func.coalesce(func.sum(recent), 0.0), func.coalesce(func.sum(c.usd), 0.0)).where(
        c.deployment == deployment, c.budget == budget, c.minute >= minute - DAY_MINUTES, c.spender != spender
    )
    with engine.execution_options(reading=True).connect() as connection:
        hour, day = connection.execute(sums).one()
    return Elsewhere(float(hour), float(day))
