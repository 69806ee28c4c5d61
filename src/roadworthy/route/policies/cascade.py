"""A cheap model answers what it is sure of; what it is not goes on, row by row, to dearer ones."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Literal

import msgspec

from roadworthy.core.dials import Dial
from roadworthy.core.errors import SpecError
from roadworthy.core.wire import Handler
from roadworthy.route.answering.cap import Cap
from roadworthy.route.answering.climb import UNBOUNDED, Climb, Rules
from roadworthy.route.answering.levels import Level, check
from roadworthy.route.answering.member import members_of
from roadworthy.route.base import policy
from roadworthy.route.cascades import fits as cascades
from roadworthy.route.cascades.fits import CascadeFit
from roadworthy.route.cascades.following import CascadeWatcher, opened
from roadworthy.route.cascades.known import Members


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

    What was fitted is watched, wherever audits (or labels, where the promise is about them) tell of it: `follow` says
    what comes of a promise found broken. `watch`: every row is sent on until another release; `refit`: until thresholds
    learnt anew from audited traffic are certified anew, by rows of `over_hours` or more; `never`: it is left to whoever
    reads the report. `false_alarm` is the chance that the watch is ever wrong while the promise holds. Where it stands
    is the dial `dial`.
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
    follow: Literal["never", "watch", "refit"] = "watch"
    false_alarm: float = 0.01
    over_hours: float = 24.0
    dial: str = "cascade"

    def __post_init__(self) -> None:
        if not 0 <= self.audit <= 1:
            raise ValueError(f"`audit` is a share between 0 and 1, got {self.audit!r}")
        if not self.levels and self.file is None:
            raise ValueError("a cascade needs `levels`, or the `file` that `roadworthy cascade fit` wrote")
        if not 0 < self.false_alarm < 1:
            raise ValueError(f"`false_alarm` is a chance between 0 and 1, got {self.false_alarm!r}")
        if self.follow == "refit" and (self.levels or not self.audit):
            raise ValueError(
                "`follow: refit` learns thresholds anew from audits, for the promise that was fitted: set `audit: 0.02`"
                ", and let `roadworthy cascade fit` write the thresholds in place of `levels`"
            )

    def __call__(
        self, handlers: Mapping[str, Handler], now: Callable[[], float] = time.monotonic, rng: Random | None = None
    ) -> Climb:
        """The handler that asks one level after the other. Raises SpecError where levels and handlers do not match."""
        rng, names = rng or Random(self.seed), tuple(handlers)
        fit = None if self.levels else fitted(self.file, names)
        levels = self.levels if fit is None else served(fit.levels, names, self.classes)
        check(levels, names)
        chosen = {level.at: handlers[level.at] for level in levels}
        members = members_of(chosen, self.usd_per_1k, now, rng)
        if self.cap.usd_per_hour is not None and not all(member.usd for member in tuple(members.values())[1:]):
            raise SpecError("`usd_per_hour` of the cap needs what the dearer models cost: write their `usd_per_1k`")
        crossing = self.follow == "refit" and levels[0].binary
        rules = Rules(self.output, self.classes, self.cap, self.outage, self.audit, self.decision, crossing)
        watcher = None if fit is None else self._watcher(fit, names)
        turned = None if watcher is None else partial(self._turned, watcher)
        return Climb(levels, tuple(members.values()), rules, now, rng, self.dial if watcher else "", turned)

    def follower(self, members: Sequence[str]) -> CascadeWatcher | None:
        """What turns the dial of a release with these members; None where nothing shows whether the promise holds."""
        return None if self.levels else self._watcher(fitted(self.file, members), tuple(members))

    def _watcher(self, fit: CascadeFit, members: tuple[str, ...]) -> CascadeWatcher | None:
        if self.follow == "never" or not (self.audit or fit.target.accuracy is not None):
            return None
        read = Members(members, self.output, self.classes)
        return CascadeWatcher(
            fit, read, self.audit, self.follow == "refit", self.false_alarm, self.over_hours, self.dial
        )

    def _turned(self, watcher: CascadeWatcher, dial: Dial) -> tuple[Level, ...]:
        return served(watcher.levels(dial), watcher.members.names, self.classes, opened(dial.value).shut)


def fitted(file: Path | None, members: Sequence[str]) -> CascadeFit:
    """The cascade that was fitted for these members, the last of which keeps what it answers.

    Raises SpecError for a file that is no fitted cascade, or one of another number of models.
    """
    try:
        found = msgspec.json.decode((file or Path()).read_bytes(), type=CascadeFit)
    except (OSError, ValueError) as wrong:
        told = f"{str(file)!r} is no fitted cascade: {wrong}; write one with `roadworthy cascade fit`"
        raise SpecError(told) from wrong
    if len(found.levels) != len(members) - 1:
        raise SpecError(
            f"{str(file)!r} has thresholds for {len(found.levels)} models before the last one, and the release has "
            f"{len(members)} members: {', '.join(members)}"
        )
    return found


def served(
    found: Sequence[cascades.Level], members: Sequence[str], classes: Sequence[str], shut: bool = False
) -> tuple[Level, ...]:
    """Fitted levels as levels that answer, in the order of the members."""
    own = (_level(name, one, classes) for name, one in zip(members, found, strict=False))
    return (*(replace(level, shut=shut) for level in own), Level(members[-1]))


def _level(name: str, found: cascades.Level, classes: Sequence[str]) -> Level:
    """A fitted level as one that answers; what has no threshold keeps nothing."""
    if found.keep_from is None and not found.by_class:
        return Level(name, found.reject_below, math.inf if found.accept_from is None else found.accept_from)
    named = classes or [str(k) for k in range(len(found.by_class))]
    if found.by_class and len(named) != len(found.by_class):
        raise SpecError(f"{len(found.by_class)} classes were fitted, and `classes` names {len(named)} ({classes!r})")
    of = {one: math.inf if least is None else least for one, least in zip(named, found.by_class, strict=False)}
    return Level(name, least=math.inf if found.keep_from is None else found.keep_from, least_of=of)
