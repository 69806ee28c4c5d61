"""The laws of policies: who chooses among several models answers each row by one of them, says so, and loses none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from roadworthy.core.errors import Overloaded, RoadworthyError
from roadworthy.core.wire import Handler, Request, Response, Step, Tensor
from roadworthy.testing.wrappers import drive

LOST_AFTER_SECONDS = 5.0
ROWS = (0, 1, 3, 40)
# What a row of each member costs, the cheapest first.
USD = (0.001, 0.01)


@dataclass
class Voice:
    """A member whose answer to a row tells who gave it to which row; `wrong` is what it raises instead."""

    number: int
    usd: float
    wrong: Exception | None = None
    seen: list[Request] = field(default_factory=list)

    async def __call__(self, request: Request) -> Response:
        """A `probability` for each row, near 0 or 1 where the row is easy, and a confidence. Raises `wrong`."""
        self.seen.append(request)
        turn = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(turn.set_result, None)
        await turn
        if self.wrong is not None:
            raise self.wrong
        data = [answer_of(self.number, x) for x in request.inputs["x"].data]
        outputs = {"probability": Tensor("probability", "FP64", (len(data),), data)}
        path, usd = (Step("inner", "asked"),), self.usd * len(data)
        return Response(request.id, outputs, "mixture", confidence=[max(p, 1 - p) for p in data], path=path, usd=usd)


def answer_of(number: int, x: float) -> float:
    """What member `number` answers row `x`: no two members say the same, and no two rows are answered alike."""
    return (x + 0.1 + 0.2 * number) / 100


def check_policy(name: str, choose: Callable[[Mapping[str, Handler]], Handler]) -> None:
    """Run every law on a policy, made into a handler by `choose`. Raises AssertionError with the law that is broken."""
    asyncio.run(_check_answers(name, choose))
    asyncio.run(_check_carries(name, choose))
    asyncio.run(_check_failures(name, choose))


def members(*wrong: Exception | None) -> dict[str, Voice]:
    """A cheap and a dear member; `wrong` is what each raises."""
    given = (*wrong, None, None)
    return {one: Voice(k, USD[k], given[k]) for k, one in enumerate(("cheap", "dear"))}


def request_of(rows: int, id: str = "law") -> Request:
    """A request of so many different rows, the one half easy and the other half hard."""
    data = [float(k * 97 % 100) for k in range(rows)]
    return Request(id, {"x": Tensor("x", "FP64", (rows, 1), data)}, 1.0, key="caller", tags={"segment": "north"})


async def ask(handler: Handler, request: Request) -> Response:
    """The answer, asked for without a Task, as the server does."""
    return await asyncio.wait_for(_future(drive(handler, request)), LOST_AFTER_SECONDS)


async def _future(answer: Awaitable[Response]) -> Response:
    return await answer


async def _check_answers(name: str, choose: Callable[[Mapping[str, Handler]], Handler]) -> None:
    """Each row is answered by a member that its way names, in the order asked, and pays for its way alone."""
    for rows in ROWS:
        voices, request = members(), request_of(rows, f"law-{rows}")
        response = await ask(choose(dict(voices)), request)
        assert response.id == request.id, f"{name} answers request {request.id!r} with the id {response.id!r}"
        assert isinstance(response.outputs, Mapping), f"{name} answers in a stream"
        told = response.outputs["probability"]
        assert told.shape[0] == rows == len(told.data), f"{name} answers {told.shape} to {rows} rows"
        assert response.confidence is not None, f"{name} loses the confidence of its members"
        assert len(response.confidence) == rows, f"{name} gives {len(response.confidence)} confidences to {rows} rows"
        for row, x in enumerate(request.inputs["x"].data):
            _check_row(name, response, row, x, rows)
        _check_bill(name, response, rows, voices)


def _check_row(name: str, response: Response, row: int, x: float, rows: int) -> None:
    assert isinstance(response.outputs, Mapping)
    value, way = response.outputs["probability"].data[row], response.row_path(row)
    by = [who for number, who in enumerate(("cheap", "dear")) if abs(value - answer_of(number, x)) < 1e-9]
    assert by, f"{name} answers row {row} of {rows} with {value!r}, which no member said of it"
    assert by[0] in [step.at for step in way], f"{name} answers row {row} by {by[0]!r}, which its way does not name"
    assert all(step.because for step in way), f"{name} gives no reason for a step of row {row}"


def _check_bill(name: str, response: Response, rows: int, voices: Mapping[str, Voice]) -> None:
    """The whole costs what the members were asked, and the rows' shares add up to it."""
    paid = sum(voice.usd * request.n for voice in voices.values() for request in voice.seen)
    usd = response.usd or 0.0
    assert abs(usd - paid) < 1e-9, f"{name} bills {usd!r} for calls that cost {paid!r}"
    shares = sum(share or 0.0 for share in response.usd_of_rows(rows))
    assert abs(shares - usd) < 1e-9, f"{name} bills {usd!r}, and its rows {shares!r}"


async def _check_carries(name: str, choose: Callable[[Mapping[str, Handler]], Handler]) -> None:
    """Members are asked with all that the caller said, about rows that the caller asked about; the request stays."""
    voices, request = members(), replace(request_of(8), parameters={"of": "caller"}, deadline=None, shadow=True)
    before = list(request.inputs["x"].data)
    await ask(choose(dict(voices)), request)
    assert request.inputs["x"].data == before, f"{name} changes the request"
    for seen in (one for voice in voices.values() for one in voice.seen):
        for part in ("id", "at", "key", "tags", "parameters", "shadow", "priority"):
            assert getattr(seen, part) == getattr(request, part), f"{name} does not hand on `{part}` to its members"
        assert set(seen.inputs["x"].data) <= set(before), f"{name} asks a member about rows that nobody asked about"


async def _check_failures(name: str, choose: Callable[[Mapping[str, Handler]], Handler]) -> None:
    """One member's outage is answered, or refused with its error; that of all is refused, and nothing hangs."""
    gone = Overloaded("the model is away", 1.0)
    for wrong in ((gone, None), (None, gone), (gone, gone)):
        voices = members(*wrong)
        try:
            response = await ask(choose(dict(voices)), request_of(6))
        except RoadworthyError:
            continue
        except TimeoutError:
            raise AssertionError(f"{name} never comes back while a member is away") from None
        assert None in wrong, f"{name} answers though no member did"
        assert isinstance(response.outputs, Mapping)
        for row, x in enumerate(request_of(6).inputs["x"].data):
            _check_row(name, response, row, x, 6)
