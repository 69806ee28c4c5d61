"""A threshold that follows late labels: turned from outside, told in the path, and the same after a restart."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import pytest

from roadworthy.core.catalog import write_plan
from roadworthy.core.dials import Dial, Dialled
from roadworthy.core.errors import BadData, SpecError
from roadworthy.core.record import Record
from roadworthy.core.wire import Request, Response, Step, Tensor
from roadworthy.serve.base import wrapper
from roadworthy.serve.wrappers.absolute import Absolute
from roadworthy.serve.wrappers.adaptive import Adaptive, fit
from roadworthy.serve.wrappers.aps import Aps
from roadworthy.serve.wrappers.cqr import Cqr
from roadworthy.serve.wrappers.lac import Lac
from roadworthy.serve.wrappers.normalised import Normalised
from roadworthy.serve.wrappers.raps import Raps

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 3, 200)
P = RNG.dirichlet(np.ones(3), 200) * 0.5 + np.eye(3)[LABELS] * 0.5
OUTPUTS: Mapping[str, Any] = {
    "probabilities": P,
    "prediction": LABELS + RNG.normal(size=200),
    "spread": np.ones(200),
    "lower": LABELS - RNG.random(200),
    "upper": LABELS + RNG.random(200),
}
LEAVES = [Lac(classes=("a", "b", "c")), Aps(), Raps(), Absolute(), Normalised(), Cqr()]


async def inner(request: Request) -> Response:
    given = {name: array[:1] for name, array in OUTPUTS.items()}
    tensors = {name: Tensor(name, "FP64", array.shape, array.reshape(-1).tolist()) for name, array in given.items()}
    return Response(request.id, tensors, path=(Step("inner", "asked"),))


def rows(n: int, strange: bool = False) -> list[Record]:
    """Labelled rows as they were served: with a set, or an interval, that held the truth or not."""
    found = []
    for k in range(n):
        outputs = {name: array[k].tolist() if array.ndim > 1 else float(array[k]) for name, array in OUTPUTS.items()}
        label = float((LABELS[k] + strange) % 3)
        held = (str(LABELS[k]), "abc"[LABELS[k]])
        found.append(Record(f"r{k}", float(k), "r", "stable", {}, outputs, None, held, label=label, label_at=float(k)))
    return found


def ask(handler: Any) -> Response:
    answer: Response = asyncio.run(handler(Request("r", {}, 0.0)))
    return answer


@pytest.mark.parametrize("leaf", LEAVES)
def test_any_set_leaf_is_held_by_the_alpha_in_force_and_its_path_tells(leaf):
    adaptive = fit(leaf, LABELS, OUTPUTS, 0.9)
    handler = adaptive(inner)
    assert isinstance(handler, Dialled)
    before = ask(handler)
    assert before.path == (Step("inner", "asked"), Step("adaptive", "alpha 0.1000, 0 labels"))
    handler.turn(Dial("adaptive", 1.0, {"alpha": 0.4, "offset": 0.3}, 1204, "told"))
    after = ask(handler)
    assert after.path[-1] == Step("adaptive", "alpha 0.4000, 1,204 labels")
    wanted = leaf.hold({name: array[:1] for name, array in OUTPUTS.items()}, adaptive.threshold(adaptive.stand(None)))
    if before.prediction_set is not None:
        assert before.prediction_set == wanted["prediction_set"].tolist()
    else:
        assert before.outputs["low"].data == wanted["low"].tolist()  # type: ignore[index]
        width = [answer.outputs["high"].data[0] - answer.outputs["low"].data[0] for answer in (before, after)]  # type: ignore[index]
        assert width[1] < width[0]


def test_an_alpha_of_nothing_holds_everything_and_one_of_all_nothing():
    handler = fit(Lac(), LABELS, OUTPUTS)(inner)
    sizes = []
    for alpha in (-0.1, 1.0):
        handler.turn(Dial("adaptive", 0.0, {"alpha": alpha}, 1, ""))
        sizes.append(len((ask(handler).prediction_set or [])[0]))
    assert sizes == [3, 0]
    interval = fit(Absolute(), LABELS, OUTPUTS)(inner)
    interval.turn(Dial("adaptive", 0.0, {"alpha": -0.1}, 1, ""))
    assert ask(interval).outputs["low"].data == [-math.inf]  # type: ignore[index]


def test_what_was_missed_lowers_alpha_and_what_was_held_raises_it():
    leaf = fit(Lac(classes=("a", "b", "c")), LABELS, OUTPUTS, step=0.02)
    held = leaf.follow(rows(5), None, 9.0, 41)
    assert held == Dial("adaptive", 9.0, held.value, 5, "0 of the last 5 sets missed the truth", 41)  # type: ignore[union-attr]
    assert held.value["alpha"] == pytest.approx(0.1 + 5 * 0.02 * 0.1)
    missed = leaf.follow(rows(5, strange=True), held, 10.0, 46)
    assert missed is not None
    assert missed.value["alpha"] == pytest.approx(0.1 + 10 * 0.02 * 0.1 - 5 * 0.02)
    assert (missed.n, missed.position) == (10, 46)


@pytest.mark.parametrize("settings", [{}, {"rule": "dtaci"}, {"window": 50}, {"rule": "dtaci", "window": 50}])
@pytest.mark.parametrize("leaf", [LEAVES[0], Aps(), Absolute()])
def test_labels_in_portions_with_restarts_between_turn_the_dial_as_all_at_once(leaf, settings):
    adaptive = fit(leaf, LABELS, OUTPUTS, **settings)
    labelled = rows(60) + rows(40, strange=True)
    whole = adaptive.follow(labelled, None, 1.0)
    dial = None
    for start in range(0, 100, 9):
        again = wrapper.make(write_plan(adaptive))
        dial = again.follow(labelled[start : start + 9], dial, 1.0)  # type: ignore[attr-defined]
        dial = msgspec.json.decode(msgspec.json.encode(dial), type=Dial)
    assert whole is not None
    assert dial is not None
    assert (dial.value, dial.n) == (whole.value, whole.n)


def test_rows_that_say_nothing_are_left_out_and_counted():
    leaf = fit(LEAVES[0], LABELS, OUTPUTS)
    (good,) = rows(1)
    bad = [
        msgspec.structs.replace(good, label=None),
        msgspec.structs.replace(good, error="broke"),
        msgspec.structs.replace(good, outputs={}),
        msgspec.structs.replace(good, label=7.0),
        msgspec.structs.replace(good, label=-1.0),
        msgspec.structs.replace(good, label=0.5),
        msgspec.structs.replace(good, outputs={"probabilities": [math.nan] * 3}),
    ]
    assert leaf.follow(bad, None, 1.0) is None
    found = leaf.follow([*bad, good], None, 1.0)
    assert found is not None
    assert (found.n, found.because) == (1, "0 of the last 1 sets missed the truth, 7 more made no score")


def test_a_row_from_before_there_were_sets_counts_as_it_would_be_held_now():
    leaf = fit(LEAVES[0], LABELS, OUTPUTS, step=0.02)
    bare = [msgspec.structs.replace(row, prediction_set=None) for row in rows(20)]
    held = np.array([leaf.sets.true_scores({"probabilities": P[[k]]}, [LABELS[k]])[0] for k in range(20)])
    missed = int((held > leaf.threshold(leaf.stand(None))).sum())
    found = leaf.follow(bare, None, 1.0)
    assert found is not None
    assert found.value["alpha"] == pytest.approx(0.1 + 0.02 * (2.0 - missed), abs=0.021)


def test_of_many_scores_some_stand_for_all_and_of_a_window_the_last():
    assert len(fit(Lac(), LABELS, OUTPUTS, most=50).scores) == 50
    scores = Lac().true_scores(OUTPUTS, LABELS).tolist()
    assert fit(Lac(), LABELS, OUTPUTS, window=30).scores == tuple(scores[-30:])
    assert fit(Lac(), LABELS, OUTPUTS).scores == tuple(scores)


def test_settings_and_rows_that_can_promise_nothing_are_refused():
    with pytest.raises(BadData, match="5 labelled rows cannot promise"):
        fit(Absolute(), LABELS[:5], {"prediction": P[:5, 0]})
    with pytest.raises(BadData, match="5 labelled rows of the window cannot promise"):
        fit(Lac(), LABELS, OUTPUTS, window=5)
    for wrong in ({"target": 1.0}, {"step": 0.0}, {"steps": ()}, {"window": -1}, {"horizon": 0}):
        with pytest.raises(ValueError, match=r"must be|`window` is"):
            Adaptive("lac", **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("leaf", ["mondrian_class", "mondrian_segment", "weighted"])
def test_sets_of_several_thresholds_are_refused_with_what_is_allowed(leaf):
    with pytest.raises(SpecError, match=rf"one threshold for all rows, and '{leaf}' has several: give it `lac`"):
        Adaptive({leaf: {"leaf": {"lac": {}}}})(inner)
