"""An alert in words: a headline, plain text, and HTML with its cause table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from roadworthy.observe.alert import Alert, CauseTable

MOST_ROWS = 10


def headline(alert: Alert) -> str:
    """One line, as a subject."""
    sign = {"raised": "ALARM", "again": "STILL ON", "acknowledged": "SEEN", "resolved": "OVER"}[alert.status]
    return f"[{alert.severity}] {sign} {alert.key}{f' ({alert.where})' if alert.where else ''}"


def alert_text(alert: Alert) -> str:
    """The whole alert as plain lines."""
    lines = [str(alert), *(f"  {name:<10} {value}" for name, value in _facts(alert))]
    return "\n".join([*lines, *_cause_lines(alert.cause)])


def alert_html(alert: Alert) -> str:
    """The whole alert as a small page."""
    rows = [f"<tr><th align=left>{escape(name)}</th><td>{_linked(value)}</td></tr>" for name, value in _facts(alert)]
    told = f"<h3>{escape(headline(alert))}</h3><p>{escape(alert.because)}</p>"
    return f"{told}<table>{''.join(rows)}</table>{_cause_html(alert.cause)}"


def alerts_text(alerts: Sequence[Alert]) -> str:
    """A line for each alert, as a list of open alarms."""
    if not alerts:
        return "no alarm is on"
    return "\n".join(
        f"{alert.severity:<6} {alert.detector:<28} since {_time(alert.first_at)}  {_state(alert):<12} {alert.because}"
        for alert in alerts
    )


def _state(alert: Alert) -> str:
    if alert.silenced:
        return f"silenced {alert.silenced}"
    if alert.grouped_under:
        return "grouped"
    return "acknowledged" if alert.acknowledged_by else "told"


def _facts(alert: Alert) -> list[tuple[str, str]]:
    found = [
        ("severity", alert.severity),
        ("since", _time(alert.first_at)),
        ("release", alert.release[:12]),
        ("where", alert.where),
        ("also", ", ".join(alert.also)),
        ("seen by", alert.acknowledged_by),
        ("runbook", alert.runbook),
    ]
    return [(name, value) for name, value in found if value]


def _cause_lines(cause: CauseTable | None) -> list[str]:
    if cause is None:
        return []
    table = [cause.columns, *cause.rows[:MOST_ROWS]]
    widths = [max(len(row[k]) for row in table if k < len(row)) for k in range(len(cause.columns))]
    rows = ["  " + "  ".join(f"{part:<{width}}" for part, width in zip(row, widths, strict=False)) for row in table]
    return [f"  cause      {cause.summary}", *(rows if cause.columns else [])]


def _cause_html(cause: CauseTable | None) -> str:
    if cause is None:
        return ""
    head = "".join(f"<th align=left>{escape(name)}</th>" for name in cause.columns)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(part)}</td>' for part in row)}</tr>" for row in cause.rows[:MOST_ROWS])
    return f"<p>{escape(cause.summary)}</p><table border=1 cellpadding=4><tr>{head}</tr>{rows}</table>"


def _linked(value: str) -> str:
    safe = escape(value, quote=True)
    return f'<a href="{safe}">{safe}</a>' if value.startswith(("http://", "https://")) else safe


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(sep=" ", timespec="minutes").replace("+00:00", " UTC")
