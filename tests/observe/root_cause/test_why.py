"""What an analysis says of windows with a known fault in them, and of windows with none."""

from __future__ import annotations

import msgspec
import numpy as np
import polars as pl
import pytest

from roadworthy.core.errors import BadData
from roadworthy.observe.root_cause.change_log import Change
from roadworthy.observe.root_cause.host import HostSample
from roadworthy.observe.root_cause.why import Stretches, Why, why
from roadworthy.testing.incidents import FIRST, SECOND, frame

WHEN = Stretches(3600.0, 4200.0, ((0.0, 3600.0),), "the hour before")
HEAVY = {"acme": 0.1, "birch": 0.1, "cobalt": 0.1, "delta": 0.7}


def diagnosed(metric: str = "p95", seed: int = 0, n: int = 5000, before: dict | None = None, **fault) -> Why:
    rng = np.random.default_rng(seed)
    then = frame(15_000, rng, 0.0, 3600.0, **(before or {}))
    given = {k: fault.pop(k) for k in ("changes", "host_samples") if k in fault}
    now = frame(n, rng, 3600.0, 4200.0, **fault)
    return why(now, then, WHEN, metric, given.get("changes", ()), given.get("host_samples", ()))


@pytest.mark.parametrize("metric", ["mean", "p50", "p95", "p99"])
def test_a_slow_tenant_is_named_and_comes_first(metric):
    found = diagnosed(metric, slow={"tenant": "acme"})
    assert found.verdict.decision == "fail"
    assert (found.causes[0].kind, found.causes[0].what) == ("slice", "tenant=acme")
    assert found.causes[0].share > 0.9


def test_a_slice_of_two_dimensions_is_named_by_both():
    found = diagnosed("mean", slow={"tenant": "birch", "region": "us"}, times=6.0)
    assert found.causes[0].what == "tenant=birch & region=us"


@pytest.mark.parametrize("before", [0.0, 0.3])
def test_a_slow_canary_is_a_slow_release_whether_it_was_there_before_or_not(before):
    found = diagnosed("p95", slow={"release": SECOND}, canary=0.3, before={"canary": before})
    assert (found.causes[0].kind, found.causes[0].what) == ("release", f"release={SECOND[:12]}")


def test_a_release_that_took_over_everything_and_is_slow_is_named_with_its_deploy():
    deploy = Change(3600.0, "deploy", "stable became bb", SECOND)
    found = diagnosed("p95", slow={"release": SECOND}, canary=1.0, changes=[deploy])
    assert (found.causes[0].kind, found.causes[0].what) == ("release", f"release={SECOND[:12]}")
    assert found.changes[0].matches
    assert "stable became bb, at the onset" in found.causes[0].evidence


def test_a_tag_that_parts_rows_like_another_is_an_alias_and_no_cause_of_its_own():
    found = diagnosed(slow={"tenant": "acme"})
    assert any("account" in alias for alias in found.causes[0].aliases)
    assert not [c for c in found.causes if "account" in c.what]


@pytest.mark.parametrize("metric", ["mean", "p95", "p99"])
def test_a_cache_that_is_lost_is_told_from_a_slow_model(metric):
    found = diagnosed(metric, hits=0.0)
    assert (found.causes[0].kind, found.causes[0].what) == ("cache", "")
    assert found.split.mix > 0.7


def test_longer_inputs_are_mix_and_not_rate():
    found = diagnosed("p95", longer=3.0)
    assert found.causes[0].kind == "inputs"
    assert found.causes[0].what.startswith(("text length>", "tokens>"))


def test_more_of_a_tenant_that_was_always_slow_is_a_mix_shift_and_its_longer_texts_only_follow():
    found = diagnosed("mean", tenants=HEAVY)
    assert (found.causes[0].kind, found.causes[0].what) == ("mix", "tenant=delta")
    follows = {m.dimension: m.follows for m in found.mixes}
    assert follows["tokens"] == "tenant"
    assert follows["tenant"] == ""


def samples(noisy: bool) -> list[HostSample]:
    """A sample a minute; from 3600 s on other processes may be at work."""
    return [
        HostSample(60.0 * k + 5, busy=0.9 if noisy and k >= 60 else 0.2, others=0.8 if noisy and k >= 60 else 0.1)
        for k in range(70)
    ]


def test_all_slices_alike_on_a_machine_that_others_use_is_a_noisy_host():
    found = diagnosed("p95", host=2.0, host_samples=samples(noisy=True))
    assert (found.causes[0].kind, found.causes[0].what) == ("host", "")
    assert "80%" in found.causes[0].sentence


def test_all_slices_alike_on_a_quiet_machine_is_said_to_be_unexplained():
    found = diagnosed("p95", host=2.0, host_samples=samples(noisy=False))
    assert [c.kind for c in found.causes] == ["everything"]
    assert found.causes[0].confidence == "possible"


def test_errors_of_one_kind_in_all_slices_come_from_upstream():
    found = diagnosed("errors", failing=0.06)
    assert (found.causes[0].kind, found.causes[0].what) == ("upstream", "Late")


def test_a_dearer_mix_explains_the_cost():
    found = diagnosed("cost", tenants=HEAVY)
    assert (found.causes[0].kind, found.causes[0].what) == ("mix", "tenant=delta")


