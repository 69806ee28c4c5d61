"""The plan of a rollout for people to read in a terminal: stages, signals, exposures and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from roadworthy.core.measure import Measurement
from roadworthy.rollout.planning.rollout_plan import Exposure, Fits, RolloutPlan, SignalPlan, StagePlan

_STYLES: Mapping[Fits, str] = {"fits": "green", "shown before": "green", "short": "yellow", "not known": "yellow"}
_SAID: Mapping[Fits, str] = {"short": "longer"}


def plan_text(plan: RolloutPlan) -> RenderableType:
    """Everything that was planned, in the order in which one decides whether to start."""
    parts: list[RenderableType] = [_heading(plan)]
    for k, stage in enumerate(plan.stages, 1):
        parts += ["", *_stage(k, stage, plan)]
    if plan.exposures:
        parts += ["", Text("A bad candidate", "bold"), _points(map(_exposure, plan.exposures))]
    if plan.warnings:
        parts += ["", Text("Beware", "bold"), _points((warning, "yellow") for warning in plan.warnings)]
    return Group(*parts)


def hours_text(hours: float) -> str:
    """A stretch of time as one says it.

    >>> hours_text(0.25), hours_text(7.2), hours_text(60), hours_text(1000)
    ('15 min', '7.2 h', '2.5 days', '42 days')
    """
    if hours < 1:
        return f"{60 * hours:.0f} min"
    return f"{hours:.3g} h" if hours < 48 else f"{hours / 24:.2g} days" if hours < 240 else f"{hours / 24:,.0f} days"


def effect_text(effect: Measurement) -> str:
    """The smallest change that a gate notices.

    >>> effect_text(Measurement("error_rate_excess", 0.021)), effect_text(Measurement("latency", 12.0, unit="ms"))
    ('error rate excess 0.021', 'latency 12 ms')
    """
    unit = "" if effect.unit in ("1", "nats") else f" {effect.unit}"
    return f"{effect.name.replace('_', ' ')} {effect.value:.2g}{unit}"


def _heading(plan: RolloutPlan) -> Text:
    if plan.likely_hours is None:
        lasts = f"at least {hours_text(plan.floor_hours)}, and it is not known how long it will take"
    else:
        lasts = f"about {hours_text(plan.likely_hours)}, at least {hours_text(plan.floor_hours)}"
    most, least = max(plan.hourly), min(plan.hourly)
    labels = (
        f"{plan.labels_an_hour:,.3g} labels an hour, known after {hours_text(plan.label_delay_hours)}"
        f" (90 % after {hours_text(plan.label_delay_90_hours)})"
        if plan.labels_an_hour
        else "no labels"
    )
    return Text.assemble(
        ("Until promotion: ", "bold"), f"{lasts}.\n",
        ("Good releases rolled back: ", "bold"), f"at most {100 * plan.false_rollback:.2g} of 100.\n",
        ("Traffic: ", "bold"), f"{plan.requests_an_hour:,.3g} requests an hour ({least:,.3g} to {most:,.3g} by the hour"
        f" of the day), {labels}; from {plan.rows:,} requests over {hours_text(plan.span_hours)}.",
    )  # fmt: skip


def _stage(number: int, stage: StagePlan, plan: RolloutPlan) -> list[RenderableType]:
    zone = ZoneInfo(plan.timezone)
    begins = datetime.fromtimestamp(plan.starts_at, zone) + timedelta(hours=stage.begins_hours)
    likely = "its end not known" if stage.likely_hours is None else f"likely {hours_text(stage.likely_hours)}"
    bounds = f"at least {hours_text(stage.hours)}, at most {hours_text(stage.at_most_hours)}"
    answered = "sees" if stage.mode == "shadow" else "answers"
    labels = f" and {stage.labels:,.0f} labels come" if stage.labels else ""
    said = f"From {begins:%a %-d %b %H:%M}, {likely} ({bounds}). In its least hours the candidate {answered}"
    facts = Text(f"{said} {stage.requests:,.0f} requests{labels}.{_effects(stage)}")
    inside: list[RenderableType] = [facts, _signals(stage)]
    return [Text(f"{number} {stage.name}", "bold"), Padding(Group(*inside), (0, 0, 0, 2))]


def _effects(stage: StagePlan) -> str:
    seen = [f"{effect_text(s.effect)} ({s.signal})" for s in stage.signals if s.effect is not None]
    return f" It would notice: {', '.join(seen)}." if seen else ""


def _signals(stage: StagePlan) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name in ("signal", "may", "requests", "labels", "hours", "in time"):
        right = name in ("requests", "labels", "hours")
        table.add_column(name, justify="right" if right else "left", no_wrap=name != "signal", overflow="fold")
    for signal in stage.signals:
        fits = Text(_SAID.get(signal.fits, signal.fits), _STYLES.get(signal.fits, "red"))
        table.add_row(signal.signal, signal.may, *_needs(signal), fits)
    return table


def _needs(signal: SignalPlan) -> tuple[str, str, str]:
    if signal.fits == "shown before":
        return "", "", ""
    asked, labels = ("–" if n is None else f"{n:,.0f}" if n else "" for n in (signal.requests, signal.labels))
    return asked, labels, "–" if signal.hours is None else hours_text(signal.hours)


def _exposure(found: Exposure) -> tuple[str, str]:
    """A sentence and its style."""
    before = f"{found.shadow} stops it in the shadow; without that " if found.shadow else ""
    if not found.stage:
        said = f"no gate stops it in the rows replayed; in the least hours it answers {found.requests:,.0f} requests."
        return f"{found.harm}: {before}{said}", "yellow" if found.shadow else "red"
    told = f"{found.signal} stops it in {found.stage} after about {found.requests:,.0f} answers"
    return f"{found.harm}: {before}{told}, and up to {found.until_look:,.0f} more until the next look.", ""


def _points(points: Iterable[tuple[str, str]]) -> Table:
    """Sentences one below the other, each with a point before it."""
    grid = Table.grid(padding=(0, 1))
    for words, style in points:
        grid.add_row(" ", Text("•", style), Text(words))
    return grid
