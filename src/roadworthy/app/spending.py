"""The dollars that a deployment's handlers spend are told to the other processes of it, and theirs to the handlers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy import Engine

from roadworthy.app.mixture import Mixture
from roadworthy.core.spending import Spender, Spends
from roadworthy.serve.assemble import Assembled
from roadworthy.store.spending import Spent, note_spent, spent_elsewhere

log = logging.getLogger(__name__)

MINUTE = 60.0


@dataclass
class Account:
    """A spender of this process: what of it the store knows of, and how much of that in the newest minute."""

    spender: Spender
    id: str
    told: float = 0.0
    minute: int = 0
    usd: float = 0.0
    heard: int = -1  # the minute in which the others were heard last

    def behind(self, minute: int) -> bool:
        """Is there anything to tell, or may what others spent be over by now?"""
        return self.spender.total != self.told or self.heard != minute


class Spending:
    """Keeps the budgets of one deployment across its processes, through the store.

    A budget is exceeded by at most what its processes spend between two calls of `sync`, and what is under way then;
    the server calls it within a second of spending anything. What a process told stays when it dies or is started anew,
    and a release's successor draws on the same budget. While the store is away each process goes on counting and takes
    what it heard last for what the others spend in any hour, so that each of them may spend what was left then; what it
    spent meanwhile is told when the store is back. A shadow, whose answers nobody gets, is in a process of its own and
    is not counted.
    """

    def __init__(self, engine: Engine, deployment: str, now: Callable[[], float]) -> None:
        self._engine, self._deployment, self._now = engine, deployment, now
        self._accounts: dict[Spender, Account] = {}
        self._away = False

    @property
    def behind(self) -> bool:
        """Had `sync` better be called?"""
        minute = self._minute
        return any(account.behind(minute) for account in self._accounts.values())

    async def sync(self, loaded: Mapping[str, Assembled | Mixture]) -> None:
        """Tell what was spent, and hear what others spent. One that is no longer loaded tells its last and is let go.

        Raises nothing: whoever is loaded goes on answering.
        """
        spenders = {spender for made in loaded.values() for spender in _spenders(made)}
        for spender in spenders - self._accounts.keys():
            self._accounts[spender] = Account(spender, uuid4().hex)
        try:
            for account in list(self._accounts.values()):
                await self._settle(account)
                if account.spender not in spenders:
                    del self._accounts[account.spender]
        except Exception:
            if not self._away:
                log.exception("what %r spends cannot be shared: each process keeps its budget alone", self._deployment)
            self._away = True
        else:
            self._away = False

    async def _settle(self, account: Account) -> None:
        spender, minute, total = account.spender, self._minute, account.spender.total
        if total != account.told:
            usd = total - account.told + (account.usd if account.minute == minute else 0.0)
            row = Spent(self._deployment, spender.name, account.id, minute, usd)
            await asyncio.to_thread(note_spent, self._engine, row)
            account.told, account.minute, account.usd = total, minute, usd
        found = await asyncio.to_thread(
            spent_elsewhere, self._engine, self._deployment, spender.name, account.id, minute
        )
        spender.hear(found.hour, found.day)
        account.heard = minute

    @property
    def _minute(self) -> int:
        return int(self._now() // MINUTE)


def _spenders(made: Assembled | Mixture) -> Iterator[Spender]:
    """Whoever has a budget to keep among the handlers of a release; members, having no policy, spend nothing."""
    handlers: tuple[object, ...] = made.handlers
    for handler in handlers:
        if isinstance(handler, Spends) and handler.granting.bounded:
            yield handler.granting
