"""Traces of real requests: when each came, how long it was and what it shared with earlier ones."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from roadworthy.core.errors import BadData
from roadworthy.core.measure import Measurement
from roadworthy.core.stats import nothing, proportion

BLOCK_TOKENS = 512
# Common words that the tokenizers in use write as one token each.
WORDS = ("time", "year", "people", "way", "day", "man", "thing", "woman", "life", "child", "world", "school", "state")


class TracedRequest(Struct, frozen=True, omit_defaults=True):
    """One request of a trace. `at` is seconds from the first; 0 tokens and "" are what the trace does not say.

    `blocks` are the ids of its prompt's blocks of 512 tokens: requests share as much of a prefix as they share of these
    (Mooncake's `hash_ids`).
    """

    at: float
    input_tokens: int = 0
    output_tokens: int = 0
    session: str = ""
    blocks: tuple[int, ...] = ()


@dataclass(frozen=True)
class Trace:
    """Requests in the order of their times. `source` is the file, `digest` the SHA-256 of its bytes."""

    requests: tuple[TracedRequest, ...]
    source: str = ""
    digest: str = ""

    def __post_init__(self) -> None:
        if self.n < 2 or not self.at[-1] > 0:
            raise BadData(f"a trace needs requests at two different times at least; {self.source or 'it'!r} has not")

    @classmethod
    def of(cls, requests: Iterable[TracedRequest], source: str = "", digest: str = "") -> Trace:
        """A trace of these requests, put in order; times count from the first."""
        ordered = sorted(requests, key=lambda request: request.at)
        start = ordered[0].at if ordered else 0.0
        moved = (msgspec.structs.replace(request, at=request.at - start) for request in ordered)
        return cls(tuple(moved), source, digest)

    @classmethod
    def of_times(cls, times: Sequence[float], sessions: Sequence[str] = (), source: str = "") -> Trace:
        """A trace of bare times (seconds on any clock), of our own record log for one; `sessions` names each one's."""
        named = sessions or [""] * len(times)
        rows = (TracedRequest(float(at), session=name) for at, name in zip(times, named, strict=True))
        return cls.of(rows, source)

    @property
    def n(self) -> int:
        """How many requests there are."""
        return len(self.requests)

    @property
    def at(self) -> NDArray[np.float64]:
        """Seconds from the first request (n,)."""
        return np.array([request.at for request in self.requests])

    @property
    def rate(self) -> float:
        """Requests a second, on average over the gaps."""
        return float((self.n - 1) / self.requests[-1].at)

    def some_sessions(self, share: float, rng: np.random.Generator) -> Trace:
        """Whole sessions, a `share` of them by chance; requests of a kept one keep each other's company and their gaps.

        Raises BadData where the trace has no sessions: leaving out single requests would take its bursts away.
        """
        names = sorted({request.session for request in self.requests} - {""})
        if not names:
            raise BadData(f"{self.source or 'the trace'!r} has no sessions to choose from: leave out `sessions`")
        kept = {name for name, drawn in zip(names, rng.random(len(names)), strict=True) if drawn < share}
        return Trace.of((request for request in self.requests if request.session in kept), self.source, self.digest)

    def prompt(self, k: int, block_tokens: int = BLOCK_TOKENS) -> str:
        """A text of about as many tokens as request k has, which begins like another's where their blocks are the same.

        Without blocks no two are alike. The same request has the same text in every process.
        """
        request = self.requests[k]
        blocks = request.blocks or tuple(
            -1 - k * 1_000_003 - j for j in range(-(-request.input_tokens // block_tokens))
        )
        words = [word for block in blocks for word in random.Random(block).choices(WORDS, k=block_tokens)]
        return " ".join(words[: request.input_tokens])

    @property
    def shared(self) -> Measurement:
        """The share of prompt blocks that an earlier request had already: what a cache without a limit could save."""
        seen, hits, total = set[int](), 0, 0
        for request in self.requests:
            hits += sum(block in seen for block in request.blocks)
            total += len(request.blocks)
            seen.update(request.blocks)
        return proportion("shared_blocks", hits, total)


def cv(times: NDArray[np.float64]) -> Measurement:
    """The coefficient of variation of the gaps: 0 for a metronome, 1 for Poisson, more for bursts."""
    gaps = np.diff(times)
    if len(gaps) < 2 or not gaps.mean() > 0:
        return nothing("arrival_cv")
    return Measurement("arrival_cv", float(gaps.std() / gaps.mean()), len(times))


def peak(times: NDArray[np.float64], bin_seconds: float = 1.0) -> Measurement:
    """How many times the mean rate the busiest bin has; bins are counted from the first arrival."""
    if len(times) < 2 or not times[-1] > times[0]:
        return nothing("arrival_peak", "times")
    counts = np.bincount(((times - times[0]) / bin_seconds).astype(np.int64))
    mean = (len(times) - 1) / (times[-1] - times[0]) * bin_seconds
    conditions = {"bin_seconds": bin_seconds}
    return Measurement("arrival_peak", float(counts.max() / mean), len(times), unit="times", conditions=conditions)