def test_accuracy_that_falls_for_one_tenant_names_it():
    rng = np.random.default_rng(3)
    then, now = frame(8000, rng, 0.0, 3600.0), frame(5000, rng, 3600.0, 4200.0)
    flipped = pl.when(pl.col("tags.tenant") == "cobalt").then(1 - pl.col("label")).otherwise(pl.col("label"))
    found = why(now.with_columns(flipped.alias("label")), then, WHEN, "accuracy")
    assert found.causes[0].what == "tenant=cobalt"
    assert found.now.value < found.before.value
    assert "wrong" in found.causes[0].sentence


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("metric", ["mean", "p95", "p99", "errors"])
def test_where_nothing_happened_no_cause_is_invented(seed, metric):
    found = diagnosed(metric, seed=seed)
    assert found.verdict.decision in ("pass", "wait")
    assert found.causes == ()


def test_a_rise_that_earlier_days_had_too_is_no_rise():
    rng = np.random.default_rng(0)
    days = [(d * 86_400.0, d * 86_400.0 + 600.0) for d in range(5)]
    parts = [frame(3000, rng, *day, host=1.0 + 0.15 * k) for k, day in enumerate(days)]
    now = frame(3000, rng, 5 * 86_400.0, 5 * 86_400.0 + 600.0, host=1.55)
    when = Stretches(5 * 86_400.0, 5 * 86_400.0 + 600.0, tuple(days), "the same time on 5 earlier days")
    found = why(now, pl.concat(parts), when, "p95")
    assert found.now.value > 1.1 * found.before.value
    assert found.verdict.decision == "wait"


def test_the_onset_is_found_within_the_window():
    rng = np.random.default_rng(1)
    then = frame(12_000, rng, 0.0, 3600.0)
    now = pl.concat([frame(3000, rng, 3600.0, 3900.0), frame(3000, rng, 3900.0, 4200.0, slow={"tenant": "acme"})])
    found = why(now, then, WHEN, "mean")
    assert found.onset == pytest.approx(3900.0, abs=30.0)
    assert found.causes[0].what == "tenant=acme"


def test_exemplars_are_of_the_first_cause_and_their_stages_add_up():
    found = diagnosed("p95", slow={"tenant": "acme"})
    assert len(found.exemplars) == 5
    assert found.exemplars[0].value == max(e.value for e in found.exemplars)
    for each in found.exemplars:
        assert sum(each.stages.values()) == pytest.approx(each.value, rel=1e-6)
        assert each.release == FIRST


def test_the_stage_that_moved_is_told_first():
    found = diagnosed("p95", slow={"tenant": "acme"})
    assert found.stages[0].stage == "model"
    assert sum(s.share for s in found.stages) == pytest.approx(1.0, abs=0.01)


def test_a_window_without_rows_is_refused_with_a_sentence():
    rng = np.random.default_rng(0)
    full = frame(100, rng)
    with pytest.raises(BadData, match="no records in the window: choose another stretch"):
        why(full.clear(), full, WHEN)
    with pytest.raises(BadData, match="no records in the baseline"):
        why(full, full.clear(), WHEN)


def test_a_metric_whose_values_never_arrived_is_refused_with_what_it_needs():
    full = frame(100, np.random.default_rng(0)).with_columns(pl.lit(None).cast(pl.Float64).alias("label"))
    with pytest.raises(BadData, match="labels that have arrived"):
        why(full, full, WHEN, "accuracy")


def test_an_unknown_metric_is_refused_with_the_known_ones():
    full = frame(100, np.random.default_rng(0))
    with pytest.raises(BadData, match=r"no metric named 'p98'.*p99"):
        why(full, full, WHEN, "p98")


@pytest.mark.parametrize("column", ["tags.region", "inputs.text length", "seconds.queue", "arm", "error", "tokens"])
def test_a_column_that_vanishes_leaves_the_cause_and_is_noted(column):
    rng = np.random.default_rng(0)
    then = frame(12_000, rng, 0.0, 3600.0)
    now = frame(4000, rng, 3600.0, 4200.0, slow={"tenant": "acme"}).drop(column)
    found = why(now, then, WHEN, "p95")
    assert "tenant=acme" in [c.what for c in found.causes]
    assert (f"{column} had values before and has none now" in found.notes) == ("." in column)


def test_one_tenant_alone_is_no_dimension():
    found = diagnosed("p95", tenants={"acme": 1.0}, before={"tenants": {"acme": 1.0}}, slow={"region": "us"})
    assert found.causes[0].what == "region=us"
    assert "tenant" not in [m.dimension for m in found.mixes]


def test_rows_that_only_a_shadow_answered_do_not_count():
    rng = np.random.default_rng(0)
    then, now = frame(8000, rng, 0.0, 3600.0), frame(3000, rng, 3600.0, 4200.0)
    shadow = frame(3000, rng, 3600.0, 4200.0, host=9.0).with_columns(pl.lit("shadow").alias("arm"))
    assert why(pl.concat([now, shadow]), then, WHEN, "p95").now.n == 3000


def test_the_whole_goes_to_json_and_back():
    found = diagnosed("p95", slow={"tenant": "acme"}, host_samples=samples(noisy=True))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Why) == found


def test_the_same_rows_give_the_same_answer():
    assert diagnosed("p99", slow={"tenant": "acme"}) == diagnosed("p99", slow={"tenant": "acme"})
