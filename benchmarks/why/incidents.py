"""Incidents: windows cut from the base log and put together again, row by row as they were recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from msgspec.structs import replace
from recording import Part

from roadworthy.observe.root_cause.change_log import Change
from roadworthy.observe.root_cause.host import HostSample
from roadworthy.observe.root_cause.metric_rows import METRICS, Metric, measure
from roadworthy.observe.root_cause.why import Stretches

KINDS = ("slow slice", "slow release", "lost cache", "long inputs", "mix shift", "noisy host")
CAUSE_KINDS = {
    "slow slice": "slice",
    "slow release": "release",
    "lost cache": "cache",
    "long inputs": "inputs",
    "mix shift": "mix",
    "noisy host": "host",
}
# Three o'clock in the morning of some day.
THREE = 1_793_847_600.0
# A window is an incident where a metric rose by this much, as an alert would have it.
ROSE = 1.25
# A baseline is of the quiet scenes that were recorded nearest to the window.
NEAR = 9
# Tasks for each core that want to run beyond those of the baseline, while nothing of ours makes them.
DISTURBED = 0.4
LATENCIES = ("mean", "p95", "p99")
# People rename their tenants: the values of a tag are dealt out anew for each incident.
NAMES = ("acme", "birch", "cobalt", "delta", "ember", "fjord", "grove", "heron")


@dataclass(frozen=True)
class Incident:
    """Two frames, when they are from, and what a diagnosis should say: a kind of cause and what it names."""

    kind: str
    what: str
    metric: str
    now: pl.DataFrame
    before: pl.DataFrame
    when: Stretches
    host: tuple[HostSample, ...]
    changes: tuple[Change, ...]
    onset: float
    strength: float


def incidents(parts: Sequence[Part], many: int, rng: np.random.Generator) -> Iterator[Incident]:
    """So many incidents, each kind as often as the others."""
    made = tried = 0
    while made < many and tried < 50 * many:
        tried += 1
        kind = KINDS[made % len(KINDS)]
        faulty = [k for k, part in enumerate(parts) if part.scene.kind == kind]
        incident = _cut(int(rng.choice(faulty)), parts, rng)
        if incident is not None:
            made += 1
            yield incident


def controls(parts: Sequence[Part], many: int, rng: np.random.Generator) -> Iterator[Incident]:
    """Windows in which nothing was injected, asked about in the same way."""
    quiet = [k for k, part in enumerate(parts) if part.scene.kind == "quiet"]
    made = 0
    for _ in range(50 * many):
        near = _nearest(parts, int(rng.choice(quiet)), "quiet")
        metric = str(rng.choice(LATENCIES))
        found = _joined("control", "", metric, near[1:], near[:1], None, 0.0, rng)
        if made < many and not _disturbed(found):
            made += 1
            yield found


def _nearest(parts: Sequence[Part], place: int, kind: str) -> list[Part]:
    """The quiet scenes that were recorded nearest to one, the nearest first."""
    quiet = [k for k, part in enumerate(parts) if part.scene.kind == kind]
    return [parts[k] for k in sorted(quiet, key=lambda k: (abs(k - place), k))[:NEAR]]


def _cut(place: int, parts: Sequence[Part], rng: np.random.Generator) -> Incident | None:
    """A window that begins quietly and then holds a stretch of the faulty rows; None where no metric rose by it.

    Other work on the machine comes and goes: the metric must have risen against the quiet scenes next to it, too, and
    the machine must not have been busier by it.
    """
    faulty = parts[place]
    near = _nearest(parts, place, "quiet canary" if faulty.scene.canary == "second" else "quiet")
    calm = int(rng.integers(len(near)))
    ours, theirs = [near[calm]], [*near[:calm], *near[calm + 1 :]]
    share, rows = float(rng.uniform(0.5, 1.0)), faulty.rows
    begin = int(rng.integers(0, max(1, int(rows.height * (1 - share)) + 1)))
    stretch = replace_rows(faulty, rows.slice(begin, int(rows.height * share)))
    calm_share = float(rng.uniform(0.0, 0.5))
    for metric in rng.permutation(LATENCIES).tolist():
        own = _value(metric, stretch.rows)
        found = _joined(faulty.scene.kind, faulty.scene.where, metric, theirs, ours, stretch, calm_share, rng)
        if faulty.scene.kind != "noisy host" and _disturbed(found):
            return None
        if found.strength >= ROSE and all(own >= ROSE * _value(metric, part.rows) for part in near[:2]):
            return found
    return None


def _disturbed(incident: Incident) -> bool:
    """Did work that is not the benchmark's come upon the machine in this very window? Then two things happened."""
    late = [s.runnable for s in incident.host if s.at >= incident.onset and s.runnable is not None]
    before = [s.runnable for s in incident.host if s.at < THREE and s.runnable is not None]
    return bool(late and before and np.mean(late) > np.mean(before) + DISTURBED)


