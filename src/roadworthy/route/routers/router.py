"""A router says of a request what the dear model would gain over the cheap one, and which gain is worth its price."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from math import exp, inf
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct

from roadworthy.core.errors import BadData, BadRequest, SpecError
from roadworthy.core.measure import Measurement
from roadworthy.core.wire import Request, Response
from roadworthy.route.routers.after import seen_in
from roadworthy.route.routers.budgets import Floors, Plan, Reference, plan
from roadworthy.route.routers.packed import Packed
from roadworthy.route.routers.reading import Category, Column, Number, Said, Scale, Vector
from roadworthy.route.routers.segments import Segments
from roadworthy.route.routers.texts import Text
from roadworthy.route.routers.watch import Watch

AnyPart = Text | Vector | Number | Category
VERSION = 2


class Gain(Struct, frozen=True):
    """What is expected of one row: the dear model pays where `gain` reaches `threshold`.

    `strong` and `weak` are the chances that either model is right. An `odd` row is unlike what the router was fitted
    on, or of a segment that it never saw; then its numbers mean nothing. `p_value` is the share of rows like the
    router's own that are as strange; `signals` are the numbers by which a `Watch` compares streams, and `because` is
    what that says once its alarm has sounded: from then on every row is odd.
    """

    strong: float
    weak: float
    gain: float
    threshold: float
    segment: str
    odd: bool
    p_value: float = 1.0
    signals: tuple[float, ...] = ()
    because: str = ""


class Lines(Struct, frozen=True):
    """The weights of the strong and the weak model's line over the features of `parts`, and where they are zero."""

    parts: tuple[AnyPart, ...]
    weights: Packed
    intercepts: tuple[float, float]


class ReferenceRows(Struct, frozen=True):
    """Rows like those to come, from which thresholds follow: their gains, segments (codes) and weights.

    `signals` (n, 1 or 3) are their strangeness and, where they were no labelled rows, the log-odds of both models.
    """

    gains: Packed
    codes: Packed
    weights: Packed
    signals: Packed


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """What a router is asked for: the `share` to send before an answer, and `share_after` of the answers seen.

    No segment's loss is to exceed `times` the mean loss (None: no floors) over so many `requests` of all segments, and
    what it may be at most is known with so much `sureness`. A row with a p-value below `odd_below` is odd, and after an
    alarm of the stream (false in at most `alarm` of unchanged streams; 0: none) every row is.
    """

    share: float = 0.5
    share_after: float = 0.5
    times: float | None = 2.0
    odd_below: float = 0.001
    alarm: float = 0.01
    sureness: float = 0.975
    requests: int = 10_000

    def __post_init__(self) -> None:
        for name in ("share", "share_after", "odd_below", "alarm"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"`{name}` must be between 0 and 1, got {getattr(self, name)!r}")
        if self.times is not None and self.times < 1:
            raise ValueError(f"`times` must be at least 1: no segment can do better than all; got {self.times!r}")
        if not 0.5 <= self.sureness < 1:
            raise ValueError(f"`sureness` must be at least 0.5 and below 1, got {self.sureness!r}")
        if self.requests < 1:
            raise ValueError(f"`requests` must be at least 1, got {self.requests!r}")


class RouterFile(Struct, frozen=True):
    """All that a router is, as its JSON file holds it. `tag` names the request's tag with its segment."""

    before: Lines
    reference: ReferenceRows
    scales: Scale
    segments: Segments = Segments()
    tag: str = ""
    after: Lines | None = None
    after_gains: Packed | None = None
    after_codes: Packed | None = None
    settings: Settings = Settings()
    labels: int = 0
    version: int = VERSION


class _Bars(NamedTuple):
    """The thresholds of a plan by segment, and the only one where there are no segments."""

    each: Mapping[str, float]
    common: float


