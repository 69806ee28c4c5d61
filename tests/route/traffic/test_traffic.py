from __future__ import annotations

import asyncio
from dataclasses import replace as replaced
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from roadworthy.core.errors import BadData
from roadworthy.core.record import Record
from roadworthy.core.wire import Step
from roadworthy.route.policies.routed import Routed
from roadworthy.route.routers.fitting import fit
from roadworthy.route.routers.router import Router, Settings
from roadworthy.route.traffic.traffic import right_of, traffic_of
from roadworthy.route.traffic.training import training_rows
from roadworthy.testing.two_models import Coin, TopicRouter, both, recorded, request

USD = {"small": 1.0, "large": 10.0}


def records(n: int = 600, rows: int = 1, **settings: Any) -> list[Record]:
    given: dict[str, Any] = {"usd": USD, "audit": 0.2, "explore": 0.1, "usd_per_day": 1e9, **settings}
    handlers = both(Coin([0.9, 0.3]), Coin([0.95, 0.9], "other_luck"))
    handler = Routed(**given).over(handlers, TopicRouter([0.05, 0.6]))
    rng = np.random.default_rng(3)
    asked = [request(f"r{k}", rng.integers(0, 2, rows).tolist(), rng, at=float(k)) for k in range(n)]
    return asyncio.run(recorded(handler, asked))


def test_every_column_says_what_the_rows_tell() -> None:
    rows = records()
    traffic = traffic_of(rows, "small", "large")
    hard = np.array([row.inputs["topic"] == 1 for row in rows])
    small_right = np.array([row.inputs["luck"] < (0.3 if row.inputs["topic"] else 0.9) for row in rows])
    large_right = np.array([row.inputs["other_luck"] < (0.9 if row.inputs["topic"] else 0.95) for row in rows])
    saw_small, saw_large = ~np.isnan(traffic.weak_right), ~np.isnan(traffic.strong_right)
    assert (traffic.wanted == hard).all()
    assert (traffic.weak_right[saw_small] == small_right[saw_small]).all()
    assert (traffic.strong_right[saw_large] == large_right[saw_large]).all()
    assert (saw_small | saw_large).all()
    assert (traffic.compared == (saw_small & saw_large)).all()
    assert traffic.took.tolist() == saw_large.tolist()
    assert set(traffic.segments) == {"topic 0", "topic 1"}
    assert set(zip(traffic.chance_weak, traffic.chance_strong, strict=True)) == {(0.9, 0.3), (0.3, 0.9)}
    assert set(traffic.comparison_weights[traffic.compared].round(9)) == {5.0}
    assert np.nansum(traffic.weak_usd) + np.nansum(traffic.strong_usd) == sum(row.usd or 0.0 for row in rows)


def test_rows_of_one_request_share_it() -> None:
    traffic = traffic_of(records(50, rows=3), "small", "large")
    assert traffic.n == 150
    assert set(np.unique(traffic.requests, return_counts=True)[1]) == {3}


def test_without_labels_the_strong_answer_is_the_truth_and_the_weak_one_is_seen_where_both_were_asked() -> None:
    rows = [replace(row, label=None) for row in records()]
    assert np.isnan(traffic_of(rows, "small", "large").weak_right).all()
    traffic = traffic_of(rows, "small", "large", truth="strong")
    seen = ~np.isnan(traffic.weak_right)
    assert (traffic.strong_right == 1.0).all()
    assert set(traffic.chance_weak.round(9)) == {0.2}
    assert 60 < seen.sum() < 180
    agree = [row.outputs["probability"] == row.outputs["small.probability"] for row in rows if len(row.path) == 3]
    assert traffic.weak_right[seen].tolist() == agree


