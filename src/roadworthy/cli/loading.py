"""Loading runs what `roadworthy load` was asked for: finds the protocol, sends, measures and judges."""

from __future__ import annotations

import dataclasses
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from roadworthy.app.endpoints.detect import Endpoint, Told, endpoint
from roadworthy.app.endpoints.openai import OpenAi
from roadworthy.cli.load_requests import of_trace, requests_for
from roadworthy.core.errors import BadRequest, RoadworthyError, SpecError, nearest
from roadworthy.core.measure import Decision, Measurement, Requirement, Verdict, judge, worst
from roadworthy.core.wire import Request
from roadworthy.evaluate.arrivals.poisson import Poisson
from roadworthy.evaluate.arrivals.replay import Replay
from roadworthy.evaluate.base import Arrivals
from roadworthy.evaluate.load_test import scenarios
from roadworthy.evaluate.load_test.generator import Sending, ask_in_turn, ask_whole
from roadworthy.evaluate.load_test.load import LoadRun, run, unmeasured
from roadworthy.evaluate.load_test.search import Pace, Probe, Search, largest_rate
from roadworthy.evaluate.load_test.streaming import Stream, Tape, measure
from roadworthy.evaluate.load_test.timeline import Timeline
from roadworthy.evaluate.load_test.validity import Gates

Scenario = Literal["server", "single_stream", "multi_stream", "offline"]
Tell = Callable[[str], None]

# How a rate is chosen where none is given: half of what so many callers get in so many seconds.
CALLERS, TRY_SECONDS = 16, 2.0
# A test of a server that fails on some requests by nature should not end at the first of them.
FIRST_TRIES = 3


@dataclass(frozen=True)
class Plan:
    """What was asked for. Without a `rate` one is measured; `concurrency` callers instead of a schedule, if above 0."""

    told: Told
    body: Path | None = None
    data: Path | None = None
    columns: tuple[str, ...] = ()
    arrivals: Arrivals = field(default_factory=Poisson)
    rate: float | None = None
    seconds: float = 10.0
    concurrency: int = 0
    scenario: Scenario = "server"
    requests: int = 1000
    slos: tuple[Requirement, ...] = ()
    find: bool = False
    repeats: int = 3
    seed: int = 0
    timeout_seconds: float = 60.0
    headers: Mapping[str, str] = field(default_factory=dict)


class Loaded(Struct, frozen=True):
    """What a load test came to; `run` and `streams`, or `search` where the largest rate was looked for."""

    url: str
    api: str
    decision: Decision
    because: str
    seed: int
    run: LoadRun | None = None
    streams: tuple[Measurement, ...] = ()
    search: Search | None = None
    verdicts: tuple[Verdict, ...] = ()


def requirement(text: str) -> Requirement:
    """`p99_ms<=200` as a Requirement with the unit of what it bounds. Raises SpecError for a metric nobody measures."""
    found = re.fullmatch(r"\s*(\w+)\s*(<=|>=|<|>)\s*([0-9.eE+-]+)\s*", text)
    try:
        bound = float(found[3]) if found else None
    except ValueError:
        bound = None
    if not found or bound is None:
        raise SpecError(f"an SLO is METRIC<=NUMBER or METRIC>=NUMBER, such as 'p99_ms<=200', got {text!r}")
    units = known_metrics()
    if found[1] not in units:
        raise SpecError(f"no metric named {found[1]!r}{nearest(found[1], units)} (known: {', '.join(units)})")
    most, least = (bound, None) if found[2][0] == "<" else (None, bound)
    return Requirement(found[1], least, most, unit=units[found[1]])


def known_metrics() -> dict[str, str]:
    """Every metric that a load test may be held to, with its unit."""
    nobody = Stream(0.0, 0.0, failure="nobody")  # a stream that was scheduled, so that every name appears
    return {
        **{found.name: found.unit for found in (*unmeasured(), *measure((nobody,), 1.0))},
        "single_stream_p90_ms": "ms",
        "multi_stream_p99_ms": "ms",
        "offline_samples_per_second": "1/s",
        "max_rate_rps": "rps",
    }


