"""A rollout as a section of HTML, to be put into a page, or a page of its own. It loads nothing and runs no script."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from roadworthy.core.measure import Measurement
from roadworthy.rollout.planning.plan_text import hours_text
from roadworthy.rollout.views.bars import marks_of
from roadworthy.rollout.views.view import SignalView, StageView, View
from roadworthy.rollout.views.view_text import bounds_text, evidence_text, left_text
from roadworthy.ui.page import SIGNS, render
from roadworthy.ui.rollout_drawing import course_chart, evidence_svg, measured_name
from roadworthy.ui.words import count, visible

_BADGES = {"running": "wait", "promoted": "pass", "rolled_back": "fail", "aborted": "fail"}
_MAY = {"promote": "must pass", "block": "may stop it", "advise": "advises"}
# A line needs two ends, and says little with fewer than this.
_LEAST_LOOKS = 3


@dataclass(frozen=True)
class Row:
    """One measurement: its name, its bar, and the same in numbers."""

    name: str
    where: str
    drawn: str
    numbers: str
    bounds: str


@dataclass(frozen=True)
class Part:
    """One signal as it is shown."""

    name: str
    may: str
    decision: str
    said: str
    because: str
    rows: tuple[Row, ...]


def rollout_fragment(view: View) -> str:
    """The section. It takes its colours, badges and tables from the stylesheet of our pages."""
    return render("rollout_fragment.html", titled=False, **_given(view))


def rollout_page(view: View) -> str:
    """The section as a page."""
    title = visible(f"{view.deployment}: {_status(view)}")
    return render("rollout_page.html", title=title, titled=True, **_given(view))


def _given(view: View) -> dict[str, object]:
    """What the template is handed; whatever was written by people is made visible."""
    zone = ZoneInfo(view.timezone)

    def clock(at: float) -> str:
        return f"{datetime.fromtimestamp(at, zone):%-d %B %Y, %H:%M}"

    return {
        "view": view,
        "name": visible(view.deployment),
        "status": _status(view),
        "badge": "wait" if view.paused else _BADGES[view.status],
        "sign": SIGNS["wait" if view.paused else _BADGES[view.status]],
        "heading": _heading(view),
        "because": visible(view.because or "Nothing was asked yet."),
        "started": clock(view.started_at),
        "shares": _shares(view),
        "told": _told(view),
        "answered": count(view.answered, "request"),
        "left": left_text(view.left) if view.left else "",
        "stages": [(stage, _lasted(stage)) for stage in view.stages],
        "parts": tuple(map(_part, view.signals)),
        "charts": tuple(_charts(view)),
        "steps": [(clock(s.at), visible(s.what), visible(s.by), visible(s.because)) for s in view.steps],
    }


def _heading(view: View) -> str:
    """Where it stands: the stage that it is in, or ended in."""
    reached = [k for k, stage in enumerate(view.stages, 1) if stage.state not in ("to come", "not reached")]
    stage = view.stages[reached[-1] - 1]
    return visible(f"Stage {reached[-1]} of {len(view.stages)}: {stage.name}")


def _status(view: View) -> str:
    return "paused" if view.paused else view.status.replace("_", " ")


def _shares(view: View) -> list[tuple[str, str, float]]:
    """The bars of traffic: name, what it says, the candidate's share in percent."""
    of = visible(f" of {view.where}") if view.where else ""
    candidate = view.traffic[1].share
    said = f"stable {100 * view.traffic[0].share:.3g} %, candidate {100 * candidate:.3g} %{of}"
    bars = [("Answered by", said, 100 * candidate)]
    if view.mirrored:
        bars.append(("Shadow", f"{100 * view.mirrored:.3g} %{of} shown to the candidate", 100 * view.mirrored))
    return bars


def _told(view: View) -> list[tuple[str, str]]:
    """What a person must see before all else."""
    told = [("Paused", view.paused), ("The gates cannot be asked", view.problem)]
    return [(name, visible(said)) for name, said in told if said]


def _lasted(stage: StageView) -> str:
    bounds = f"at least {hours_text(stage.least)}, at most {hours_text(stage.most)}"
    return f"{stage.state}, {bounds}" if stage.hours is None else f"{hours_text(stage.hours)} of {bounds}"


def _part(signal: SignalView) -> Part:
    decision = signal.decision or "none"
    rows = tuple(_row(m) for m in signal.evidence if m.value == m.value and ("enough" in m.conditions or marks_of(m)))
    said = f"{SIGNS[decision]} {decision}" if signal.decision else "· not asked"
    return Part(visible(signal.signal), _MAY[signal.may], decision, said, visible(signal.because), rows)


def _row(m: Measurement) -> Row:
    where = ", ".join([*([visible(m.where)] if m.where else []), f"n {m.n:,}"])
    return Row(measured_name(m), where, evidence_svg(m), evidence_text(m), bounds_text(m))


def _charts(view: View) -> Iterator[str]:
    for signal in view.signals:
        if len(signal.course) >= _LEAST_LOOKS:
            m = signal.course[-1]
            where = f" ({m.where})" if m.where else ""
            yield course_chart(f"{signal.signal}: {measured_name(m)}{where}", signal.course)
