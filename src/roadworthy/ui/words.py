"""Words turns numbers, times and metric names into what a person reads. It decides nothing."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

from roadworthy.core.measure import Measurement

METRICS = {
    "auc": "AUC",
    "ece": "Calibration error",
    "log_loss": "Log loss",
    "accuracy": "Accuracy",
    "base_rate": "Base rate",
    "p50_ms": "Latency p50",
    "p95_ms": "Latency p95",
    "p99_ms": "Latency p99",
    "error_rate": "Error rate",
    "throughput_rps": "Throughput",
    "capacity_rps": "Capacity",
    "usd_per_1k": "Cost per 1,000",
    "usd_per_row": "US dollars a row",
    "brier": "Brier score",
    "aurc": "AURC",
    "excess_aurc": "Excess AURC",
    "error_auroc": "Error AUROC",
    "mae": "Mean absolute error",
    "rmse": "Root mean square error",
    "r2": "R²",
    "macro_f1": "Macro F1",
    "token_f1": "Token F1",
    "max_rate_rps": "Largest rate that meets the SLO",
    "lag_p99_ms": "Generator's lag p99",
    "client_cpu_share": "Generator's CPU share",
    "rss_idle": "Memory idle",
    "rss_peak": "Memory at its peak",
    "rss_slope": "Memory growth",
    "rss_per_1k": "Memory growth per 1,000 requests",
    "ready_ms": "Ready after",
    "edges_handled": "Edge cases handled",
    "ks": "Kolmogorov-Smirnov distance",
    "js": "Jensen-Shannon distance",
    "quality_under_load": "Quality under load",
}
_BYTES = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))
UNKNOWN = "–"


def metric_name(name: str) -> str:
    """`log_loss` as "Log loss"; an unknown name with its underscores as spaces, first letter upper.

    >>> metric_name("managed_log_loss_gain")
    'Managed log loss gain'
    """
    percentile = re.fullmatch(r"(?:single_stream_|multi_stream_)?p(\d\d)(\d?)_ms", name)
    if percentile:
        return f"Latency p{percentile[1]}{'.' + percentile[2] if percentile[2] else ''}"
    return METRICS.get(name, name.replace("_", " ").capitalize().replace("auc", "AUC").replace(" ece", " ECE"))


def number(value: float, unit: str = "1") -> str:
    """A value with the digits that its size deserves, and its unit.

    >>> number(0.71149), number(12.345, "ms"), number(0.00000239, "usd"), number(4200, "rps"), number(float("nan"))
    ('0.711', '12.3 ms', '$0.0000024', '4,200 rps', '–')
    """
    if math.isnan(value):
        return UNKNOWN
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if unit == "usd":
        return f"{'−' if value < 0 else ''}${_cents(abs(value))}"
    if unit.startswith("bytes"):
        return _bytes(value) + unit.removeprefix("bytes")
    return _digits(value) + ("" if unit in ("1", "nats") else f" {unit}")


def signed(value: float, unit: str = "1") -> str:
    """A change, always with its sign.

    >>> signed(0.0266), signed(-0.05)
    ('+0.027', '−0.050')
    """
    return number(value, unit) if value < 0 or math.isnan(value) else f"+{number(value, unit)}"


def interval(m: Measurement) -> str:
    """The bounds in brackets; open ones as infinite, nothing where nothing is known or doubted.

    >>> interval(Measurement("auc", 0.7, 10, 0.61234, 0.8))
    '[0.612, 0.800]'
    """
    if math.isnan(m.value) or (math.isinf(m.low) and math.isinf(m.high)) or m.low == m.high:
        return ""
    if m.unit == "usd" or m.unit.startswith("bytes"):
        return f"[{number(m.low, m.unit)}, {number(m.high, m.unit)}]"
    return f"[{number(m.low)}, {number(m.high)}]"


def moment(at: float) -> str:
    """Unix seconds as a day and time in UTC.

    >>> moment(1370000000)
    '31 May 2013, 11:33'
    """
    return f"{datetime.fromtimestamp(at, UTC):%-d %B %Y, %H:%M}" if at else UNKNOWN


def month_name(name: str) -> str:
    """`2013-05` as "May"; whatever is no month stays as it is.

    >>> month_name("2013-05"), month_name("all")
    ('May', 'all')
    """
    try:
        return f"{datetime.strptime(name, '%Y-%m').replace(tzinfo=UTC):%b}"
    except ValueError:
        return name


def count(n: int, noun: str) -> str:
    """A number of things, with thousands apart.

    >>> count(1, "request"), count(12345, "row")
    ('1 request', '12,345 rows')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def p_value(p: float) -> str:
    """A p-value without false precision.

    >>> p_value(0.0300), p_value(1e-9)
    ('0.030', '< 0.001')
    """
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def percent(share: float) -> str:
    """A share of things as a percentage.

    >>> percent(0.3512), percent(0.004), percent(1.0), percent(float("nan"))
    ('35 %', '0.4 %', '100 %', '–')
    """
    if not math.isfinite(share):
        return UNKNOWN
    digits = 1 if 0 < abs(share) < 0.0995 or 0.9005 < abs(share) < 1 else 0
    return f"{100 * share:.{digits}f} %".replace("-", "−")


def level(severity: float) -> str:
    """A severity of 0 to 1 as one of the five levels, where it is one.

    >>> level(0.4), level(1.0), level(0.5)
    ('2', '5', '2.5')
    """
    return f"{round(5 * severity, 3):g}"


def visible(text: str) -> str:
    """The text without what HTML forbids or a reader cannot see: controls, lone surrogates, changes of direction."""
    return "".join(c if _is_plain(c) else f"\\u{ord(c):04x}" for c in text)


def _digits(value: float) -> str:
    size = abs(value)
    if 1e-6 <= size < 0.01:
        digits = 1 - math.floor(math.log10(size))
    else:
        digits = 3 if size < 1.5 else 0 if value == round(value) or size >= 100 else 2 if size < 10 else 1
    return f"{value:,.{digits}f}".replace("-", "−")


def _bytes(value: float) -> str:
    for unit, size in _BYTES:
        if abs(value) >= size:
            return f"{_digits(value / size)} {unit}"
    return f"{value:,.0f} B".replace("-", "−")


def _cents(value: float) -> str:
    """Two digits after the point, or as many as a small price needs to show two that count."""
    digits = 2 if value >= 0.1 or value == 0 else 1 - math.floor(math.log10(value))
    return f"{value:,.{digits}f}"


def _is_plain(c: str) -> bool:
    code = ord(c)
    if code < 0x20 or 0x7F <= code < 0xA0:
        return c in "\n\t"
    return not (0xD800 <= code <= 0xDFFF or 0x202A <= code <= 0x202E or 0x2066 <= code <= 0x2069)
