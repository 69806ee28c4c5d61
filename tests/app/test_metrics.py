"""What the operator's listener tells Prometheus is what happened."""

from __future__ import annotations

import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from roadworthy.app.client import Admin
from roadworthy.core.errors import BadRequest, Missing, RoadworthyError
from roadworthy.registry.releases import Registry


def read(address) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every sample by name and label values, in the order of the labels' names."""
    with urllib.request.urlopen(f"{address.admin_url}/metrics", timeout=10) as answer:
        assert answer.headers["content-type"].startswith("text/plain")
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_requests_batches_and_seconds_are_counted_per_release_and_arm(start, state, made, predict_all):
    stable = made("0.25")
    Registry(state).point("toy", "stable", stable, 1.0, "test", "first")
    _, address = start()
    predict_all(address, *(f"r{k}" for k in range(20)))
    found, release = read(address), stable[:12]
    # Labels in the order of their names: arm, outcome, release; arm, le, release, stage; le, release.
    assert found["roadworthy_requests_total", ("stable", "answer", release)] == 20
    assert found["roadworthy_requests_total", ("stable", "fallback", release)] == 0
    assert found["roadworthy_rows_total", ("stable", release)] == 20
    for stage in ("total", "queue", "model"):
        assert found["roadworthy_request_seconds_count", ("stable", release, stage)] == 20
        assert 0 < found["roadworthy_request_seconds_sum", ("stable", release, stage)] < 60
    assert found["roadworthy_batch_rows_sum", (release,)] == 20
    assert 1 <= found["roadworthy_batch_rows_bucket", ("+Inf", release)] <= 20
    assert found["roadworthy_queue_rows", ("2", release)] == 0
    assert found["roadworthy_ready", ()] == found["roadworthy_models_loaded", ()] == 1
    assert found["process_resident_memory_bytes", ()] > 2**20


def test_the_buckets_of_a_histogram_are_cumulative(start, state, made, predict_all):
    Registry(state).point("toy", "stable", made("0.25"), 1.0, "test", "first")
    _, address = start()
    predict_all(address, "r1", "r2", "r3")
    buckets = [
        (float(labels[1]), value)
        for (name, labels), value in read(address).items()
        if name == "roadworthy_request_seconds_bucket" and labels[3] == "total"
    ]
    assert [end for end, _ in buckets] == sorted(end for end, _ in buckets)
    assert [value for _, value in buckets] == sorted(value for _, value in buckets)
    assert buckets[-1][1] == 3


def test_an_operator_loads_and_unloads(start, state, made, predict_all):
    Registry(state).point("toy", "stable", made("0.25"), 1.0, "test", "first")
    _, address = start()
    admin = Admin(address.admin_url)
    assert admin._ask("POST", "/unload")["unloaded"]
    assert read(address)["roadworthy_models_loaded", ()] == 0
    with pytest.raises(RoadworthyError, match="'toy' was unloaded"):
        predict_all(address, "r1")
    assert admin._ask("POST", "/load")["loaded"]
    assert len(predict_all(address, "r1")) == 1


def test_the_admin_says_what_it_takes(start, state, made):
    Registry(state).point("toy", "stable", made("0.25"), 1.0, "test", "first")
    _, address = start()
    with pytest.raises(Missing, match="no path '/metric' here; did you mean '/metrics'"):
        Admin(address.admin_url)._ask("GET", "/metric")
    with pytest.raises(BadRequest, match="the body is empty"):
        Admin(address.admin_url)._ask("POST", "/labels", b"")