@dataclass(frozen=True, eq=False)
class Router:
    """Looks at requests of one row. Frozen: the same request always gets the same answer.

    `settings` may be changed with `dataclasses.replace`; thresholds for any budget follow from the reference rows.
    """

    file: RouterFile
    settings: Settings = field(default=Settings())

    @classmethod
    def read(cls, path: Path) -> Router:
        """The router that `write` left. Raises SpecError where the file is none."""
        if not path.is_file():
            raise SpecError(f"no file {str(path)!r} to read a router from; `roadworthy route fit` writes one")
        try:
            file = msgspec.json.decode(path.read_bytes(), type=RouterFile)
        except msgspec.DecodeError as wrong:
            raise SpecError(f"{str(path)!r} is no router that `roadworthy route fit` wrote: {wrong}") from wrong
        if file.version != VERSION:
            raise SpecError(f"{str(path)!r} is of version {file.version!r}, this is {VERSION}: fit the router again")
        return cls(file, file.settings)

    def write(self, path: Path) -> None:
        """The router as JSON, with its settings."""
        path.write_bytes(msgspec.json.encode(msgspec.structs.replace(self.file, settings=self.settings)))

    def ready(self) -> Router:
        """The router with all worked out that the first request would wait for: milliseconds."""
        self._scorers, self._strange, self._bars  # noqa: B018
        if self.file.after is not None:
            self._after, self._bars_after  # noqa: B018
        return self

    def gain(self, request: Request) -> Gain:
        """What is expected before anybody answers. Raises BadRequest where an input that it reads is missing."""
        strong, weak, strangeness = self._before(request)
        signals = (strangeness, strong, weak)
        return self._told(strong, weak, request, signals, self._bars)

    def gain_after(self, request: Request, response: Response) -> Gain:
        """What is expected once the cheap model has answered `response`."""
        if self.file.after is None or self._after is None:
            raise SpecError("this router does not look at answers: fit it with what the cheap answers showed (`after`)")
        strong, weak, strangeness = self._before(request)
        names = [part.column for part in self.file.after.parts[2:]]
        values = [strong, weak, *seen_in(response, names)]
        after_strong, after_weak = self.file.after.intercepts
        for score, value in zip(self._after, values, strict=True):
            said = score(value)
            after_strong, after_weak = after_strong + said[0], after_weak + said[1]
        signals = (strangeness, strong, weak)
        return self._told(after_strong, after_weak, request, signals, self._bars_after)

    def threshold_for(self, share: float, segment: str = "") -> float:
        """The gain from which a row of the segment goes to the dear model, if `share` of all rows may.

        An unknown segment has -infinity: every row goes there, for nobody knows what it would lose.
        """
        found = self.plan_for(share).thresholds
        if not self.file.segments.names:
            return found[0]
        return dict(zip(self.file.segments.names, found, strict=True)).get(segment, -inf)

    def plan_for(self, share: float, after: bool = False) -> Plan:
        """The thresholds of all segments for a budget, what share they will send, and what that is expected to lose."""
        return self._plan(share, after)

    def odds(self, columns: Mapping[str, Column], segments: Sequence[str] = ()) -> Any:
        """The log-odds (n, 2) that the strong and the weak model are right, of many rows at once."""
        from roadworthy.route.routers.sparse import beside

        given = {**columns, self.file.tag: segments} if self.file.tag else columns
        lines = self.file.before
        rows = beside([part.rows(given[part.column]) for part in lines.parts])
        weights = lines.weights.array()
        return np.stack([rows.times(weights[:, k]) + lines.intercepts[k] for k in (0, 1)], axis=1)

    @property
    def reference_signals(self) -> list[list[float]]:
        """The signals of the reference rows, one list each: what a `Watch` compares a stream with."""
        return self.file.reference.signals.array().T.tolist()  # type: ignore[no-any-return]

    def _before(self, request: Request) -> tuple[float, float, float]:
        strong, weak = self.file.before.intercepts
        strangeness = 0.0
        for column, tagged, score, middle, inverse in self._scorers:
            if tagged:
                said = score(request.tags.get(column, ""))
            else:
                tensor = request.inputs.get(column)
                if tensor is None:
                    raise BadRequest(f"the router reads input {column!r}, the request has {', '.join(request.inputs)}")
                data = tensor.data
                said = score(data[0] if len(tensor.shape) < 2 or tensor.shape[1] == 1 else data)
            strong, weak = strong + said[0], weak + said[1]
            strangeness += (said[2] - middle) * inverse
        return strong, weak, strangeness

    def _told(
        self,
        strong: float,
        weak: float,
        request: Request,
        signals: tuple[float, ...],
        bars: _Bars,
    ) -> Gain:
        right, also = 1 / (1 + exp(-max(-500.0, strong))), 1 / (1 + exp(-max(-500.0, weak)))
        segment = request.tags.get(self.file.tag, "") if self.file.tag else ""
        threshold = bars.each.get(segment, -inf) if bars.each else bars.common
        strange = self._strange
        p_value = (1 + len(strange) - bisect_left(strange, signals[0])) / (1 + len(strange))
        odd = p_value < self.settings.odd_below or threshold == -inf
        return Gain(right, also, right - also, threshold, segment, odd, p_value, signals)

    @cached_property
    def _scorers(self) -> list[tuple[str, bool, Callable[[Any], Said], float, float]]:
        lines, scales = self.file.before, self.file.scales
        weights, start, found = lines.weights.array(), 0, []
        for part, middle, spread in zip(lines.parts, scales.middle, scales.spread, strict=True):
            score = part.scorer(weights[start : start + part.width])
            found.append((part.column, part.column == self.file.tag, score, middle, 1 / spread))
            start += part.width
        return found

    @cached_property
    def _after(self) -> list[Callable[[Any], Said]] | None:
        if self.file.after is None:
            return None
        weights, start, found = self.file.after.weights.array(), 0, []
        for part in self.file.after.parts:
            found.append(part.scorer(weights[start : start + part.width]))
            start += part.width
        return found

    @cached_property
    def _strange(self) -> list[float]:
        return sorted(self.file.reference.signals.array()[:, 0].tolist())

    @cached_property
    def _plan(self) -> Callable[[float, bool], Plan]:
        return lru_cache(maxsize=64)(self._planned)

    def _planned(self, share: float, after: bool) -> Plan:
        if not 0 <= share <= 1:
            raise ValueError(f"a budget is a share between 0 and 1, got {share!r}")
        file = self.file
        if not after:
            rows = file.reference
            reference = Reference.of(rows.gains.array(), rows.codes.array().astype(np.int64), rows.weights.array())
        elif file.after_gains is None or file.after_codes is None:
            raise BadData("this router does not look at answers, so that there are no thresholds after one")
        else:
            reference = Reference.of(file.after_gains.array(), file.after_codes.array().astype(np.int64))
        return plan(reference, share, max(1, len(file.segments.names)), self._floors)

    @property
    def _floors(self) -> Floors | None:
        known, asked = self.file.segments, self.settings
        if asked.times is None or len(known.names) < 2:
            return None
        spreads, noises = np.array(known.spreads), np.array(known.noises)
        return Floors(spreads, noises, asked.times, asked.sureness, asked.requests)

    @cached_property
    def _bars(self) -> _Bars:
        return self._bars_of(self.plan_for(self.settings.share))

    @cached_property
    def _bars_after(self) -> _Bars:
        return self._bars_of(self.plan_for(self.settings.share_after, after=True))

    def _bars_of(self, found: Plan) -> _Bars:
        names = self.file.segments.names
        each = dict(zip(names, found.thresholds, strict=True)) if names else {}
        return _Bars(each, found.thresholds[0])


