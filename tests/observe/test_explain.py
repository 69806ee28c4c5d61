from __future__ import annotations

import asyncio

import msgspec
import pytest
from msgspec.structs import replace

from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.errors import Missing
from roadworthy.core.record import Label, Record
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Response, Step, Tensor
from roadworthy.observe.explain import Explanation, explain, explanation_text, replay, request_of
from roadworthy.registry.releases import Registry
from roadworthy.store.state import State

SIGNATURE = Signature(
    {"x": Field(), "carrier": Field("category"), "v": Field(width=2)},
    {"probability": Field()},
)


def row(k: int, release: str, arm="stable", error=None) -> Record:
    inputs = {"x": float(k), "carrier": "UA" if k % 2 else "B6", "v": [1.0, 2.0]}
    outputs = {} if error else {"probability": k / 100}
    path = (Step("cascade", "sure enough"),)
    return Record(
        f"f{k}", k * 3600.0, release, arm, inputs, outputs, 0.8, path=path, seconds={"total": 0.002}, error=error
    )


@pytest.fixture
def opened(tmp_path):
    """A state with 100 hourly predictions, all but the last ten with a label; a shadow also answered the last."""
    model = tmp_path / "model.bin"
    model.write_bytes(b"model")
    with State.open(tmp_path / "state", "process") as state:
        registry = Registry(state)
        release = Release("flights", (Artifact("model", "", 0),), SIGNATURE, data={"train": "d" * 64}, made_by="ana")
        digest = registry.add(release, {"model": model}).digest
        state.records.write([*(row(k, digest) for k in range(100)), row(99, "other", "shadow"), row(100, "gone")])
        state.records.write_labels([Label(f"f{k}", float(k % 2), k * 3600.0 + 60) for k in range(90)])
        yield state, registry


def answering(probability):
    async def handler(request):
        return Response(request.id, {"probability": Tensor("probability", "FP64", (1,), [probability])})

    return lambda release: handler


def test_the_answer_its_release_and_its_label(opened):
    found = explain(*opened, "f89")
    assert (found.record.arm, found.record.label, found.record.confidence) == ("stable", 1.0, 0.8)
    assert (found.release.name, found.release.made_by) == ("flights", "ana")
    assert found.record.path == (Step("cascade", "sure enough"),)
    assert found.replay is None


def test_each_input_has_its_place_in_the_traffic_before_it(opened):
    found = explain(*opened, "f80", recent_days=1)
    places = {each.input: each for each in found.places}
    assert found.recent == 24
    assert (places["x"].kind, places["x"].place.value) == ("percentile", 1.0)
    assert (places["carrier"].kind, places["carrier"].place.value) == ("share", 0.5)
    assert places["v"].place.n == 0


def test_busy_traffic_is_looked_at_over_a_shorter_time(opened):
    assert explain(*opened, "f80", recent_days=2, most=30).recent == 24
    assert explain(*opened, "f80", recent_days=2, most=10).recent == 6


def test_similar_past_predictions_and_what_became_of_them(opened):
    found = explain(*opened, "f81", likes=4)
    assert [like.record.id for like in found.likes] == ["f79", "f77", "f75", "f73"]
    assert (found.outcome.value, found.outcome.n) == (1.0, 4)


def test_an_outcome_of_the_future_is_not_among_the_past(opened):
    assert all(like.record.at < 40 * 3600 for like in explain(*opened, "f40").likes)


def test_the_first_prediction_has_nothing_before_it(opened):
    found = explain(*opened, "f0")
    assert (found.recent, found.likes, found.outcome.n) == (0, (), 0)
    assert "no earlier prediction" in explanation_text(found)


def test_the_other_arms_are_told_beside_the_answer(opened):
    found = explain(*opened, "f99")
    assert found.record.arm == "stable"
    assert [other.arm for other in found.others] == ["shadow"]


def test_the_replay_of_the_same_release_is_exact(opened):
    found = explain(*opened, "f50", answering(0.5))
    assert found.replay.exact
    assert "the same release gives the same answer" in explanation_text(found)


def test_a_replay_that_answers_otherwise_says_where(opened):
    found = explain(*opened, "f50", answering(0.51))
    assert (found.replay.exact, found.replay.differs) == (False, ("probability",))
    assert "differs in probability: now probability 0.51" in explanation_text(found)


def test_a_replay_that_fails_is_an_answer():
    async def broken(request):
        raise ValueError("no such column")

    found = asyncio.run(replay(row(1, "r"), SIGNATURE, broken))
    assert (found.exact, found.error) == (False, "ValueError: no such column")


def test_a_release_that_is_gone_leaves_the_rest(opened):
    found = explain(*opened, "f100", answering(1.0))
    assert (found.release, found.replay) == (None, None)
    assert "no longer in the registry" in explanation_text(found)


def test_an_unknown_id_is_refused(opened):
    with pytest.raises(Missing, match="f101"):
        explain(*opened, "f101")


def test_a_row_becomes_the_request_that_it_was():
    request = request_of(row(3, "r"), SIGNATURE)
    assert request.inputs["x"] == Tensor("x", "FP32", (1, 1), [3.0])
    assert request.inputs["carrier"] == Tensor("carrier", "BYTES", (1, 1), ["UA"])
    assert request.inputs["v"] == Tensor("v", "FP32", (1, 2), [1.0, 2.0])
    assert request.shadow


def test_the_page_tells_everything(opened):
    page = explanation_text(explain(*opened, "f89"))
    for told in (
        "answered by stable",
        "flights",
        "train dddddddddddd",
        "probability 0.89",
        "confidence 0.800",
        "cascade",
    ):
        assert told in page
    assert "outcome     1, known since 1970-01-04" in page
    assert "total 2.00 ms" in page


def test_a_failed_prediction_is_explained_too(opened):
    state, registry = opened
    state.records.write([row(101, "gone", error="ValueError: no model")])
    assert "error       ValueError: no model" in explanation_text(explain(state, registry, "f101"))


def test_an_explanation_goes_through_json(opened):
    found = explain(*opened, "f89", answering(0.89))
    again = msgspec.json.decode(msgspec.json.encode(found), type=Explanation)
    assert (again.record, again.release, again.likes, again.replay) == (
        found.record,
        found.release,
        found.likes,
        found.replay,
    )


def test_of_several_classes_the_outcome_is_how_often_the_answered_one_was_right(opened):
    state, registry = opened
    digest = registry.list()[0].digest
    answered = {"probability": [0.1, 0.2, 0.7]}
    rows = [replace(row(k, digest), id=f"c{k}", outputs=answered) for k in range(200, 210)]
    state.records.write(rows)
    state.records.write_labels([Label(f"c{k}", 2.0 if k % 3 else 0.0, k * 3600.0 + 60) for k in range(200, 209)])
    found = explain(state, registry, "c209", likes=3)
    assert (found.outcome.value, found.outcome.n) == (pytest.approx(2 / 3), 3)
    assert found.outcome.where == "the class 2 that was answered"


def test_an_output_that_nobody_promised_may_be_there_once_only(opened):
    state, registry = opened
    digest = registry.list()[0].digest
    compared = {"probability": 0.5, "small.probability": 0.4}
    state.records.write([replace(row(300, digest), outputs=compared)])
    assert explain(state, registry, "f300", answering(0.5)).replay.exact
    assert explain(state, registry, "f300", answering(0.6)).replay.differs == ("probability",)
