"""The scan over slices, and how it finds the shortest name."""

from __future__ import annotations

import numpy as np
import polars as pl

from roadworthy.observe.root_cause.dimensions import dimensions, without_aliases
from roadworthy.observe.root_cause.expected import expected
from roadworthy.observe.root_cause.metric_rows import metric_rows
from roadworthy.observe.root_cause.slice_scan import SliceScan, noise_of
from roadworthy.testing.incidents import frame


def scanned(now: pl.DataFrame, before: pl.DataFrame, metric: str = "mean") -> SliceScan:
    rows = metric_rows(metric, now, before)
    dims = without_aliases([d.take(rows.now, rows.before) for d in dimensions(now, before)])
    given = expected(dims, rows)
    causal = [d for d in dims if d.role != "happened"]
    noise = noise_of(causal, given, before["at"].to_numpy())
    excess = float(rows.scales[0].now.mean() - rows.scales[0].before.mean())
    return SliceScan(causal, given, excess, noise)


def pair(seed: int = 0, **fault) -> tuple[pl.DataFrame, pl.DataFrame]:
    rng = np.random.default_rng(seed)
    return frame(5000, rng, 3600, 4200, **fault), frame(15_000, rng, 0, 3600)


def test_the_planted_slice_is_exact_in_most_of_many_draws():
    rng = np.random.default_rng(0)
    right = 0
    for seed in range(24):
        slow = {"tenant": str(rng.choice(["acme", "birch", "cobalt", "delta"]))}
        if seed % 2:
            slow["region"] = str(rng.choice(["eu", "us", "asia"]))
        best = scanned(*pair(seed, slow=slow, times=float(rng.uniform(2.5, 5.0)))).best()
        right += best is not None and best.where == " & ".join(f"{k}={v}" for k, v in slow.items())
    assert right >= 22


def test_its_share_of_the_excess_is_the_whole_and_the_others_are_calm():
    best = scanned(*pair(slow={"tenant": "acme"})).best()
    assert 0.85 < best.share_of_excess < 1.15
    assert best.likeness < 0.1
    assert 0.25 < best.share_of_rows < 0.35


def test_where_all_slices_move_alike_the_others_moved_as_much():
    best = scanned(*pair(host=2.0)).best()
    assert best is None or best.likeness > 0.5


def test_where_nothing_moved_no_slice_stands_out():
    assert [scanned(*pair(seed)).best() for seed in range(10)] == [None] * 10


def test_a_tenant_that_always_was_slow_is_not_blamed():
    rng = np.random.default_rng(0)
    before = frame(15_000, rng, 0, 3600, slow={"tenant": "birch"})
    now = frame(5000, rng, 3600, 4200, slow={"tenant": "birch"})
    assert scanned(now, before).best() is None


def test_a_new_value_is_compared_with_rows_like_it():
    now, before = pair(slow={"release": "bb" * 32}, canary=0.3)
    best = scanned(now, before).best()
    assert best.where == "release=" + "bb" * 6
    assert best.rows_before == 0


def test_values_that_mean_the_very_same_rows_are_told():
    now, before = pair(slow={"tenant": "acme"})
    same = now.with_columns(pl.when(pl.col("tags.tenant") == "acme").then(pl.lit("gold")).otherwise(
        pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("tin")).otherwise(pl.lit("zinc"))
    ).alias("tags.plan"))  # fmt: skip
    best = scanned(same, before.with_columns(pl.lit("tin").alias("tags.plan"))).best()
    assert {best.where, *best.aliases} >= {"tenant=acme", "plan=gold"}


def test_bursts_that_meet_a_tenant_are_noise_and_not_a_cause():
    """A tenant comes in bursts, and minutes differ: by chance the two meet."""
    rng = np.random.default_rng(0)

    def bursty(since: float, minutes: int) -> pl.DataFrame:
        parts = []
        for k in range(minutes):
            busy = {"acme": float(rng.exponential()), "birch": 1.0, "cobalt": 1.0}
            at = since + 60.0 * k
            parts.append(frame(300, rng, at, at + 60, tenants=busy, host=float(rng.lognormal(0.0, 0.4))))
        return pl.concat(parts)

    found = [scanned(bursty(3600, 10), bursty(0, 60)).best() for _ in range(5)]
    assert sum(best is not None and best.likeness < 0.45 for best in found) <= 1
