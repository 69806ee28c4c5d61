"""Does the load engine tell the truth? Against stalls, a queue with a known capacity, a trace, overload and LoadGen.

Each function gives Measurements. python benchmarks/gap/load.py [--data PATH] prints them all, in about two minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import numpy as np

from roadworthy.core.measure import Measurement, Requirement
from roadworthy.core.wire import Handler, Request, Response
from roadworthy.evaluate.arrivals.constant import Constant
from roadworthy.evaluate.arrivals.poisson import Poisson
from roadworthy.evaluate.arrivals.replay import Replay
from roadworthy.evaluate.load_test.early_stopping import least_requests
from roadworthy.evaluate.load_test.load import LoadRun, run
from roadworthy.evaluate.load_test.scenarios import in_turn, server, single_stream
from roadworthy.evaluate.load_test.search import Pace, largest_rate
from roadworthy.evaluate.load_test.traces import cv, peak
from roadworthy.testing import virtual_clock
from roadworthy.testing.virtual_clock import VirtualLoop

REQUESTS = [Request("a", {}, 0.0)]
HERE = Path(__file__).resolve().parent
STALL_SECONDS, PERIOD_SECONDS, STALL_RPS = 2.0, 10.0, 100.0
LOADGEN, LOADGEN_QUERIES, LOADGEN_RPS = "mlcommons-loadgen==6.0.17", 500, 100.0
SHARES = (50, 90, 99)


def rng() -> np.random.Generator:
    """The chance of every figure here."""
    return np.random.default_rng(0)


def open_loop_p99_over_stall(seconds: float = 20.0) -> list[Measurement]:
    """A TCP server that answers nothing in 2 s of every 10: what an open and a closed loop make of it."""

    async def measured() -> tuple[LoadRun, LoadRun]:
        async with serving(stalling) as port, asking(port) as ask:
            opened, _ = await run(ask, REQUESTS, Poisson(), STALL_RPS, seconds, rng())
            return opened, (await in_turn(ask, REQUESTS, 1, max(seconds / 2, PERIOD_SECONDS)))[0]

    opened, closed = asyncio.run(measured())
    p99, stall = opened.find("p99_ms"), 1000 * STALL_SECONDS
    conditions = {
        "valid": opened.valid,
        "because": opened.because,
        "closed_loop_p99_ms": closed.find("p99_ms").value,
        "closed_loop_flagged": any("omits coordinated delays" in warning for warning in closed.warnings),
    }
    over = (p99.value / stall, p99.n, p99.low / stall, p99.high / stall)
    return [Measurement("open_loop_p99_over_stall", *over, conditions=conditions)]


def mdl_capacity_error(service_seconds: float = 0.01, bound_seconds: float = 0.05) -> list[Measurement]:
    """How far the largest rate found is from the true one, for a queue before one server with a constant service time.

    Simulated: the search and the generator are the real ones, the clock is not.
    """
    true = mdl_capacity(service_seconds, bound_seconds, 0.99)
    slo = [Requirement("p99_ms", at_most=1000 * bound_seconds, unit="ms")]
    pace = Pace(seconds=4000 * service_seconds)

    async def searched(loop: VirtualLoop) -> Measurement:
        handler = one_server(loop, service_seconds)
        return (await largest_rate(handler, REQUESTS, slo, 0.2 / service_seconds, rng(), pace=pace)).max_rate

    found = virtual_clock.run(searched)
    conditions = {"true_rps": true, "found_rps": found.value, "found_low": found.low, "found_high": found.high}
    return [Measurement("mdl_capacity_error", abs(found.value / true - 1), found.n, conditions=conditions)]


def trace_cv(path: Path, rate: float = 50.0) -> list[Measurement]:
    """A recorded trace replayed at another rate on a real clock's generator: CV of the gaps, and the busiest second.

    Counted are the times at which requests were sent, on a simulated clock, in seconds of the trace.
    """
    replay = Replay(str(path))
    trace = replay.trace()

    async def sent(loop: VirtualLoop) -> np.ndarray:
        _, timeline = await run(instant, REQUESTS, replay, rate, trace.n / rate, rng())
        return timeline.sent * rate / trace.rate

    times = virtual_clock.run(sent)
    return [rename(cv(times), "trace_cv", trace.source), rename(peak(times), "trace_peak_over_mean", trace.source)]


def early_stopping_table() -> list[Measurement]:
    """How many requests a percentile needs: with none over the bound, and with one discarded."""
    wanted = {("p99", 0): 459, ("p99", 1): 662, ("p90", 1): 64}
    found = {(name, over): least_requests(float(f"0.{name[1:]}"), over) for name, over in wanted}
    return [
        Measurement(
            f"least_requests_{name}",
            n,
            1,
            unit="requests",
            where=f"{over} discarded",
            conditions={"loadgen": wanted[name, over]},
        )
        for (name, over), n in found.items()
    ]


def overload_is_invalid(rate: float = 200_000.0, seconds: float = 0.5) -> list[Measurement]:
    """The generator asked for more than it can send: the run must be invalid, by its own lag."""
    found, _ = asyncio.run(run(instant, REQUESTS, Constant(), rate, seconds, rng()))
    conditions = {"because": found.because, "asked_rps": rate}
    return [Measurement("overload_is_invalid", float(not found.valid), int(rate * seconds), conditions=conditions)]


def generator_rate(rate: float = 5000.0, seconds: float = 2.0) -> list[Measurement]:
    """What the generator itself costs at a rate at which it is still valid."""
    found, _ = asyncio.run(run(after_10_ms, REQUESTS, Poisson(), rate, seconds, rng()))
    share, lag = found.find("client_cpu_share"), found.find("dispatch_lag_p99_ms")
    conditions = {"valid": found.valid, "dispatch_lag_p99_ms": lag.value, "rate": rate}
    return [
        Measurement("generator_us_per_request", 1e6 * share.value / rate, share.n, unit="us", conditions=conditions)
    ]


def against_loadgen(home: Path = HERE.parents[1] / ".bench") -> list[Measurement]:
    """Our percentiles over LoadGen's, of one deterministic TCP server; LoadGen is installed at the first use."""
    python = loadgen_python(home / "loadgen")

    async def both() -> dict[str, tuple[LoadRun, dict[str, Any]]]:
        async with serving(by_number) as port:
            theirs = {name: await loadgen(python, name, port) for name in ("SingleStream", "Server")}
            mean = float(np.mean([by_number(k, 0.0) for k in range(LOADGEN_QUERIES)]))
            async with asking(port) as ask:
                single, _ = await single_stream(ask, REQUESTS, LOADGEN_QUERIES * mean)
            async with asking(port) as ask:
                served, _ = await server(ask, REQUESTS, LOADGEN_RPS, 1000.0, rng(), LOADGEN_QUERIES / LOADGEN_RPS)
            return {"SingleStream": (single, theirs["SingleStream"]), "Server": (served, theirs["Server"])}

    return [
        Measurement(
            f"p{share}_over_loadgen",
            ours.find(f"p{share}_ms").value / its["percentiles"][f"p{share}_ms"],
            ours.find(f"p{share}_ms").n,
            where=name,
            conditions={"ours_ms": ours.find(f"p{share}_ms").value, "loadgen_ms": its["percentiles"][f"p{share}_ms"]},
        )
        for name, (ours, its) in asyncio.run(both()).items()
        for share in SHARES
    ]


