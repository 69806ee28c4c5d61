"""Plans of rollouts: what gates need, what they get, what is wrong with a plan, and who would be hurt."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from io import StringIO
from typing import Any, ClassVar

import msgspec
import numpy as np
import pytest
from rich.console import Console

from roadworthy.core.errors import Missing, SpecError
from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.spec import Rollout, Signal, Stage
from roadworthy.core.window import Window
from roadworthy.rollout.base import Expected, Gate, Need
from roadworthy.rollout.gates.errors import Errors
from roadworthy.rollout.gates.latency import Latency
from roadworthy.rollout.gates.quality import Quality
from roadworthy.rollout.planning.plan_text import plan_text
from roadworthy.rollout.planning.planning import plan_rollout, thaw_of
from roadworthy.rollout.planning.replays import failing, known_by, replayed_need, sizes, stopped_at, twins
from roadworthy.rollout.planning.rollout_plan import RolloutPlan, SignalPlan
from roadworthy.rollout.planning.stated_traffic import stated_traffic

HOUR, DAY = 3600.0, 86_400.0
# A Thursday, at midnight.
T0 = 1_000 * DAY * 7


@dataclass(frozen=True)
class Needs:
    """A gate that says what it is told to need, and never has anything to judge."""

    requests: float
    labels: float = 0.0
    hours: float = 0.0
    alpha: float = 0.02
    seen: float = 0.05
    rows_since: ClassVar[str] = "stage"

    def __call__(self, control: Window, candidate: Window) -> Verdict:
        return Verdict("wait", "nothing")

    def plan(self, expected: Expected) -> Need:
        effect = Measurement("harm", self.seen, 1, self.seen, self.seen)
        return Need(self.requests, self.labels, self.hours, effect, "as told")


@dataclass(frozen=True)
class NeedsOnce(Needs):
    rows_since: ClassVar[str] = "rollout"


@dataclass(frozen=True)
class Enough:
    """A gate without a plan: it passes from so many requests of the candidate on, and so many labels."""

    rows: int = 100
    labels: int = 0

    def __call__(self, control: Window, candidate: Window) -> Verdict:
        known = int((~np.isnan(candidate.labels)).sum())
        return Verdict("pass" if candidate.n >= self.rows and known >= self.labels else "wait", "counted")


@dataclass(frozen=True)
class Share:
    """Keeps the share and the seed that it was given in its reason."""

    share: float = 0.0
    seed: int = -1

    def __call__(self, control: Window, candidate: Window) -> Verdict:
        return Verdict("wait", "nothing")

    def plan(self, expected: Expected) -> Need:
        return Need(10, because=f"{self.share} {self.seed} {expected.share} {expected.paired}")


@pytest.fixture(scope="module")
def stable() -> Window:
    """Two weeks that end at T0: 100 requests an hour, 1 % failing, labels after two hours."""
    return stated_traffic(100, 0.01, 0.2, np.random.default_rng(0), until=T0, label_delay_hours=2.0)


def planned(stable: Window, leaves: list[Gate], *stages: Stage, at: float = T0, **more: Any) -> RolloutPlan:
    plan = Rollout(stages=stages, **{"gates": tuple(f"signal{k}" for k in range(len(leaves))), **more})
    return plan_rollout(plan, leaves, stable, at)


def one(stable: Window, gate: Gate, stage: Stage, **more: Any) -> SignalPlan:
    return planned(stable, [gate], stage, **more).stages[0].signals[0]


@pytest.mark.parametrize(
    ("needed", "fits", "hours"),
    [(200, "fits", 20), (500, "short", 50), (5000, "never", 500), (math.inf, "never", None)],
)
def test_a_stage_suffices_is_waited_for_or_can_never_pass(
    stable: Window, needed: float, fits: str, hours: float | None
) -> None:
    found = one(stable, Needs(needed), Stage("canary", 0.1, 24, 240))
    assert found.fits == fits
    assert found.hours == (None if hours is None else pytest.approx(hours, rel=0.01))
    assert found.requests == (None if hours is None else needed)


def test_labels_come_at_their_rate_and_later(stable: Window) -> None:
    found = one(stable, Needs(100, labels=100), Stage("canary", 0.1, 24, 240))
    assert found.hours == pytest.approx(12, rel=0.02)


def test_hours_that_a_gate_asks_for_beside_rows_are_kept(stable: Window) -> None:
    assert one(stable, Needs(100, hours=10.0), Stage("canary", 0.1, 24)).hours == pytest.approx(10, rel=0.02)
    assert one(stable, Needs(100, hours=72.0), Stage("canary", 0.1, 24)).hours == 72


def test_both_arms_need_the_least_rows(stable: Window) -> None:
    signals = (Signal("signal0", least=300),)
    found = one(stable, Needs(10), Stage("holdback", 0.1, 24, 240), gates=(), signals=signals)
    assert found.requests == pytest.approx(2700)


def test_a_gate_is_told_share_seed_and_pairs(stable: Window) -> None:
    stages = (Stage("shadow", 0.5), Stage("canary", 0.2), Stage("holdback", 0.05))
    plan = Rollout(stages=stages, gates=("signal0",))
    found = plan_rollout(plan, [Share()], stable, T0, seed=7)
    assert [s.signals[0].because for s in found.stages] == ["0.5 7 0.5 True", "0.2 7 0.2 False", "0.95 7 0.95 False"]


def test_what_was_shown_over_the_whole_rollout_need_not_be_shown_again(stable: Window) -> None:
    found = planned(stable, [NeedsOnce(100), Needs(100)], Stage("shadow", hours=4), Stage("canary", 0.1, 4))
    assert [s.fits for s in found.stages[0].signals] == ["fits", "fits"]
    assert [s.fits for s in found.stages[1].signals] == ["shown before", "short"]


def test_the_bound_on_false_rollbacks_adds_up_stages_and_leaves_out_what_only_advises(stable: Window) -> None:
    signals = (Signal("a"), Signal("b", may="block"), Signal("c", may="advise"), Signal("d", modes=("canary",)))
    gates: list[Gate] = [Needs(10), NeedsOnce(10), Needs(10), Needs(10)]
    found = planned(stable, gates, Stage("shadow"), Stage("canary", 0.1), gates=(), signals=signals)
    assert found.false_rollback == pytest.approx(0.02 * 2 + 0.02 + 0 + 0.02)
    assert [s.signal for s in found.stages[0].signals] == ["a", "b", "c"]


def test_a_stage_begins_when_the_one_before_it_has_likely_ended(stable: Window) -> None:
    found = planned(stable, [Needs(100)], Stage("canary", 0.05, 4, 100), Stage("canary", 0.1, 24), Stage("ab", 0.5, 1))
    assert [s.begins_hours for s in found.stages] == pytest.approx([0, 20, 44], rel=0.01)
    assert found.likely_hours == pytest.approx(46, rel=0.01)
    assert found.floor_hours == 29


def test_a_candidate_that_waits_for_nobody_knows_what_has_no_likely_end(stable: Window) -> None:
    found = planned(stable, [Enough(10**6)], Stage("canary", 0.1, 4))
    assert found.stages[0].signals[0].fits == "not known"
    assert found.stages[0].signals[0].because == "not known from 33,600 rows"
    assert found.likely_hours is None
    assert any("is not known from the rows" in warning for warning in found.warnings)


def test_a_gate_without_a_plan_is_asked_about_rows_played_again(stable: Window) -> None:
    found = one(stable, Enough(rows=300), Stage("canary", 0.25, 24))
    assert found.requests is not None
    assert 300 <= found.requests <= 480
    assert found.labels == 0
    assert found.because == "found by playing 20,000 rows again"
    labelled = one(stable, Enough(rows=50, labels=200), Stage("shadow", hours=24))
    assert labelled.labels is not None
    assert 200 <= labelled.labels <= 300
    assert labelled.because.endswith("answers exactly alike")


def test_freezes_put_off_the_start_and_the_stages(stable: Window) -> None:
    stages = (Stage("canary", 0.1, 30), Stage("canary", 0.5, 6))
    found = planned(stable, [Needs(100)], *stages, freeze=("fri - sun",))
    assert found.stages[0].frozen_hours == pytest.approx(96 - 30)
    assert found.stages[1].begins_hours == pytest.approx(96)
    assert found.floor_hours == pytest.approx(102)
    assert any("likely to end in a freeze, and then waits 66 hours" in warning for warning in found.warnings)
    late = planned(stable, [Needs(100)], *stages, at=T0 + DAY, freeze=("fri - sun",))
    assert late.stages[0].begins_hours == pytest.approx(72)
    assert late.warnings[-1] == "A freeze is on: no candidate gets traffic for another 72 hours (fri - sun)."


def test_a_freeze_that_cannot_be_read_is_refused(stable: Window) -> None:
    with pytest.raises(SpecError, match="someday"):
        planned(stable, [Needs(1)], Stage("shadow"), freeze=("someday",))
    assert thaw_of(Rollout())(12.5) == 12.5


def test_a_stage_of_one_tag_has_the_traffic_of_that_tag(stable: Window) -> None:
    tagged = replace(stable, tags={"origin": np.array(["LGA", "JFK", "JFK", "JFK"] * (stable.n // 4), object)})
    found = planned(tagged, [Needs(100)], Stage("canary", 0.1, 24, where="origin=LGA"))
    assert found.stages[0].name == "canary 10 % of origin=LGA"
    assert found.stages[0].requests == pytest.approx(60, rel=0.01)
    with pytest.raises(Missing, match=r"none of 33,600 recent rows has 'origin=EWR'.*tags: origin"):
        planned(tagged, [Needs(100)], Stage("canary", 0.1, 24, where="origin=EWR"))


def test_without_rows_it_says_how_to_plan_with_stated_figures() -> None:
    with pytest.raises(Missing, match=r"`--requests-per-hour`, `--error-rate` and `--base-rate`"):
        planned(Window.of_all(()), [Needs(1)], Stage("shadow"))


@pytest.mark.parametrize(
    ("gate", "stage", "said"),
    [
        (Needs(10), Stage("canary", 0.1, 6), "canary 10 % is shorter than a day and does not see the daily cycle."),
        (Needs(math.inf), Stage("canary", 0.1, 24), "signal0 can never pass (as told); widen its margin."),
        (Needs(5000), Stage("canary", 0.1, 24, 240), "signal0 needs about 500 hours and the stage gives up after 240"),
        (
            Needs(900, 900),
            Stage("canary", 0.1, 24),
            "of the candidate come in 24 hours, and no gate on labels does with",
        ),
        (Needs(10, 10), Stage("canary", 0.1, 1), "a label takes 2 hours (median), and the stage's least are 1"),
        (Needs(10, alpha=0.11), Stage("canary", 0.1, 24), "may roll back up to 11 of 100 good releases"),
        (Needs(10), Stage("canary", 0.1, 2), "its 2 hours are less than the 6 between two looks"),
    ],
)
def test_what_is_wrong_with_a_plan_is_said_in_a_sentence(stable: Window, gate: Gate, stage: Stage, said: str) -> None:
    assert any(said in warning for warning in planned(stable, [gate], stage).warnings)


def test_a_good_plan_has_no_warning(stable: Window) -> None:
    assert planned(stable, [Needs(10, 10)], Stage("canary", 0.1, 24)).warnings == ()


def test_a_stage_that_nothing_can_pass_and_a_pass_that_is_always_stale_are_said(stable: Window) -> None:
    signals = (Signal("late", stale_hours=1.0), Signal("other", may="block"))
    shadow = Stage("shadow", hours=24)
    found = planned(stable, [Needs(10, 10), Needs(1)], shadow, gates=(), signals=signals)
    assert "late: a label takes 2 hours and `stale_hours` is 1" in found.warnings[0]
    blocked = planned(stable, [Needs(10)], shadow, gates=(), signals=(Signal("only", may="block"),))
    assert "no signal that may promote" in blocked.warnings[0]


def test_few_hours_of_rows_know_nothing_of_other_hours() -> None:
    short = stated_traffic(100, 0.0, 0.2, np.random.default_rng(0), until=T0, days=0.25)
    found = planned(short, [Needs(10)], Stage("canary", 0.1, 24))
    assert any("span 5.99 hours" in warning for warning in found.warnings)


def test_a_bad_candidate_is_stopped_and_what_it_answered_until_then_is_told(stable: Window) -> None:
    gates: list[Gate] = [Errors(), Latency(), Quality()]
    found = planned(stable, gates, Stage("shadow", hours=24), Stage("canary", 0.1, 48), look_hours=1)
    harms = {exposure.harm: exposure for exposure in found.exposures}
    dead, slow = harms["every request fails"], harms["answers take twice as long"]
    assert (dead.stage, dead.signal, dead.shadow) == ("canary 10 %", "signal0", "signal0")
    assert 3 <= dead.requests < 30
    assert dead.until_look == pytest.approx(10, rel=0.01)
    assert slow.signal == "signal1"
    assert dead.requests <= harms["5 % of the requests fail"].requests
    assert harms["answers are those to other requests"].shadow == "signal2"


def test_a_harm_that_no_gate_sees_reaches_everybody_whom_the_stages_ask(stable: Window) -> None:
    found = planned(stable, [Needs(10)], Stage("canary", 0.1, 10), Stage("canary", 0.5, 10))
    assert all(exposure.stage == "" for exposure in found.exposures)
    assert found.exposures[0].requests == pytest.approx(600, rel=0.01)


def test_few_rows_tell_nothing_of_harms() -> None:
    few = stated_traffic(2, 0.0, 0.2, np.random.default_rng(0), until=T0, days=2)
    assert planned(few, [Needs(10)], Stage("canary", 0.1, 24)).exposures == ()


def test_twins_split_whole_requests_or_mirror_all() -> None:
    n = 2000
    ids = np.array([f"r{k // 2}.{k % 2}" for k in range(n)], object)
    rows = Window({}, {}, np.full(n, np.nan), np.arange(n) // 2.0, ids=ids)
    control, candidate = twins(rows, 0.3, False, np.random.default_rng(0))
    assert control.n + candidate.n == n
    assert 500 < candidate.n < 700
    assert control.ids is not None
    assert candidate.ids is not None
    assert not {i.split(".")[0] for i in control.ids} & {i.split(".")[0] for i in candidate.ids}
    assert candidate.arms is not None
    assert set(candidate.arms) == {"canary"}
    control, candidate = twins(rows, 1.0, True, np.random.default_rng(0))
    assert (control.n, candidate.n) == (n, n)


def test_labels_are_known_no_sooner_than_they_were(stable: Window) -> None:
    at = float(stable.at[500])
    seen = known_by(stable, at)
    assert seen.n == 501
    assert int((~np.isnan(seen.labels)).sum()) == 301


def test_sizes_grow_and_end_with_all() -> None:
    assert sizes(0) == []
    assert sizes(10) == [10]
    assert sizes(150) == [64, 96, 144, 150]


def test_the_need_of_a_gate_that_passes_too_seldom_is_not_known(stable: Window) -> None:
    expected = Expected(stable.take(slice(0, 400)), 100, 0.5, False, 100, 2)
    assert replayed_need(Enough(190), expected, np.random.default_rng(0)) is not None
    assert replayed_need(Enough(230), expected, np.random.default_rng(0)) is None


def test_the_gate_that_stops_a_harm_is_named(stable: Window) -> None:
    arms = twins(stable.take(slice(0, 2000)), 0.5, False, np.random.default_rng(0))
    found = stopped_at([Needs(1), Errors()], *arms, failing(0.5), np.random.default_rng(0))
    assert found is not None
    assert found.gate == 1
    assert stopped_at([Errors()], *arms, failing(0.0), np.random.default_rng(0)) is None


@pytest.mark.parametrize(
    ("figures", "said"),
    [((0, 0.1, 0.1), "`requests_per_hour`"), ((10, 1.1, 0.1), "`error_rate`"), ((10, 0.1, 0.0), "`base_rate`")],
)
def test_figures_that_cannot_be_are_refused(figures: tuple[float, float, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        stated_traffic(*figures, np.random.default_rng(0))


def test_stated_rows_have_the_stated_rates(stable: Window) -> None:
    assert stable.errors is not None
    assert np.mean([error is not None for error in stable.errors]) == pytest.approx(0.01, abs=0.002)
    assert np.nanmean(stable.labels) == pytest.approx(0.2, abs=0.01)
    assert stable.at[-1] < T0


@pytest.fixture(scope="module")
def whole(stable: Window) -> RolloutPlan:
    gates: list[Gate] = [Errors(margin=0.02), NeedsOnce(math.inf), Enough(10**7)]
    stages = (Stage("shadow", hours=30), Stage("canary", 0.1, 6, where=""), Stage("holdback", 0.05, 24))
    return planned(stable, gates, *stages, freeze=("sat - sun",))


def test_a_plan_goes_to_json_and_back(whole: RolloutPlan) -> None:
    assert msgspec.json.decode(msgspec.json.encode(whole), type=RolloutPlan) == whole


@pytest.mark.parametrize("width", [80, 140])
def test_a_plan_is_read_in_a_terminal_of_any_width(whole: RolloutPlan, width: int) -> None:
    console = Console(width=width, record=True, file=StringIO())
    console.print(plan_text(whole))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width
    for told in ("Until promotion: at least", "2 canary 10 %", "signal1", "never", "not known", "Beware"):
        assert told in text
    assert "harm 0.05 (signal1)" in " ".join(text.split())


def test_more_traffic_than_can_be_played_still_sees_the_labels_that_come_late() -> None:
    busy = stated_traffic(20_000, 0.0, 0.2, np.random.default_rng(0), until=T0, label_delay_hours=0.5, days=0.1)
    found = planned(busy, [Quality(margin=0.02)], Stage("canary", 0.5, 2.0))
    wrong = found.exposures[-1]
    assert (wrong.harm, wrong.signal) == ("answers are those to other requests", "signal0")
    # Half of what came in half an hour was answered before the first label.
    assert wrong.requests > 5000