def test_shadows_failed_rows_and_rows_that_nobody_routed_are_left_out() -> None:
    rows = records(20)
    more = [replace(rows[0], arm="shadow"), replace(rows[1], error="gone"), replace(rows[2], path=(Step("small", ""),))]
    assert traffic_of([*rows, *more], "small", "large").n == 20
    with pytest.raises(BadData, match="none of 3 records was routed between 'small' and 'large'"):
        traffic_of(more, "small", "large")
    with pytest.raises(BadData, match="was routed between small, large, not to 'huge'"):
        traffic_of(rows, "small", "huge")


def test_who_stands_in_for_a_failed_model_was_not_wanted() -> None:
    handlers = both(Coin([0.9], failing=True), Coin([0.9], "other_luck"))
    handler = Routed(usd=USD).over(handlers, TopicRouter([0.05]))
    rows = asyncio.run(recorded(handler, [request("a", [0], np.random.default_rng(0))]))
    traffic = traffic_of(rows, "small", "large")
    assert (traffic.took[0], traffic.wanted[0]) == (True, False)


def test_vectors_texts_and_unknown_labels_are_judged() -> None:
    assert right_of("scores")({"scores": [0.1, 0.7, 0.2]}, 1.0) == 1.0
    assert right_of("scores")({"scores": [0.1, 0.7, 0.2]}, 2.0) == 0.0
    assert np.isnan(right_of()({"probability": 0.7}, float("nan")))
    assert np.isnan(right_of()({}, 1.0))


def test_training_rows_are_the_compared_ones_with_weights_that_make_them_all_of_the_traffic() -> None:
    rows = training_rows(traffic_of(records(3000), "small", "large"))
    assert rows.n == pytest.approx(600, abs=90)
    assert rows.weights.mean() == pytest.approx(1.0)
    assert {inputs["topic"] for inputs in rows.inputs} == {0.0, 1.0}


def test_rows_that_were_compared_more_often_stand_for_fewer() -> None:
    often = [replace(row, at=row.at + 1e6) for row in records(1000, audit=0.5, explore=0.0)]
    rows = training_rows(traffic_of([*records(1000, audit=0.1), *often], "small", "large"))
    seldom = rows.at < 1e6
    assert rows.weights[seldom].min() == pytest.approx(5 * rows.weights[~seldom].max())
    # Either half of the traffic counts as much, though one has five times as many comparisons.
    assert rows.weights[seldom].sum() == pytest.approx(rows.weights[~seldom].sum(), rel=0.4)
    assert (~seldom).sum() > 3 * seldom.sum()


def test_training_rows_since_a_moment_and_too_few_of_them() -> None:
    traffic = traffic_of(records(600), "small", "large")
    assert (training_rows(traffic, since=300.0, least=5).at >= 300.0).all()
    with pytest.raises(BadData, match="at least 500 compared and labelled rows, got"):
        training_rows(traffic, least=500)
    alike = np.flatnonzero(traffic.compared & (traffic.weak_right == traffic.strong_right))
    with pytest.raises(BadData, match="right, or wrong, together in all of"):
        training_rows(traffic.take(alike), least=5)


def test_a_router_is_fitted_to_comparisons_written_to_a_file_and_routes(tmp_path: Path) -> None:
    rows = training_rows(traffic_of(records(3000), "small", "large")).labelled(["luck", "topic"], by_segment=False)
    assert set(rows.after) == {"confidence"}
    fitted = Router(fit(replaced(rows, after={}), kinds={"topic": "number", "luck": "number"}).file, Settings(0.5))
    file = tmp_path / "router.json"
    fitted.write(file)
    handlers = both(Coin([0.9, 0.3]), Coin([0.95, 0.9], "other_luck"))
    handler = Routed(file=file, usd=USD)(handlers)
    rng = np.random.default_rng(6)
    found = asyncio.run(recorded(handler, [request(f"r{k}", [k % 2], rng) for k in range(100)]))
    strong = [row.path[-1].at == "large" for row in found]
    assert np.mean(strong[1::2]) > 0.4 + np.mean(strong[::2])
    assert ", router " in found[0].path[-1].because
