"""The view of a rollout, of a real one and of ones made up, in JSON and in terminals of several kinds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace
from rich.console import Console

from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.record import Record
from roadworthy.core.spec import Field, Rollout, Signal, Signature, Stage
from roadworthy.core.wire import Arm
from roadworthy.registry.releases import Registry
from roadworthy.rollout.controller import Controller
from roadworthy.rollout.planning.rollout_plan import RolloutPlan, SignalPlan, StagePlan
from roadworthy.rollout.rollout_state import RolloutState
from roadworthy.rollout.views.bars import PLAIN, Reach, Signs, course_line, evidence_bar, interval_bar, shares_bar
from roadworthy.rollout.views.view import View, view_of
from roadworthy.rollout.views.view_text import view_text
from roadworthy.store.events import Event, read_events
from roadworthy.store.state import State

HOUR = 3600.0
T0 = 1_000_000.0
PLAN = Rollout(
    stages=(Stage("shadow", 0.5, 2), Stage("canary", 0.25, 3, 24, "origin=LGA"), Stage("holdback", 0.1, 5)),
    signals=(
        Signal("errors"),
        Signal("quality:metric=auc", may="block"),
        Signal("quality", may="advise"),
        Signal("business", modes=("ab",)),
    ),
    timezone="America/New_York",
)
SHOWN = Measurement("gap", 0.002, 400, -0.016, 0.02, conditions={"allowed": 0.011, "fails_above": 0.02})
ODDS = Measurement("evidence", 4.0, 400, conditions={"enough": 20.0})
VERDICTS = (
    Verdict("wait", "it may still be worse", "errors", (SHOWN, ODDS)),
    Verdict("pass", "no worse", "quality metric=auc", (replace(SHOWN, high=0.01),)),
    Verdict("fail", "worse", "quality"),
)


@pytest.fixture
def running() -> RolloutState:
    """Four hours old, the second of them paused, in its second stage for two."""
    return RolloutState(
        id="a1b2",
        deployment="flights",
        candidate="c" * 64,
        control="5" * 64,
        plan=PLAN,
        started_at=T0,
        stage_since=T0 + 2 * HOUR,
        by="anna",
        stage=1,
        verdicts=VERDICTS,
        because="1.0 of 3 h: it may still be worse",
        touched=1234,
        asked=(0, 1, 2),
        begun=(T0, T0 + 2 * HOUR),
        paused_seconds=HOUR,
    )


def at_hour(hours: float) -> float:
    return T0 + hours * HOUR


def shown(view: View, width: int = 80, **more: Any) -> str:
    console = Console(width=width, file=StringIO(), record=True, **more)
    console.print(view_text(view))
    return console.export_text()


def shares(state: RolloutState) -> list[tuple[str, float]]:
    return [(s.role, round(s.share, 9)) for s in view_of(state, at_hour(4)).traffic]


def test_traffic_follows_from_the_stage_and_the_end(running: RolloutState) -> None:
    assert shares(running) == [("stable", 0.75), ("candidate", 0.25)]
    assert view_of(running, at_hour(4)).where == "origin=LGA"
    assert shares(replace(running, stage=0)) == [("stable", 1.0), ("candidate", 0.0)]
    assert view_of(replace(running, stage=0), at_hour(4)).mirrored == 0.5
    assert shares(replace(running, stage=2, begun=(T0, T0, T0))) == [("stable", 0.1), ("candidate", 0.9)]
    assert shares(replace(running, status="promoted")) == [("stable", 0.0), ("candidate", 1.0)]
    assert shares(replace(running, status="rolled_back")) == [("stable", 1.0), ("candidate", 0.0)]


def test_stages_are_done_running_and_to_come_with_their_hours(running: RolloutState) -> None:
    found = view_of(running, at_hour(4.5)).stages
    assert [(s.name, s.state, s.hours) for s in found] == [
        ("shadow 50 %", "done", 2.0),
        ("canary 25 % of origin=LGA", "running", 1.5),
        ("holdback 10 %", "to come", None),
    ]
    assert (found[1].least, found[1].most) == (3, 24)
    paused = view_of(replace(running, paused_at=at_hour(4), paused_because="lunch"), at_hour(9))
    assert (paused.stages[1].state, paused.stages[1].hours, paused.paused) == ("paused", 1.0, "lunch")
    assert paused.left is not None
    assert paused.left.because == "paused, so that no stage ends"


def test_signals_have_their_role_and_those_not_asked_say_when_they_are(running: RolloutState) -> None:
    found = view_of(running, at_hour(4), courses={0: [SHOWN, SHOWN]}).signals
    assert [(s.signal, s.may, s.decision) for s in found] == [
        ("errors", "promote", "wait"),
        ("quality metric=auc", "block", "pass"),
        ("quality", "advise", "fail"),
        ("business", "promote", None),
    ]
    assert found[3].because == "asked in ab only"
    assert len(found[0].course) == 2
    later = view_of(replace(running, verdicts=VERDICTS[:1], asked=(1,)), at_hour(4)).signals
    assert [s.decision for s in later] == [None, "wait", None, None]
    assert later[0].because == "not asked in this stage"


def test_the_time_left_follows_from_how_the_interval_narrows(running: RolloutState) -> None:
    left = view_of(running, at_hour(4)).left
    # It is twice as wide as it may be, so four times the rows of the hour since the stage began.
    assert left is not None
    assert left.stage_hours == pytest.approx(3.0)
    assert left.hours == pytest.approx(8.0)
    assert left.because == "waiting for errors"


def test_a_gate_over_the_whole_rollout_has_gathered_since_its_start(running: RolloutState) -> None:
    @dataclass(frozen=True)
    class Whole:
        rows_since: ClassVar[Literal["stage", "rollout"]] = "rollout"

        def __call__(self, *_: object) -> Verdict:
            return Verdict("wait", "")

    left = view_of(running, at_hour(4), gates=(Whole(),) * 4).left
    assert left is not None
    assert left.stage_hours == pytest.approx(3 * 4.0)


def test_thin_rows_have_no_time_left_unless_it_was_planned(running: RolloutState) -> None:
    thin = replace(running, verdicts=(replace(VERDICTS[0], evidence=()), *VERDICTS[1:]))
    left = view_of(thin, at_hour(4)).left
    assert left is not None
    assert (left.stage_hours, left.hours) == (None, None)
    assert left.because == "not known: errors cannot tell from the rows so far"
    needs = (SignalPlan("errors", "promote", "short", 900, hours=7.0),)
    stages = [StagePlan(str(k), "canary", 3, 24, 0, 6.0, 0, 0, signals=needs) for k in range(len(PLAN.stages))]
    plan = RolloutPlan(T0, "UTC", 1, 1, (1.0,) * 24, 0, 0, 0, tuple(stages), 0.1, 9)
    planned = view_of(thin, at_hour(4), plan=plan).left
    assert planned is not None
    assert (planned.stage_hours, planned.hours) == (pytest.approx(6.0), pytest.approx(12.0))


def test_when_all_pass_the_least_hours_are_left(running: RolloutState) -> None:
    passing = replace(running, verdicts=(replace(VERDICTS[1], of="errors"), *VERDICTS[1:]))
    left = view_of(passing, at_hour(4)).left
    assert left is not None
    assert (left.stage_hours, left.because) == (pytest.approx(2.0), "waiting for the stage's least hours")
    over = view_of(passing, at_hour(8)).left
    assert over is not None
    assert (over.stage_hours, over.because) == (0, "every gate passes: the next look ends the stage")


def test_nothing_is_left_of_one_that_ended(running: RolloutState) -> None:
    ended = replace(running, status="rolled_back", because="errors: worse")
    data = {"change": "rolled_back", "by": "controller", "rollout": msgspec.to_builtins(ended)}
    told = Event(1, at_hour(5), "rollout", "flights", data)
    view = view_of(ended, at_hour(99), [told])
    assert view.left is None
    assert [s.state for s in view.stages] == ["done", "stopped", "not reached"]
    assert view.stages[1].hours == 2.0
    assert view_of(ended, at_hour(99)).stages[1].hours is None
    assert [(s.what, s.because) for s in view.steps] == [("rolled back in canary 25 % of origin=LGA", "errors: worse")]


def test_events_of_other_rollouts_are_left_out(running: RolloutState) -> None:
    other = {"change": "started", "by": "ben", "rollout": msgspec.to_builtins(replace(running, id="other"))}
    events = [Event(1, T0, "rollout", "flights", other), Event(2, T0, "rollback", "flights", {"release": "x"})]
    assert view_of(running, at_hour(4), events).steps == ()


def test_a_view_goes_to_json_and_back(running: RolloutState) -> None:
    open_above = replace(SHOWN, high=float("inf"))
    view = view_of(running, at_hour(4), courses={0: [open_above, SHOWN]})
    assert msgspec.json.decode(msgspec.json.encode(view), type=View) == view


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_terminal_shows_everything_in_any_width(running: RolloutState, width: int) -> None:
    course = [replace(SHOWN, high=high) for high in (0.9, 0.4, 0.2, 0.05, 0.02)]
    text = shown(view_of(running, at_hour(4), courses={0: course}), width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    for told in (
        "flights  running  candidate cccccccccccc against 555555555555",
        "rollout a1b2, started 12 Jan 08:46 by anna",
        "stable 75 %, candidate 25 %",
        "1,234 requests answered by the candidate",
        "✓  1 shadow 50 %",
        "▶  2 canary 25 % of origin=LGA  1 h of at least 3 h, at most 24 h",
        "… errors  must pass",
        "+0.002 [-0.016, +0.02]",
        "passes ≤ 0.011, fails > 0.02",
        "4 of 20 to 1",
        "✕ quality  advises",
        "upper bound over 5 looks",
        "Left: about 3 h in this stage",
    ):
        assert told in text
    assert "█▃" in text or "█▄" in text


def test_a_fixed_width_is_kept_in_a_wider_terminal(running: RolloutState) -> None:
    console = Console(width=160, file=StringIO(), record=True)
    console.print(view_text(view_of(running, at_hour(4)), 80))
    assert max(map(len, console.export_text().splitlines())) <= 80


def test_a_pipe_gets_no_colour_and_plain_ascii_where_it_knows_no_more(running: RolloutState) -> None:
    raw = BytesIO()
    piped = TextIOWrapper(raw, encoding="ascii", write_through=True)
    Console(width=80, file=piped).print(view_text(view_of(running, at_hour(4))))
    text = raw.getvalue().decode("ascii")
    assert "\x1b" not in text
    assert "passes <= 0.011" in text
    assert "> 2 canary" in " ".join(text.split())


def test_no_color_leaves_signs_that_differ(running: RolloutState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    file = StringIO()
    Console(width=80, file=file, force_terminal=True).print(view_text(view_of(running, at_hour(4))))
    text = file.getvalue()
    assert "\x1b[3" not in text
    assert all(sign in text for sign in ("✓", "✕", "…", "┃", "‖"))


def test_a_pause_and_a_problem_are_said_first(running: RolloutState) -> None:
    state = replace(running, paused_at=at_hour(3), paused_because="", problem="no gate named 'quaIity'")
    lines = shown(view_of(state, at_hour(4))).splitlines()
    assert lines[0].startswith("flights  paused")
    assert lines[2:4] == ["Paused: no reason was given", "The gates cannot be asked: no gate named 'quaIity'"]


def test_an_interval_lies_on_its_line_as_its_numbers_do() -> None:
    signs = Signs("-", "=", "o", "0", "+", "p", "f")
    m = Measurement("gap", 0.0, 9, -0.5, 0.5, conditions={"allowed": 1.0, "fails_above": 1.0})
    assert interval_bar(m, 21, signs).plain == "=======o======------p"
    beyond = interval_bar(replace(m, value=-0.4, high=-0.3), 40, signs).plain
    assert beyond.index("o") < beyond.index("0") < beyond.index("p")
    endless = replace(m, low=-1e9, high=float("inf"))
    assert interval_bar(endless, 20, signs).plain.count("-") <= 2
    assert Reach.of([replace(m, value=0.97, low=0.96, high=0.98, conditions={"allowed": 0.99})]).low > 0.9


@pytest.mark.parametrize(("odds", "full"), [(0.3, 0), (1.0, 0), (10.0, 10), (99.0, 19), (100.0, 20), (1e9, 20)])
def test_evidence_is_full_at_enough_and_never_before(odds: float, full: int) -> None:
    m = Measurement("evidence", odds, 9, conditions={"enough": 100.0})
    assert evidence_bar(m, 20, PLAIN).plain == "#" * full + "." * (20 - full)


def test_a_share_that_is_there_has_a_letter() -> None:
    assert shares_bar([(0.999, ""), (0.001, "")], 20, PLAIN).plain == "." * 19 + "#"
    assert shares_bar([(1.0, ""), (0.0, "")], 20, PLAIN).plain == "." * 20
    assert shares_bar([(0.001, ""), (0.999, "")], 20, PLAIN).plain == "." + "#" * 19


def test_a_course_is_drawn_from_two_points_on_and_not_in_plain_ascii() -> None:
    points = [replace(SHOWN, high=high) for high in (0.8, 0.4, 0.1)]
    assert course_line(points, 20, plain=False) == "█▅▂"
    assert course_line(points, 20, plain=True) == ""
    assert course_line(points[:1], 20, plain=False) == ""
    assert course_line(points, 2, plain=False) == "▅▂"


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State.open(tmp_path / ".roadworthy", durability="process") as opened:
        yield opened


def write(state: State, digest: str, arm: Arm, since: float, n: int, every: float, **more: Any) -> None:
    base = Record("", 0.0, digest, arm, {"x": 1.0}, {"probability": 0.3}, seconds={"total": 0.01})
    state.records.write([replace(base, id=f"r{since + k * every:.0f}", at=since + k * every, **more) for k in range(n)])


def test_a_real_rollout_is_viewed_from_its_state_and_its_events(state: State, tmp_path: Path) -> None:
    registry = Registry(state)
    digests = []
    for name in ("first", "second"):
        (tmp_path / name).write_text(name)
        made = Release(name, (Artifact("model", "", 0),), Signature({"x": Field()}, {"probability": Field()}))
        digests.append(registry.add(made, {"model": tmp_path / name}).digest)
    stable, candidate = digests
    registry.point("flights", "stable", stable, T0 - HOUR, "anna", "first release")
    plan = Rollout(stages=(Stage("shadow", hours=2), Stage("canary", 0.25, 3, 24)), gates=("errors:margin=0.05",))
    control = Controller(state, registry)
    control.start("flights", candidate, plan, T0, "anna")
    write(state, stable, "stable", T0, 720, 10.0)
    write(state, candidate, "shadow", T0, 720, 10.0)
    control.look("flights", at_hour(2))
    write(state, stable, "stable", at_hour(2), 270, 10.0)
    write(state, candidate, "canary", at_hour(2) + 5, 90, 30.0, error="TimeoutError: late")
    ended = control.look("flights", at_hour(2.75))
    view = view_of(ended, at_hour(3), read_events(state.engine, "rollout", "flights"))
    assert (view.status, view.answered) == ("rolled_back", 90)
    assert [(s.name, s.state) for s in view.stages] == [("shadow 100 %", "done"), ("canary 25 %", "stopped")]
    assert [s.hours for s in view.stages] == pytest.approx([2.0, 0.75])
    assert view.signals[0].decision == "fail"
    assert any("enough" in m.conditions for m in view.signals[0].evidence)
    assert [s.what for s in view.steps] == [
        "started with shadow 100 %",
        "went on to canary 25 %",
        "rolled back in canary 25 %",
    ]
    text = shown(view)
    assert "✕ errors  must pass" in text
    assert np.isfinite(view.at)
