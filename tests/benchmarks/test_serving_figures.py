"""The arithmetic of the figures, on numbers that a reader can check."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from rich.console import Console

from serving import bodies
from serving.figures import details, headline, ratios
from serving.models import write_model
from serving.process import Usage
from serving.rounds import CONNECTIONS, Results, Sample, Still
from serving.table import show


def sample(cpu_us: float, p50_ms: float = 1.0) -> Sample:
    return Sample(cpu_us, 1e6 / cpu_us, p50_ms, 2 * p50_ms, 1000)


@pytest.fixture
def results() -> Results:
    """Ours takes 100 us where the ceiling is 75; the peers take 500 and 450, and the second one is quicker alone."""
    found = Results(ceilings={"large": [75.0, 80.0, 70.0], "small": [1.0, 1.0, 1.0]})
    for model in ("small", "large"):
        for name, cpu, p50 in (("ours", 100.0, 0.1), ("first", 450.0, 4.0), ("second", 500.0, 2.0)):
            for n in CONNECTIONS:
                found.samples[model, name, n] = [sample(cpu, p50), sample(cpu * 1.1, p50), sample(cpu * 0.9, p50)]
            found.still[model, name] = Still(0.001, Usage(1.0, 100.0, 80.0, 2), 1.5)
    return found


def by_name(results: Results) -> dict[str, object]:
    return {one.name: one for one in headline(results, "ours", ("first", "second", "never"), {"features": ["id"]})}


def test_the_figures_are_medians_of_ratios_within_a_round(results):
    found = by_name(results)
    share = found["large_share_of_ceiling"]
    assert (share.value, share.low, share.high) == pytest.approx((0.75, 80 / 110, 70 / 90))
    assert share.n == 3
    assert found["large_times_best_peer"].value == pytest.approx(4.5)
    assert found["small_times_best_peer_cpu"].value == pytest.approx(4.5)
    assert found["small_cpu_us_per_request"].value == 100.0


def test_the_best_peer_is_another_one_for_another_quantity(results):
    found = by_name(results)
    assert found["large_times_best_peer"].conditions["best_peer"] == "first"
    assert found["small_p50_times_best_peer"].conditions["best_peer"] == "second"
    assert found["small_p50_times_best_peer"].value == pytest.approx(0.05)


def test_a_contestant_that_failed_counts_nowhere_and_is_told_with_its_reason(results):
    results.absent["large", "first"] = "503 in round 2"
    assert by_name(results)["large_times_best_peer"].conditions["best_peer"] == "second"
    told = details(results, "ours", ("first", "second"))
    assert not [one for one in told if one.where.startswith("large/first/")]
    (absent,) = [one for one in told if one.name == "absent"]
    assert (absent.where, absent.n, absent.conditions["because"]) == ("large/first", 0, "503 in round 2")


def test_without_peers_a_figure_is_there_and_says_that_it_is_nothing():
    found = by_name(Results())
    assert len(found) == 5
    assert all(one.n == 0 and math.isnan(one.value) for one in found.values())


def test_rounds_that_one_side_lacks_make_no_ratio():
    assert ratios([2.0, 4.0, 6.0], [1.0, 2.0]) == [2.0, 2.0]


def test_the_table_names_every_server_and_who_was_absent(results, tmp_path):
    results.absent["every", "third"] = "pip failed"
    page = io.StringIO()
    console = Console(file=page, width=180)
    show(console, results, [write_model("large", tmp_path)], list(by_name(results).values()), {"first": "a peer"})
    text = page.getvalue()
    assert all(
        word in text for word in ("ours", "first", "second", "first: a peer", "75.0%", "every/third: pip failed")
    )


@pytest.mark.parametrize(
    ("body", "seen", "read"),
    [(bodies.named, bodies.filled, lambda body: bodies.flat(body, "x")),
     (bodies.nested, bodies.filled, lambda body: bodies.flat(body, "x")),
     (bodies.tensors, bodies.filled, lambda body: bodies.flat(body, "inputs")),
     (bodies.tensors_with_key, bodies.filled, lambda body: bodies.flat(body, "inputs")),
     (bodies.repeated, bodies.unfilled, lambda body: bodies.flat(body, "inputs")),
     (bodies.binary, bodies.filled_binary, lambda body: np.frombuffer(body[bodies.HEADER_BYTES:], np.float32))],
)  # fmt: skip
def test_a_body_holds_the_row_that_the_check_expects(body, seen, read):
    for k, row in enumerate(bodies.rows(20)):
        sent = body(row, k) % {b"n": 123_456 + k}
        np.testing.assert_allclose(read(sent), seen(row, 123_456 + k), atol=1e-6)


def test_the_ceiling_is_what_the_model_costs_and_the_model_answers(tmp_path):
    model = write_model("small", tmp_path)
    assert model.ceiling_us(seconds=0.02) > 0
    assert model.answer(bodies.rows(3)).shape == (3, 10)
    assert model.shape == "64-256-256-10"
