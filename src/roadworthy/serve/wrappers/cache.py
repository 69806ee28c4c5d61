"""A cache answers what was asked before: the same release, the same input in any spelling, the same answer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from roadworthy.core.measure import Measurement
from roadworthy.core.rows import asking
from roadworthy.core.wire import Handler, Request, Response, Step, Tensor
from roadworthy.serve.base import wrapper
from roadworthy.serve.economics import Tally, measured
from roadworthy.serve.fingerprint import Fingerprint
from roadworthy.serve.flights import ALONE, LEAD, Flights
from roadworthy.serve.fold import Arrays
from roadworthy.serve.kept import Row, decoded, encoded, joined, rows_in
from roadworthy.serve.shelf import Shelf

MISS = Step("cache", "miss")
WAITED = Step("cache", "waited for an identical request")

# An answer, and its rows as bytes; None where the rows may not be kept or shared.
_Computed = tuple[Response, list[bytes] | None]


@wrapper("cache")
@dataclass(frozen=True)
class Cache:
    """Answers a row that was asked before from memory, and identical rows under way by one computation.

    Up to `megabytes` of answers are kept, fresh for `ttl_seconds` (0: as long as there is room) and `stale_seconds`
    longer for the fallback `cached`. Requests above `most_rows` pass by, and so do mirrored ones unless `shadows`:
    their model is to be measured. Each release that is loaded has a cache of its own.
    """

    megabytes: float = 64.0
    ttl_seconds: float = 3600.0
    stale_seconds: float = 0.0
    most_rows: int = 64
    shadows: bool = False

    def __post_init__(self) -> None:
        if not self.megabytes > 0 or self.most_rows < 1:
            raise ValueError(
                f"`megabytes` must be above 0 and `most_rows` at least 1, got {self.megabytes!r} and {self.most_rows!r}"
            )
        if self.ttl_seconds < 0 or self.stale_seconds < 0:
            given = f"{self.ttl_seconds!r} and {self.stale_seconds!r}"
            raise ValueError(f"`ttl_seconds` and `stale_seconds` must be 0 or more, got {given}")

    def __call__(self, inner: Handler) -> Caching:
        """The handler that asks `inner` only what it does not know."""
        return Caching(inner, self)

    def rehearse(self, outputs: Arrays) -> Arrays:
        """The outputs: what is remembered was answered before."""
        return outputs

    @classmethod
    def example(cls) -> tuple[Cache, Mapping[str, Tensor]]:
        """A wrapper with its settings, and inputs for it: what the laws run every wrapper on."""
        return cls(megabytes=1.0, shadows=True), {"x": Tensor("x", "FP32", (3, 1), [1.0, None, 30.0])}


class Caching:
    """A Handler that remembers what `inner` answered, row by row; `tally` and `measurements` say what that is worth.

    Only successes are kept: no error, no stream, no fallback's answer, nothing marked `no-store` in its parameters.
    """

    def __init__(self, inner: Handler, settings: Cache, now: Callable[[], float] = time.monotonic) -> None:
        self.inner, self.settings = inner, settings
        self._now = now
        self._fingerprints = Fingerprint(settings.most_rows)
        self._flights: Flights[_Computed] = Flights(now)
        self._shelf = Shelf(
            int(settings.megabytes * 2**20), settings.ttl_seconds or math.inf, settings.stale_seconds, now
        )
        self._tally = Tally()

    def __repr__(self) -> str:
        return f"Caching({self.inner!r}, {self.settings!r})"

    async def __call__(self, request: Request) -> Response:
        """The answer, computed or remembered; `path` says which, and the parameters how old. Raises what inner does."""
        keys = self._keys(request)
        if keys is None:
            return await self.inner(request)
        if len(keys) > 1:
            return await self._several(request, keys)
        now = self._now()
        found = self._shelf.fresh(keys[0], now)
        if found is not None:
            self._tally.hits += 1
            age = now - found.since
            return self._remembered(request, _recalled(found.blob), Step("cache", f"hit, {age:.0f} s old"), age)
        (response, blobs), shared = await self._compute(request, keys)
        if not shared:
            return replace(response, path=(MISS, *response.path))
        self._tally.shared += 1
        return self._shared(request, response, [decoded(blob) for blob in blobs or ()], WAITED)

    @property
    def tally(self) -> Tally:
        """What was counted up to now."""
        shelf = self._shelf
        return replace(self._tally, evictions=shelf.evictions, entries=len(shelf), bytes=shelf.bytes)

    def measurements(self, usd_per_hour: float = 0.0) -> tuple[Measurement, ...]:
        """Hit share, bytes, evictions, milliseconds and dollars saved."""
        return measured(self.tally, usd_per_hour)

    def learn(self, request: Request, response: Response) -> None:
        """Remember an answer that was got elsewhere."""
        keys = self._keys(request)
        if keys is not None:
            self._store(response, keys)

    def stale(self, request: Request) -> Response | None:
        """The last good answer to this input, fresh or not, or None: what the fallback `cached` asks for."""
        keys = self._fingerprints(request)
        entries = [self._shelf.stale(key) for key in keys or ()]
        found = [entry for entry in entries if entry is not None]
        if not found or len(found) < len(entries):
            return None
        age = self._now() - min(entry.since for entry in found)
        rows = [_recalled(entry.blob) for entry in found]
        return self._several_remembered(request, rows, Step("cache", f"kept for {age:.0f} s"), age)

    def _keys(self, request: Request) -> list[bytes] | None:
        """The fingerprint of each row, or None for a request that is none of the cache's business."""
        if (request.shadow and not self.settings.shadows) or "no-store" in request.parameters:
            return None
        return self._fingerprints(request)

    async def _compute(self, request: Request, keys: list[bytes]) -> tuple[_Computed, bool]:
        """The answer to a request that consists of unknown rows, and whether another request asked for it."""
        flights = self._flights
        flight = keys[0] if len(keys) == 1 else b"".join(keys)
        if not flights.begin(flight):
            landed = await flights.wait(flight, request.deadline)
            if landed is ALONE:
                response = await self.inner(request)
                return (response, self._keep(response, keys)), False
            if landed is not LEAD:
                return landed, True
        try:
            response = await self.inner(request)
            computed = response, self._keep(response, keys)
        except BaseException as wrong:
            flights.crash(flight, wrong)
            raise
        flights.land(flight, ALONE if computed[1] is None else computed)
        return computed, False

    def _keep(self, response: Response, keys: list[bytes]) -> list[bytes] | None:
        """Count rows that were computed, and keep them."""
        self._tally.misses += len(keys)
        seconds = response.seconds.get("model")
        if seconds is not None:
            self._tally.took(len(keys), seconds)
        return self._store(response, keys)

    def _store(self, response: Response, keys: list[bytes]) -> list[bytes] | None:
        """The rows on the shelf, and as the bytes that lie there; None where they may not be kept."""
        rows = rows_in(response, len(keys))
        if rows is None:
            return None
        try:
            blobs = [encoded(rows[0])]
            # The usual request has one row; a loop would cost it as much as all of the above.
            for k in range(1, len(rows)):
                blobs.append(encoded(rows[k]))
        # It is a good answer, though not one that can be written down: a whole number of 200 bits, say.
        except (TypeError, ValueError, OverflowError):
            return None
        now = self._now()
        for k, blob in enumerate(blobs):
            self._shelf.put(keys[k], blob, now)
        return blobs

    async def _several(self, request: Request, keys: list[bytes]) -> Response:
        """Several rows: those that are known are remembered, each of the others is computed once."""
        now = self._now()
        entries = {key: self._shelf.fresh(key, now) for key in keys}
        rows = {key: _recalled(entry.blob) for key, entry in entries.items() if entry is not None}
        unknown = [key for key, entry in entries.items() if entry is None]
        known = sum(key in rows for key in keys)
        self._tally.hits += known
        if not unknown:
            age = now - min(entry.since for entry in entries.values() if entry is not None)
            step = Step("cache", f"hit, all {len(keys)} rows known, the oldest for {age:.0f} s")
            return self._several_remembered(request, [rows[key] for key in keys], step, age)
        whole = len(unknown) == len(keys)
        asked = request if whole else asking(request, [keys.index(key) for key in unknown])
        (response, blobs), shared = await self._compute(asked, unknown)
        if whole and not shared:
            return replace(response, path=(MISS, *response.path))
        if blobs is None:  # rows that cannot be put beside others
            return await self.inner(request)
        self._tally.shared += len(unknown) if shared else 0
        rows.update(zip(unknown, map(decoded, blobs), strict=True))
        step = Step("cache", f"{known} of {len(keys)} rows known") if known else WAITED if shared else MISS
        return self._shared(request, response, [rows[key] for key in keys], step)

    def _shared(self, request: Request, response: Response, rows: list[Row], step: Step) -> Response:
        """The rows as an answer to this request; what they took is what the computation took that it waited for."""
        outputs, sure, sets = joined(rows)
        path, paths = _ways(step, rows)
        return Response(
            request.id,
            outputs,
            response.release,
            response.arm,
            sure,
            sets,
            path,
            dict(response.seconds),
            response.usd,
            dict(response.parameters),
            paths,
        )

    def _remembered(self, request: Request, row: Row, step: Step, age: float) -> Response:
        usd = None if row.usd is None else 0.0
        parameters = {**row.parameters, "cached": True, "cache_age_seconds": age}
        path, sure, sets = (step, *row.path), row.confidence, row.prediction_set
        return Response(request.id, row.outputs, row.release, "stable", sure, sets, path, {}, usd, parameters)

    def _several_remembered(self, request: Request, rows: list[Row], step: Step, age: float) -> Response:
        outputs, sure, sets = joined(rows)
        row = replace(rows[0], outputs=outputs, confidence=sure, prediction_set=sets)
        path, paths = _ways(step, rows)
        return replace(self._remembered(request, row, step, age), path=path, paths=paths)


def _recalled(blob: bytes) -> Row:
    """A row that was kept; what its way cost was paid when it was computed."""
    row = decoded(blob)
    if all(step.usd is None for step in row.path):
        return row
    return replace(row, path=tuple(replace(step, usd=0.0) if step.usd else step for step in row.path))


def _ways(step: Step, rows: Sequence[Row]) -> tuple[tuple[Step, ...], list[tuple[Step, ...]] | None]:
    """The way of rows that are put together: one for all where they went alike, else each goes its own after `step`."""
    if all(row.path == rows[0].path for row in rows):
        return (step, *rows[0].path), None
    return (step,), [row.path for row in rows]
