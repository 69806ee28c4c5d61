"""What the tending loop measured is what /metrics says, with bounds, capped, also from another process."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from roadworthy.app.watched import FAMILIES, MOST_SERIES, Watched
from roadworthy.core.measure import Measurement
from roadworthy.core.stats import proportion


class As(Collector):
    def __init__(self, watched: Watched) -> None:
        self.collect = watched.metrics


def read(watched: Watched) -> dict[tuple[str, str, str], float]:
    """Samples by name, `of` and `where`."""
    registry = CollectorRegistry()
    registry.register(As(watched))
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        (
            sample.name,
            sample.labels.get("of", ""),
            sample.labels.get("where", sample.labels.get("family", "")),
        ): sample.value
        for family in families
        for sample in family.samples
    }


def test_a_drift_is_told_by_column_with_its_bounds():
    watched = Watched()
    effect = Measurement("drift_effect", 0.4, 900, 0.3, 0.5, where="carrier", conditions={"of": "psi"})
    watched.put("drift", [effect], 50.0)
    found = read(watched)
    assert found["roadworthy_drift_effect", "psi", "carrier"] == 0.4
    assert found["roadworthy_drift_effect_low", "psi", "carrier"] == 0.3
    assert found["roadworthy_drift_effect_high", "psi", "carrier"] == 0.5
    assert found["roadworthy_drift_effect_rows", "psi", "carrier"] == 900
    assert found["roadworthy_watched_timestamp_seconds", "drift", ""] == 50.0


def test_what_is_not_known_is_left_out_and_open_bounds_too():
    watched = Watched()
    watched.put("quality", [Measurement("quality", 0.7, 5), Measurement("quality", where="UA")], 1.0)
    found = read(watched)
    assert found["roadworthy_quality", "", ""] == 0.7
    assert ("roadworthy_quality", "", "UA") not in found
    assert ("roadworthy_quality_low", "", "") not in found


def test_a_count_is_a_counter():
    watched = Watched()
    watched.put("log", [Measurement("log_dropped", 3.0, 3)], 1.0)
    assert read(watched)["roadworthy_log_dropped_total", "", ""] == 3


def test_each_family_is_there_before_anything_is_measured():
    registry = CollectorRegistry()
    registry.register(As(Watched()))
    told = generate_latest(registry).decode()
    for name, family in FAMILIES.items():
        assert f"# TYPE roadworthy_{name}{'_total' if family.kind == 'counter' else ''} {family.kind}" in told


def test_beyond_the_cap_the_largest_stay_and_the_rest_is_counted():
    watched = Watched()
    many = [Measurement("drift_effect", k / 1000, 10, where=f"c{k}") for k in range(MOST_SERIES + 50)]
    watched.put("drift", many, 1.0)
    found = read(watched)
    kept = [where for name, _, where in found if name == "roadworthy_drift_effect"]
    assert len(kept) == MOST_SERIES
    assert "c0" not in kept
    assert found["roadworthy_series_left_out", "", "drift_effect"] == 50


def test_a_source_replaces_what_it_said_before():
    watched = Watched()
    watched.put("drift", [Measurement("drift_effect", 1.0, 1, where="a")], 1.0)
    watched.put("log", [Measurement("log_rows", 7.0, 7)], 1.0)
    watched.put("drift", [Measurement("drift_effect", 2.0, 1, where="b")], 2.0)
    found = read(watched)
    assert ("roadworthy_drift_effect", "", "a") not in found
    assert found["roadworthy_log_rows", "", ""] == 7


def test_a_name_of_ones_own_becomes_a_gauge():
    watched = Watched()
    watched.put("mine", [proportion("late share", 1, 4)], 1.0)
    assert read(watched)["roadworthy_late_share", "", ""] == 0.25


def test_another_process_may_do_the_measuring(tmp_path):
    server, tender = Watched(tmp_path / "watched.json"), Watched(tmp_path / "watched.json")
    assert ("roadworthy_quality", "", "") not in read(server)
    tender.put("quality", [Measurement("quality", 0.7, 5)], 1.0)
    assert read(server)["roadworthy_quality", "", ""] == 0.7
    server.put("log", [Measurement("log_rows", 7.0, 7)], 2.0)
    tender.put("quality", [Measurement("quality", 0.8, 5)], 3.0)
    assert read(server)["roadworthy_quality", "", ""] == 0.8
    assert read(server)["roadworthy_log_rows", "", ""] == 7


def test_a_file_that_is_torn_leaves_the_gauges_as_they_were(tmp_path, caplog):
    watched = Watched(tmp_path / "watched.json")
    watched.put("quality", [Measurement("quality", 0.7, 5)], 1.0)
    read(watched)
    (tmp_path / "watched.json").write_bytes(b'{"quality": ')
    assert read(watched)["roadworthy_quality", "", ""] == 0.7
    assert "is not what was written" in caplog.text


@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_says_what_it_means(name):
    assert FAMILIES[name].meaning.endswith(".")
