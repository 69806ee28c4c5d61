"""Replaying: the production rows as requests in the order of time, and their outcomes when they became known."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from roadworthy.core.errors import BadData, Overloaded
from roadworthy.core.record import Label
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Signature, Spec
from roadworthy.core.wire import Request, Response, Tensor

if TYPE_CHECKING:
    from roadworthy.cli.services import OverHttp
    from roadworthy.store.state import State

HOUR, DAY = 3600.0, 86_400.0
Ask = Callable[[Request], Awaitable[Response]]


@dataclass
class Tally:
    """What became of the requests of a replay."""

    answered: int = 0
    failed: int = 0
    labelled: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


class Traffic:
    """The rows of a sample as requests, and their labels in the order in which they became known."""

    def __init__(self, sample: Sample, signature: Signature) -> None:
        if sample.at is None or sample.labels is None or sample.ids is None:
            raise BadData(
                f"a replay of {sample.source!r} needs `data.columns.id`, `at` and `label` in the project file"
            )
        self.sample, self.signature = sample, signature
        self.at = sample.at
        self.known_at = sample.at if sample.known_at is None else sample.known_at
        self.by_outcome = np.argsort(self.known_at, kind="stable")
        self.told = 0
        self._columns = {name: _plain(sample, name) for name in signature.inputs}
        self._tags = {name: values.tolist() for name, values in sample.tags.items()}
        self.ids: list[str] = [str(i) for i in sample.ids]
        self.keys = self.ids if sample.keys is None else sample.keys.tolist()

    def between(self, start: float, stop: float) -> Iterator[Request]:
        """The requests with `start` <= at < `stop`. The table is in the order of `at`."""
        first, last = np.searchsorted(self.at, [start, stop])
        return (self.request(row) for row in range(int(first), int(last)))

    def request(self, row: int) -> Request:
        """One row as a request of one row."""
        inputs = {
            name: Tensor(name, spec.datatype, (1,) if spec.width == 1 else (1, spec.width), self._columns[name][row])
            for name, spec in self.signature.inputs.items()
        }
        tags = {name: str(values[row]) for name, values in self._tags.items()}
        return Request(self.ids[row], inputs, float(self.at[row]), key=self.keys[row], tags=tags)

    def outcomes(self, since: float, now: float) -> list[Label]:
        """The labels of rows with at >= `since` that became known up to `now` and were not told before."""
        assert self.sample.labels is not None
        stop = int(np.searchsorted(self.known_at[self.by_outcome], now, side="right"))
        rows, self.told = self.by_outcome[self.told : stop], max(stop, self.told)
        return [
            Label(self.ids[r], float(self.sample.labels[r]), float(self.known_at[r]), "replay")
            for r in rows
            if self.at[r] >= since and not np.isnan(self.sample.labels[r])
        ]


async def send(ask: Ask, requests: Iterator[Request], tally: Tally, in_flight: int = 64, patience: float = 0.0) -> None:
    """Ask about every request, `in_flight` at a time; after a lost connection again with the same id.

    A request whose server went away or is not ready is asked again for `patience` seconds: its id makes that safe,
    because the log keeps a prediction once.
    """

    async def work() -> None:
        for request in requests:
            try:
                await _persist(ask, request, patience)
                tally.answered += 1
            # A failed request is a result of the replay, not its end; the reason is kept.
            except Exception as failed:
                tally.failed += 1
                tally.reasons[f"{type(failed).__name__}: {failed}"[:200]] += 1

    await asyncio.gather(*(work() for _ in range(in_flight)))


async def replay(
    spec: Spec, state: State, service: OverHttp, from_day: float, days: float, in_flight: int, patience: float
) -> Tally:
    """Replay a stretch against a running server, telling outcomes hour by hour as they became known."""
    from roadworthy.cli.flows import read

    await service.connect()
    traffic = Traffic(read(spec, "production"), spec.signature)
    start = float(traffic.at[0]) + from_day * DAY
    stop = min(start + days * DAY, float(traffic.at[-1]) + 1)
    tally = Tally()
    try:
        for hour in np.arange(start, stop, HOUR):
            await send(service.ask, traffic.between(hour, min(hour + HOUR, stop)), tally, in_flight, patience)
            report = state.records.write_labels(traffic.outcomes(start, hour + HOUR))
            tally.labelled += report.kept
    finally:
        service.close()
    return tally


async def _persist(ask: Ask, request: Request, patience: float) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + patience
    while True:
        try:
            await ask(request)
        # A server that is only just up says that it is not ready yet, in other words the same.
        except (OSError, Overloaded):
            if loop.time() >= until:
                raise
            await asyncio.sleep(0.1)
        else:
            return


def _plain(sample: Sample, name: str) -> list[list[object]]:
    """The values of each row of a column as JSON has them: NaN is null."""
    column = sample.columns[name]
    rows = column.reshape(len(column), -1).tolist()
    return [[None if value != value else value for value in row] for row in rows]
