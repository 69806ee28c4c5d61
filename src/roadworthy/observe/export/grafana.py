"""A Grafana dashboard for a deployment, generated from its project file as the JSON that Grafana imports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import msgspec

from roadworthy.core.spec import Spec
from roadworthy.observe.export.prometheus_rules import BURNS, native_slos, quoted

# Grafana 8 and later read this layout.
SCHEMA_VERSION = 39
COLUMNS = 24
SOURCE = {"type": "prometheus", "uid": "${source}"}
OF = '{job="$job"}'
ON = '{job="$job", release=~"$release"}'


@dataclass(frozen=True)
class Panel:
    """A chart or a number: its queries by legend. `width` is in 24ths of the page."""

    title: str
    queries: Mapping[str, str]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    meaning: str = ""
    stacked: bool = False
    steps: Sequence[tuple[str, float | None]] = ()


def dashboard(spec: Spec) -> bytes:
    """The dashboard: an overview, then stages, errors, arms, queue, cache, budgets, drift, and the log itself."""
    job = spec.application.name
    document = {
        "uid": "roadworthy-" + blake2b(job.encode(), digest_size=8).hexdigest(),
        "title": f"Roadworthy: {job}",
        "description": spec.application.meaning,
        "tags": ["roadworthy"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "utc",
        "annotations": {"list": list(_annotations())},
        "templating": {"list": _variables(job)},
        "panels": _placed(_rows(spec)),
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _variables(job: str) -> list[dict[str, Any]]:
    chosen = {"selected": True, "text": job, "value": job}
    return [
        {"name": "source", "type": "datasource", "query": "prometheus", "label": "Data source"},
        {"name": "job", "type": "textbox", "label": "Deployment", "query": job, "current": chosen},
        {
            "name": "release",
            "type": "query",
            "label": "Release",
            "datasource": SOURCE,
            "query": {"query": 'label_values(roadworthy_requests_total{job="$job"}, release)', "refId": "release"},
            "refresh": 2,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        },
    ]


def _annotations() -> Iterator[dict[str, Any]]:
    """What Prometheus and Roadworthy alert about, and where a release came or went, as marks on every chart."""
    marks = (
        ("Alerts", 'ALERTS{job="$job", alertstate="firing"}', "red", "{{alertname}} {{slo}}"),
        ("Alarms", f"roadworthy_alerts_open{OF} > 0", "orange", "{{of}}"),
        ("Releases", f"changes(roadworthy_models_loaded{OF}[2m]) > 0", "blue", "a model was loaded or let go"),
    )
    for name, expr, colour, text in marks:
        yield {
            "name": name,
            "enable": True,
            "datasource": SOURCE,
            "expr": expr,
            "iconColor": colour,
            "titleFormat": text,
            "step": "60s",
        }


def _rows(spec: Spec) -> Iterator[tuple[str, Sequence[Panel]]]:
    yield "Overview", _overview()
    yield "Latency", [_latency(stage) for stage in ("total", "queue", "model")]
    yield "Traffic and errors", _traffic()
    yield "Queue and batches", _queue()
    yield "Cache", _cache()
    if native_slos(spec):
        yield "Error budgets", _budgets(spec)
    yield "Drift and quality", _drift()
    yield "Log and traces", _log()


def _overview() -> list[Panel]:
    requests = f"rate(roadworthy_requests_total{ON}[5m])"
    failed = 'rate(roadworthy_requests_total{job="$job", release=~"$release", outcome!~"answer|fallback"}[5m])'
    total = 'rate(roadworthy_request_seconds_bucket{job="$job", release=~"$release", arm!="shadow", stage="total"}[5m])'
    good, bad = (("green", None), ("red", 1.0)), (("red", None), ("green", 1.0))
    return [
        Panel("Ready", {"": f"min(roadworthy_ready{OF})"}, kind="stat", width=4, steps=bad),
        Panel("Requests a second", {"": f"sum({requests})"}, "reqps", "stat", 4),
        Panel("Share that failed", {"": f"sum({failed}) / sum({requests})"}, "percentunit", "stat", 4),
        Panel("p99", {"": f"histogram_quantile(0.99, sum by (le) ({total}))"}, "s", "stat", 4),
        Panel("Rows waiting", {"": f"sum(roadworthy_queue_rows{ON})"}, kind="stat", width=4),
        Panel("Alarms", {"": f"sum(roadworthy_alerts_open{OF}) or vector(0)"}, kind="stat", width=4, steps=good),
    ]


def _latency(stage: str) -> Panel:
    chosen = f'{{job="$job", release=~"$release", arm!="shadow", stage="{stage}"}}'
    buckets = f"sum by (le, release) (rate(roadworthy_request_seconds_bucket{chosen}[5m]))"
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
    queries = {f"{name} {{{{release}}}}": f"histogram_quantile({q}, {buckets})" for name, q in shares.items()}
    return Panel(f"{stage.capitalize()}", queries, "s", meaning=f"Percentiles of the stage {stage!r}, answers only.")


def _traffic() -> list[Panel]:
    by = "roadworthy_requests_total"
    failed = f'{by}{{job="$job", release=~"$release", outcome!~"answer|fallback"}}'
    spare = f'{by}{{job="$job", release=~"$release", outcome="fallback"}}'
    share = f"sum by (release) (rate({spare}[5m])) / sum by (release) (rate({by}{ON}[5m]))"
    return [
        Panel("Requests by arm", {"{{arm}} {{release}}": f"sum by (arm, release) (rate({by}{ON}[5m]))"}, "reqps"),
        Panel("Errors by kind", {"{{outcome}}": f"sum by (outcome) (rate({failed}[5m]))"}, "reqps", stacked=True),
        Panel("Share answered by a fallback", {"{{release}}": share}, "percentunit"),
        Panel("Rows a second", {"{{arm}}": f"sum by (arm) (rate(roadworthy_rows_total{ON}[5m]))"}, "short"),
        Panel(
            "Requests in flight", {"in flight": f"roadworthy_in_flight{OF}", "clients": f"roadworthy_connections{OF}"}
        ),
        Panel(
            "Process",
            {"CPUs": f"rate(process_cpu_seconds_total{OF}[5m])", "GiB": f"process_resident_memory_bytes{OF} / 2^30"},
        ),
    ]


def _queue() -> list[Panel]:
    rows, batches, buckets = (f"rate(roadworthy_batch_rows_{part}{ON}[5m])" for part in ("sum", "count", "bucket"))
    return [
        Panel(
            "Rows waiting, and how many may",
            {"priority {{priority}}": f"roadworthy_queue_rows{ON}", "limit": f"roadworthy_queue_limit_rows{ON}"},
        ),
        Panel("Turned away", {"{{reason}}": f"sum by (reason) (rate(roadworthy_shed_total{ON}[5m]))"}, "reqps"),
        Panel(
            "Rows of a batch",
            {
                "mean": f"sum({rows}) / sum({batches})",
                "p95": f"histogram_quantile(0.95, sum by (le) ({buckets}))",
            },
        ),
        Panel("Calls of the model", {"{{end}}": f"sum by (end) (rate(roadworthy_model_calls_total{ON}[5m]))"}, "ops"),
    ]


def _cache() -> list[Panel]:
    # Both ends are there only once a release has a cache.
    return [
        Panel("Share from the cache", {"{{release}}": f"roadworthy_cache_hit_share{ON}"}, "percentunit", width=12),
        Panel("Bytes held", {"{{release}}": f"roadworthy_cache_bytes{ON}"}, "bytes", width=12),
    ]


def _budgets(spec: Spec) -> list[Panel]:
    panels = []
    for slo in native_slos(spec):
        chosen = f'{{job="$job", slo={quoted(slo.name)}}}'
        asked, good = (f"increase(roadworthy_slo_{what}_total{chosen}[{slo.days:g}d])" for what in ("requests", "good"))
        left = f"1 - (sum({asked}) - sum({good})) / sum({asked}) / {1 - slo.at_least:.6g}"
        within = f" within {slo.within_ms:g} ms" if slo.within_ms else ""
        meaning = f"{slo.at_least:.4%} answered{within}, over {slo.days:g} days"
        panels.append(Panel(f"{slo.name}: budget left", {"": left}, "percentunit", "stat", 6, meaning))
        burning = {
            f"{burn.long} (alert at {burn.times(slo):.3g})": f"{_bad(chosen, burn.long)} / {1 - slo.at_least:.6g}"
            for burn in BURNS[1:3]
        }
        panels.append(Panel(f"{slo.name}: speed of burning", burning, width=18, meaning=meaning))
    return panels


def _bad(chosen: str, window: str) -> str:
    asked, good = (f"sum(increase(roadworthy_slo_{what}_total{chosen}[{window}]))" for what in ("requests", "good"))
    return f"({asked} - {good}) / {asked}"


def _drift() -> list[Panel]:
    return [
        Panel("Alarms that are on", {"{{of}} {{where}}": f"roadworthy_alerts_open{OF}"}, width=6),
        Panel("Drift by column", {"{{of}} {{where}}": f"topk(10, roadworthy_drift_effect{OF})"}, width=9),
        Panel(
            "Quality, with its interval",
            {
                "{{of}} {{where}}": f"roadworthy_quality{OF}",
                "{{of}} {{where}} at least": f"roadworthy_quality_low{OF}",
                "{{of}} {{where}} at most": f"roadworthy_quality_high{OF}",
            },
            width=9,
        ),
        Panel("Faults in texts", {"{{of}} {{where}}": f"roadworthy_text_health{OF}"}, "percentunit", width=12),
        Panel(
            "Seconds since anybody looked",
            {"{{of}}": f"time() - roadworthy_watched_timestamp_seconds{OF}"},
            "s",
            width=12,
        ),
    ]


def _log() -> list[Panel]:
    return [
        Panel("Records", {"{{of}}": f"roadworthy_log_rows{OF}", "files, {{of}}": f"roadworthy_log_segments{OF}"}),
        Panel(
            "Waiting to leave",
            {"traces": f"roadworthy_traces_lag_rows{OF}", "shipment": f"roadworthy_ship_rows_behind{OF}"},
        ),
        Panel(
            "Lost or refused in an hour",
            {
                "records dropped": f"increase(roadworthy_log_dropped_total{OF}[1h])",
                "spans refused": f"increase(roadworthy_spans_refused_total{OF}[1h])",
                "traces beyond the cap": f"increase(roadworthy_traces_left_out_total{OF}[1h])",
                "alerts undelivered": f"increase(roadworthy_alerts_undelivered_total{OF}[1h])",
            },
        ),
    ]


def _placed(rows: Iterator[tuple[str, Sequence[Panel]]]) -> list[dict[str, Any]]:
    """Panels from left to right, in rows of 24 columns under their headings."""
    placed: list[dict[str, Any]] = []
    y = 0
    for title, panels in rows:
        placed.append(_heading(title, len(placed) + 1, y))
        x, y, height = 0, y + 1, 0
        for panel in panels:
            if x + panel.width > COLUMNS:
                x, y, height = 0, y + height, 0
            tall = 4 if panel.kind == "stat" and panel.width == 4 else 8
            place = {"x": x, "y": y, "w": panel.width, "h": tall}
            placed.append(_panel(panel, len(placed) + 1, place))
            x, height = x + panel.width, max(height, tall)
        y += height
    return placed


def _heading(title: str, number: int, y: int) -> dict[str, Any]:
    place = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
    return {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}


def _panel(panel: Panel, number: int, place: Mapping[str, int]) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + k), "datasource": SOURCE, "expr": expr, "legendFormat": legend}
        for k, (legend, expr) in enumerate(panel.queries.items())
    ]
    drawn = {"custom": {"fillOpacity": 30, "stacking": {"mode": "normal", "group": "A"}}} if panel.stacked else {}
    steps = [{"color": colour, "value": value} for colour, value in panel.steps]
    shown = {"thresholds": {"mode": "absolute", "steps": steps}} if steps else {}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.meaning,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, **drawn, **shown}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}} if panel.kind == "timeseries" else {},
        "targets": targets,
    }
