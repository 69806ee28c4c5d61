"""A cascade answers each row from the cheapest model that is sure of it, and does what it declared when one is out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from roadworthy.core.dials import Dial, Dialled, Follows
from roadworthy.core.errors import BadRequest, Late, Overloaded, RoadworthyError, SpecError, TooMany
from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.route.answering.audits import audits_in
from roadworthy.route.answering.cap import Cap
from roadworthy.route.answering.levels import Level
from roadworthy.route.base import policy
from roadworthy.route.cascades.fits import CascadeFit, Target
from roadworthy.route.cascades.fits import Level as FittedLevel
from roadworthy.route.policies.cascade import Cascade
from roadworthy.serve.batch import Batch
from roadworthy.serve.recorded import rows_of

SIGNATURE = Signature({"x": Field()}, {"probability": Field()})
LEVELS = (Level("small", low=0.2, high=0.8), Level("large"))
PRICES = {"small": 1.0, "large": 10.0}


class Clock:
    """A time that a test moves."""

    at = 1000.0

    def __call__(self) -> float:
        return self.at


class Model:
    """A batched model that answers `of(x)`, and what it was asked; `fails` is raised instead while it is set."""

    def __init__(self, of: Callable[[Any], Any]) -> None:
        self.batch = Batch(lambda columns: {"probability": of(columns["x"][:, 0])}, SIGNATURE, "rel", place="loop")
        self.asked: list[Request] = []
        self.fails: Exception | None = None

    @property
    def rows(self) -> list[float]:
        return [x for request in self.asked for x in request.inputs["x"].data]

    async def __call__(self, request: Request) -> Response:
        self.asked.append(request)
        if self.fails is not None:
            raise self.fails
        return await self.batch(request)


def request(*x: float, **more: Any) -> Request:
    return Request("r", {"x": Tensor("x", "FP32", (len(x), 1), list(x))}, 0.0, **more)


def models() -> tuple[Model, Model]:
    """The small one answers what it is given, the large one 0.99 or 0.01 by the half that it is in."""
    return Model(lambda x: x.astype(float)), Model(lambda x: np.where(x >= 0.5, 0.99, 0.01))


def ask(handler: Callable[[Request], Awaitable[Response]], *requests: Request) -> list[Response]:
    async def main() -> list[Response]:
        return [await handler(one) for one in requests]

    return asyncio.run(main())


def values(response: Response) -> list[float]:
    assert isinstance(response.outputs, dict)
    return [round(p, 6) for p in response.outputs["probability"].data]


def whys(response: Response, row: int = 0) -> list[tuple[str, str]]:
    return [(step.at, step.because) for step in response.row_path(row)]


def test_each_row_is_answered_by_the_cheapest_model_that_is_sure_and_pays_for_its_own_way():
    small, large = models()
    (found,) = ask(Cascade(LEVELS, usd_per_1k=PRICES)({"small": small, "large": large}), request(0.9, 0.6, 0.1, 0.3))
    assert values(found) == [0.9, 0.99, 0.1, 0.01]
    assert large.rows == [pytest.approx(0.6), pytest.approx(0.3)]
    assert whys(found, 0) == [("small", "probability 0.9, at least 0.8: kept")]
    assert whys(found, 1) == [
        ("small", "probability 0.6 between 0.2 and 0.8: sent on"),
        ("large", "the last level: kept"),
    ]
    assert [found.row_usd(k, 4) for k in range(4)] == pytest.approx([0.001, 0.011, 0.001, 0.011])
    assert found.usd == pytest.approx(0.024)
    assert found.confidence == pytest.approx([0.9, 0.99, 0.9, 0.99])
    assert (found.id, found.release) == ("r", "rel")
    assert found.seconds["model"] > 0


def test_records_hold_each_rows_own_way_and_cost():
    small, large = models()
    asked = request(0.9, 0.6)
    (found,) = ask(Cascade(LEVELS, usd_per_1k=PRICES)({"small": small, "large": large}), asked)
    one, two = rows_of(asked, found)
    assert ([step.at for step in one.path], one.usd) == (["small"], pytest.approx(0.001))
    assert ([step.at for step in two.path], two.usd) == (["small", "large"], pytest.approx(0.011))
    assert all(step.seconds is not None and step.seconds >= 0 for step in two.path)
    assert [step.usd for step in two.path] == [0.001, 0.01]


def test_without_prices_nothing_is_said_about_costs():
    small, large = models()
    (found,) = ask(Cascade(LEVELS)({"small": small, "large": large}), request(0.9, 0.6))
    assert found.usd is None
    assert all(step.usd is None for k in range(2) for step in found.row_path(k))


def test_what_belongs_to_the_request_goes_on_with_its_rows():
    small, large = models()
    deadline = time.monotonic() + 60
    more = {"key": "k", "tags": {"t": "1"}, "parameters": {"p": 1}, "deadline": deadline, "shadow": True, "priority": 3}
    ask(Cascade(LEVELS)({"small": small, "large": large}), request(0.9, 0.6, **more))
    (seen,) = large.asked
    assert (seen.id, seen.key, seen.tags, seen.parameters) == ("r", "k", {"t": "1"}, {"p": 1})
    assert (seen.deadline, seen.shadow, seen.priority) == (deadline, True, 3)


def test_three_levels_of_classes_are_climbed_one_after_the_other():
    def certain(of: float) -> Model:
        model = Model(lambda x: x)
        signature = Signature({"x": Field()}, {"scores": Field(width=2)})
        answers = lambda columns: {"scores": np.stack([1 - of * columns["x"][:, 0], of * columns["x"][:, 0]], 1)}  # noqa: E731
        model.batch = Batch(answers, signature, "rel", place="loop")
        return model

    members = {"a": certain(0.6), "b": certain(0.8), "c": certain(1.0)}
    levels = (Level("a", least=0.9), Level("b", least=0.7, least_of={"dog": 0.75}), Level("c"))
    climb = Cascade(levels, output="scores", classes=("cat", "dog"))(members)
    (found,) = ask(climb, request(0.1, 0.3, 0.9, 1.0))
    assert [[step.at for step in found.row_path(k)] for k in range(4)] == [
        ["a"], ["a", "b"], ["a", "b", "c"], ["a", "b"],
    ]  # fmt: skip
    assert whys(found, 3)[1] == ("b", "confidence 0.8 in 'dog', at least 0.75: kept")
    assert found.outputs["scores"].data == pytest.approx([0.94, 0.06, 0.76, 0.24, 0.1, 0.9, 0.2, 0.8])


def test_an_outage_of_the_expensive_model_is_made_good_by_the_answer_so_far_where_that_is_declared():
    small, large = models()
    large.fails = RoadworthyError("the other machine is gone")
    (found,) = ask(Cascade(LEVELS, usd_per_1k=PRICES)({"small": small, "large": large}), request(0.9, 0.6))
    assert values(found) == [0.9, 0.6]
    assert found.parameters == {"unconfirmed": 1, "no-store": True}
    assert whys(found, 1)[1] == ("large", "not answered: the other machine is gone; the answer so far stands")
    assert found.usd == pytest.approx(0.002)
    failing = Cascade(LEVELS, outage="fail")({"small": small, "large": large})
    with pytest.raises(RoadworthyError, match="the other machine is gone"):
        ask(failing, request(0.9, 0.6))
    assert values(ask(failing, request(0.9))[0]) == [0.9]


def test_a_dead_model_is_not_asked_again_and_again_and_found_when_it_is_back():
    clock, (small, large) = Clock(), models()
    large.fails = ValueError("a defect")
    climb = Cascade(LEVELS)({"small": small, "large": large}, now=clock, rng=Random(0))
    answers = ask(climb, *[request(0.6)] * 50)
    assert len(large.asked) == 10
    assert whys(answers[0])[1] == ("large", "not answered: it failed (ValueError); the answer so far stands")
    assert "not asked: 'large' failed too often" in whys(answers[-1])[1][1]
    assert {tuple(values(one)) for one in answers} == {(0.6,)}
    large.fails, clock.at = None, clock.at + 5.0
    assert values(ask(climb, request(0.6))[0]) == [0.99]


def test_a_late_expensive_model_leaves_time_for_the_answer_so_far():
    small, _ = models()

    async def never(asked: Request) -> Response:
        return await asyncio.get_running_loop().create_future()

    async def main() -> Response:
        climb = Cascade(LEVELS, usd_per_1k=PRICES)({"small": small, "large": never})
        asked = request(0.6, deadline=time.monotonic() + 0.1)
        return await asyncio.wait_for(climb(asked), 5)

    found = asyncio.run(main())
    assert values(found) == [0.6]
    assert whys(found)[1] == ("large", "not answered: no answer came before the deadline; the answer so far stands")
    # It was, or will be, computed for nobody: that is paid for.
    assert found.usd == pytest.approx(0.011)


def test_a_level_may_be_waited_for_so_long_and_no_longer():
    async def never(asked: Request) -> Response:
        return await asyncio.get_running_loop().create_future()

    _, large = models()
    levels = (Level("small", low=0.2, high=0.8, wait_seconds=0.02), Level("large"))
    (found,) = ask(Cascade(levels)({"small": never, "large": large}), request(0.9))
    assert values(found) == [0.99]
    assert whys(found)[0] == ("small", "not answered: no answer came before the deadline: sent on")


def test_the_next_level_answers_for_a_cheap_one_that_fails():
    small, large = models()
    small.fails = RuntimeError("a defect")
    (found,) = ask(Cascade(LEVELS)({"small": small, "large": large}), request(0.9, 0.1))
    assert values(found) == [0.99, 0.01]
    assert whys(found) == [
        ("small", "not answered: it failed (RuntimeError): sent on"),
        ("large", "the last level: kept"),
    ]
    large.fails = RuntimeError("another")
    with pytest.raises(RuntimeError, match="another"):
        ask(Cascade(LEVELS)({"small": small, "large": large}), request(0.9))


@pytest.mark.parametrize("theirs", [BadRequest("no such input"), TooMany("your share is used up")])
def test_what_the_caller_did_is_told_and_not_escalated(theirs):
    small, large = models()
    small.fails = theirs
    with pytest.raises(type(theirs)):
        ask(Cascade(LEVELS)({"small": small, "large": large}), request(0.9))
    assert not large.asked
    small.fails, large.fails = None, theirs
    with pytest.raises(type(theirs)):
        ask(Cascade(LEVELS)({"small": small, "large": large}), request(0.6))


def test_a_request_whose_time_is_up_asks_nobody_else():
    small, large = models()
    clock = Clock()
    small.fails = Late("too late")
    with pytest.raises(Late):
        ask(Cascade(LEVELS)({"small": small, "large": large}, now=clock), request(0.6, deadline=clock.at - 1))
    assert not large.asked


def test_at_the_cap_the_cheap_answer_stands_or_the_request_is_refused_as_declared():
    small, large = models()
    keeping = Cascade(LEVELS, cap=Cap(0.25, 8))({"small": small, "large": large})
    (found,) = ask(keeping, request(*[0.6] * 8))
    assert values(found) == [0.99] * 2 + [0.6] * 6
    assert found.parameters["unconfirmed"] == 6
    told = "not asked, for the cap is reached: 2 of the last 8 rows were sent on; the answer so far stands"
    assert whys(found, 7)[1] == ("large", told)
    refusing = Cascade(LEVELS, cap=Cap(0.25, 8, then="refuse"))({"small": small, "large": large})
    with pytest.raises(Overloaded, match="cap is reached"):
        ask(refusing, request(*[0.6] * 8))


def test_rows_that_were_kept_count_for_the_share():
    small, large = models()
    climb = Cascade(LEVELS, cap=Cap(0.25, 8))({"small": small, "large": large})
    answers = ask(climb, *([request(0.6)] + [request(0.9)] * 3) * 5)
    assert len(large.asked) == 5
    assert all("unconfirmed" not in one.parameters for one in answers)


def test_the_cap_holds_for_a_dead_cheap_model_too():
    small, large = models()
    small.fails = RoadworthyError("it is gone")
    climb = Cascade(LEVELS, cap=Cap(0.5, 4))({"small": small, "large": large})
    ask(climb, request(0.9), request(0.9))
    with pytest.raises(RoadworthyError, match="it is gone"):
        ask(climb, request(0.9))
    assert len(large.asked) == 2


def test_a_budget_bounds_the_dollars_of_an_hour():
    small, large = models()
    clock = Clock()
    settings = Cascade(LEVELS, cap=Cap(usd_per_hour=0.03), usd_per_1k=PRICES)
    climb = settings({"small": small, "large": large}, now=clock)
    assert [values(one) for one in ask(climb, *[request(0.6)] * 4)] == [[0.99]] * 3 + [[0.6]]
    clock.at += 3700
    assert values(ask(climb, request(0.6))[0]) == [0.99]
    with pytest.raises(SpecError, match="needs what the dearer models cost"):
        Cascade(LEVELS, cap=Cap(usd_per_hour=1.0))({"small": small, "large": large})


def test_audits_are_drawn_at_their_share_and_change_no_answer():
    small, large = Model(lambda x: x.astype(float)), Model(lambda x: np.where(x >= 0.95, 0.99, 0.01))
    settings = Cascade(LEVELS, audit=0.2, seed=3, usd_per_1k=PRICES)
    climb, rng = settings({"small": small, "large": large}), np.random.default_rng(0)
    asked = [request(float(x)) for x in rng.uniform(0.8, 1.0, 1000)]
    answers = ask(climb, *asked)
    assert [values(one)[0] for one in answers] == pytest.approx([one.inputs["x"].data[0] for one in asked], abs=1e-6)
    found = audits_in(record for one, given in zip(answers, asked, strict=True) for record in rows_of(given, one))
    assert 160 <= len(found) <= 240  # 200 +- 3 standard deviations
    assert {(one.at, one.last, one.propensity) for one in found} == {("small", "large", 0.2)}
    # The large model says no to three quarters of what the small one says yes to.
    assert 0.15 <= sum(one.agrees for one in found) / len(found) <= 0.35
    assert len(large.asked) == len(found)
    again = ask(settings({"small": small, "large": large}), *asked)
    assert [whys(one) for one in again] == [whys(one) for one in answers]
    named = {one.name: one for one in climb.measurements()}
    assert named["audit_agreement"].n == len(found)
    assert isinstance(named["escalation_share"], Measurement)


def test_an_audit_that_is_not_answered_harms_nobody():
    small, large = models()
    large.fails = RoadworthyError("gone")
    climb = Cascade(LEVELS, audit=1.0, outage="fail")({"small": small, "large": large})
    (found,) = ask(climb, request(0.9))
    assert (values(found), found.parameters) == ([0.9], {})
    assert whys(found)[1] == ("large", "audit not answered: gone")
    assert not audits_in(rows_of(request(0.9), found))


def test_audits_stay_within_the_cap():
    small, large = models()
    climb = Cascade(LEVELS, audit=1.0, cap=Cap(0.5, 2))({"small": small, "large": large})
    answers = ask(climb, *[request(0.9)] * 10)
    assert len(large.asked) == 5
    assert all("unconfirmed" not in one.parameters for one in answers)


def test_a_threshold_beyond_one_half_is_told_as_a_decision_of_its_own():
    small, large = models()
    levels = (Level("small", low=0.2, high=0.4), Level("large"))
    (found,) = ask(Cascade(levels)({"small": small, "large": large}), request(0.45, 0.3, 0.1))
    assert values(found) == [0.45, 0.01, 0.1]
    assert found.outputs["positive"] == Tensor("positive", "BOOL", (3,), [True, False, False])
    (plain,) = ask(Cascade(LEVELS)({"small": small, "large": large}), request(0.9))
    assert "positive" not in plain.outputs


def test_a_stream_is_refused():
    async def streaming(asked: Request) -> Response:
        async def pieces():
            yield Tensor("text", "BYTES", (1,), ["a"])

        return Response(asked.id, pieces())

    _, large = models()
    with pytest.raises(SpecError, match="'small' answers in a stream"):
        ask(Cascade(LEVELS)({"small": streaming, "large": large}), request(0.9))


def test_a_fitted_cascade_is_read_from_its_file(tmp_path):
    file, fit = tmp_path / "fit.json", fitted(FittedLevel(0.2, 0.8))
    file.write_bytes(msgspec.json.encode(fit))
    small, large = models()
    climb = policy.make("cascade", file=file)({"small": small, "large": large})
    assert climb.levels == LEVELS
    shut = tmp_path / "shut.json"
    shut.write_bytes(msgspec.json.encode(fit.shut("too few rows")))
    climb = policy.make("cascade", file=shut)({"small": small, "large": large})
    assert values(ask(climb, request(0.999, 0.001))[0]) == [0.99, 0.01]
    classes = tmp_path / "classes.json"
    classes.write_bytes(msgspec.json.encode(fitted(FittedLevel(keep_from=0.7, by_class=(0.6, None)))))
    (level, _) = Cascade(file=classes, classes=("cat", "dog"))({"small": small, "large": large}).levels
    assert (level.least, level.least_of) == (0.7, {"cat": 0.6, "dog": float("inf")})


def fitted(*levels: FittedLevel) -> CascadeFit:
    target = Target(precision=0.9, recall=0.9)
    return CascadeFit(target, "traffic", levels, 500, 500, Measurement("delegation", 0.3, 500), "as drawn")


def test_a_file_that_is_no_fit_or_one_of_other_models_is_refused(tmp_path):
    small, large = models()
    file = tmp_path / "fit.json"
    file.write_text("{}")
    with pytest.raises(SpecError, match=r"is no fitted cascade.*roadworthy cascade fit"):
        Cascade(file=file)({"small": small, "large": large})
    file.write_bytes(msgspec.json.encode(fitted(FittedLevel(0.2, 0.8), FittedLevel(0.2, 0.8))))
    with pytest.raises(SpecError, match="thresholds for 2 models before the last one, and the release has 2 members"):
        Cascade(file=file)({"small": small, "large": large})
    with pytest.raises(ValueError, match="needs `levels`"):
        Cascade()
    with pytest.raises(ValueError, match="`audit` is a share"):
        Cascade(LEVELS, audit=2.0)


def test_a_plan_of_the_project_file_makes_the_same_cascade():
    plan = {"cascade": {"levels": [{"at": "small", "low": 0.2, "high": 0.8}, {"at": "large"}], "cap": {"share": 0.5}}}
    made = policy.make(plan, usd_per_1k=PRICES)
    assert made == Cascade(LEVELS, cap=Cap(0.5), usd_per_1k=PRICES)


def test_nothing_in_gives_nothing_out():
    small, large = models()
    (found,) = ask(Cascade(LEVELS)({"small": small, "large": large}), request())
    assert values(found) == []
    assert not large.asked


def test_a_fitted_cascade_is_watched_where_something_tells_of_its_promise(tmp_path):
    file, members = tmp_path / "fit.json", ("small", "large")
    file.write_bytes(msgspec.json.encode(fitted(FittedLevel(0.2, 0.8))))
    watched = Cascade(file=file, audit=0.1)
    assert isinstance(watched, Follows)
    found = watched.follower(members)
    assert (found.reads, found.refits, found.dial) == ("rows", False, "cascade")
    assert Cascade(file=file).follower(members) is None
    assert Cascade(LEVELS, audit=0.1).follower(members) is None
    assert Cascade(file=file, audit=0.1, follow="never").follower(members) is None
    by_labels = CascadeFit(
        Target(accuracy=0.9), "traffic", (FittedLevel(keep_from=0.8),), 9, 9, Measurement("d", 0.3, 9), ""
    )
    file.write_bytes(msgspec.json.encode(by_labels))
    assert Cascade(file=file).follower(members).reads == "labels"
    with pytest.raises(ValueError, match="`follow: refit` learns thresholds anew from audits"):
        Cascade(file=file, follow="refit")
    with pytest.raises(ValueError, match="`follow: refit`"):
        Cascade(LEVELS, audit=0.1, follow="refit")
    with pytest.raises(ValueError, match="`false_alarm` is a chance"):
        Cascade(LEVELS, false_alarm=1.0)


def test_a_dial_that_is_shut_sends_every_row_on_and_one_with_thresholds_keeps_by_them(tmp_path):
    file, (small, large) = tmp_path / "fit.json", models()
    file.write_bytes(msgspec.json.encode(fitted(FittedLevel(0.2, 0.8))))
    climb = Cascade(file=file, audit=0.1, follow="refit", usd_per_1k=PRICES)({"small": small, "large": large})
    assert isinstance(climb, Dialled)
    dial = Dial("cascade", 1.0, {"shut": 1.0}, 5, "precision fell")
    climb.turn(dial)
    (found,) = ask(climb, request(0.9, 0.6))
    assert values(found) == [0.99, 0.99]
    assert whys(found)[0] == ("small", "probability 0.9: every row is sent on since the promise broke")
    climb.turn(replace(dial, value={"shut": 0.0, "edges": (0.55, 0.65)}))
    (found,) = ask(climb, request(0.6, 0.5, 0.7))
    assert values(found) == [0.99, 0.5, 0.7]
    # A threshold may lie beyond one half from now on: who reads only yes or no is told, before as well as after.
    assert found.outputs["positive"].data == [True, False, True]
