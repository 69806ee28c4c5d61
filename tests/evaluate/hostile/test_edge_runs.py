from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
import pytest

from roadworthy.core.errors import BadData, BadRequest, Late, Overloaded, RoadworthyError
from roadworthy.core.measure import Requirement, judge
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Handler, Request, Response, Tensor
from roadworthy.evaluate.base import Case
from roadworthy.evaluate.edges.naughty_strings import NaughtyStrings
from roadworthy.evaluate.edges.odd_batches import OddBatches
from roadworthy.evaluate.edges.wrong_width import WrongWidth
from roadworthy.evaluate.hostile.edge_runs import EdgeEffort, EdgeReport, ask_edges
from roadworthy.serve.batch import Batch

SIGNATURE = Signature({"heat": Field(), "said": Field("text")}, {"probability": Field()})
Act = Callable[[Request], Awaitable[Response]]
Run = Callable[..., EdgeReport]


@dataclass(frozen=True)
class Given:
    """The cases that a test needs."""

    cases: Sequence[Case]

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Iterator[Case]:
        yield from self.cases


def rows(*texts: str, heat: float = 50.0) -> Sample:
    return Sample({"heat": np.full(len(texts), heat), "said": np.array(texts, dtype=object)})


ORDINARY = rows("one", "two", "three", "four", "five", "six")
SICK = Case("sick", rows("sick"))


def lengths(request: Request) -> Response:
    """Each row is answered by the length of its text."""
    values = [len(text or "") / 100 for text in request.inputs["said"].data]
    return Response(request.id, {"probability": Tensor("probability", "FP64", (len(values),), values)})


def when_sick(act: Act) -> Handler:
    """A model that is well until somebody asks about `sick`."""

    async def answer(request: Request) -> Response:
        await asyncio.sleep(0)
        return await act(request) if "sick" in request.inputs["said"].data else lengths(request)

    return answer


def raising(wrong: BaseException) -> Handler:
    async def fail(request: Request) -> Response:
        raise wrong

    return when_sick(fail)


def saying(values: Any, name: str = "probability") -> Handler:
    async def say(request: Request) -> Response:
        usual = lengths(request).outputs["probability"].data
        data = [values if t == "sick" else v for t, v in zip(request.inputs["said"].data, usual, strict=True)]
        return Response(request.id, {name: Tensor(name, "FP64", (request.n,), data)})

    return when_sick(say)


@pytest.fixture
def ask(virtual: Callable[..., Any]) -> Run:
    """Ask a handler about cases, on a clock that never waits."""

    def run(handler: Handler, *cases: Case, sample: Sample = ORDINARY) -> EdgeReport:
        report: EdgeReport = virtual(ask_edges(handler, sample, SIGNATURE, {"given": Given(cases or (SICK,))}))
        return report

    return run


def only(report: EdgeReport) -> tuple[str, str]:
    (run,) = report.wrong
    return run.outcome, run.because


def test_a_handler_that_answers_everything_handles_everything(ask: Run) -> None:
    report = ask(when_sick(lambda request: asyncio.sleep(0, lengths(request))))
    assert report.outcomes == {"answered": 1}
    assert not report.wrong
    assert report.repeatable
    share = report.measured[0]
    assert (share.name, share.value, share.n, share.low, share.high) == ("edges_handled", 1.0, 1, 1.0, 1.0)


def test_a_share_is_exact_so_that_a_requirement_of_all_can_be_met(ask: Run) -> None:
    met = judge(ask(saying(0.5)).measured[0], Requirement("edges_handled", at_least=1.0))
    missed = judge(ask(saying(np.nan)).measured[0], Requirement("edges_handled", at_least=1.0))
    assert (met.decision, missed.decision) == ("pass", "fail")


@pytest.mark.parametrize(
    ("right", "handled"), [("answer", False), ("refuse", True), ("either", True)], ids=["answer", "refuse", "either"]
)
def test_a_refusal_with_a_sentence_is_right_where_it_may_be(ask: Run, right: Any, handled: bool) -> None:
    report = ask(raising(BadRequest("`said` is too sick to be read")), Case("sick", rows("sick"), right))
    assert report.outcomes == {"refused": 1}
    assert not report.wrong if handled else only(report)[1] == "BadRequest: `said` is too sick to be read"


def test_an_answer_to_what_has_to_be_refused_is_wrong(ask: Run) -> None:
    assert only(ask(saying(0.5), Case("sick", rows("sick"), "refuse"))) == (
        "answered",
        "it was answered, and has to be refused",
    )