async def loaded(plan: Plan, tell: Tell = lambda told: None) -> Loaded:
    """Run the test. Raises what keeps it from beginning: no server, the wrong protocol, a body that is refused."""
    wire = {"timeout_seconds": plan.timeout_seconds, "headers": plan.headers}
    async with await endpoint(plan.told, **wire) as handler:
        requests = await _requests(plan, handler)
        tell(f"asking {handler!r}")
        await _first(handler, requests)
        test = _Test(plan, handler, requests, tell)
        return await (test.search() if plan.find else test.run())


async def _requests(plan: Plan, handler: Endpoint) -> list[Request]:
    arrivals = plan.arrivals
    if isinstance(arrivals, Replay) and isinstance(handler, OpenAi) and plan.body is None and plan.data is None:
        return of_trace(arrivals.trace())
    return await requests_for(handler, plan.body, plan.data, plan.columns)


async def _first(handler: Endpoint, requests: Sequence[Request]) -> None:
    """See that the server answers at all, before a whole test tells the same thousands of times."""
    prefix = _sending().prefix
    for number in range(FIRST_TRIES):
        try:
            await ask_whole(handler, replace(requests[number % len(requests)], id=f"{prefix}-first-{number}"))
        except RoadworthyError:
            if number == FIRST_TRIES - 1:
                raise
        else:
            return


def _sending(patience_seconds: float = 60.0) -> Sending:
    """Ids that no earlier test used: a server that answers an id once would give old answers to a new test."""
    return Sending(patience_seconds, prefix=f"load-{secrets.token_hex(4)}")


