"""The laws of rules: they wait on nothing, keep calm in calm weeks, are loud in trouble, and are pure.

Each check raises AssertionError with a sentence. `check_rule` runs them all, in about a second.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from roadworthy.core.measure import Verdict
from roadworthy.core.sketch import cells_of, write_many
from roadworthy.observe.base import Rule
from roadworthy.observe.counts.rollups import Columns, Series, Sketched
from roadworthy.observe.counts.tally import HOUR
from roadworthy.testing.leaves import check_no_global_chance, example_of

# A Monday, 00:00 UTC; six weeks are known before it.
NOW = 1_700_438_400.0
WEEKS, WEEK = 6, 168
TROUBLES = ("errors", "slow", "dear", "odd", "silent")


def check_rule(leaf: type) -> None:
    """All of the laws, on what the class method `example` of a rule makes, else on all settings at their default."""
    made: Rule = example_of(leaf, leaf, "a rule")
    check_says_who_it_is(made)
    check_waits_on_nothing(made)
    check_is_calm(made)
    check_is_loud(made)
    check_is_pure(made)


def check_says_who_it_is(made: Rule) -> None:
    """A rule says how bad its alarms are (`severity`), how far back it looks (`days`), and what they are called."""
    severity, days = getattr(made, "severity", None), getattr(made, "days", None)
    title = getattr(made, "title", "")
    assert severity in ("page", "ticket"), f"{made!r} must have a `severity`, page or ticket, has {severity!r}"
    looks = isinstance(days, int | float) and 0 < days <= 400
    assert looks, f"{made!r} must say in `days` how far back it looks, says {days!r}"
    assert title, f"{made!r} must have a `title`, by which its alarms are told apart"


def check_waits_on_nothing(made: Rule) -> None:
    """Without a minute there is nothing to say: neither `pass` nor `fail`, nor an error."""
    empty = Series(NOW - 3600, NOW, np.zeros(0, np.int64), np.zeros(0, np.int64))
    verdict = _asked(made, empty, NOW, "no minutes at all")
    assert verdict.decision == "wait", f"{made!r} must wait on nothing, said {verdict.decision!r}"


def check_is_calm(made: Rule, looks: int = 8) -> None:
    """In weeks of one habit, bursty as traffic is, it does not alarm; nor where a single request failed at night."""
    for seed in range(looks):
        verdict = _asked(made, weeks(seed), NOW, "calm weeks")
        assert verdict.decision != "fail", f"{made!r} alarms in calm weeks: {verdict.because}"
        assert verdict.because, f"{made!r} gives no reason for {verdict.decision!r}"
    one = Series(
        NOW - 60, NOW, _ints([NOW - 60]), _ints([60]), {"requests": np.array([3.0]), "failed": np.array([1.0])}
    )
    verdict = _asked(made, one, NOW, "one failure of three")
    assert verdict.decision != "fail", f"{made!r} alarms on one failure of three requests: {verdict.because}"


def check_is_loud(made: Rule) -> None:
    """One trouble at least makes it alarm, with evidence: errors, slowness, cost, odd answers, or nobody asking."""
    said = {what: _asked(made, weeks(100, what), NOW, what) for what in TROUBLES}
    loud = [verdict for verdict in said.values() if verdict.decision == "fail"]
    assert loud, f"{made!r} alarms in no trouble: { {what: v.because for what, v in said.items()} }"
    assert all(v.evidence for v in loud), f"{made!r} alarms without evidence: a Measurement for what is wrong"


def check_is_pure(made: Rule) -> None:
    """The same minutes give the same verdict, and are left as they were."""
    series = weeks.__wrapped__(101, "errors")  # one of its own, which others do not see changed
    before = {name: column.copy() for name, column in series.counts.items()}
    first, again = made(series, NOW), made(series, NOW)
    assert first == again, f"{made!r} says {first.decision!r} and then {again.decision!r} of the same minutes"
    same = all(np.array_equal(before[name], column) for name, column in series.counts.items())
    assert same, f"{made!r} changed the minutes that it was given"
    check_no_global_chance(made, lambda: made(series, NOW))


@cache
def weeks(seed: int, trouble: str = "") -> Series:
    """Six weeks of hours and a last day of minutes of a made-up service; the trouble is in its last three hours.

    `errors`: a third fails. `slow`: ten times as slow. `dear`: fifty times the cost. `odd`: other answers. `silent`:
    nobody asks. The shift is in the last four days as well for `slow`, `dear` and `odd`, at a fifth of that.
    """
    rng = np.random.default_rng(seed)
    spans = np.array([HOUR] * (WEEKS * WEEK - 24) + [60] * 1440)
    at = (NOW - WEEKS * WEEK * HOUR + np.concatenate([[0], np.cumsum(spans)[:-1]])).astype(np.int64)
    hour = at % 86_400 / HOUR
    mean = (1 + np.sin(hour / 24 * 2 * math.pi)) * 40 + 40
    requests = rng.poisson(rng.gamma(20, mean / 20) * spans / 60).astype(np.float64)
    late, creeping = at >= NOW - 3 * HOUR, at >= NOW - 96 * HOUR
    requests[late] *= trouble != "silent"
    failed = rng.binomial(requests.astype(int), np.where(late & (trouble == "errors"), 0.33, 2e-4)).astype(np.float64)
    level = np.where(late, 1.0, np.where(creeping, 0.2, 0.0))
    usd = requests * 2e-4 * (1 + 50 * level * (trouble == "dear"))
    output = 0.3 + 0.3 * level * (trouble == "odd") + rng.normal(0, 0.01, len(at))
    numbers = {
        "usd": Columns(requests, usd, usd**2 / np.maximum(requests, 1) * 1.1),
        "outputs.probability": Columns(requests, requests * output, requests * output**2),
    }
    slow = np.exp(rng.normal(math.log(0.05), 0.05, len(at)) + math.log(10) * level * (trouble == "slow"))
    has = np.flatnonzero(requests)
    cells = cells_of(slow[has, None] * _SHAPE)
    owner, one = np.repeat(np.arange(len(has)), len(_SHAPE)), np.ones_like(cells)
    bodies = write_many(owner, cells, one, len(has))
    counts = {"requests": requests, "rows": requests, "failed": failed, "errors.RuntimeError": failed}
    return Series(float(at[0]), NOW, at, spans, counts, numbers, {"total": Sketched(has, bodies)})


# Far enough apart for a cell each.
_SHAPE = np.exp(np.linspace(-1.0, 1.0, 25))


def _ints(values: list[float]) -> Any:
    return np.array(values, np.int64)


def _asked(made: Rule, series: Series, now: float, what: str) -> Verdict:
    try:
        return made(series, now)
    except Exception as wrong:
        raise AssertionError(f"{made!r} raises {wrong!r} on {what}") from wrong