def _value(metric: str, frame: pl.DataFrame) -> float:
    return measure(_known(metric), frame["seconds.total"].to_numpy().astype(np.float64)).value


def _joined(
    kind: str,
    what: str,
    metric: str,
    theirs: Sequence[Part],
    ours: Sequence[Part],
    faulty: Part | None,
    calm_share: float,
    rng: np.random.Generator,
) -> Incident:
    """Baseline rows from 02:00 on, the window from 03:00 on: quiet rows first, then those of the fault."""
    names = dict(zip(NAMES, rng.permutation(NAMES).tolist(), strict=True))
    before, host, _ = _laid_out(theirs, THREE - 3600.0)
    calm = list(ours) if faulty is None else list(_first(ours, round(calm_share * faulty.rows.height)))
    now, host_now, starts = _laid_out([*calm, *([faulty] if faulty else [])], THREE)
    until = float(now["at"].to_numpy().max()) + 1.0
    last = float(before["at"].to_numpy().max()) + 1.0
    when = Stretches(THREE, until, ((THREE - 3600.0, last),), "the quiet minutes before")
    onset = starts[-1]
    strength = _value(metric, now) / _value(metric, before)
    release = now["release"][-1] if faulty is not None and faulty.scene.canary == "slow" else ""
    return Incident(
        kind,
        _renamed(what, names),
        metric,
        _with_names(now, names),
        _with_names(before, names),
        when,
        (*host, *host_now),
        tuple(_changes(kind, str(release), onset, until, rng)),
        onset,
        strength,
    )


def _known(metric: str) -> Metric:
    return next(known for known in METRICS if known == metric)


def _laid_out(parts: Sequence[Part], since: float) -> tuple[pl.DataFrame, list[HostSample], list[float]]:
    """The rows one part after the other, each with the pace that it had, and the machine's samples beside them."""
    frames, host, starts, at = [], [], [], since
    for part in parts:
        moments = part.rows["at"].to_numpy()
        first, last = float(moments.min()), float(moments.max())
        frames.append(part.rows.with_columns(pl.Series("at", moments - first + at)))
        host += [replace(s, at=s.at - first + at) for s in part.host if first <= s.at <= last + 0.5]
        starts.append(at)
        at += last - first + 0.6
    return pl.concat(frames, how="diagonal_relaxed"), host, starts


def _first(parts: Sequence[Part], rows: int) -> Iterator[Part]:
    """So many rows of these parts, and no more parts than that takes."""
    for part in parts:
        if rows > 0:
            yield replace_rows(part, part.rows.head(rows))
            rows -= part.rows.height


def replace_rows(part: Part, rows: pl.DataFrame) -> Part:
    """The same scene with some of its rows."""
    return Part(part.scene, rows, part.host)


def _with_names(frame: pl.DataFrame, names: Mapping[str, str]) -> pl.DataFrame:
    return frame.with_columns(pl.col("tags.tenant").replace(names))


def _renamed(what: str, names: Mapping[str, str]) -> str:
    parts = [part.partition("=") for part in what.split(" & ")]
    return " & ".join(f"{n}{eq}{names[v] if n == 'tenant' else v}" for n, eq, v in parts)


def _changes(kind: str, release: str, onset: float, until: float, rng: np.random.Generator) -> Iterator[Change]:
    """What else happened, at times of no meaning; and the canary's start, where there was one."""
    for _ in range(int(rng.integers(1, 4))):
        at = float(rng.uniform(THREE - 3000.0, until))
        yield Change(at, "labels", f"{int(rng.integers(10, 900))} labels were joined")
    if rng.random() < 0.5:
        yield Change(float(rng.uniform(THREE - 3000.0, until)), "settings", "settings: log.keep_days from 30.0 to 90.0")
    if rng.random() < 0.5:
        yield Change(float(rng.uniform(THREE - 3000.0, until)), "loaded", "third was loaded in 0.3 s", "third")
    if kind == "slow release" and release:
        yield Change(onset - 1.0, "rollout", f"rollout of {release}: started, now canary 30%", release)


def is_right(incident: Incident, kind: str, what: str, aliases: Sequence[str]) -> bool:
    """The right kind, and the very slice; for inputs that are longer, the right input."""
    if kind != CAUSE_KINDS[incident.kind]:
        return False
    if incident.kind == "long inputs":
        return what.startswith("text length>")
    same = (what, *aliases)
    return any(set(each.split(" & ")) == set(incident.what.split(" & ")) for each in same)