@pytest.mark.parametrize(
    ("said", "because"),
    [
        ("", "refused without a sentence: ''"),
        ("KeyError", "refused without a sentence"),
        ("bad\nTraceback (most recent call last):\n  File x", "shows the caller a traceback"),
    ],
)
def test_a_refusal_that_explains_nothing_or_too_much_is_wrong(ask: Run, said: str, because: str) -> None:
    outcome, told = only(ask(raising(BadRequest(said))))
    assert outcome == "refused"
    assert because in told


class Panic(BaseException):
    """What a library written in Rust raises where it gives up."""


CRASHES = [KeyError("said"), RoadworthyError("the model failed on it"), SystemExit(3), Panic("index out of bounds")]


@pytest.mark.parametrize("wrong", CRASHES, ids=lambda wrong: type(wrong).__name__)
def test_whatever_else_is_raised_is_a_crash(ask: Run, wrong: BaseException) -> None:
    outcome, told = only(ask(raising(wrong)))
    assert outcome == "crashed"
    assert told.startswith(type(wrong).__name__)


def test_a_handler_that_cancels_its_caller_has_crashed(ask: Run) -> None:
    report = ask(raising(asyncio.CancelledError()), SICK, Case("after", rows("well")))
    assert report.outcomes == {"crashed": 1, "answered": 1}
    assert only(report) == ("crashed", "the handler cancelled whoever asked")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, None], ids=str)
def test_an_answer_that_is_no_number_is_wrong(ask: Run, value: Any) -> None:
    assert only(ask(saying(value)))[0] == "not finite"


def test_null_is_an_answer_where_the_output_says_so(virtual: Callable[..., Any]) -> None:
    nullable = Signature(SIGNATURE.inputs, {"probability": Field(nullable=True)})
    report = virtual(ask_edges(saying(np.nan), ORDINARY, nullable, {"given": Given((SICK,))}))
    assert not report.wrong


def test_an_answer_of_another_shape_or_name_is_a_crash(ask: Run) -> None:
    async def twice(request: Request) -> Response:
        return Response(request.id, {"probability": Tensor("probability", "FP64", (2,), [0.1, 0.2])})

    assert "2 rows came back for 1 rows" in only(ask(when_sick(twice)))[1]
    assert "no output named 'probability'" in only(ask(saying(0.5, "label")))[1]


def test_an_answer_under_another_id_is_wrong(ask: Run) -> None:
    async def mixed_up(request: Request) -> Response:
        return msgspec.structs.replace(lengths(request), id="somebody else's")

    assert 'id "somebody else\'s"' in only(ask(when_sick(mixed_up)))[1]


def test_a_case_that_hangs_is_given_up_and_the_rest_goes_on(ask: Run) -> None:
    async def hang(request: Request) -> Response:
        await asyncio.sleep(1e6)
        return lengths(request)

    report = ask(when_sick(hang), SICK, Case("after", rows("well")))
    assert report.outcomes == {"hung": 1, "answered": 1}
    assert only(report) == ("hung", "no answer within 10 s")
    assert ask(raising(Late("it did not end within 1 s"))).outcomes == {"hung": 1}


def test_one_that_does_not_let_itself_be_cancelled_is_left_behind(ask: Run) -> None:
    async def deaf(request: Request) -> Response:
        for _ in range(5):
            try:
                await asyncio.sleep(50)
            except asyncio.CancelledError:
                continue
        return lengths(request)

    assert ask(when_sick(deaf), SICK, Case("after", rows("well"))).outcomes == {"hung": 1, "answered": 1}


def test_after_a_case_that_takes_the_handler_down_nobody_else_is_blamed(ask: Run) -> None:
    down = []

    async def answer(request: Request) -> Response:
        if down or "sick" in request.inputs["said"].data:
            down.append(request.id)
            await asyncio.sleep(1e6)
        return lengths(request)

    report = ask(answer, Case("well", rows("well")), SICK, Case("after", rows("after")))
    assert report.outcomes == {"answered": 1, "hung": 1, "not asked": 1}
    assert report.wrong[1].because == "ordinary rows got no answer any more after given, sick"
    share = report.measured[0]
    assert (share.value, share.n) == (0.5, 2)
    assert (share.low, share.high) == (pytest.approx(1 / 3), pytest.approx(2 / 3))


def test_a_busy_handler_is_asked_again(ask: Run) -> None:
    seen: list[str] = []

    async def busy(request: Request) -> Response:
        seen.append(request.id)
        if seen.count(request.id) < 2:
            raise Overloaded("the queue is full; ask again", 0.2)
        return lengths(request)

    assert not ask(when_sick(busy)).wrong
    assert ask(raising(Overloaded("the queue is full; ask again", 0.2))).outcomes == {"not asked": 1}


