from __future__ import annotations

import math
from collections import Counter

import msgspec
import numpy as np
import polars as pl
import pytest

from roadworthy.core.columns import Numbers, Values, Vectors, name_of, numbers_in
from roadworthy.core.profile import MOST_ROWS, Profile, Reference
from roadworthy.core.record import Record
from roadworthy.core.spec import Field
from roadworthy.core.text_features import Texts
from roadworthy.core.window import Window

NAN = float("nan")
TEXTS = ("Why was my card declined today?", "Warum wurde meine Karte nicht angenommen?", "How do I close my account?")


def window(n: int, seed: int = 0, **columns) -> Window:
    rng = np.random.default_rng(seed)
    inputs = {
        "x": rng.normal(size=n),
        "delay": np.where(rng.random(n) < 0.1, NAN, np.exp(2 * rng.normal(size=n))),
        "carrier": rng.choice(np.array(["AA", "UA", None], object), n),
        "tail": rng.choice(np.array([f"N{k:05d}" for k in range(3000)], object), n),
        "question": rng.choice(np.array([*TEXTS, None], object), n),
        "vector": rng.normal(size=(n, 8)),
        **columns,
    }
    p = rng.uniform(size=n)
    labels = np.where(rng.random(n) < 0.5, NAN, (rng.random(n) < p).astype(float))
    return Window(inputs, {"p": p}, labels, 1e9 + np.arange(float(n)), confidence=np.maximum(p, 1 - p))


def test_a_column_is_what_it_looks_like_unless_its_field_says():
    profile = Profile.of(window(300, flag=np.arange(300) % 2 == 0, code=np.arange(300.0) % 3))
    kinds = {name: type(column) for name, column in profile.inputs.items()}
    assert kinds == {
        "x": Numbers, "delay": Numbers, "carrier": Values, "tail": Values, "question": Texts, "vector": Vectors,
        "flag": Values, "code": Numbers,
    }  # fmt: skip
    assert profile.inputs["flag"].kind == "boolean"
    told = Profile.of(
        window(300, code=np.arange(300.0) % 3), {"code": Field("category"), "question": Field("category")}
    )
    assert told.inputs["code"].named == {"0": 100, "1": 100, "2": 100}
    assert isinstance(told.inputs["question"], Values)


def test_it_says_what_the_rows_are_like():
    rows = window(20_000)
    profile = Profile.of(rows)
    x, delay = profile.inputs["x"], rows.inputs["delay"]
    assert (profile.n, x.n, x.nulls) == (20_000, 20_000, 0)
    assert x.mean == pytest.approx(rows.inputs["x"].mean())
    assert x.sd == pytest.approx(rows.inputs["x"].std())
    assert x.robust_sd == pytest.approx(1.0, abs=0.05)
    assert profile.inputs["delay"].nulls == np.isnan(delay).sum()
    for share in (0.01, 0.25, 0.5, 0.9, 0.99):
        (found,) = profile.inputs["delay"].quantiles(share)
        assert found == pytest.approx(np.nanquantile(delay, share), rel=0.05, abs=0.02)
    assert profile.rate == pytest.approx(np.nanmean(rows.labels))
    assert profile.calibration.value < 0.05
    assert (profile.since, profile.until) == (1e9, 1e9 + 19_999)
    assert profile.confidence.n == 20_000
    assert list(profile.columns()) == [*rows.inputs, "p", "confidence"]


def test_one_value_spoils_the_plain_mean_and_not_the_robust_one():
    values = np.random.default_rng(0).normal(size=1000)
    values[3] = 1e9
    column = Numbers.of(values)
    assert column.mean > 1e5
    assert abs(column.median) < 0.1
    assert column.robust_sd == pytest.approx(1.0, abs=0.1)


def test_no_rows_have_a_profile():
    profile = Profile.of(window(0))
    assert profile.n == 0
    assert math.isnan(profile.inputs["x"].mean)
    assert math.isnan(profile.inputs["x"].median)
    assert profile.rate is None


@pytest.mark.parametrize("codec", [msgspec.json, msgspec.msgpack])
def test_it_goes_to_bytes_and_back(codec):
    profile = Profile.of(window(500))
    assert codec.decode(codec.encode(profile), type=Profile) == profile


