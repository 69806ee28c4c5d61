"""Living: one model's whole life on a compressed clock, through the real server, from its claim to the last rollout."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from roadworthy.cli.caretaker import Caretaker, Trial
from roadworthy.cli.catalogs import catalogs
from roadworthy.cli.experience import Experience
from roadworthy.cli.flows import (
    DAY,
    controller_of,
    handler_of,
    keep_gap,
    measure_gap,
    measured_in_lab,
    prepare,
    read,
    release_model,
)
from roadworthy.cli.incidents import telling
from roadworthy.cli.opening import open_state, registry_of
from roadworthy.cli.profiling import profile_release
from roadworthy.cli.replaying import HOUR, Tally, Traffic, send
from roadworthy.cli.services import Server, Service, over_http
from roadworthy.core.errors import Taken
from roadworthy.core.measure import Measurement
from roadworthy.core.project import read_project
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Spec
from roadworthy.core.stats import auc, calibration_error, log_loss, log_losses, mean
from roadworthy.evaluate.answers import answers
from roadworthy.evaluate.gap import Effort
from roadworthy.evaluate.reports.report import GapReport
from roadworthy.registry.releases import Registry
from roadworthy.ui.report import AlarmLine, Life, Month, RolloutLine, life_page

if TYPE_CHECKING:
    from roadworthy.store.state import State

Floats = NDArray[np.float64]
Step = Callable[[float, str], None]

# A life has other steps that take time: the whole of it is what `roadworthy gap` measures.
QUICK = Effort(severities=(0.5, 1.0), search_seconds=0.0, crowd_rows=100, starts=0)


class Told(NamedTuple):
    """The life as data, the page that it was drawn on, and what went into it."""

    life: Life
    page: Path
    gap: GapReport
    tally: Tally
    as_expected: bool


def live(root: Path, days: float, seed: int) -> Told:
    """Every step of `roadworthy run`, on a fresh state directory."""
    console = Console(stderr=True)
    spec = read_project(root, False, catalogs())
    with stage(console, "prepare"):
        prepare(spec, said_on(console))
    spec = read_project(root, True, catalogs())
    serving = Server(spec).address()
    if serving is not None:
        raise Taken(
            f"a server (pid {serving.pid}) runs on {str(spec.state)!r}, which a life begins afresh: stop it first"
        )
    shutil.rmtree(spec.state, ignore_errors=True)
    with stage(console, "gap report") as step:
        gap = measure_gap(spec, QUICK, say=step)
        page = keep_gap(spec, gap)
    console.print(f"  claim {gap.reproductions[0].outcome}; report: {page}" if gap.reproductions else f"  {page}")
    with open_state(spec) as state:
        traffic = Traffic(read(spec, "production"), spec.signature)
        registry = registry_of(spec, state)
        began = float(traffic.at[0]) - 1
        release, _ = release_model(spec, registry, began, "run", "the lab's model", partial(measured_in_lab, spec))
        profile_release(spec, state, registry, release, began)
        console.print(f"  released {release.name} {release.digest[:12]}")
        caretaker, tally = asyncio.run(_serve_and_replay(spec, state, registry, traffic, days, seed, console))
        with stage(console, "frozen against managed"):
            life = _life(spec, state, registry, release.digest, traffic.sample, caretaker)
    page = spec.state / "report.html"
    page.write_text(life_page(life), encoding="utf-8")
    (spec.state / "life.json").write_bytes(msgspec.json.encode(life))
    return Told(life, page, gap, tally, went_as_expected(gap, caretaker.trials))


async def _serve_and_replay(
    spec: Spec, state: State, registry: Registry, traffic: Traffic, days: float, seed: int, console: Console
) -> tuple[Caretaker, Tally]:
    caretaker = caretaker_of(spec, state, registry, float(traffic.at[0]), seed, said_on(console))
    async with over_http(spec) as service:
        with Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TimeRemainingColumn(), console=console,
        ) as progress:  # fmt: skip
            stop = min(float(traffic.at[-1]) + DAY, caretaker.began + days * DAY)
            task = progress.add_task("replay", total=round((stop - caretaker.began) / DAY))

            def step(now: float, what: str) -> None:
                day = datetime.fromtimestamp(now, UTC)
                progress.update(task, completed=(now - caretaker.began) // DAY, description=f"{day:%-d %b} {what}")

            tally = await live_through(service, traffic, caretaker, stop, step)
    return caretaker, tally


async def live_through(
    service: Service, traffic: Traffic, caretaker: Caretaker, stop: float, step: Step = lambda now, what: None
) -> Tally:
    """Requests in the order of time, outcomes when they became known, and the caretaker's look, over and over."""
    tally, length = Tally(), caretaker.spec.rollout.look_hours * HOUR
    for start in np.arange(caretaker.began, stop, length):
        now = float(min(start + length, stop))
        await send(service.ask, traffic.between(start, now), tally, in_flight=16, patience=service.patience)
        await service.settle()
        report = caretaker.state.records.write_labels(traffic.outcomes(caretaker.began, now))
        tally.labelled += report.kept
        step(now, caretaker.trial.release.name if caretaker.trial else "stable")
        if caretaker.look(now):
            await service.settle()
        if caretaker.finished:
            break
    return tally


def caretaker_of(
    spec: Spec, state: State, registry: Registry, began: float, seed: int, say: Callable[[str], None]
) -> Caretaker:
    """A caretaker with the project's gates and everything that is known so far."""
    controller = controller_of(spec, state, registry, telling(spec, state, registry))
    return Caretaker(spec, state, registry, controller, Experience(spec, state.records), began, seed, say)