class _Test:
    """One test of one server."""

    def __init__(self, plan: Plan, handler: Endpoint, requests: Sequence[Request], tell: Tell) -> None:
        self.plan, self.handler, self.requests, self.tell = plan, handler, requests, tell
        self.rng = np.random.default_rng(plan.seed)
        self.tape = Tape()

    async def run(self) -> Loaded:
        """Send by the schedule or the scenario, and judge what came of it."""
        ran, timeline = await self._ran()
        streams: tuple[Measurement, ...] = ()
        if self.tape.heard:
            streams = measure(self.tape.streams(timeline, self.requests), ran.seconds)
        measured = {found.name: found for found in (*ran.measured, *streams)}
        verdicts = tuple(_judged(measured, slo) for slo in self.plan.slos)
        decision: Decision = worst(verdicts) if verdicts else "pass"
        because = "; ".join(v.because for v in verdicts if v.decision == decision) or ran.because
        if not (ran.valid or (decision == "fail" and _only_short(ran))):
            decision, because = "wait", f"INVALID: {ran.because}"
        return self._loaded(decision, because, run=ran, streams=streams, verdicts=verdicts)

    async def search(self) -> Loaded:
        """Look for the largest rate that keeps the SLOs, and hold it against a bound on itself."""
        bounds = [slo for slo in self.plan.slos if slo.metric == "max_rate_rps"]
        wanted = [replace(slo, metric=slo.metric.replace("ttft_", "first_")) for slo in self.plan.slos]
        wanted = [slo for slo in wanted if slo.metric != "max_rate_rps"]
        pace = Pace(seconds=self.plan.seconds, repeats=self.plan.repeats)
        found = await largest_rate(
            self.handler,
            self.requests,
            wanted,
            await self._rate(),
            self.rng,
            self.plan.arrivals,
            pace,
            _sending(self.plan.timeout_seconds),
            tell=self._probed,
        )
        verdicts = tuple(judge(found.max_rate, bound) for bound in bounds)
        decision: Decision = worst(verdicts) if verdicts else "pass" if found.max_rate.value > 0 else "wait"
        if found.max_rate.value == 0:
            decision = "fail"
        return self._loaded(decision, found.because, search=found, verdicts=verdicts)

    def _loaded(self, decision: Decision, because: str, **found: object) -> Loaded:
        api = type(self.handler).__name__.lower()
        return Loaded(self.handler.wire.url + self.handler.path, api, decision, because, self.plan.seed, **found)  # type: ignore[arg-type]

    def _ran(self) -> Awaitable[tuple[LoadRun, Timeline]]:
        plan, handler, requests, how = self.plan, self.handler, self.requests, self._how()
        gates = self._gates()
        if plan.concurrency:
            return scenarios.in_turn(handler, requests, plan.concurrency, plan.seconds, how, gates)
        if plan.scenario == "single_stream":
            return scenarios.single_stream(handler, requests, plan.seconds, how, gates)
        if plan.scenario == "multi_stream":
            if getattr(handler, "stream", False):
                raise BadRequest("multi_stream counts whole answers: give --no-stream")
            return scenarios.multi_stream(handler, requests, plan.seconds, how=how, gates=gates)
        if plan.scenario == "offline":
            many = [requests[k % len(requests)] for k in range(max(plan.requests, len(requests)))]
            # It is over when all is answered: how long that takes is the result. The generator is busy while it sends
            # all at once, which is the shortest part.
            return scenarios.offline(handler, many, how, dataclasses.replace(gates, least_seconds=0.0, cpu_share=1.1))
        return self._scheduled(how, gates)

    async def _scheduled(self, how: Sending, gates: Gates) -> tuple[LoadRun, Timeline]:
        rate = await self._rate()
        plan = self.plan
        self.tell(f"sending {rate:.4g} requests a second for {plan.seconds:g} s")
        return await run(self.handler, self.requests, plan.arrivals, rate, plan.seconds, self.rng, how, gates)

    async def _rate(self) -> float:
        """The rate that was asked for, the trace's own, or half of what a few callers get."""
        if self.plan.rate is not None:
            return self.plan.rate
        if isinstance(self.plan.arrivals, Replay):
            return self.plan.arrivals.trace().rate
        self.tell(f"no --rate: trying what {CALLERS} callers get in {TRY_SECONDS:g} s")
        timeline = await ask_in_turn(
            self.handler, self.requests, CALLERS, TRY_SECONDS, _sending(self.plan.timeout_seconds)
        )
        answered = timeline.n - timeline.failed
        if not answered:
            reason = next(iter(timeline.failures), "no answer came")
            raise RoadworthyError(f"{timeline.n} requests were tried to choose a rate, and all failed: {reason}")
        return max(0.1, 0.5 * answered / timeline.ended)

    def _gates(self) -> Gates:
        """The run must bear the highest percentile that somebody asks about; the middle one, where nobody does."""
        asked = [re.search(r"(?:^|_)p(\d{2,4})_", slo.metric) for slo in self.plan.slos]
        return Gates(share=max((int(found[1]) / 10 ** len(found[1]) for found in asked if found), default=0.5))

    def _how(self) -> Sending:
        """Heard by the tape; an answer that is whole tells it something only where it is a text."""
        keep = self.tape.whole if isinstance(self.handler, OpenAi) else None
        return dataclasses.replace(_sending(self.plan.timeout_seconds), keep=keep, piece=self.tape)

    def _probed(self, probe: Probe) -> None:
        self.tell(f"{probe.rate:.4g} requests a second: {probe.outcome} ({probe.because})")


def _judged(measured: Mapping[str, Measurement], slo: Requirement) -> Verdict:
    if slo.metric in measured:
        return judge(measured[slo.metric], slo)
    return Verdict("wait", f"{slo}: this test does not measure it", slo.metric)


def _only_short(run: LoadRun) -> bool:
    """Is all that is wrong with a run that it was short? Few requests do not bear a pass, but they may bear a fail."""
    return all(check.of in ("early_stopping", "requests") for check in run.checks if check.decision == "fail")
