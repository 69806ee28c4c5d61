"""`roadworthy replay` sends the past to a running server and tells its outcomes."""

from __future__ import annotations


def test_a_stretch_is_answered_recorded_and_labelled(call, served, state):
    told = call("replay", "--project", served.spec.root, "--days", "1", "--json")
    assert told.code == 0
    assert (told.body["answered"], told.body["failed"], told.body["reasons"]) == (144, 0, {})
    assert 100 < told.body["labelled"] <= 144
    records = state.records.read()
    assert len(records) == 144
    assert sum(r.label is not None for r in records) == told.body["labelled"]
    assert records[0].tags["ward"] in {"north", "south"}


def test_the_same_stretch_again_is_recorded_once(call, served, state):
    words = ("replay", "--project", served.spec.root, "--days", "0.5", "--from-day", "2")
    assert [call(*words).code for _ in range(2)] == [0, 0]
    assert state.records.count() == 72


def test_rows_that_are_refused_are_counted_with_the_reason(call, served, rewrite):
    # The server was started with a `smoothness` that may not be null.
    import polars as pl

    file = served.spec.root / "data" / "production.parquet"
    pl.read_parquet(file).with_columns(smoothness=pl.lit(None, dtype=pl.Float64)).write_parquet(file)
    told = call("replay", "--project", served.spec.root, "--days", "0.1")
    assert told.code == 1
    assert "'smoothness'" in told.out or "'smoothness'" in told.err


def test_without_a_server_it_says_how_to_start_one(call, released):
    told = call("replay", "--project", released)
    assert (told.code, "roadworthy serve --clock request" in told.err) == (2, True)


def test_a_server_that_was_killed_is_not_waited_for(call, served):
    served.process.kill()
    served.process.wait()
    told = call("replay", "--project", served.spec.root)
    assert (told.code, "no server runs" in told.err) == (2, True)
