"""What the operator's listener tells Prometheus is what happened."""

from __future__ import annotations

import urllib.request

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from roadworthy.app.client import Admin
from roadworthy.app.metrics import MOST_ENDS, MOST_RELEASES, _latest, _most, _objectives, _worth
from roadworthy.core.errors import BadRequest, Missing, RoadworthyError
from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Slo
from roadworthy.registry.releases import Registry
from roadworthy.serve.meter import Counts, Histogram


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


def test_rows_that_the_model_was_not_sure_of_are_counted(start, state, made, predict_all):
    plain = Registry(state).get(made("0.25"))
    unsure = replace(plain, wrappers=({"abstain": {"threshold": 0.5, "on": "probability"}},))
    stable = Registry(state).add(unsure, {}).digest
    Registry(state).point("toy", "stable", stable, 1.0, "test", "first")
    _, address = start()
    predict_all(address, "r1", "r2", "r3")
    found = read(address)
    assert found["roadworthy_abstained_rows_total", ("stable", stable[:12])] == 3
    assert found["roadworthy_rows_total", ("stable", stable[:12])] == 3


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


def counts(*totals: float, **more) -> Counts:
    """Answers that took so many seconds."""
    histogram = Histogram.zero()
    for seconds in totals:
        histogram = histogram.add(seconds)
    zero = Counts.zero()
    given = {
        "requests": len(totals) + sum(more.get("errors", {}).values()),
        "stages": {**zero.stages, "total": histogram},
    }
    return replace(zero, **{**given, **more})


def objective(slo: Slo, *counted: tuple[str, Counts]) -> tuple[float, float]:
    """Requests that count for it, and those that met it."""
    asked, good = _objectives([slo], [(("release", arm), each) for arm, each in counted])
    return asked.samples[0].value, good.samples[0].value


def test_an_objective_counts_what_answered_a_caller_in_time():
    found = counts(0.01, 0.02, 0.5, errors={"Late": 1, "BadRequest": 3})
    assert objective(Slo("any"), ("stable", found)) == (4, 3)
    assert objective(Slo("fast", within_ms=100.0), ("stable", found)) == (4, 2)
    # A shadow answers nobody; what a caller did wrong is not counted.
    assert objective(Slo("fast", within_ms=100.0), ("stable", found), ("shadow", found)) == (4, 2)
    assert objective(Slo("fast", within_ms=100.0), ("stable", found), ("canary", found)) == (8, 4)


def test_a_bound_inside_a_bucket_shares_it_out():
    many = counts(*[0.1] * 100)
    met = [objective(Slo("fast", within_ms=ms), ("stable", many))[1] for ms in (80.0, 95.0, 100.0, 105.0, 120.0)]
    assert met == sorted(met)
    assert met[0] == 0
    assert 0 < met[2] < 100
    assert met[-1] == 100


@pytest.mark.parametrize(("ms", "met"), [(0.0001, 0), (1e9, 2)])
def test_a_bound_beyond_all_buckets_is_no_fault(ms, met):
    assert objective(Slo("odd", within_ms=ms), ("stable", counts(0.1, 0.2)))[1] == met


def test_an_objective_for_a_tag_is_not_told():
    asked, good = _objectives([Slo("acme", where="tenant=acme")], [])
    assert (asked.samples, good.samples) == ([], [])


def test_old_releases_are_one():
    many = {(f"r{k}", arm): counts(0.1) for k in range(MOST_RELEASES + 5) for arm in ("stable", "canary")}
    found = dict(_latest(many))
    assert len(found) == 2 * MOST_RELEASES + 2
    assert found["others", "stable"].requests == found["others", "canary"].requests == 5
    assert ("r4", "stable") not in found
    assert sum(each.requests for each in found.values()) == sum(each.requests for each in many.values())


def test_ends_beyond_the_cap_are_added_up():
    ended = {"answer": 100, **{f"Error{k}": 1 for k in range(MOST_ENDS + 9)}}
    found = _most(ended, MOST_ENDS)
    assert len(found) == MOST_ENDS + 1
    assert (found["answer"], found["others"]) == (100, 10)
    assert sum(found.values()) == sum(ended.values())
    assert _most({"answer": 1}, MOST_ENDS) == {"answer": 1}


def test_what_a_cache_saves_is_told_in_seconds():
    (hit, held, saved) = _worth({"ab" * 32: [Measurement("cache_saved_ms", 1500.0, 3, unit="ms")]})
    assert (saved.name, saved.samples[0].value) == ("roadworthy_cache_saved_seconds", 1.5)
    assert (hit.name, held.name) == ("roadworthy_cache_hit_share", "roadworthy_cache_bytes")
