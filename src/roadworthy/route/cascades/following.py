"""The dial of a served cascade: a broken promise shuts it, and a re-fit that keeps the promise opens it again.

Pure: a dial and rows in the order in which they came give the next dial, the same in one call as in many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import pi
from typing import Any, Literal, NamedTuple

import numpy as np
from msgspec import Struct
from msgspec.structs import asdict, replace
from numpy.typing import NDArray

from roadworthy.core.dials import Dial
from roadworthy.core.record import Record
from roadworthy.route.cascades.audit import Watch, counted, watches
from roadworthy.route.cascades.fits import CascadeFit, Level
from roadworthy.route.cascades.known import Known, Members
from roadworthy.route.cascades.refit import Refit, Refitting

# Decisions are taken after so many rows, wherever a reader's part of them ends.
AT_ONCE = 100
# Thresholds change where so much more of the rows is kept.
LEAST_GAIN = 0.01
RELEASED = "the thresholds of the release are in force"
_LISTS = ("design", "candidates", "bets", "best", "sums", "kept")
_WHOLE = ("number", "length", "rows", "reached")


class Stand(Struct, frozen=True):
    """Where a cascade's dial stands after `n` rows that say something.

    `edges` are the thresholds in force (none: those of the release); it was opened for the `opening`th time, or `shut`.
    """

    watches: tuple[Watch, ...]
    refit: Refit = Refit()
    n: int = 0
    shut: bool = False
    opening: int = 1
    edges: tuple[float, ...] = ()
    because: str = RELEASED

    def value(self) -> dict[str, float | tuple[float, ...]]:
        """What a Dial holds of it; what is empty is left out."""
        found: dict[str, Any] = {
            "shut": self.shut,
            "opening": self.opening,
            "edges": self.edges,
            "watched": tuple(float(watch.rows) for watch in self.watches),
            "purses": tuple(purse for watch in self.watches for purse in watch.purses),
            **asdict(self.refit),
        }
        return {name: float(v) if isinstance(v, int) else v for name, v in found.items() if v != ()}


class Opened(NamedTuple):
    """Whether a dial shuts the cascade, and the thresholds that it puts in force: () for those of the release."""

    shut: bool
    edges: tuple[float, ...]


def opened(value: Mapping[str, float | tuple[float, ...]]) -> Opened:
    """What a dial's value says of the cascade."""
    return Opened(bool(_number(value, "shut")), _list(value, "edges"))