def went_as_expected(gap: GapReport, trials: Sequence[Trial]) -> bool:
    """The claim was reproduced, and every scenario ended where it should have."""
    reproduced = all(r.outcome != "not reproduced" for r in gap.reproductions)
    return reproduced and all(ended_as_expected(trial) for trial in trials if trial.scenario)


def ended_as_expected(trial: Trial) -> bool:
    """A scenario that expects to be stopped in shadow, or rolled back in the canary, was."""
    if trial.scenario is None or not trial.scenario.expect:
        return True
    return trial.ended is not None and outcome_of(trial) in trial.scenario.expect


def outcome_of(trial: Trial) -> str:
    """`promoted`, `stopped in shadow`, `rolled back in canary`, `running`: what became of a candidate, in words."""
    if trial.ended is None:
        return "running"
    if trial.ended.status == "promoted":
        return "promoted"
    return "stopped in shadow" if trial.ended.step.mode == "shadow" else "rolled back in canary"


def _life(spec: Spec, state: State, registry: Registry, frozen: str, sample: Sample, caretaker: Caretaker) -> Life:
    """What users were answered, beside what the first release would have answered, on the same rows."""
    managed = {
        r.id: r for r in state.records.read(arms=("stable", "canary", "fallback", "holdback")) if r.label is not None
    }
    rows = np.array([k for k, id in enumerate(sample.ids if sample.ids is not None else ()) if id in managed])
    lived = sample.take(rows)
    first = registry.get(frozen)
    still = answers(handler_of(spec, first, registry.files(first)), lived, spec.signature)
    output = spec.application.output
    given = [managed[id] for id in lived.ids] if lived.ids is not None else []
    answered = np.array([np.nan if r.error else float(r.outputs[output]) for r in given])
    months = tuple(_months(lived, still, answered))
    total = _month("all", lived.labels, still, answered)
    return Life(
        title=f"The life of {spec.application.name}",
        months=months,
        rollouts=tuple(_line(trial) for trial in caretaker.trials),
        alarms=tuple(AlarmLine(a.at, a.detector, a.because) for a in caretaker.alerts if a.status == "raised"),
        headline=headline(lived.labels, still, answered),
        total=total,
        summary=spec.application.meaning,
        note="Frozen is the lab's model, asked about the same rows; managed is what users were really answered.",
        made_at=time.time(),
    )


def headline(labels: Floats | None, frozen: Floats, managed: Floats) -> tuple[Measurement, ...]:
    """The gains of the managed model over the frozen one, on rows that both answered."""
    y, f, m = _answered_by_both(labels, frozen, managed)
    gain = mean("managed_log_loss_gain", log_losses(y, f) - log_losses(y, m), unit="nats")
    ece = msgspec.structs.replace(calibration_error(y, m), name="managed_ece")
    old, new = auc(y, f), auc(y, m)
    # Both areas are of the same rows and hang together; adding the widths as if they did not is the wider interval.
    half = float(np.hypot(new.high - new.value, old.high - old.value))
    value = new.value - old.value
    return gain, ece, Measurement("managed_auc_gain", value, len(y), value - half, value + half)


def _months(lived: Sample, frozen: Floats, managed: Floats) -> Iterator[Month]:
    assert lived.at is not None
    names = np.array([f"{datetime.fromtimestamp(at, UTC):%Y-%m}" for at in lived.at])
    for name in sorted(set(names.tolist())):
        rows = names == name
        labels = None if lived.labels is None else lived.labels[rows]
        if rows.sum() >= 100:
            yield _month(name, labels, frozen[rows], managed[rows])


def _month(name: str, labels: Floats | None, frozen: Floats, managed: Floats) -> Month:
    y, f, m = _answered_by_both(labels, frozen, managed)
    metrics = (auc, calibration_error, log_loss)
    return Month(name, tuple(metric(y, f) for metric in metrics), tuple(metric(y, m) for metric in metrics))


def _answered_by_both(labels: Floats | None, frozen: Floats, managed: Floats) -> tuple[Floats, Floats, Floats]:
    known = np.full(len(frozen), np.nan) if labels is None else labels
    both = ~np.isnan(known) & ~np.isnan(frozen) & ~np.isnan(managed)
    return known[both], frozen[both], managed[both]


def _line(trial: Trial) -> RolloutLine:
    ended = trial.ended
    outcome = outcome_of(trial)
    return RolloutLine(
        at=trial.began_at,
        candidate=trial.release.name,
        stage="" if ended is None else f"{ended.stage + 1} of {len(ended.plan.stages)} ({ended.step.mode})",
        outcome="promoted" if outcome == "promoted" else "running" if ended is None else "rolled back",
        because="" if ended is None else ended.because,
        touched=0 if ended is None else ended.touched,
        digest=trial.release.digest,
        expected=trial.scenario.expect if trial.scenario else "",
    )


def said_on(console: Console) -> Callable[[str], None]:
    """Lines of news, each on one line of the terminal, above the progress bar."""

    def say(line: str) -> None:
        console.print(f"  {line}", highlight=False, overflow="ellipsis", no_wrap=True)

    return say


@contextmanager
def stage(console: Console, name: str) -> Iterator[Callable[[str], None]]:
    """Say what goes on while it goes on, step by step where it is told, and how long it took."""
    started = time.monotonic()
    with console.status(name) as status:
        yield lambda step: status.update(f"{name}: {step}")
    console.print(f"[green]✓[/] {name} ({time.monotonic() - started:.0f} s)")
