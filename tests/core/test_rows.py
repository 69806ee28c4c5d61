from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.rows import asking, stacked, taken
from roadworthy.core.wire import Request, Response, Step, Tensor


@pytest.mark.parametrize("data", [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], np.arange(1.0, 7.0)], ids=["list", "array"])
def test_what_was_taken_apart_comes_together_again(data):
    whole = Tensor("x", "FP64", (3, 2), data)
    parts = taken(whole, [2]), taken(whole, [0, 1])
    again = stacked(parts)
    assert (again.name, again.datatype, again.shape) == ("x", "FP64", (3, 2))
    assert list(again.data) == [5.0, 6.0, 1.0, 2.0, 3.0, 4.0]


def test_a_request_about_some_of_its_rows_is_the_same_request():
    request = Request("r", {"x": Tensor("x", "INT64", (3,), [7, 8, 9])}, 1.0, tags={"a": "b"})
    part = asking(request, [0, 2])
    assert (part.id, part.tags, part.n, part.inputs["x"].data) == ("r", {"a": "b"}, 2, [7, 9])


def test_a_row_pays_for_its_own_way_and_its_share_of_the_common_one():
    small, large = Step("small", "sure", 0.01), Step("large", "small was unsure", 0.5)
    response = Response("r", {}, path=(Step("cascade", "two levels"),), usd=0.72, paths=((small,), (small, large)))
    assert [response.row_usd(k, 2) for k in range(2)] == pytest.approx([0.11, 0.61])
    assert response.row_path(1) == (Step("cascade", "two levels"), small, large)


def test_rows_that_went_together_share_the_price():
    assert Response("r", {}, usd=0.6).row_usd(0, 3) == pytest.approx(0.2)
    assert Response("r", {}).row_usd(0, 3) is None


def test_what_rows_cost_is_the_same_one_by_one_and_all_at_once() -> None:
    ways = [(Step("a", "b", 0.5),), (), (Step("a", "b", None), Step("c", "d", 0.25))]
    for paths, usd in ((ways, 3.0), (None, 3.0), (ways, None)):
        response = Response("r", {}, paths=paths, usd=usd)
        assert response.usd_of_rows(3) == [response.row_usd(k, 3) for k in range(3)]
    assert Response("r", {}, usd=1.0).usd_of_rows(0) == []
