"""The arithmetic: medians over the rounds with their range, and ratios taken round by round."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from roadworthy.core.measure import Measurement
from serving.rounds import Results, Sample

MOST = 64
UNITS = {"cpu_us": "us", "rps": "rps", "p50_ms": "ms", "p99_ms": "ms"}


def measured(
    name: str, values: Sequence[float], unit: str, where: str = "", conditions: Mapping[str, Any] | None = None
) -> Measurement:
    """The median of one value a round, with the range of them."""
    told = {"interval": "range over rounds", **(conditions or {})}
    if not values:
        return Measurement(name, unit=unit, where=where, conditions=told)
    return Measurement(name, statistics.median(values), len(values), min(values), max(values), unit, where, told)


def details(results: Results, ours: str, peers: Sequence[str]) -> list[Measurement]:
    """Everything that was measured, what each peer is to ours, and who was absent and why."""
    return [
        *_ceilings(results),
        *_everything(results),
        *_times(results, ours, peers),
        *_still(results),
        *(
            Measurement("absent", where=f"{model}/{name}", conditions={"because": why})
            for (model, name), why in results.absent.items()
        ),
    ]


def headline(results: Results, ours: str, peers: Sequence[str], conditions: Mapping[str, Any]) -> list[Measurement]:
    """What the issue asks for. A figure whose parts were not measured has no value and n=0."""

    def cpu(model: str, name: str) -> list[float]:
        return _column(results, model, name, MOST, "cpu_us")

    def p50(name: str) -> list[float]:
        return _column(results, "small", name, 1, "p50_ms")

    large, small = best(peers, lambda peer: cpu("large", peer)), best(peers, lambda peer: cpu("small", peer))
    quick = best(peers, p50)
    at_most, alone = {"connections": MOST, **conditions}, {"connections": 1, **conditions}
    shares = ratios(results.ceilings.get("large", ()), cpu("large", ours))
    dearer = ratios(cpu("large", large), cpu("large", ours)), ratios(cpu("small", small), cpu("small", ours))
    return [
        measured("large_share_of_ceiling", shares, "1", conditions=at_most),
        measured("large_times_best_peer", dearer[0], "1", conditions={"best_peer": large, **at_most}),
        measured("small_times_best_peer_cpu", dearer[1], "1", conditions={"best_peer": small, **at_most}),
        measured("small_cpu_us_per_request", cpu("small", ours), "us", conditions=at_most),
        measured("small_p50_times_best_peer", ratios(p50(ours), p50(quick)), "1", "", {"best_peer": quick, **alone}),
    ]


def best(names: Sequence[str], values: Any) -> str:
    """The name with the least median of `values(name)`; "" where none has values."""
    medians = {name: statistics.median(values(name)) for name in names if values(name)}
    return min(medians, key=lambda name: medians[name], default="")


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """One ratio a round, of two things that were measured in the same minute."""
    return [a / b for a, b in zip(above, below, strict=False) if b and math.isfinite(b)]


def _column(results: Results, model: str, name: str, connections: int, quantity: str) -> list[float]:
    if (model, name) in results.absent:
        return []
    return [getattr(sample, quantity) for sample in results.samples.get((model, name, connections), ())]


def _ceilings(results: Results) -> list[Measurement]:
    conditions = {"rows": MOST}
    return [
        measured("ceiling_cpu_us_per_row", values, "us", model, conditions)
        for model, values in results.ceilings.items()
    ]


def _everything(results: Results) -> list[Measurement]:
    found = []
    for (model, name, connections), samples in results.samples.items():
        if (model, name) not in results.absent:
            found += [_quantity(quantity, samples, f"{model}/{name}/{connections}") for quantity in UNITS]
    return found


def _quantity(quantity: str, samples: Sequence[Sample], where: str) -> Measurement:
    values = [getattr(sample, quantity) for sample in samples]
    name = "cpu_us_per_request" if quantity == "cpu_us" else quantity
    return measured(name, values, UNITS[quantity], where, {"requests": sum(sample.requests for sample in samples)})


def _times(results: Results, ours: str, peers: Sequence[str]) -> list[Measurement]:
    """How many times our CPU a peer takes, and our median latency as a part of the peer's, at every load."""
    found = []
    for model, name, n in results.samples:
        if name in peers and (model, name) not in results.absent:
            cpu, p50 = (
                [_column(results, model, who, n, quantity) for who in (name, ours)] for quantity in ("cpu_us", "p50_ms")
            )
            where = f"{model}/{name}/{n}"
            found.append(measured("peer_times_our_cpu", ratios(*cpu), "1", where))
            found.append(measured("our_p50_to_peer", ratios(p50[1], p50[0]), "1", where))
    return found


def _still(results: Results) -> list[Measurement]:
    found = []
    for (model, name), still in results.still.items():
        where = f"{model}/{name}"
        found += [
            Measurement("idle_share_of_core", still.idle_share, 1, where=where),
            Measurement("rss", still.usage.rss_mib, 1, unit="MiB", where=where),
            Measurement("pss", still.usage.pss_mib, 1, unit="MiB", where=where),
            Measurement("start", still.start_seconds, 1, unit="s", where=where),
        ]
    return found
