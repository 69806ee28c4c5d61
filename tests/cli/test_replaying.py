"""A replay asks in the order of time, waits for a server that went away, and tells outcomes when they became known."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from roadworthy.cli.flows import read
from roadworthy.cli.replaying import HOUR, Tally, Traffic, send
from roadworthy.core.errors import BadData, BadRequest, Overloaded
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Response

SIGNATURE = Signature({"x": Field(nullable=True), "n": Field("integer")}, {"probability": Field()})


def sample(**other) -> Sample:
    """Four rows an hour apart; the second's outcome is known first, the last one's never."""
    rows = {
        "columns": {"x": np.array([1.5, np.nan, 2.0, 3.0]), "n": np.array([1.0, 2.0, 3.0, 4.0])},
        "labels": np.array([1.0, 0.0, 1.0, np.nan]),
        "at": np.arange(4) * HOUR,
        "known_at": np.array([9.0, 3.0, 9.0, 1.0]) * HOUR,
        "ids": np.array(["a", "b", "c", "d"], object),
        "tags": {"ward": np.array(["north", "south", "north", "south"], object)},
    }
    return Sample(**{**rows, **other})


def traffic(**other) -> Traffic:
    return Traffic(sample(**other), SIGNATURE)


def test_requests_come_from_the_start_up_to_but_not_at_the_stop():
    assert [request.id for request in traffic().between(HOUR, 3 * HOUR)] == ["b", "c"]


def test_a_row_is_a_request_of_one_row_with_its_time_key_and_tags():
    request = traffic(keys=np.array(["k1", "k2", "k3", "k4"], object)).request(1)
    assert (request.id, request.at, request.key, request.tags) == ("b", HOUR, "k2", {"ward": "south"})
    assert (request.inputs["x"].data, request.inputs["x"].datatype) == ([None], "FP32")
    assert (request.inputs["n"].data, request.inputs["n"].datatype, request.n) == ([2.0], "INT64", 1)


def test_a_vector_is_asked_about_as_a_whole():
    signature = Signature({"x": Field(width=2)}, {"probability": Field()})
    pixels = np.array([[1.0, np.nan], [2.0, 3.0], [4.0, 5.0], [6.0, 7.0]])
    first = Traffic(sample(columns={"x": pixels}), signature).request(0).inputs["x"]
    assert (first.shape, first.data) == ((1, 2), [1.0, None])


def test_without_keys_the_id_keeps_a_caller_on_its_arm():
    assert traffic().request(2).key == "c"


def test_outcomes_are_told_once_each_when_they_became_known():
    rows = traffic()
    assert [label.id for label in rows.outcomes(0.0, 2 * HOUR)] == []
    assert [(label.id, label.value, label.at) for label in rows.outcomes(0.0, 3 * HOUR)] == [("b", 0.0, 3 * HOUR)]
    assert [label.id for label in rows.outcomes(0.0, 99 * HOUR)] == ["a", "c"]
    assert rows.outcomes(0.0, 99 * HOUR) == []


def test_outcomes_of_rows_before_the_stretch_are_not_told():
    assert [label.id for label in traffic().outcomes(2 * HOUR, 99 * HOUR)] == ["c"]


def test_without_a_time_of_knowing_an_outcome_is_known_at_once():
    assert [label.id for label in traffic(known_at=None).outcomes(0.0, HOUR)] == ["a", "b"]


@pytest.mark.parametrize("lacking", ["at", "labels", "ids"])
def test_a_table_that_lacks_what_a_replay_needs_is_refused(lacking):
    with pytest.raises(BadData, match=r"data\.columns\.id"):
        traffic(**{lacking: None})


def test_the_projects_own_rows_are_in_the_order_of_time(spec):
    rows = Traffic(read(spec, "production"), spec.signature)
    times = [request.at for request in rows.between(rows.at[0], rows.at[50])]
    assert len(times) == 50
    assert times == sorted(times)


class Faulty:
    """Raises the errors given, in turn, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.asked: list[str] = []

    async def __call__(self, request):
        self.asked.append(request.id)
        if self.errors:
            raise self.errors.pop(0)
        return Response(request.id, {})


def sent(ask: Faulty, patience: float, in_flight: int = 1) -> Tally:
    tally = Tally()
    asyncio.run(send(ask, traffic().between(0.0, 4 * HOUR), tally, in_flight, patience))
    return tally


def test_every_request_is_asked_once_where_nothing_goes_wrong():
    ask = Faulty()
    assert sent(ask, 0.0, in_flight=3).answered == 4
    assert sorted(ask.asked) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("away", [ConnectionResetError("gone"), Overloaded("no release loaded")])
def test_a_server_that_is_away_is_asked_again_with_the_same_id(away):
    ask = Faulty(away, away)
    tally = sent(ask, 30.0)
    assert (tally.answered, tally.failed) == (4, 0)
    assert ask.asked == ["a", "a", "a", "b", "c", "d"]


def test_without_patience_a_lost_connection_is_a_failure_with_its_reason():
    tally = sent(Faulty(ConnectionResetError("gone")), 0.0)
    assert (tally.answered, tally.failed, tally.reasons) == (3, 1, {"ConnectionResetError: gone": 1})


def test_what_the_server_refuses_is_not_asked_again():
    ask = Faulty(BadRequest("no"))
    tally = sent(ask, 30.0)
    assert (tally.failed, ask.asked) == (1, ["a", "b", "c", "d"])
