"""A Spender spends US dollars of a budget that several processes share: what it tells of them, and what it is told."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


class Spender(Protocol):
    """One of those that draw on a budget: it keeps to it by what it spent itself and what it last heard of the others.

    `name` is the budget's within a deployment, so that each release of it draws on the same; `bounded` says whether
    there is a limit at all.
    """

    @property
    def name(self) -> str: ...

    @property
    def bounded(self) -> bool: ...

    @property
    def total(self) -> float:
        """The US dollars that this one has spent since it was made."""

    def hear(self, hour: float, day: float) -> None:
        """What all others spent within the last 60 minutes and the last 24 hours; it counts until told anew."""


@runtime_checkable
class Spends(Protocol):
    """A Handler that spends what `granting` grants it."""

    @property
    def granting(self) -> Spender: ...