@dataclass(frozen=True)
class CascadeWatcher:
    """Turns the dial of a cascade that was fitted; see `core.dials.Watcher`.

    `audit` is the share of kept rows that are checked, `false_alarm` the chance that the watch is ever wrong. With
    `refits` the thresholds are learnt anew from what was answered, and go in force where they are certified anew.
    """

    fit: CascadeFit
    members: Members
    audit: float
    refits: bool = False
    false_alarm: float = 0.01
    over_hours: float = 24.0
    dial: str = "cascade"

    @property
    def reads(self) -> Literal["rows", "labels"]:
        """Labels where the promise is about them, otherwise the answers themselves."""
        return "labels" if self._by_labels else "rows"

    @property
    def begins(self) -> str:
        """What its dial says before anything moved."""
        return RELEASED

    def follow(self, rows: Sequence[Record], before: Dial | None, now: float, position: int = 0) -> Dial | None:
        """The dial after more rows. None where none of them says anything: no kept row is checked, or all failed."""
        known = Known.of(rows, self.members, self.audit)
        known = known.take(np.isfinite(known.label if self._by_labels else known.last))
        if not len(known):
            return None
        stand = self.see(self.stand(before), known)
        alarm = stand.because if stand.shut else ""
        return Dial(self.dial, now, stand.value(), stand.n, stand.because, position, alarm)

    def see(self, stand: Stand, known: Known) -> Stand:
        """The stand after rows that say something."""
        start = 0
        while start < len(known):
            first = stand.n
            stand = self._after(stand, known.take(slice(start, start + AT_ONCE - stand.n % AT_ONCE)))
            start += stand.n - first
        return stand

    def stand(self, dial: Dial | None) -> Stand:
        """What a dial says; before the first row, the release as it was fitted."""
        if dial is None:
            return Stand(self._watches(1))
        value, (shut, edges) = dial.value, opened(dial.value)
        opening = int(_number(value, "opening"))
        learnt: dict[str, Any] = {name: _list(value, name) for name in _LISTS}
        learnt |= {name: int(_number(value, name)) for name in _WHOLE}
        learnt |= {name: _number(value, name) for name in ("weight", "since", "until")}
        begun = self._watches(opening)
        purses, seen = np.reshape(_list(value, "purses"), (len(begun), -1)).tolist(), _list(value, "watched")
        return Stand(
            tuple(replace(w, rows=int(n), purses=tuple(p)) for w, n, p in zip(begun, seen, purses, strict=True)),
            Refit(**learnt),
            dial.n,
            shut,
            opening,
            edges,
            dial.because,
        )

    def levels(self, dial: Dial | None) -> tuple[Level, ...]:
        """The thresholds that a dial puts in force, whether or not it is shut."""
        edges = () if dial is None else opened(dial.value).edges
        names = tuple(level.name for level in self.fit.levels)
        return self._refitting.shape.levels_of(edges, names) if edges else self.fit.levels

    def progress(self, stand: Stand) -> str:
        """How far the re-fit under way has come, in words."""
        return self._refitting.words(stand.refit)

    @cached_property
    def _refitting(self) -> Refitting:
        return Refitting(self.fit, self.audit, self.over_hours)

    @property
    def _by_labels(self) -> bool:
        return self.fit.target.accuracy is not None

    def _watches(self, opening: int) -> tuple[Watch, ...]:
        """New watches; all that there ever are share the chance of a false alarm."""
        return watches(self.fit.target, self.false_alarm * 6 / (pi * opening) ** 2)

    def _after(self, stand: Stand, rows: Known) -> Stand:
        """After these rows, or as many of them as make the watch alarm."""
        seen, places = self._seen(stand, rows)
        ends = [
            int(place[watch.alarm_at - before.rows - 1])
            for watch, before, place in zip(seen, stand.watches, places, strict=True)
            if watch.alarm_at is not None
        ]
        if ends:
            rows = rows.take(slice(0, min(ends) + 1))
            seen, _ = self._seen(stand, rows)
            return self._shut(replace(stand, watches=seen, n=stand.n + len(rows)))
        stand = replace(stand, watches=seen, n=stand.n + len(rows))
        if not self.refits:
            return stand
        stand = replace(stand, refit=self._refitting.see(stand.refit, rows))
        return stand if stand.n % AT_ONCE else self._decided(stand)

    def _seen(self, stand: Stand, rows: Known) -> tuple[tuple[Watch, ...], list[NDArray[np.int64]]]:
        """The watches after the rows that were answered while there was something to watch, and which rows each saw."""
        if stand.shut:
            return stand.watches, [np.zeros(0, np.int64) for _ in stand.watches]
        truth = rows.label if self._by_labels else rows.last
        weights = np.ones(len(rows)) if self._by_labels else np.minimum(self.audit / rows.chance, 1.0)
        metrics, watches, places = counted(self.fit.target, rows.answer, truth), [], []
        for watch in stand.watches:
            counts, right = metrics[watch.metric]
            place = np.flatnonzero(counts & ~rows.shut)
            watches.append(watch.see(right[place], weights[place]))
            places.append(place)
        return tuple(watches), places

    def _shut(self, stand: Stand) -> Stand:
        alarms = "; ".join(watch.because for watch in stand.watches if watch.alarm_at is not None)
        goes_on = "until a re-fit is certified" if self.refits else "until a release with a new fit"
        told = f"{alarms}; every row is sent on {goes_on}"
        begun = self._watches(stand.opening + 1)
        refit = stand.refit.after()
        return replace(stand, watches=begun, refit=refit, shut=True, opening=stand.opening + 1, because=told)

    def _decided(self, stand: Stand) -> Stand:
        """Put thresholds in force that are certified by now and keep more, or begin with new candidates."""
        rules, refit = self._refitting, self._refitting.decide(stand.refit)
        stand = replace(stand, refit=refit)
        keeps = rules.share_kept(refit, refit.reached - 1) if refit.reached else 0.0
        chosen = rules.chosen(refit)
        kept = 0.0 if stand.shut else rules.share_kept(refit, -1)
        if chosen and chosen != stand.edges and keeps >= kept + LEAST_GAIN:
            told = (
                f"thresholds learnt anew: {self.fit.target.words} is certified by {refit.rows:,} rows, re-fit "
                f"{refit.number} with its {rules.delta(refit.number):.2g} of delta, and {keeps:.0%} of rows are kept"
            )
            return replace(stand, shut=False, edges=chosen, because=told)
        return replace(stand, refit=refit.after()) if rules.over(refit) else stand


def _number(value: Mapping[str, float | tuple[float, ...]], name: str) -> float:
    found = value.get(name, 0.0)
    return found[0] if isinstance(found, tuple) else float(found)


def _list(value: Mapping[str, float | tuple[float, ...]], name: str) -> tuple[float, ...]:
    found = value.get(name, ())
    return tuple(found) if isinstance(found, tuple | list) else (float(found),)