def columns_of(n: int, numbers: int, categories: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    made = {f"number {k}": np.exp(k % 5 * rng.normal(size=n)) for k in range(numbers)}
    names = np.array([f"a category with a long name {k}" for k in range(2_000)], object)
    return made | {f"category {k}": names[rng.integers(0, 20 * 3**k % 2_000 + 1, n)] for k in range(categories)}


def test_twenty_columns_fit_into_50_kb_however_many_rows():
    made = columns_of(50_000, 15, 5)
    profile = Profile.of(Window(made, {}, np.full(50_000, NAN), np.full(50_000, NAN)))
    assert len(msgspec.json.encode(profile)) < 50_000


def test_two_hundred_columns_are_kept_more_coarsely():
    made = columns_of(2_000, 150, 50)
    profile = Profile.of(Window(made, {}, np.full(2_000, NAN), np.full(2_000, NAN)))
    assert len(msgspec.msgpack.encode(profile)) < 150_000
    assert profile.inputs["number 1"].median == pytest.approx(1.0, rel=0.1)


def test_chunks_on_one_frame_add_up_to_the_whole():
    rows = window(3000)
    frame = Profile.of(rows)
    parts = [Profile.of(rows.take(slice(k, k + 1000)), like=frame) for k in (0, 1000, 2000)]
    merged = Profile()
    for part in parts:
        merged = merged.merge(part)
    whole = Profile.of(rows, like=frame)
    for name in ("x", "delay", "carrier"):
        one, other = merged.inputs[name], whole.inputs[name]
        assert (one.n, one.nulls) == (other.n, other.nulls)
    assert merged.inputs["x"].cells == whole.inputs["x"].cells
    assert merged.inputs["carrier"] == whole.inputs["carrier"]
    assert merged.inputs["tail"].in_buckets().tolist() == whole.inputs["tail"].in_buckets().tolist()
    assert merged.inputs["question"].features["length"].cells == whole.inputs["question"].features["length"].cells
    assert merged.inputs["question"].nulls == whole.inputs["question"].nulls
    assert merged.inputs["x"].mean == pytest.approx(whole.inputs["x"].mean)
    assert (merged.n, merged.since, merged.until) == (whole.n, whole.since, whole.until)
    assert merged.labels.n == whole.labels.n


def test_none_of_the_rows_is_the_unit_of_merging():
    profile = Profile.of(window(100))
    assert Profile().merge(profile) == profile.merge(Profile()) == profile


def test_a_column_that_one_chunk_lacks_is_null_there():
    first = Profile.of(window(100))
    less = window(50, 1)
    del less.inputs["x"], less.inputs["carrier"], less.inputs["question"], less.inputs["vector"]
    merged = first.merge(Profile.of(less, like=first))
    assert {name: merged.inputs[name].n for name in ("x", "carrier", "question", "vector")} == dict.fromkeys(
        ("x", "carrier", "question", "vector"), 150
    )
    assert (merged.inputs["x"].nulls, merged.inputs["vector"].nulls) == (50, 50)


def test_profiles_on_other_frames_are_not_merged():
    with pytest.raises(ValueError, match="one grid only"):
        Profile.of(window(100)).merge(Profile.of(window(100, 1)))
    with pytest.raises(ValueError, match="column 'x' is Numbers and Values"):
        Profile.of(window(100)).merge(Profile.of(window(100, x=np.array(["a"] * 100, object))))


def test_a_column_is_counted_as_its_reference_was():
    frame = Profile.of(window(200))
    text = Profile.of(window(200, x=np.array(["12"] * 200, object)), like=frame).inputs["x"]
    assert (text.n, text.nulls) == (200, 200)
    numbers = Profile.of(window(200, carrier=np.arange(200.0)), like=frame).inputs["carrier"]
    assert numbers.named["3"] == 1
    wider = Profile.of(window(200, vector=np.zeros((200, 9))), like=frame).inputs["vector"]
    assert wider.nulls == 200


def test_values_that_are_too_many_to_name_have_buckets():
    tail = Profile.of(window(5000)).inputs["tail"]
    assert tail.rest > 0
    assert tail.in_buckets().sum() == 5000 == sum(tail.named.values()) + tail.rest
    few = Profile.of(window(5000)).inputs["carrier"]
    assert few.in_buckets().sum() == few.n - few.nulls
    assert not few.buckets


def test_the_named_values_of_a_reference_are_counted_though_rare_now():
    frame = Values.of(window(5000).inputs["tail"])
    counted = Counter(window(5000, 1).inputs["tail"])
    now = Values.of(window(5000, 1).inputs["tail"], frame)
    shared = [name for name in frame.named if name in counted]
    assert shared
    assert [now.named[name] for name in shared] == [counted[name] for name in shared]


def test_long_names_are_cut_and_stay_apart():
    one, other = name_of("x" * 500 + "a"), name_of("x" * 500 + "b")
    assert len(one) <= 48
    assert one != other
    assert [name_of(v) for v in (3.0, 3, True, "3")] == ["3", "3", "1", "3"]


@pytest.mark.parametrize(
    "column",
    [
        np.array([1.0, NAN, 3.0]),
        np.array([1, None, 3], object),
        np.array([1, "x", 3], object),
        pl.Series([1, None, 3]),
        pl.Series([1.0, None, 3.0]),
    ],
    ids=["floats", "objects", "a text among them", "polars integers", "polars floats"],
)
def test_numbers_are_read_from_any_column(column):
    assert np.array_equal(numbers_in(column), [1.0, NAN, 3.0], equal_nan=True)


def test_dates_are_read_as_seconds():
    days = np.array(["1970-01-01", "1970-01-02", "NaT"], "datetime64[D]")
    assert np.array_equal(numbers_in(days), [0.0, 86_400.0, NAN], equal_nan=True)
    assert np.array_equal(numbers_in(pl.Series(days).cast(pl.Datetime("us"))), [0.0, 86_400.0, NAN], equal_nan=True)


def test_a_polars_text_column_is_counted_like_an_object_array():
    values = window(500).inputs
    series = {name: pl.Series(name, values[name].tolist(), pl.String) for name in ("carrier", "tail", "question")}
    plain = Profile.of(window(500))
    assert Profile.of(window(500, **series)).inputs == plain.inputs
    assert Profile.of(window(500, **series), like=plain).inputs["tail"] == plain.inputs["tail"]


def test_polars_columns_are_what_their_type_says():
    series = {
        "late": pl.Series([None] * 1500 + [1.0] * 100),
        "sure": pl.Series([True, False, None, True] * 400),
        "short": pl.Series(["a", "b"] * 800, dtype=pl.Categorical),
        "embedding": pl.Series([[1.0, 2.0]] * 1600),
    }
    found = Profile.of(window(1600, **series)).inputs
    assert [type(found[name]) for name in series] == [Numbers, Values, Values, Vectors]
    assert (found["late"].nulls, found["sure"].kind, found["embedding"].width) == (1500, "boolean", 2)


def test_a_model_that_states_no_confidence_has_none():
    rows = window(60)
    stated = Window(rows.inputs, rows.outputs, rows.labels, rows.at, confidence=np.full(60, NAN))
    assert Profile.of(stated).confidence is None


def test_labels_that_are_no_classes_have_no_calibration():
    rows = window(500)
    rows.labels[:] = 3.5
    assert Profile.of(rows).calibration is None
    assert Profile.of(rows).rate == pytest.approx(3.5)


def test_an_output_named_like_an_input_is_told_apart():
    rows = window(60)
    profile = Profile.of(Window({"p": rows.inputs["x"]}, rows.outputs, rows.labels, rows.at))
    assert list(profile.columns()) == ["p", "outputs.p"]


def test_a_reference_keeps_a_sample_and_the_profile_of_all_rows():
    rows = window(5000)
    reference = Reference.of(rows)
    assert reference.n == MOST_ROWS
    assert reference.profile == Profile.of(rows)
    assert np.array_equal(reference.at, Reference.of(rows).at)
    assert set(reference.at) <= set(rows.at)
    assert Reference.of(reference) is reference
    assert len(reference.inputs["question"]) == MOST_ROWS


def test_a_reference_is_made_of_records():
    made = [Record(f"{k}", float(k), "r", "stable", {"x": float(k)}, {"p": 0.5}) for k in range(5)]
    reference = Reference.of(made)
    assert (reference.n, reference.profile.n, reference.profile.inputs["x"].median) == (5, 5, 2.0)
