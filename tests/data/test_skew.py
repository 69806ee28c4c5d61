from __future__ import annotations

import io

import msgspec
import numpy as np
import pytest
from rich.console import Console
from scipy.spatial.distance import jensenshannon

from roadworthy.core.spec import Field
from roadworthy.core.stats import binomial_survival
from roadworthy.data.skew import SkewReport, Tolerance, distribution_skew, feature_skew, schema_skew, skew
from roadworthy.data.skew_text import skew_text

TOLERANCE = Tolerance()
FIELDS = {
    "temp": Field(nullable=True, low=-20, high=120),
    "carrier": Field("category", values=("AA", "UA")),
    "hour": Field("integer", low=0, high=23),
    "note": Field("text"),
}


def columns(n=1000, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "temp": rng.normal(60, 10, n),
        "carrier": rng.choice(np.array(["AA", "UA"], object), n, p=[0.7, 0.3]),
        "hour": rng.integers(0, 24, n).astype(float),
        "note": np.array([f"n{k}" for k in range(n)], object),
    }


def failed(found):
    return {(each.column, each.what) for each in found if each.verdict.decision == "fail"}


def test_a_schema_that_is_kept_finds_nothing():
    found = schema_skew(columns(), FIELDS, columns(seed=1), TOLERANCE)
    assert failed(found) == set()
    assert {each.check for each in found} == {"schema"}


def test_columns_that_vanish_or_appear_are_found():
    serving = columns()
    serving["extra"] = serving.pop("temp")
    assert failed(schema_skew(serving, FIELDS, columns(), TOLERANCE)) == {
        ("temp", "missing column"),
        ("extra", "extra column"),
    }


def test_values_of_another_type_domain_or_range_are_found_with_examples():
    serving = columns()
    serving["carrier"][:50] = "ZZ"
    serving["hour"][:50] = 24.5
    serving["temp"] = serving["temp"].astype(str).astype(object)
    found = schema_skew(serving, FIELDS, columns(), TOLERANCE)
    assert failed(found) == {
        ("carrier", "outside domain"),
        ("hour", "not whole"),
        ("hour", "outside range"),
        ("temp", "type"),
    }
    domain = next(each for each in found if each.what == "outside domain")
    assert (domain.measured.value, domain.examples) == (0.05, ("'ZZ'",))


def test_a_value_within_rounding_of_its_bound_is_inside():
    serving = columns()
    serving["temp"][:] = np.float64(np.float32(120.0000001))
    assert failed(schema_skew(serving, FIELDS, columns(), TOLERANCE)) == set()


def test_nulls_that_became_more_or_must_not_be_are_found():
    serving = columns()
    serving["temp"][:300] = np.nan
    serving["carrier"][:100] = None
    found = schema_skew(serving, FIELDS, columns(), TOLERANCE)
    assert failed(found) == {("temp", "null"), ("carrier", "null")}
    training = columns()
    training["temp"][:300] = np.nan
    assert ("temp", "null") not in failed(schema_skew(serving, FIELDS, training, TOLERANCE))


def test_an_undeclared_domain_is_that_of_training_where_it_is_small():
    fields = {"carrier": Field("category"), "note": Field("category")}
    serving = {name: columns(seed=2)[name] for name in fields}
    serving["carrier"][:100] = "ZZ"
    serving["note"] = np.array([f"m{k}" for k in range(1000)], object)
    assert failed(schema_skew(serving, fields, columns(), TOLERANCE)) == {("carrier", "outside domain")}


def test_rows_on_both_sides_are_compared_value_by_value():
    training, ids = columns(), [f"r{k}" for k in range(1000)]
    serving = {name: values[100:].copy() for name, values in training.items()}
    serving["temp"] = serving["temp"].astype(np.float32).astype(float)
    serving["hour"][:90] += 4
    serving["carrier"][:3] = None
    joined, found = feature_skew(training, ids, serving, ids[100:], TOLERANCE)
    assert joined == 900
    by = {each.column: each for each in found}
    assert by["temp"].measured.value == 0
    assert (by["hour"].measured.value, by["hour"].verdict.decision) == (0.1, "fail")
    assert "3 are null" in by["carrier"].verdict.because
    assert by["carrier"].verdict.decision == "pass"
    assert by["hour"].examples[0].startswith("r100: ")


