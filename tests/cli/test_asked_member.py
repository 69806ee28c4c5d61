"""A member is asked about some rows of a chunk; what it says becomes shares of classes, what it does not a reason."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import polars as pl
import pytest

from roadworthy.cli.asked_member import AskedMember, shares_of
from roadworthy.cli.score_tables import Chunk
from roadworthy.core.errors import BadData
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Request, Response, Tensor

SIGNATURE = Signature({"x": Field()}, {"share": Field()})
CHUNK = Chunk(100, pl.DataFrame({"x": [0.1, 0.2, float("inf"), 0.4, 0.5]}))


class Model:
    """Says x of x; knows no 0.4, and is away where it is told to be."""

    def __init__(self, away: bool = False) -> None:
        self.away, self.loops, self.closed = away, set[int](), False

    async def __call__(self, request: Request) -> Response:
        self.loops.add(id(asyncio.get_running_loop()))
        rows = [float(x) for x in request.inputs["x"].data]
        if self.away:
            raise ConnectionError("gone")
        if 0.4 in rows:
            raise ZeroDivisionError("not 0.4")
        return Response(request.id, {"share": Tensor("share", "FP32", (len(rows), 1), rows)})

    async def close(self) -> None:
        self.closed = True


def asked(model: Any, runner: asyncio.Runner) -> AskedMember:
    return AskedMember("large", model, SIGNATURE, 2, 2, 1, runner)


def test_each_row_has_its_shares_or_its_reason_and_refused_ones_cost_nothing() -> None:
    model, told = Model(), list[int]()
    with asyncio.Runner() as runner:
        member = asked(model, runner)
        found = member.ask(CHUNK, [1, 2, 3, 4], told.append)
        member.ask(CHUNK, [0])
        member.close()
    assert found.shares[[0, 3]] == pytest.approx(np.array([[0.8, 0.2], [0.5, 0.5]]))
    assert np.isnan(found.shares[[1, 2]]).all()
    assert found.errors[0] is None
    assert str(found.errors[1]).startswith("BadRequest: input 'x' has Infinity")
    assert found.errors[2] == "ZeroDivisionError: not 0.4"
    assert (member.rows, member.settled, max(told), len(model.loops), model.closed) == (4, 4, 105, 1, True)


def test_who_is_away_for_all_rows_stops_the_run() -> None:
    with asyncio.Runner() as runner, pytest.raises(BadData, match=r"'large' answers nobody now \(gone\).*--resume"):
        asked(Model(away=True), runner).ask(CHUNK, [0, 1])


def test_shares_of_two_classes_are_told_by_one_or_by_both() -> None:
    assert shares_of([0.25, None, [0.25, 0.75]], 2) == pytest.approx(
        np.array([[0.75, 0.25], [np.nan, np.nan], [0.25, 0.75]]), nan_ok=True
    )
    assert shares_of([[0.2, 0.3, 0.5]], 3).tolist() == [[0.2, 0.3, 0.5]]
    with pytest.raises(BadData, match="2 numbers came back for a row, and there are 3 classes"):
        shares_of([[0.5, 0.5]], 3)