def mdl_capacity(service_seconds: float, bound_seconds: float, share: float) -> float:
    """The rate at which `share` of the customers of an M/D/1 queue are served within the bound (Erlang 1909)."""
    low, high = 0.0, 1 / service_seconds
    for _ in range(50):
        middle = (low + high) / 2
        inside = mdl_within(middle, service_seconds, bound_seconds) >= share
        low, high = (middle, high) if inside else (low, middle)
    return low


def mdl_within(rate: float, service_seconds: float, bound_seconds: float) -> float:
    """P(wait and service <= bound) of an M/D/1 queue; the terms alternate, so that floats would not do."""
    with localcontext() as exact:
        exact.prec = 60
        each, service = Decimal(rate), Decimal(service_seconds)
        wait = Decimal(bound_seconds) - service
        total = Decimal(0)
        for k in range(int(wait / service) + 1):
            left = each * (wait - k * service)
            total += ((-left) ** k if k else 1) / Decimal(math.factorial(k)) * left.exp()
        return float((1 - each * service) * total)


def one_server(loop: VirtualLoop, service_seconds: float) -> Handler:
    """A queue before one server, first come first served."""
    free_at = 0.0

    async def answer(request: Request) -> Response:
        nonlocal free_at
        free_at = max(free_at, loop.time()) + service_seconds
        await asyncio.sleep(free_at - loop.time())
        return Response(request.id, {})

    return answer


