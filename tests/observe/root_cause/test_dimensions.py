"""How columns of records become codes and labels."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from roadworthy.observe.root_cause.dimensions import MOST_VALUES, batch_rows, dimensions, without_aliases
from roadworthy.testing.incidents import frame


def by_name(now: pl.DataFrame, before: pl.DataFrame) -> dict:
    return {d.name: d for d in dimensions(now, before)}


def table(**columns) -> pl.DataFrame:
    n = len(next(iter(columns.values())))
    return pl.DataFrame({"id": [str(k) for k in range(n)], "at": np.arange(n, dtype=float), **columns})


def rows_of(d, label: str) -> list[int]:
    return np.flatnonzero(d.picks[d.labels.index(label)][d.now]).tolist()


def test_a_tag_is_a_dimension_whose_labels_name_its_values():
    d = by_name(table(**{"tags.tenant": ["a", "b", None]}), table(**{"tags.tenant": ["a", "a", "a"]}))["tenant"]
    assert rows_of(d, "tenant=a") == [0]
    assert rows_of(d, "tenant=b") == [1]
    assert rows_of(d, "no tenant") == [2]
    assert d.role == "asked"


def test_a_tag_and_an_input_of_one_name_keep_their_full_names():
    both = table(**{"tags.kind": ["a", "b"], "inputs.kind": ["x", "y"]})
    assert set(by_name(both, both)) == {"tags.kind", "inputs.kind"}


def test_numbers_are_binned_and_a_label_takes_all_above_an_edge():
    x = np.arange(1000, dtype=float)
    d = by_name(table(**{"inputs.x": x}), table(**{"inputs.x": x}))["x"]
    label = next(each for each in d.labels if each.startswith("x>"))
    edge = float(label.partition(">")[2])
    assert rows_of(d, label) == [k for k in range(1000) if x[k] > edge]
    assert rows_of(d, f"x<={edge:g}") == [k for k in range(1000) if x[k] <= edge]


def test_numbers_of_few_kinds_are_values_and_nulls_are_their_own():
    d = by_name(table(**{"inputs.n": [1, 2, None, 2]}), table(**{"inputs.n": [1, 1, 2, 2]}))["n"]
    assert rows_of(d, "n=2") == [1, 3]
    assert rows_of(d, "no n") == [2]


def test_texts_count_by_their_length():
    texts = [f"{'word ' * (k % 300)}{k}" for k in range(1000)]
    d = by_name(table(**{"inputs.text": texts}), table(**{"inputs.text": texts}))["text length"]
    assert all("text length" in label for label in d.labels)


def test_of_thousands_of_values_the_usual_ones_are_kept():
    names = [f"user-{k % 400}" if k % 2 else "everyone" for k in range(4000)]
    d = by_name(table(**{"tags.user": names}), table(**{"tags.user": names}))["user"]
    assert len(d.labels) == MOST_VALUES
    assert d.labels[0] == "user=everyone"
    assert d.size == MOST_VALUES + 1


def test_what_has_one_value_only_and_what_is_a_vector_is_no_dimension():
    same = table(**{"tags.a": ["x", "x"], "inputs.v": [[1.0, 2.0], [3.0, 4.0]]})
    assert by_name(same, same) == {}


def test_a_column_that_one_side_lacks_is_null_there():
    d = by_name(table(**{"tags.b": ["x", "y"]}).drop("tags.b"), table(**{"tags.b": ["x", "y"]}))["b"]
    assert rows_of(d, "no b") == [0, 1]


def test_a_column_that_was_a_number_and_is_text_now_is_compared_as_text():
    d = by_name(table(**{"inputs.b": ["1", "2"]}), table(**{"inputs.b": [1, 2]}))["b"]
    assert rows_of(d, "b=1") == [0]


def test_a_release_is_known_by_the_beginning_of_its_digest():
    d = by_name(table(release=["ab" * 32, "cd" * 32]), table(release=["ab" * 32, "ab" * 32]))["release"]
    assert d.role == "served"
    assert rows_of(d, "release=cdcdcdcdcdcd") == [1]


def test_an_answer_without_the_model_is_a_hit_and_a_failure_is_not():
    given = table(**{"seconds.model": [0.1, None, None], "error": [None, None, "Late: late"]})
    d = by_name(given, given)["cache"]
    assert rows_of(d, "cache=hit") == [1]
    assert d.role == "happened"


def test_rows_of_one_batch_share_the_time_of_the_model():
    given = table(**{"seconds.model": [0.5, 0.5, 0.25, None]}).with_columns(pl.lit(7.0).alias("at"))
    assert batch_rows(given).tolist()[:3] == [2, 2, 1]
    assert np.isnan(batch_rows(given)[3])
    apart = given.with_columns(pl.Series("at", [0.0, 100.0, 0.0, 0.0]))
    assert batch_rows(apart).tolist()[:2] == [1, 1]


def test_dimensions_that_part_rows_alike_become_one_with_aliases():
    given = frame(500, np.random.default_rng(0))
    found = without_aliases(dimensions(given, given))
    names = {d.name: d.aliases for d in found}
    assert names["tenant"] == ("account",)
    assert "account" not in names


def test_an_answered_class_is_a_dimension_and_a_score_is_none():
    given = table(**{"outputs.label": ["spam", "ham"], "outputs.score": [0.25, 0.75]})
    assert set(by_name(given, given)) == {"label"}


@pytest.mark.parametrize("dtype", [pl.Categorical, pl.Boolean])
def test_categories_and_booleans_are_values_too(dtype):
    values = pl.Series([True, False, True]) if dtype == pl.Boolean else pl.Series(["a", "b", "a"]).cast(dtype)
    d = by_name(table(**{"inputs.c": values}), table(**{"inputs.c": values}))["c"]
    assert len(d.labels) == 2
