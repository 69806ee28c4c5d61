"""Recording and alerting rules for Prometheus, generated from a project file.

The scrape job must be named as the application (`scrape_config` writes it). An objective for a tag is left out: the
server's counters know no tags, and Roadworthy watches it by itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import yaml

from roadworthy.core.spec import Slo, Spec

# So often may chance look like a burn to a service that just keeps to its budget, at each look and window.
CHANCE = 1e-6
# A burn no faster than the budget allows is never told from chance; then this many are asked for.
MOST_BAD = 100


class Burn(NamedTuple):
    """One alert on the speed at which a budget burns: `share` of it within the long window.

    The short window ends the alert soon after the burning does (Beyer et al., The Site Reliability Workbook, 2018,
    chapter 5: 2 % in an hour and 5 % in 6 hours page, 10 % in a day and in 3 days are a ticket). The first is ours: a
    burst need not wait for the hour to fill.
    """

    share: float
    long: str
    short: str
    hours: float
    severity: str

    def times(self, slo: Slo) -> float:
        """How many times faster than evenly over its days the budget must burn."""
        return self.share * slo.days * 24 / self.hours

    def least_bad(self, slo: Slo) -> int:
        """So few bad requests in the long window page nobody: of 20 requests in a quiet night one may fail.

        By Chernoff's bound a Poisson count reaches k, `times` its mean, with at most exp(-k (ln times - 1 + 1/times)).
        """
        times = self.times(slo)
        each = math.log(times) - 1 + 1 / times if times > 1 else 0.0
        return min(MOST_BAD, math.ceil(-math.log(CHANCE) / each)) if each else MOST_BAD


BURNS = (
    Burn(1 / 150, "10m", "2m", 1 / 6, "page"),
    Burn(0.02, "1h", "5m", 1.0, "page"),
    Burn(0.05, "6h", "30m", 6.0, "page"),
    Burn(0.10, "1d", "2h", 24.0, "ticket"),
    Burn(0.10, "3d", "6h", 72.0, "ticket"),
)
WINDOWS = tuple(dict.fromkeys(window for burn in BURNS for window in (burn.short, burn.long)))


def rules(spec: Spec) -> bytes:
    """The rules as YAML, for `rule_files` of Prometheus."""
    job = spec.application.name
    groups = [
        {"name": f"roadworthy-{job}-record", "interval": "30s", "rules": _recorded(spec)},
        {"name": f"roadworthy-{job}-slo", "rules": [a for slo in native_slos(spec) for a in _burning(spec, slo)]},
        {"name": f"roadworthy-{job}", "rules": _troubles(spec)},
    ]
    head = f"# Made by Roadworthy from the project file of {job!r}: make them again after changing it.\n"
    return (head + yaml.safe_dump({"groups": [g for g in groups if g["rules"]]}, sort_keys=False, width=1000)).encode()


def scrape_config(spec: Spec, target: str) -> bytes:
    """What Prometheus needs to find the server: `target` is the host and port of the operator's listener."""
    job = {"job_name": spec.application.name, "static_configs": [{"targets": [target]}]}
    return yaml.safe_dump({"scrape_configs": [job]}, sort_keys=False).encode()


def native_slos(spec: Spec) -> list[Slo]:
    """The objectives that the server's counters can tell."""
    return [slo for slo in spec.monitor.slos if not slo.where]