async def instant(request: Request) -> Response:
    """Answers at once."""
    return Response(request.id, {})


async def after_10_ms(request: Request) -> Response:
    """Answers after 10 ms, whatever else it has to do."""
    await asyncio.sleep(0.01)
    return Response(request.id, {})


def stalling(number: int, now: float) -> float:
    """At once, but nothing in the last 2 s of every 10."""
    into = now % PERIOD_SECONDS
    return PERIOD_SECONDS - into if into > PERIOD_SECONDS - STALL_SECONDS else 0.0


def by_number(number: int, now: float) -> float:
    """20 ms for 85 of a hundred numbers, 40 for 12 and 80 for 3, well mixed."""
    place = number * 37 % 100
    return 0.02 if place < 85 else 0.04 if place < 97 else 0.08


@asynccontextmanager
async def serving(latency: Callable[[int, float], float]) -> AsyncIterator[int]:
    """The port of a server to which a line with a number comes, and goes back after `latency(number, second)`."""
    loop = asyncio.get_running_loop()
    started = loop.time()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for line in reader:
            wait = latency(int(line), loop.time() - started)
            if wait:
                loop.call_later(wait, writer.write, line)
            else:
                writer.write(line)
        writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as listening:
        yield listening.sockets[0].getsockname()[1]


@asynccontextmanager
async def asking(port: int) -> AsyncIterator[Handler]:
    """A Handler that asks the server with a number a request, all of them on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    waiting = dict[int, asyncio.Future[None]]()
    numbers = iter(range(10**9))

    async def read() -> None:
        async for line in reader:
            waiting.pop(int(line)).set_result(None)

    async def ask(request: Request) -> Response:
        number = next(numbers)
        waiting[number] = asyncio.get_running_loop().create_future()
        writer.write(b"%d\n" % number)
        await waiting[number]
        return Response(request.id, {})

    reading = asyncio.ensure_future(read())
    try:
        yield ask
    finally:
        writer.close()
        await reading


async def loadgen(python: str, scenario: str, port: int) -> dict[str, Any]:
    """What LoadGen makes of the server on the port, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        program = str(HERE / "loadgen_side.py")
        asked = [program, scenario, str(port), str(LOADGEN_RPS), str(LOADGEN_QUERIES), folder]
        process = await asyncio.create_subprocess_exec(python, *asked, stdout=subprocess.PIPE)
        told, _ = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"LoadGen ended with {process.returncode}; its error is above")
        found: dict[str, Any] = json.loads(told.splitlines()[-1])
        return found


def loadgen_python(folder: Path) -> str:
    """The Python of LoadGen's own virtual environment."""
    python, installed = folder / "bin" / "python", folder / "installed"
    if not (installed.exists() and installed.read_text() == LOADGEN):
        print(f"installing {LOADGEN} into {folder} ...", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", LOADGEN]
        subprocess.run(pip, check=True, stdout=sys.stderr)
        installed.write_text(LOADGEN)
    return str(python)


def rename(found: Measurement, name: str, where: str) -> Measurement:
    """The same number under the name that it is published by."""
    return Measurement(name, found.value, found.n, unit=found.unit, where=Path(where).stem, conditions=found.conditions)


def main() -> None:
    """Measure everything, a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder with traces/AzureLLMInferenceTrace_code_2023.csv")
    data = parser.parse_args().data
    checks = [early_stopping_table, mdl_capacity_error, overload_is_invalid, generator_rate, open_loop_p99_over_stall]
    found = [one for check in (*checks, against_loadgen) for one in check()]
    if data:
        found += trace_cv(data / "traces" / "AzureLLMInferenceTrace_code_2023.csv")
    for one in found:
        print(one, dict(one.conditions))


if __name__ == "__main__":
    main()