def test_a_row_that_spoils_the_rows_of_its_request_is_caught(ask: Run) -> None:
    async def normalised(request: Request) -> Response:
        values = np.asarray(lengths(request).outputs["probability"].data)
        if request.n > 1:
            values = values / values.max()
        return Response(request.id, {"probability": Tensor("probability", "FP64", (request.n,), values.tolist())})

    outcome, told = only(ask(when_sick(normalised)))
    assert outcome == "harmed neighbours"
    assert "in one request with it, 'probability' of an ordinary row became" in told


def test_a_row_whose_null_spreads_over_its_request_is_caught(ask: Run) -> None:
    async def spreading(request: Request) -> Response:
        data = [np.nan] * request.n if request.n > 1 else [0.04]
        return Response(request.id, {"probability": Tensor("probability", "FP64", (request.n,), data)})

    assert only(ask(when_sick(spreading)))[0] == "harmed neighbours"


def test_a_row_that_is_answered_alone_and_crashes_its_request_is_caught(ask: Run) -> None:
    async def alone(request: Request) -> Response:
        if request.n > 1:
            raise ValueError("cannot stack them")
        return lengths(request)

    outcome, told = only(ask(when_sick(alone)))
    assert outcome == "crashed"
    assert told == "alone it is answered, among ordinary rows not: ValueError: cannot stack them"


def batching(engine: Callable[[Sequence[str]], Sequence[float]]) -> Handler:
    """Puts all who ask in one turn of the loop into one batch, as servers do, and fails or answers them together."""
    waiting: list[tuple[Request, asyncio.Future[Response]]] = []

    def run() -> None:
        asked, waiting[:] = list(waiting), []
        try:
            values = list(engine([text for request, _ in asked for text in request.inputs["said"].data]))
        except ValueError as wrong:
            for _, answer in asked:
                answer.set_exception(BadRequest(f"the batch failed: {wrong}"))
            return
        for request, answer in asked:
            own, values[: request.n] = values[: request.n], []
            outputs = {"probability": Tensor("probability", "FP64", (request.n,), own)}
            answer.set_result(Response(request.id, outputs))

    async def ask(request: Request) -> Response:
        answer = asyncio.get_running_loop().create_future()
        if not waiting:
            asyncio.get_running_loop().call_soon(run)
        waiting.append((request, answer))
        return await answer

    return ask


def test_a_caller_whose_row_fails_the_batch_of_others_is_caught(ask: Run) -> None:
    def engine(texts: Sequence[str]) -> list[float]:
        if "sick" in texts:
            raise ValueError("a sick text")
        return [len(text) / 100 for text in texts]

    outcome, told = only(ask(batching(engine)))
    assert outcome == "harmed neighbours"
    assert told.startswith("another caller at the same moment got no answer (refused: BadRequest: the batch failed")


def test_a_caller_whose_row_moves_the_answers_of_others_is_caught(ask: Run) -> None:
    def engine(texts: Sequence[str]) -> list[float]:
        shift = 0.01 * ("sick" in texts)
        return [len(text) / 100 + shift for text in texts]

    outcome, told = only(ask(batching(engine)))
    assert outcome == "harmed neighbours"
    assert "for another caller at the same moment, 'probability' of an ordinary row became" in told


def test_where_ordinary_answers_differ_each_time_harm_is_not_made_up(ask: Run) -> None:
    count = iter(range(1_000_000))

    async def chance(request: Request) -> Response:
        data = [next(count) / 1e3 for _ in range(request.n)]
        return Response(request.id, {"probability": Tensor("probability", "FP64", (request.n,), data)})

    report = ask(chance)
    assert not report.repeatable
    assert not report.wrong


def pair(one: str, other: str) -> Case:
    return Case("pair", replace(rows(one, other), ids=np.array(["same", "same"], dtype=object)))


def test_two_callers_with_one_id_each_get_their_own_answer(ask: Run) -> None:
    kept: dict[str, Response] = {}

    async def remembers(request: Request) -> Response:
        await asyncio.sleep(0)
        return kept.setdefault(request.id, lengths(request))

    assert not ask(when_sick(lambda request: asyncio.sleep(0, lengths(request))), pair("short", "much longer")).wrong
    outcome, told = only(ask(remembers, pair("short", "much longer")))
    assert outcome == "harmed neighbours"
    assert "another answer than for its own row" in told


