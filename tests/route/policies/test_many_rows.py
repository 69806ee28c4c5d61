"""What rows of one request cost is worked out once for all of them, however many ways they came."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping

import pytest

from roadworthy.core.wire import Handler, Request, Response, Step, Tensor
from roadworthy.route.answering.levels import Level
from roadworthy.route.policies.cascade import Cascade
from roadworthy.route.policies.routed import Routed

ROWS = 60


class Ways(list[tuple[Step, ...]]):
    """Ways that count how often somebody goes through all of them."""

    looked = 0

    def __iter__(self) -> Iterator[tuple[Step, ...]]:
        self.looked += 1
        return super().__iter__()


def cascade(handlers: Mapping[str, Handler]) -> Handler:
    return Cascade(levels=(Level("small", least=0.5), Level("large")))(handlers)


def routed(handlers: Mapping[str, Handler]) -> Handler:
    return Routed(when="after", confidence=0.5).over(handlers, None)


@pytest.mark.parametrize("policy", [cascade, routed])
def test_the_ways_of_a_members_rows_are_gone_through_once_for_all_rows(
    policy: Callable[[Mapping[str, Handler]], Handler],
) -> None:
    told: list[Ways] = []

    async def model(request: Request) -> Response:
        ways = Ways([(Step("cache", "miss", 0.5),)] * request.n)
        told.append(ways)
        answers = Tensor("probability", "FP64", (request.n,), [0.2] * request.n)
        sure = [0.9 if row % 2 else 0.1 for row in range(request.n)]
        return Response(request.id, {"probability": answers}, confidence=sure, usd=0.5 * request.n, paths=ways)

    asked = Request("many", {"x": Tensor("x", "FP64", (ROWS,), [1.0] * ROWS)}, 0.0)
    got = asyncio.run(_awaited(policy({"small": model, "large": model}), asked))
    assert got.usd == pytest.approx(0.5 * ROWS * 1.5)
    assert [got.row_usd(row, ROWS) for row in (0, 1)] == pytest.approx([1.0, 0.5])
    assert [len(ways) for ways in told] == [ROWS, ROWS // 2]
    assert max(ways.looked for ways in told) <= 2


async def _awaited(handler: Handler, request: Request) -> Response:
    return await handler(request)