def quoted(text: str) -> str:
    """A label's value in PromQL."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _recorded(spec: Spec) -> list[dict[str, Any]]:
    job = quoted(spec.application.name)
    made = []
    for window in WINDOWS if native_slos(spec) else ():
        good, asked = (f"increase(roadworthy_slo_{what}_total{{job={job}}}[{window}])" for what in ("good", "requests"))
        made.append(_record(f"roadworthy:slo_bad:increase{window}", f"sum by (job, slo) ({asked} - {good})"))
        bad = f"roadworthy:slo_bad:increase{window}{{job={job}}}"
        made.append(_record(f"roadworthy:slo_bad:ratio{window}", f"{bad} / (sum by (job, slo) ({asked}) > 0)"))
    buckets = f"rate(roadworthy_request_seconds_bucket{{job={job}}}[5m])"
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        expr = f"histogram_quantile({share}, sum by (job, release, arm, stage, le) ({buckets}))"
        made.append(_record(f"roadworthy:request_seconds:{name}_5m", expr))
    made.append(_record("roadworthy:requests:rate5m", f"sum by (job, release, arm) ({_rate(job)})"))
    return made


def _rate(job: str, window: str = "5m", offset: str = "") -> str:
    return f"rate(roadworthy_requests_total{{job={job}}}[{window}]{offset})"


def _burning(spec: Spec, slo: Slo) -> list[dict[str, Any]]:
    made, job = [], quoted(spec.application.name)
    labels = f"{{job={job}, slo={quoted(slo.name)}}}"
    for burn in BURNS:
        bound = f"{burn.times(slo):.6g} * {1 - slo.at_least:.6g}"
        if burn.times(slo) * (1 - slo.at_least) >= 1:
            continue  # even with every request failing a share cannot be above 1
        expr = (
            f"roadworthy:slo_bad:ratio{burn.long}{labels} > {bound}"
            f" and roadworthy:slo_bad:ratio{burn.short}{labels} > {bound}"
            f" and roadworthy:slo_bad:increase{burn.long}{labels} >= {burn.least_bad(slo)}"
        )
        told = (
            f"{slo.name}: {{{{ $value | humanizePercentage }}}} of the requests of the last {burn.long} missed it;"
            f" at this speed {100 * burn.share:.2g} % of the budget of {slo.days:g} days go in {burn.long}"
        )
        name = "RoadworthyBudgetBurns"
        made.append(_alert(spec, name, expr, told, burn.severity, {"slo": slo.name, "window": burn.long}))
    return made


def _troubles(spec: Spec) -> list[dict[str, Any]]:
    job = quoted(spec.application.name)
    of = f"{{job={job}}}"
    waiting = f"sum by (job, instance, release) (roadworthy_queue_rows{of})"
    found = (
        ("NoData", f"absent(roadworthy_ready{of})", "nothing was scraped: is the server gone?", "page", "5m"),
        ("NotReady", f"roadworthy_ready{of} == 0", "it takes no new callers", "page", "5m"),
        (
            "NoTraffic",
            f"sum by (job) ({_rate(job, '15m')}) == 0 and sum by (job) ({_rate(job, '15m', ' offset 1w')}) > 0",
            "nobody has asked for a quarter of an hour; a week ago somebody did",
            "ticket",
            "15m",
        ),
        (
            "QueueFull",
            f"{waiting} > 0.8 * sum by (job, instance, release) (roadworthy_queue_limit_rows{of})",
            "rows wait in more than four fifths of the queue",
            "page",
            "5m",
        ),
        (
            "Sheds",
            f"sum by (job) (rate(roadworthy_shed_total{of}[5m])) > 0.01 * sum by (job) ({_rate(job)})",
            "more than 1 % of the requests are turned away",
            "ticket",
            "10m",
        ),
        ("ModelHangs", f'increase(roadworthy_model_calls_total{{job={job}, end="hung"}}[15m]) > 0', "", "ticket", ""),
        ("LogLoses", f"increase(roadworthy_log_dropped_total{of}[10m]) > 0", "records were dropped", "page", ""),
        (
            "LogRefuses",
            f'sum by (job) (increase(roadworthy_requests_total{{job={job}, outcome="StoreError"}}[10m])) > 0',
            "requests fail because the log cannot keep them: is the disk full?",
            "page",
            "",
        ),
        (
            "SegmentCorrupt",
            f'roadworthy_log_segments{{job={job}, of="corrupt"}} > 0',
            "a sealed file of the log is damaged",
            "ticket",
            "",
        ),
        ("ShipmentBehind", f"roadworthy_ship_seconds_behind{of} > 1800", "records wait to be shipped", "ticket", "5m"),
        ("TracesBehind", f"roadworthy_traces_lag_rows{of} > 1e5", "the trace collector is away", "ticket", "30m"),
        (
            "SpansRefused",
            f"increase(roadworthy_spans_refused_total{of}[1h]) > 0",
            "the collector says no",
            "ticket",
            "",
        ),
        ("Alarm", f"roadworthy_alerts_open{of} > 0", "{{ $labels.of }} has raised an alarm", "ticket", ""),
        (
            "NobodyWatches",
            f"time() - max by (job) (roadworthy_watched_timestamp_seconds{of}) > 3600",
            "no detector has looked for an hour; what the gauges say is old",
            "ticket",
            "5m",
        ),
        ("SeriesLeftOut", f"sum by (job) (roadworthy_series_left_out{of}) > 0", "too many labels", "ticket", "1h"),
    )
    return [_alert(spec, f"Roadworthy{name}", expr, told, level, {}, wait) for name, expr, told, level, wait in found]


def _record(name: str, expr: str) -> dict[str, Any]:
    return {"record": name, "expr": expr}


def _alert(
    spec: Spec, name: str, expr: str, told: str, severity: str, labels: Mapping[str, str], wait: str = ""
) -> dict[str, Any]:
    summary = f"{spec.application.name}: {told or 'the model did not return from a call'}"
    notes = {"summary": summary}
    if spec.monitor.runbook:
        notes["runbook_url"] = spec.monitor.runbook + name
    if spec.application.owner:
        labels = {**labels, "owner": spec.application.owner}
    lasting = {"for": wait} if wait else {}
    return {"alert": name, "expr": expr, **lasting, "labels": {"severity": severity, **labels}, "annotations": notes}