def test_a_handler_that_does_not_answer_ordinary_rows_has_no_edges(ask: Run) -> None:
    with pytest.raises(BadData, match=r"an ordinary row is not answered \(BadRequest: the batch failed"):
        ask(batching(lambda texts: [float(text) for text in texts]))


def test_no_rows_measure_nothing(ask: Run) -> None:
    report = ask(saying(0.5), sample=ORDINARY.take(slice(0, 0)))
    assert report.measured[0].n == 0
    assert judge(report.measured[0], Requirement("edges_handled", at_least=1.0)).decision == "wait"


def test_what_is_odd_about_a_case_is_shown_and_nothing_that_breaks_a_terminal(ask: Run) -> None:
    async def fail(request: Request) -> Response:
        raise ValueError(f"cannot read {request.inputs['said'].data[0]}")

    async def handler(request: Request) -> Response:
        return await fail(request) if any("\x1b" in text for text in request.inputs["said"].data) else lengths(request)

    (run,) = ask(handler, Case("red", rows("\x1b[31mred\u202e" + "x" * 500))).wrong
    assert run.excerpt == "said=“\\x1b[31mred\\u202e" + "x" * 111 + "... (509 characters)”"
    assert run.because.startswith("ValueError: cannot read \\x1b[31mred\\u202ex")
    assert len(run.because) < 400


def test_a_report_goes_to_json_and_back(ask: Run) -> None:
    report = ask(raising(KeyError("x")), SICK, Case("half", rows("\ud83d")))
    assert msgspec.json.decode(msgspec.json.encode(report), type=EdgeReport) == report
    assert {m.where for m in report.measured} == {"", "given"}


def test_a_batch_around_a_function_stands_all_that_ours_throw_at_it() -> None:
    signature = Signature({"said": Field("text"), "seen": Field(width=3)}, {"value": Field()})
    sample = Sample({"said": np.array(["a", "bb", "ccc"], dtype=object), "seen": np.ones((3, 3))})

    def engine(columns: Any) -> dict[str, Any]:
        spoken = np.array([len(text) for text in columns["said"][:, 0]], np.float64)
        return {"value": spoken + columns["seen"].sum(axis=1)}

    edges = {"strings": NaughtyStrings(), "width": WrongWidth(), "batches": OddBatches(huge=1000)}
    handler = Batch(engine, signature)
    handler.warm_up()
    report = asyncio.run(ask_edges(handler, sample, signature, edges, EdgeEffort(seconds=30.0)))
    assert not report.wrong
    assert report.outcomes["refused"] >= 3
    assert report.outcomes["answered"] > 200


def test_a_function_that_cannot_read_odd_text_is_found_out_with_the_text_that_it_failed_on() -> None:
    signature = Signature({"said": Field("text")}, {"value": Field()})
    sample = Sample({"said": np.array(["a", "bb", "ccc"], dtype=object)})

    def engine(columns: Any) -> dict[str, Any]:
        return {"value": np.array([float(len(text.encode())) for text in columns["said"][:, 0]])}

    handler = Batch(engine, signature)
    handler.warm_up()
    report = asyncio.run(ask_edges(handler, sample, signature, {"strings": NaughtyStrings()}))
    assert {run.case.split(": ")[1].rsplit(" ", 1)[0] for run in report.wrong} == {"lone surrogates"}
    assert {run.outcome for run in report.wrong} <= {"crashed", "harmed neighbours"}
    assert report.wrong[0].excerpt == "said=“\\ud800”"


def test_a_streaming_handler_is_asked_one_row_at_a_time(virtual: Callable[..., Any]) -> None:
    signature = Signature({"said": Field("text")}, {"text": Field("text")})

    async def pieces(text: str) -> AsyncIterator[Tensor]:
        for word in text.split():
            yield Tensor("text", "BYTES", (1,), [word])
        if "sick" in text:
            raise RoadworthyError("the model failed in its stream")

    async def stream(request: Request) -> Response:
        if request.n != 1:
            raise BadRequest("a model that streams answers one row at a time")
        return Response(request.id, pieces(request.inputs["said"].data[0]))

    cases = (SICK, Case("well", rows("well and good")))
    report = virtual(ask_edges(stream, ORDINARY, signature, {"given": Given(cases)}))
    assert report.outcomes == {"crashed": 1, "answered": 1}
    assert report.repeatable


@pytest.mark.parametrize("given", [{"seconds": 0.0}, {"neighbours": 0}])
def test_effort_must_allow_for_an_answer(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="`seconds` must be above 0 and `neighbours` at least 1"):
        EdgeEffort(**given)
