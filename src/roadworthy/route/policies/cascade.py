"""A cheap model answers what it is sure of; what it is not goes on, row by row, to dearer ones."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Literal

import msgspec

from roadworthy.core.errors import SpecError
from roadworthy.core.wire import Handler
from roadworthy.route.answering.cap import Cap
from roadworthy.route.answering.climb import UNBOUNDED, Climb, Rules
from roadworthy.route.answering.levels import Level, check
from roadworthy.route.answering.member import members_of
from roadworthy.route.base import policy
from roadworthy.route.cascades import fits as cascades
from roadworthy.route.cascades.fits import CascadeFit


@policy("cascade")
@dataclass(frozen=True)
class Cascade:
    """Asks models from cheap to dear, each row only until a level is sure of its answer.

    `levels` say which answers are kept; where there are none here, they are read from `file`. They look at `output`, a
    probability of two classes or one of each of `classes` (the only output where not said). `cap` bounds what goes on.
    While the last level is out or late, `outage` says whether the answer so far is given (`keep`) or the request fails;
    one that fails below the last is passed over, and one that fails again and again is not asked for a while. `audit`
    is the share of kept rows that the last level is asked about as well: the answer stays, the path tells what was
    found. Where a threshold lies beyond one half, the output `decision` says yes or no as the thresholds do.
    """

    levels: tuple[Level, ...] = ()
    output: str = ""
    classes: tuple[str, ...] = ()
    cap: Cap = UNBOUNDED
    outage: Literal["keep", "fail"] = "keep"
    audit: float = 0.0
    decision: str = "positive"
    seed: int = 0
    usd_per_1k: Mapping[str, float] = field(default_factory=dict)
    file: Path | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.audit <= 1:
            raise ValueError(f"`audit` is a share between 0 and 1, got {self.audit!r}")
        if not self.levels and self.file is None:
            raise ValueError("a cascade needs `levels`, or the `file` that `roadworthy cascade fit` wrote")

    def __call__(
        self, handlers: Mapping[str, Handler], now: Callable[[], float] = time.monotonic, rng: Random | None = None
    ) -> Climb:
        """The handler that asks one level after the other. Raises SpecError where levels and handlers do not match."""
        levels, rng = self.levels or fitted(self.file, tuple(handlers), self.classes), rng or Random(self.seed)
        check(levels, tuple(handlers))
        chosen = {level.at: handlers[level.at] for level in levels}
        members = members_of(chosen, self.usd_per_1k, now, rng)
        if self.cap.usd_per_hour is not None and not all(member.usd for member in tuple(members.values())[1:]):
            raise SpecError("`usd_per_hour` of the cap needs what the dearer models cost: write their `usd_per_1k`")
        rules = Rules(self.output, self.classes, self.cap, self.outage, self.audit, self.decision)
        return Climb(levels, tuple(members.values()), rules, now, rng)


def fitted(file: Path | None, members: Sequence[str], classes: Sequence[str]) -> tuple[Level, ...]:
    """The levels that were fitted, in the order of the members, the last of which keeps what it answers.

    Raises SpecError for a file that is no fitted cascade, or one of another number of models.
    """
    try:
        found = msgspec.json.decode((file or Path()).read_bytes(), type=CascadeFit).levels
    except (OSError, ValueError) as wrong:
        told = f"{str(file)!r} is no fitted cascade: {wrong}; write one with `roadworthy cascade fit`"
        raise SpecError(told) from wrong
    if len(found) != len(members) - 1:
        raise SpecError(
            f"{str(file)!r} has thresholds for {len(found)} models before the last one, and the release has "
            f"{len(members)} members: {', '.join(members)}"
        )
    return (*(_level(name, one, classes) for name, one in zip(members, found, strict=False)), Level(members[-1]))


def _level(name: str, found: cascades.Level, classes: Sequence[str]) -> Level:
    """A fitted level as one that answers; what has no threshold keeps nothing."""
    if found.keep_from is None and not found.by_class:
        return Level(name, found.reject_below, math.inf if found.accept_from is None else found.accept_from)
    named = classes or [str(k) for k in range(len(found.by_class))]
    if found.by_class and len(named) != len(found.by_class):
        raise SpecError(f"{len(found.by_class)} classes were fitted, and `classes` names {len(named)} ({classes!r})")
    of = {one: math.inf if least is None else least for one, least in zip(named, found.by_class, strict=False)}
    return Level(name, least=math.inf if found.keep_from is None else found.keep_from, least_of=of)
