"""When the model fails, is late or is not asked, the first fallback that can answers, says so, and leaves its row."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from roadworthy.core.breaker import Breaker
from roadworthy.core.errors import BadRequest, Denied, Late, Missing, Overloaded, RoadworthyError, SpecError, TooMany
from roadworthy.core.record import Record
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Handler, Request, Response, Step, Tensor
from roadworthy.serve.batch import Batch
from roadworthy.serve.fallback import Answer, Fallback, Given, answers_of
from roadworthy.serve.recorded import Recorded
from roadworthy.testing.wrappers import drive

SIGNATURE = Signature({"x": Field()}, {"probability": Field()})


def request(id: str = "r", seconds: float | None = None, **others: Any) -> Request:
    """A request of one row with so many seconds to its deadline."""
    deadline = None if seconds is None else time.monotonic() + seconds
    return Request(id, {"x": Tensor("x", "FP32", (1,), [1.0])}, 0.0, deadline=deadline, **others)


def answering(p: float, **others: Any) -> Handler:
    """A handler that answers with one number at once."""

    async def answer(asked: Request) -> Response:
        outputs = {"probability": Tensor("probability", "FP64", (1,), [p])}
        return Response(asked.id, outputs, path=(Step("inner", "asked"),), **others)

    return answer


def failing(wrong: BaseException) -> Handler:
    async def fail(asked: Request) -> Response:
        await asyncio.sleep(0)
        raise wrong

    return fail


async def hanging(asked: Request) -> Response:
    never: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
    return await never


def breaker(least: int = 1000) -> Breaker:
    """One that opens after `least` failures."""
    return Breaker(time.monotonic, Random(0), least=least, most=max(1000, least), open_seconds=30.0)


def over(inner: Handler, *answers: Handler, on: Breaker | None = None, **settings: Any) -> Fallback:
    named = [Answer(f"f{k}", handler) for k, handler in enumerate(answers)]
    return Fallback(inner, named, on or breaker(), **settings)


def ask(handler: Handler, asked: Request) -> Response:
    async def run() -> Response:
        return await drive(handler, asked)

    return asyncio.run(run())


def value(answer: Response) -> float:
    assert isinstance(answer.outputs, dict)
    return float(answer.outputs["probability"].data[0])


def test_a_model_that_answers_is_left_alone() -> None:
    answer = ask(over(answering(0.7, confidence=[0.7]), answering(0.1)), request(seconds=5.0))
    assert (value(answer), answer.arm, answer.confidence) == (0.7, "stable", [0.7])
    assert answer.path == (Step("inner", "asked"),)


@pytest.mark.parametrize("wrong", [RoadworthyError("the model broke"), Overloaded("full"), Late("late")])
def test_on_an_error_of_ours_the_first_that_can_answers_and_says_why(wrong: Exception) -> None:
    answer = ask(over(failing(wrong), failing(Missing("unseen")), answering(0.1), answering(0.2)), request())
    assert (value(answer), answer.arm, answer.confidence) == (0.1, "fallback", None)
    assert answer.path == (Step("fallback", f"f1 answers, since {wrong}"), Step("inner", "asked"))


def test_a_defect_is_told_by_its_type_alone() -> None:
    answer = ask(over(failing(ZeroDivisionError("secret")), answering(0.1)), request())
    assert answer.path[0].because == "f0 answers, since the model failed (ZeroDivisionError)"


@pytest.mark.parametrize("wrong", [BadRequest("no input"), Missing("no model"), Denied("no key"), TooMany("wait")])
def test_what_the_caller_did_is_the_callers_affair(wrong: Exception) -> None:
    on = breaker()
    with pytest.raises(type(wrong)) as raised:
        ask(over(failing(wrong), answering(0.1), on=on), request())
    assert raised.value is wrong
    assert not on._outcomes


def test_where_no_fallback_can_answer_the_first_error_goes_out() -> None:
    wrong = RoadworthyError("the model broke")
    with pytest.raises(RoadworthyError) as raised:
        ask(over(failing(wrong), failing(Missing("unseen")), failing(ZeroDivisionError())), request())
    assert raised.value is wrong
    with pytest.raises(RoadworthyError, match="the model broke"):
        ask(over(failing(wrong)), request())


def test_before_the_deadline_a_fallback_answers_and_what_hangs_is_cancelled() -> None:
    seen: list[str] = []

    async def inner(asked: Request) -> Response:
        try:
            return await hanging(asked)
        except asyncio.CancelledError as cut:
            seen.append(str(cut))
            raise

    asked = request(seconds=0.06)
    answer = ask(over(inner, answering(0.1), margin_seconds=0.01), asked)
    assert (value(answer), answer.arm) == (0.1, "fallback")
    assert answer.path[0].because == "f0 answers, since no answer came before the deadline"
    assert seen == ["no answer came before the deadline"]


def test_a_fallback_that_hangs_is_passed_over_too() -> None:
    answer = ask(over(hanging, hanging, answering(0.1), margin_seconds=0.04), request(seconds=0.08))
    assert (value(answer), answer.path[0].because[:2]) == (0.1, "f1")


def test_without_a_deadline_nothing_is_cut_off_and_after_it_nobody_is_waiting() -> None:
    async def slow(asked: Request) -> Response:
        await asyncio.sleep(0.05)
        return await answering(0.7)(asked)

    async def run() -> Response:
        return await over(slow, answering(0.1), margin_seconds=1.0)(request())

    assert value(asyncio.run(run())) == 0.7
    on = breaker()
    with pytest.raises(Late, match="too late"):
        ask(over(failing(Late("too late")), answering(0.1), on=on), request(seconds=-1.0))
    assert not on._outcomes


def test_an_open_circuit_is_not_asked() -> None:
    asked: list[str] = []

    async def inner(request: Request) -> Response:
        asked.append(request.id)
        raise RoadworthyError("the model broke")

    on = breaker(least=10)
    handler = over(inner, answering(0.1), on=on)
    answers = [ask(handler, request(f"r{k}")) for k in range(12)]
    assert (len(asked), on.state) == (10, "open")
    assert [answer.arm for answer in answers] == ["fallback"] * 12
    assert "the model failed too often and is not asked for another" in answers[-1].path[0].because
    with pytest.raises(Overloaded, match="circuit is open") as raised:
        ask(over(inner, on=on), request())
    assert raised.value.retry_after is not None
    assert 20 < raised.value.retry_after < 40


@pytest.mark.parametrize(
    ("inner", "counted"),
    [
        (answering(0.7), [False]),
        (failing(RoadworthyError("broke")), [True]),
        (failing(ZeroDivisionError()), [True]),
        (failing(Late("late")), [True]),
        (failing(Overloaded("full")), []),
        (failing(TooMany("wait")), []),
        (failing(BadRequest("nonsense")), []),
        (failing(asyncio.CancelledError()), []),
    ],
)
def test_the_breaker_counts_what_tells_something_about_the_model(inner: Handler, counted: list[bool]) -> None:
    on = breaker()

    async def run() -> None:
        await asyncio.gather(over(inner, answering(0.1), on=on)(request()), return_exceptions=True)

    asyncio.run(run())
    assert [failed for _, failed in on._outcomes] == counted


def test_a_caller_who_goes_away_gives_its_probe_back() -> None:
    now = [0.0]
    on = Breaker(lambda: now[0], Random(0), least=1, z=0.1, probes=1)
    ticket = on.admit()
    assert ticket is not None
    on.report(ticket, failed=True)
    now[0] = 10.0

    async def run() -> None:
        task = asyncio.ensure_future(over(hanging, answering(0.1), on=on)(request()))
        await asyncio.sleep(0)
        assert on.admit() is None
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(run())
    assert on.admit() is not None


def test_a_mirrored_request_is_not_answered_in_anybodys_place() -> None:
    with pytest.raises(RoadworthyError, match="broke"):
        ask(over(failing(RoadworthyError("broke")), answering(0.1)), request(shadow=True))


def test_fallbacks_that_learn_are_shown_good_answers_only() -> None:
    shown: list[tuple[str, float]] = []

    class Learning:
        def learn(self, asked: Request, response: Response) -> None:
            shown.append((asked.id, value(response)))

        async def __call__(self, asked: Request) -> Response:
            return await answering(0.1)(asked)

    inner: list[Handler] = [answering(0.7), failing(RoadworthyError("broke"))]

    async def model(asked: Request) -> Response:
        return await inner.pop(0)(asked)

    handler = over(model, Learning())
    ask(handler, request("a"))
    ask(handler, request("b"))
    assert shown == [("a", 0.7)]


def kept() -> tuple[list[Record], Callable[[Callable[[], Iterable[Record]]], Awaitable[None]]]:
    """Records, and what writes them."""
    rows: list[Record] = []

    async def keep(make: Callable[[], Iterable[Record]]) -> None:
        rows.extend(make())

    return rows, keep


@pytest.mark.parametrize("seconds", [None, 0.05])
def test_the_failed_try_and_the_fallbacks_answer_leave_a_row_each(seconds: float | None, tmp_path: Path) -> None:
    rows, keep = kept()
    inner = hanging if seconds else failing(RoadworthyError("the model broke"))
    given = Given(SIGNATURE, tmp_path, "digest", previous=answering(0.3, confidence=[0.7]), previous_release="before")
    handler = Fallback(
        Recorded(inner, keep, "digest", "canary"),
        answers_of(["cached", "previous", {"default": {"outputs": {"probability": 0.2}}}], given),
        breaker(),
        record=lambda handler, release: Recorded(handler, keep, release, "fallback"),
    )
    answer = ask(handler, request(seconds=seconds))
    assert (answer.arm, answer.release, value(answer), answer.confidence) == ("fallback", "before", 0.3, [0.7])
    failed, unseen, told = sorted(rows, key=lambda row: (row.arm, row.error is None))
    assert (failed.arm, failed.release, failed.id) == ("canary", "digest", "r")
    assert failed.error is not None
    assert (unseen.arm, unseen.error) == ("fallback", "Missing: no answer is remembered for the input of request 'r'")
    assert (told.arm, told.release, told.error, told.outputs) == ("fallback", "before", None, {"probability": 0.3})
    assert told.path[0].because.startswith("previous answers, since ")
    assert told.path == answer.path


def test_a_real_model_that_hangs_on_its_thread_is_answered_for_and_recovers() -> None:
    slow = [True]

    def engine(columns: Any) -> Any:
        if slow.pop() if slow else False:
            time.sleep(0.15)
        return {"probability": columns["x"][:, 0] / 2}

    async def run() -> list[Response]:
        batch = Batch(engine, SIGNATURE, place="thread")
        handler = over(batch, answering(0.1), margin_seconds=0.02)
        first = await drive(handler, request(seconds=0.06))
        second = await drive(handler, request(seconds=5.0))
        await batch.close()
        return [first, second]

    first, second = asyncio.run(run())
    assert [first.arm, second.arm, value(first), value(second)] == ["fallback", "stable", 0.1, 0.5]


def test_plans_are_made_in_their_order_and_a_wrong_one_is_told(tmp_path: Path) -> None:
    given = Given(SIGNATURE, tmp_path, "digest")
    made = answers_of(["previous", {"default": {"outputs": {"probability": 0.2}}}, "cached:megabytes=1"], given)
    assert [(answer.name, answer.release) for answer in made] == [
        ("previous", ""),
        ("default", "digest"),
        ("cached", "digest"),
    ]
    with pytest.raises(SpecError, match="no fallback named 'defalt'; did you mean 'default'"):
        answers_of(["defalt"], given)


def test_a_margin_below_0_is_refused_and_a_short_deadline_leaves_the_model_its_time() -> None:
    with pytest.raises(ValueError, match="`margin_seconds` must be 0 or more"):
        over(hanging, margin_seconds=-1.0)

    async def quick(asked: Request) -> Response:
        await asyncio.sleep(0.001)
        return await answering(0.7)(asked)

    async def run() -> Response:
        return await over(quick, answering(0.1), margin_seconds=60.0)(replace(request(seconds=2.0)))

    assert value(asyncio.run(run())) == 0.7
