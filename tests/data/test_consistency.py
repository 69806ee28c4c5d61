from __future__ import annotations

import io

import msgspec
import numpy as np
import pytest
from rich.console import Console

from roadworthy.core.catalog import load
from roadworthy.core.errors import BadData
from roadworthy.core.window import Window
from roadworthy.data.consistency import Consistency, consistency, sampled
from roadworthy.data.skew_text import consistency_text

KEYS = [f"user{k % 40}" for k in range(2000)]
AT = np.arange(2000, dtype=float)


def truth(keys, at):
    """A feature that grows with time, one by key, and one that some keys lack."""
    return {
        "clicks": [a / 10 + 1 for a in at],
        "tier": ["gold" if key.endswith("7") else "basic" for key in keys],
        "score": [None if key.endswith("3") else float(len(key)) for key in keys],
    }


def logged(**changed) -> Window:
    served = truth(KEYS, AT.tolist())
    columns = {
        "clicks": np.array(served["clicks"], np.float32).astype(float),
        "tier": np.array(served["tier"], object),
        "score": np.array([np.nan if v is None else v for v in served["score"]]),
    }
    return Window(columns | changed, {}, np.full(2000, np.nan), AT)


def test_what_is_recomputed_alike_passes_up_to_float32():
    found = consistency(logged(), KEYS, truth)
    assert found.decision == "pass"
    assert [each.feature for each in found.features] == ["clicks", "tier", "score"]
    assert all(each.match.value == 1 for each in found.features)
    assert found.features[0].smape.value < 1e-6
    assert (found.rows, found.looked_at, found.keys, found.unknown) == (2000, 2000, 40, ())


def test_a_stale_feature_is_told_by_how_much():
    stale = consistency(logged(clicks=AT / 10), KEYS, truth).features[0]
    assert stale.verdict.decision == "fail"
    assert stale.mismatch.value == 1
    assert {m.name: round(m.value, 6) for m in stale.deltas} == {
        "delta p5": -1,
        "delta p50": -1,
        "delta p95": -1,
        "largest delta": -1,
    }
    expected = np.mean(2 / (2 * AT / 10 + 1))
    assert stale.smape.value == pytest.approx(expected)
    assert stale.examples[0] == "user0 at 0: 0 served, 1 recomputed"


def test_missing_and_extra_values_are_told_apart():
    score = logged().inputs["score"].copy()
    score[:100] = 5.0
    score[1000:1200] = np.nan
    found = next(each for each in consistency(logged(score=score), KEYS, truth).features if each.feature == "score")
    assert found.missing.value * 2000 == pytest.approx(np.isfinite(logged().inputs["score"][1000:1200]).sum())
    assert found.extra.value * 2000 == pytest.approx(np.isnan(logged().inputs["score"][:100]).sum())
    rates = (found.match, found.mismatch, found.missing, found.extra)
    assert sum(m.value for m in rates) == pytest.approx(1)


def test_rows_of_one_key_that_fail_together_make_a_wider_interval():
    clicks = logged().inputs["clicks"].copy()
    one_key = np.array(KEYS) == "user5"
    clicks[one_key] += 1
    together = consistency(logged(clicks=clicks), KEYS, truth).features[0]
    spread = logged().inputs["clicks"].copy()
    spread[: one_key.sum()] += 1
    apart = consistency(logged(clicks=spread), KEYS, truth).features[0]
    assert together.mismatch.value == apart.mismatch.value == 0.025
    assert together.mismatch.high > apart.mismatch.high + 0.02
    assert (together.verdict.decision, apart.verdict.decision) == ("wait", "fail")


def test_all_rows_of_a_key_are_looked_at_or_none():
    chosen = sampled(KEYS, 0.3, "salt")
    keys = {key for key, picked in zip(KEYS, chosen, strict=True) if picked}
    assert 3 <= len(keys) <= 25
    assert chosen.tolist() == [key in keys for key in KEYS]
    assert (chosen == sampled(KEYS, 0.3, "salt")).all()
    found = consistency(logged(), KEYS, truth, share=0.3, salt="salt")
    assert (found.looked_at, found.keys) == (chosen.sum(), len(keys))
    nothing = consistency(logged(), KEYS, truth, share=0.0)
    assert (nothing.looked_at, nothing.features, nothing.decision) == (0, (), "wait")


def test_a_feature_that_nobody_recomputes_is_named_and_a_wrong_count_is_refused():
    only = consistency(logged(), KEYS, lambda keys, at: {"tier": truth(keys, at)["tier"]})
    assert only.unknown == ("clicks", "score")
    with pytest.raises(BadData, match="gave 1 values of 'tier' for 2000 rows"):
        consistency(logged(), KEYS, lambda keys, at: {"tier": ["x"]})
    with pytest.raises(BadData, match="2 keys for 2000 logged rows"):
        consistency(logged(), ["a", "b"], truth)


def test_the_function_comes_from_a_file_and_the_report_is_read(tmp_path):
    (tmp_path / "features.py").write_text(
        "def recompute(keys, at):\n    return {'clicks': [a / 10 + 1 for a in at], 'score': [None] * len(at)}\n"
    )
    found = consistency(logged(), KEYS, load("features.py:recompute", tmp_path))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Consistency) == found
    page = io.StringIO()
    Console(file=page, width=140).print(consistency_text(found))
    assert "not recomputed: tier" in page.getvalue()
    assert "score: user0 at 0: 5 served, nan recomputed" in page.getvalue()
