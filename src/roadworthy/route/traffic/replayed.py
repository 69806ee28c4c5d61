"""Another rule replayed over recorded traffic: how much it would have escalated, got right and cost, and for whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from msgspec import Struct

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.wire import Datatype, Request, Tensor
from roadworthy.route.routing.contract import GainRouter
from roadworthy.route.traffic.charts import mean_of
from roadworthy.route.traffic.traffic import Flags, Traffic
from roadworthy.route.traffic.values import difference, effective_rows, value

_KINDS: dict[type, Datatype] = {str: "BYTES", bool: "BOOL", int: "INT64"}

Rule = Callable[[Traffic], Flags]


class Replayed(Struct, frozen=True, omit_defaults=True):
    """What a rule would have done. `as_was` is what the recorded rule did; `against` are differences to it, and to
    asking one model alone; `segments` the quality and the share of the strong model, segment by segment."""

    rule: str
    rows: int
    effective_rows: float
    strong_share: Measurement
    quality: Measurement
    usd_per_row: Measurement
    as_was: tuple[Measurement, ...]
    against: tuple[Measurement, ...]
    segments: tuple[Measurement, ...]
    verdict: Verdict


def replayed(traffic: Traffic, rule: Rule, name: str, margin: float = 0.01, least: int = 30) -> Replayed:
    """`rule` over recorded traffic; it passes where it is at most `margin` worse than what was recorded, surely.

    Segments of fewer than `least` rows are left out.
    """
    chosen, was = rule(traffic), traffic.wanted
    everyone, nobody = np.ones(traffic.n, bool), np.zeros(traffic.n, bool)
    against = (
        difference(traffic, chosen, was, where="recorded rule"),
        difference(traffic, chosen, everyone, where=f"{traffic.strong} alone"),
        difference(traffic, chosen, nobody, where=f"{traffic.weak} alone"),
        difference(traffic, chosen, was, "usd", where="recorded rule"),
    )
    return Replayed(
        name,
        traffic.n,
        effective_rows(traffic, chosen),
        share_of(traffic, chosen),
        value(traffic, chosen),
        value(traffic, chosen, outcome="usd"),
        (share_of(traffic, was), value(traffic, was), value(traffic, was, outcome="usd")),
        against,
        tuple(_by_segment(traffic, chosen, least)),
        judged(against[0], margin),
    )


def judged(against: Measurement, margin: float) -> Verdict:
    """Is a rule no worse than another by more than `margin`?"""
    said = f"{against} (positive is better)"
    if against.n == 0 or against.low != against.low:
        return Verdict("wait", "no row tells whether either was right", "quality", (against,))
    if against.low >= -margin:
        return Verdict("pass", f"{said}: not worse by {margin:g}", "quality", (against,))
    decision: Literal["fail", "wait"] = "fail" if against.high < -margin else "wait"
    return Verdict(decision, f"{said}: margin {margin:g}", "quality", (against,))


def rule_of(router: GainRouter) -> Rule:
    """The rule of a fitted router: it is asked about every row as it would be on the request path.

    Hand in the `Router` itself: a guarded one, which `load` gives, would count the replay into its watch.
    """

    def rule(traffic: Traffic) -> Flags:
        tags = traffic.tags or [{}] * traffic.n
        found = (router.gain(request_of(*row)) for row in zip(traffic.inputs, tags, strict=True))
        return np.array([gain.odd or gain.gain >= gain.threshold for gain in found], bool)

    return rule


def at_gain(threshold: float | Mapping[str, float]) -> Rule:
    """The recorded gains against other thresholds, one for all or one a segment ("" for the rest)."""

    def rule(traffic: Traffic) -> Flags:
        if isinstance(threshold, Mapping):
            bars = np.array([threshold.get(segment, threshold.get("", np.inf)) for segment in traffic.segments])
        else:
            bars = np.full(traffic.n, threshold)
        # A row of which no gain was written was odd, and is the strong model's.
        return np.asarray(~(traffic.gains < bars), bool)

    return rule


def request_of(inputs: Mapping[str, Any], tags: Mapping[str, str] | None = None) -> Request:
    """A recorded row as a request of one row."""
    return Request("replayed", {name: _tensor(name, value) for name, value in inputs.items()}, 0.0, tags=tags or {})


def share_of(traffic: Traffic, rule: Flags, where: str = "") -> Measurement:
    """The share of the rows that a rule gives to the strong model, neighbours taken together."""
    return mean_of("strong_share", rule.astype(np.float64), traffic.requests, traffic.at, where)


def _by_segment(traffic: Traffic, rule: Flags, least: int) -> list[Measurement]:
    found = []
    for segment in sorted(set(traffic.segments.tolist()) - {""}):
        rows = traffic.segments == segment
        if int(rows.sum()) >= least:
            part = traffic.take(np.asarray(rows, bool))
            chosen = rule[rows]
            found += [share_of(part, chosen, segment), value(part, chosen, where=segment)]
            found.append(difference(part, chosen, np.ones(part.n, bool), where=segment))
    return found


def _tensor(name: str, value: Any) -> Tensor:
    values = list(value) if isinstance(value, list | tuple | np.ndarray) else [value]
    known = next((type(one) for one in values if one is not None), float)
    return Tensor(name, _KINDS.get(known, "FP32"), (1, len(values)), values)