class Guarded:
    """A router that watches the stream of its requests: after an alarm every row is odd, so the dear model answers."""

    def __init__(self, router: Router, rng: Random | None = None) -> None:
        self.router = router
        alarm = router.settings.alarm
        reference = router.reference_signals
        self.watch = Watch(reference, alarm, rng) if alarm else None
        self._signals = len(reference)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.watch!r})"

    def gain(self, request: Request) -> Gain:
        """What the router says of a request, which the watch sees too."""
        found = self.router.gain(request)
        if self.watch is not None and not request.shadow and self.watch.see(found.signals[: self._signals]):
            return msgspec.structs.replace(found, odd=True, because=self.watch.because)
        return found

    def measurements(self) -> tuple[Measurement, ...]:
        """The evidence that the stream has changed (its capital, which began at 1), and whether the alarm sounded."""
        if self.watch is None:
            return ()
        n = self.watch.n
        sounded = Measurement("router_alarm", float(self.watch.alarmed), n, conditions={"alpha": self.watch.alpha})
        return (Measurement("router_evidence", self.watch.capital, n), sounded)


class GuardedAfter(Guarded):
    """The same where the router also looks at the cheap model's answers."""

    def gain_after(self, request: Request, response: Response) -> Gain:
        """What the router says of an answer; the watch sees each request in `gain`, asked before."""
        found = self.router.gain_after(request, response)
        return msgspec.structs.replace(found, odd=True) if self.watch is not None and self.watch.alarmed else found


def load(path: Path) -> Guarded:
    """The router of a file as one process serves it, with a watch of its own over the stream."""
    router = Router.read(path).ready()
    return Guarded(router) if router.file.after is None else GuardedAfter(router)
