"""Arrivals that were recorded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roadworthy.evaluate.base import arrivals
from roadworthy.evaluate.load_test.trace_files import read_trace
from roadworthy.evaluate.load_test.traces import Trace


@arrivals("replay")
@dataclass(frozen=True)
class Replay:
    """What really happened, again: a trace of Azure, Mooncake or BurstGPT, or our own records.

    `path` is a trace file or a `records.db`; `times` are seconds on any clock instead of one.
    Time is stretched until the average rate is the asked one, so that bursts stay as strong against the average as they
    were; leaving out single requests would make any trace a Poisson process. A trace that is too short begins again.
    `sessions` keeps a share of whole sessions, drawn by `seed`. Request k is row k of `trace()`, modulo its length.
    """

    path: str = ""
    times: tuple[float, ...] = ()
    sessions: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if bool(self.path) == bool(self.times):
            raise ValueError("replay needs a `path` or `times`, and not both")
        if not 0 < self.sessions <= 1:
            raise ValueError(f"`sessions` must be above 0 and at most 1, got {self.sessions!r}")

    @classmethod
    def example(cls) -> Replay:
        """Bursts of ten, a second long, once in ten seconds: what the laws are tried on."""
        return cls(times=tuple(10.0 * burst + k / 10 for burst in range(20) for k in range(10)))

    def trace(self) -> Trace:
        """The requests behind the times: tokens, session, shared prefixes. Raises BadData, Missing."""
        return self._trace

    @cached_property
    def _trace(self) -> Trace:
        trace = read_trace(Path(self.path)) if self.path else Trace.of_times(self.times)
        return trace if self.sessions == 1 else trace.some_sessions(self.sessions, np.random.default_rng(self.seed))

    def __call__(self, rate: float, seconds: float, rng: np.random.Generator) -> NDArray[np.float64]:
        """The trace from its start. At `trace().rate` it runs at its own speed."""
        if rate * seconds <= 0:
            return np.empty(0)
        trace = self.trace()
        stretch = trace.rate / rate
        round_seconds = trace.n / rate
        begins = round_seconds * np.arange(math.ceil(seconds / round_seconds))
        due = (begins[:, None] + stretch * trace.at).ravel()
        return np.asarray(due[due < seconds])
