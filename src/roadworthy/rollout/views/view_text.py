"""The view of a rollout for a terminal: traffic, stages, evidence against its bounds, what is left, what happened."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from roadworthy.core.measure import Measurement
from roadworthy.rollout.planning.plan_text import hours_text
from roadworthy.rollout.views.bars import PLAIN, Signs, course_line, evidence_bar, interval_bar, marks_of, shares_bar
from roadworthy.rollout.views.view import Left, SignalView, StageView, Step, View

_STATUS = {"running": "bold cyan", "promoted": "bold green", "rolled_back": "bold red", "aborted": "bold yellow"}
_DECISIONS: Mapping[str | None, tuple[str, str, str]] = {
    "pass": ("✓", "+", "green"),
    "fail": ("✕", "x", "red"),
    "wait": ("…", "~", "yellow"),
    None: ("·", ".", "dim"),
}
_STAGES: Mapping[str, tuple[str, str, str]] = {
    "done": ("✓", "+", "green"),
    "running": ("▶", ">", "bold cyan"),
    "paused": ("‖", "=", "bold yellow"),
    "stopped": ("✕", "x", "red"),
    "to come": ("·", ".", "dim"),
    "not reached": ("·", ".", "dim"),
}
_MAY = {"promote": "must pass", "block": "may stop it", "advise": "advises"}
_NUMBERS, _NAMES, _LEAST_BAR = 28, 22, 12


@dataclass(frozen=True)
class ViewText:
    """The view as wide as the terminal, or `width`. Signs differ as well as colours do, and plain ASCII will do."""

    view: View
    width: int = 0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = min(self.width or options.max_width, options.max_width)
        drawn = _Drawn(self.view, width, options.ascii_only)
        for part in drawn.parts():
            yield from console.render(part, options.update_width(width))


@dataclass(frozen=True)
class _Drawn:
    view: View
    width: int
    plain: bool

    @property
    def signs(self) -> Signs:
        return PLAIN if self.plain else Signs()

    @property
    def bar(self) -> int:
        """The letters of a bar between a name and its numbers."""
        return max(_LEAST_BAR, min(60, self.width - _NAMES - _NUMBERS - 4))

    def parts(self) -> Iterator[RenderableType]:
        yield self.heading()
        yield ""
        yield self.traffic()
        yield ""
        yield self.stages()
        for signal in self.view.signals:
            yield ""
            yield from self.signal(signal)
        if any(_drawable(m) for s in self.view.signals for m in s.evidence):
            yield ""
            yield self.legend()
        yield ""
        yield from self.ending()

    def heading(self) -> Text:
        view = self.view
        status = "paused" if view.paused else view.status.replace("_", " ")
        about = f"candidate {view.candidate[:12]} against {view.control[:12]}"
        head = Text.assemble(
            (f"{view.deployment}  ", "bold"), (status, "bold yellow" if view.paused else _STATUS[view.status]),
            f"  {about}\n", (f"rollout {view.id}, started {self.clock(view.started_at)} by {view.by}", "dim"),
        )  # fmt: skip
        for told, style in ((view.paused, "yellow"), (view.problem, "red")):
            if told:
                head.append(f"\n{'Paused' if told == view.paused else 'The gates cannot be asked'}: {told}", style)
        return head

    def traffic(self) -> Table:
        view, grid = self.view, _grid(9)
        stable, candidate = view.traffic
        bar = shares_bar([(stable.share, "dim"), (candidate.share, "cyan")], self.bar, self.signs)
        of = f" of {view.where}" if view.where else ""
        told = f"stable {_percent(stable.share)}, candidate {_percent(candidate.share)}{of}"
        grid.add_row("traffic", bar, told)
        if view.mirrored:
            mirror = shares_bar([(1 - view.mirrored, "dim"), (view.mirrored, "cyan")], self.bar, self.signs)
            grid.add_row("shadow", mirror, f"{_percent(view.mirrored)}{of} shown to the candidate")
        answered = f"{view.answered:,} requests answered by the candidate"
        grid.add_row("", answered if self.width < 100 else Text(answered, "dim"), "")
        return grid

    def stages(self) -> Table:
        grid = Table.grid(padding=(0, 2, 0, 0))
        for k, stage in enumerate(self.view.stages, 1):
            sign, plain, style = _STAGES[stage.state]
            grid.add_row(Text(plain if self.plain else sign, style), f"{k} {stage.name}", _lasted(stage))
        return grid

    def signal(self, signal: SignalView) -> Iterator[RenderableType]:
        sign, plain, style = _DECISIONS[signal.decision]
        head = Text.assemble((f"{plain if self.plain else sign} ", style), (signal.signal, "bold"))
        head.append(f"  {_MAY[signal.may]}", "dim")
        course = course_line(signal.course, self.bar, self.plain)
        if course:
            kind = "evidence" if "enough" in signal.course[-1].conditions else "upper bound"
            head.append(f"  {course} {kind} over {len(signal.course)} looks", "dim")
        yield head
        rows = [m for m in signal.evidence if _drawable(m)]
        if rows:
            grid = _grid(_NAMES - 2)
            for m in rows:
                grid.add_row(_name(m), self.measured(m), self.numbers(m))
            yield Padding(grid, (0, 0, 0, 2))
        yield Padding(Text(signal.because, "" if signal.decision == "fail" else "dim"), (0, 0, 0, 2))

    def measured(self, m: Measurement) -> Text:
        if "enough" in m.conditions:
            return evidence_bar(m, self.bar, self.signs)
        return interval_bar(m, self.bar, self.signs)

    def numbers(self, m: Measurement) -> Text:
        bounds = bounds_text(m).replace("≤", "<=" if self.plain else "≤")
        return Text.assemble(evidence_text(m), (f"\n{bounds}" if bounds else "", "dim"))

    def legend(self) -> Text:
        s = self.signs
        return Text.assemble(
            f"{s.value} now  {s.interval} its interval  {s.zero} zero  ", (s.passes, "green"), " passes left of it  ",
            (s.fails, "red"), " fails right of it", style="dim",
        )  # fmt: skip

    def ending(self) -> Iterator[RenderableType]:
        if self.view.left is not None:
            yield Text.assemble(("Left: ", "bold"), left_text(self.view.left))
        yield Text.assemble(("Now: ", "bold"), self.view.because or "nothing was asked yet")
        if self.view.steps:
            yield ""
            grid = Table.grid(padding=(0, 2, 0, 0))
            for step in self.view.steps:
                grid.add_row(Text(self.clock(step.at), "dim", no_wrap=True), _step(step))
            yield grid

    def clock(self, at: float) -> str:
        return f"{datetime.fromtimestamp(at, ZoneInfo(self.view.timezone)):%-d %b %H:%M}"


def view_text(view: View, width: int = 0) -> RenderableType:
    """The view, as wide as the terminal or `width` letters."""
    return ViewText(view, width)


def left_text(left: Left) -> str:
    """How long it will take, as a sentence.

    >>> left_text(Left(2.0, 14.0, "waiting for errors"))
    'about 2 h in this stage (waiting for errors), about 14 h until promotion'
    """
    if left.stage_hours is None or left.hours is None:
        return left.because
    return (
        f"about {hours_text(left.stage_hours)} in this stage ({left.because}),"
        f" about {hours_text(left.hours)} until promotion"
    )


def evidence_text(m: Measurement) -> str:
    """A measurement with its interval, or evidence beside what is enough.

    >>> evidence_text(Measurement("evidence", 3.0, 70, conditions={"enough": 20.0}))
    '3 of 20 to 1'
    >>> evidence_text(Measurement("error_rate_excess", 0.001, 70, -0.01, 0.02, conditions={"allowed": 0.01}))
    '+0.001 [-0.01, +0.02]'
    """
    if "enough" in m.conditions:
        return f"{_odds(m.value)} of {_odds(float(m.conditions['enough']))} to 1"
    return f"{m.value:+.3g}{'' if m.unit in ('1', 'nats') else ' ' + m.unit} [{m.low:+.3g}, {m.high:+.3g}]"


def _odds(value: float) -> str:
    if value < 1e6:
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"10^{math.log10(value):.0f}"


def bounds_text(m: Measurement) -> str:
    """What the gate asks of an interval.

    >>> bounds_text(Measurement("gap", 0.1, 9, conditions={"allowed": 0.01, "fails_above": 0.02}))
    'passes ≤ 0.01, fails > 0.02'
    """
    marks = marks_of(m)
    said = {"allowed": "passes ≤", "fails_above": "fails >"}
    return ", ".join(f"{said[name]} {mark:.3g}" for name, mark in marks.items())


def _drawable(m: Measurement) -> bool:
    return m.value == m.value and ("enough" in m.conditions or bool(marks_of(m)))


def _grid(names: int) -> Table:
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=names, overflow="fold")
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    return grid


def _name(m: Measurement) -> Text:
    below = f"\n{f'{m.where}, ' if m.where else ''}n {m.n:,}" if marks_of(m) else ""
    return Text.assemble(m.name.replace("_", " "), (below, "dim"))


def _lasted(stage: StageView) -> Text:
    bounds = f"at least {hours_text(stage.least)}, at most {hours_text(stage.most)}"
    if stage.hours is None:
        return Text(f"{stage.state}: {bounds}", "dim")
    return Text.assemble(f"{hours_text(stage.hours)} ", (f"of {bounds}", "dim"))


def _step(step: Step) -> Text:
    return Text.assemble(step.what, (f" by {step.by}" if step.by else "", "dim"), (f": {step.because}", "dim"))


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
