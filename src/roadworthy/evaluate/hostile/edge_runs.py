"""Asks a Handler about every case at the edge, and says what became of it and of the ordinary rows around it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Signature
from roadworthy.core.stats import nothing
from roadworthy.core.wire import Handler
from roadworthy.evaluate.base import Case, Edge
from roadworthy.evaluate.hostile.neighbours import Neighbours, alike
from roadworthy.evaluate.hostile.printable import printable
from roadworthy.evaluate.hostile.probe import Reply

Outcome = Literal["answered", "refused", "crashed", "hung", "not finite", "harmed neighbours", "not asked"]

_RIGHT: dict[str, tuple[Outcome, ...]] = {
    "answer": ("answered",),
    "refuse": ("refused",),
    "either": ("answered", "refused"),
}


class EdgeRun(Struct, frozen=True):
    """What became of one case. `because` and `excerpt` are safe to print; `handled` says whether it was right."""

    edge: str
    case: str
    right: Literal["answer", "refuse", "either"]
    outcome: Outcome
    handled: bool
    because: str = ""
    excerpt: str = ""


class EdgeReport(Struct, frozen=True):
    """All that happened at the edge: shares, how often each outcome came, and the list of what was wrong.

    `measured` holds `edges_handled`, the share of the cases handled rightly, for everything and for each edge
    (`where`). The cases are a list and no sample of one, so a share is exact; cases that could not be asked widen it.
    `repeatable` is False where ordinary rows are answered differently each time: harm then shows as failures only.
    """

    measured: tuple[Measurement, ...]
    outcomes: dict[str, int]
    wrong: tuple[EdgeRun, ...]
    repeatable: bool = True


@dataclass(frozen=True)
class EdgeEffort:
    """A case has `seconds` for its answer, `neighbours` ordinary rows are asked around it; `seed` is of all chance."""

    seconds: float = 10.0
    neighbours: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.seconds <= 0 or self.neighbours < 1:
            raise ValueError(
                f"`seconds` must be above 0 and `neighbours` at least 1, got {self.seconds!r} and {self.neighbours!r}"
            )


async def ask_edges(
    handler: Handler,
    sample: Sample,
    signature: Signature,
    edges: Mapping[str, Edge],
    effort: EdgeEffort | None = None,
    tell: Callable[[str], None] = lambda step: None,
) -> EdgeReport:
    """Each case alone, then among ordinary rows in one request, then beside ordinary callers at the same moment.

    `edges` maps the name that a person knows an edge by to the edge; `sample` is ordinary rows. A case that is not
    answered in time is given up and the rest goes on, unless ordinary rows are not answered any more either: then the
    rest is `not asked`, for blame would fall on the innocent. A handler that blocks the event loop cannot be given up.
    Raises BadData where ordinary rows are not answered to begin with.
    """
    effort = effort or EdgeEffort()
    if not sample.n:
        return EdgeReport((nothing("edges_handled"),), {}, ())
    rng, usual = np.random.default_rng(effort.seed), _Usual(sample)
    drawn = np.sort(rng.choice(sample.n, min(sample.n, effort.neighbours), replace=False))
    around = await Neighbours(handler, signature, effort.seconds, sample.take(drawn)).met()
    runs: list[EdgeRun] = []
    lost_at = ""
    for name, edge in edges.items():
        tell(name)
        for case in edge(sample, rng):
            run = _run(name, case, usual, *await _asked(case, around, lost_at))
            runs.append(run)
            if not lost_at and run.outcome not in ("answered", "refused", "not asked") and not await around.live():
                lost_at = f"{name}, {case.name}"
    return _report(runs, tuple(edges), around.repeatable)


async def _asked(case: Case, around: Neighbours, lost_at: str) -> tuple[Outcome, str, str]:
    """The outcome, its reason, and what is wrong with it even where the outcome is right."""
    if lost_at:
        return "not asked", f"ordinary rows got no answer any more after {lost_at}", ""
    if case.rows.ids is not None and len(set(case.rows.ids)) < case.rows.n:
        return await _under_one_id(case.rows, around)
    alone = await around.ask(case.rows, "edge")
    if alone.fate in ("hung", "not asked"):
        return alone.fate, alone.because, alone.fault
    beside = await around.harmed_beside(case.rows)
    if beside:
        return "harmed neighbours", beside, beside
    fate, harm = await around.harmed_in_one_request(case.rows) if alone.fate != "refused" else ("answered", "")
    if fate in ("answered", "not finite") and harm:
        return "harmed neighbours", harm, harm
    if alone.fate == "answered" and fate in ("crashed", "hung"):
        told = f"alone it is answered, among ordinary rows not: {harm}"
        return fate, told, told
    return alone.fate, alone.because, alone.fault


async def _under_one_id(rows: Sample, around: Neighbours) -> tuple[Outcome, str, str]:
    """Every row as a caller of its own, at the same moment and under the same id: who gets whose answer?"""
    callers = [rows.take(slice(k, k + 1)) for k in range(rows.n)]
    own = [await around.ask(row, f"own-{k}") for k, row in enumerate(callers)]
    shared: list[Reply] = await asyncio.gather(*(around.ask(row, str(rows.ids[0])) for row in callers))  # type: ignore[index]
    for reply in shared:
        if reply.fate not in ("answered", "refused"):
            return reply.fate, reply.because, reply.because
    swapped = any(r.fate == "answered" and not alike(o.rows, r.rows) for o, r in zip(own, shared, strict=True))
    if swapped and around.repeatable:
        told = "two callers used one id, and one of them got another answer than for its own row"
        return "harmed neighbours", told, told
    return shared[0].fate, shared[0].because, shared[0].fault


def _run(name: str, case: Case, usual: _Usual, outcome: Outcome, because: str, fault: str) -> EdgeRun:
    right = outcome in _RIGHT[case.right]
    if not right and outcome == "answered":
        because = "it was answered, and has to be refused"
    told = fault or because
    return EdgeRun(name, case.name, case.right, outcome, right and not fault, told, usual.excerpt(case))


class _Usual:
    """What the columns of ordinary rows hold, to tell what of a case is not ordinary."""

    def __init__(self, sample: Sample, most_rows: int = 10_000) -> None:
        rows = sample.take(slice(0, most_rows))
        self._held = {name: {_key(value) for value in values} for name, values in rows.columns.items()}

    def excerpt(self, case: Case) -> str:
        """The values that no ordinary row has, for a person to read."""
        odd = [f"no {name}" for name in self._held if name not in case.rows.columns]
        for name, values in case.rows.columns.items():
            held = self._held.get(name, set())
            odd += [f"{name}={_shown(value)}" for value in values[:3] if _key(value) not in held]
        return printable("; ".join(odd) or f"{case.rows.n} ordinary rows", 400)


def _key(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tobytes()
    return "NaN" if value != value else value


def _shown(value: Any) -> str:
    """Long values are cut here, so that the next one still has its place."""
    if isinstance(value, np.ndarray):
        return _shown_vector(value)
    text = value if isinstance(value, str) else repr(value.item() if isinstance(value, np.generic) else value)
    return f"“{printable(text)}”" if isinstance(value, str) else text


def _shown_vector(values: NDArray[Any]) -> str:
    head = ", ".join(f"{value:g}" for value in values[:4])
    return f"[{head}, ...] ({len(values)} values)" if len(values) > 4 else f"[{head}]"


def _report(runs: Sequence[EdgeRun], edges: Sequence[str], repeatable: bool) -> EdgeReport:
    parts = [("", runs), *((name, [run for run in runs if run.edge == name]) for name in edges)]
    return EdgeReport(
        tuple(_share(part, where) for where, part in parts if part or not where),
        dict(Counter(run.outcome for run in runs).most_common()),
        tuple(run for run in runs if not run.handled),
        repeatable,
    )


def _share(runs: Sequence[EdgeRun], where: str) -> Measurement:
    unasked = sum(run.outcome == "not asked" for run in runs)
    asked, handled = len(runs) - unasked, sum(run.handled for run in runs)
    if not asked:
        return nothing("edges_handled", where=where)
    low, high = handled / len(runs), (handled + unasked) / len(runs)
    return Measurement("edges_handled", handled / asked, asked, low, high, where=where)