def test_an_id_that_comes_twice_counts_once():
    joined, found = feature_skew({"x": np.array([1.0])}, ["a"], {"x": np.array([2.0, 1.0])}, ["a", "a"], TOLERANCE)
    assert (joined, found[0].measured.value) == (1, 0.0)


def test_no_row_on_both_sides_waits():
    joined, found = feature_skew({"x": np.ones(2)}, ["a", "b"], {"x": np.ones(2)}, ["c", "d"], TOLERANCE)
    assert joined == 0
    assert found[0].verdict.decision == "wait"


def test_distances_are_those_of_the_books():
    old, new = {"x": np.repeat([1.0, 2.0, 3.0], [500, 300, 200])}, {"x": np.repeat([1.0, 2.0, 3.0], [200, 300, 500])}
    (found,) = distribution_skew(old, new, TOLERANCE)
    assert found.measured.value == pytest.approx(jensenshannon([0.5, 0.3, 0.2], [0.2, 0.3, 0.5], base=2) ** 2)
    texts = [{"x": side["x"].astype(str).astype(object)} for side in (old, new)]
    (found,) = distribution_skew(*texts, TOLERANCE)
    assert (found.measured.name, found.measured.value) == ("L-infinity", pytest.approx(0.3))
    assert found.verdict.decision == "fail"


@pytest.mark.parametrize("n", [60, 300, 2000])
def test_two_samples_of_one_law_are_rarely_called_skewed(n):
    draws, strict = 60, Tolerance(alpha=0.05, categories=0.0, numbers=0.0)
    false = sum(bool(failed(distribution_skew(columns(2000, k), columns(n, 1000 + k), strict))) for k in range(draws))
    assert binomial_survival(false, draws, 0.05) > 1e-3


def test_many_categories_give_no_more_false_alarms_than_few():
    draws, strict, false = 60, Tolerance(alpha=0.05, categories=0.0), 0
    for k in range(draws):
        rng = np.random.default_rng(k)
        old, new = ({"c": rng.integers(0, 60, 2000).astype(str).astype(object)} for _ in range(2))
        false += bool(failed(distribution_skew(old, new, strict)))
    assert binomial_survival(false, draws, 0.05) > 1e-3


def test_a_shift_is_found_beside_one_absurd_value_and_a_tiny_one_is_let_through():
    moved, slight = columns(seed=1), columns(100_000, seed=2)
    moved["temp"] = moved["temp"] + 10
    moved["temp"][0] = 1e9
    assert failed(distribution_skew(columns(), moved, TOLERANCE)) == {("temp", "Jensen-Shannon")}
    slight["temp"] += 0.5
    (found,) = [s for s in distribution_skew(columns(100_000), slight, TOLERANCE) if s.column == "temp"]
    assert found.measured.conditions["p"] < 1e-4
    assert found.verdict.decision == "pass"


def test_thin_columns_wait():
    found = distribution_skew(columns(20), columns(20), TOLERANCE)
    assert {each.verdict.decision for each in found} == {"wait"}


def test_the_report_has_all_three_goes_to_json_and_reads_as_text():
    serving, ids = columns(), [f"r{k}" for k in range(1000)]
    serving["carrier"][:400] = "ZZ"
    found = skew(columns(), serving, FIELDS, ids, ids)
    assert {each.check for each in found.found} == {"schema", "feature", "distribution"}
    assert (found.training, found.serving, found.joined, found.decision) == (1000, 1000, 1000, "fail")
    assert msgspec.json.decode(msgspec.json.encode(found), type=SkewReport) == found
    page = io.StringIO()
    Console(file=page, width=160).print(skew_text(found))
    assert "1,000 rows on both sides" in page.getvalue()
    assert "'ZZ' served" in page.getvalue()
    assert "checks found nothing" in page.getvalue()
    assert skew(columns(), columns(), FIELDS).decision == "pass"
