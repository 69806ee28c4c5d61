"""`roadworthy quality` measures answers with the labels that came."""

from __future__ import annotations


def test_what_labels_say_stands_beside_what_is_said_without_them(call, lived):
    told = call("quality", "--days", "7", "--project", lived, "--json")
    assert told.code in (0, 1, 3), told.err
    assert {one["name"] for one in told.body["measured"]} >= {"auc", "accuracy", "ece"}
    assert told.body["label_free"]
    assert told.body["arrival"]


def test_a_person_sees_the_reliability(call, lived):
    told = call("quality", "--days", "7", "--project", lived)
    assert "came true" in told.out
    assert "accuracy" in told.out


def test_one_release_alone(call, lived):
    every = call("quality", "--days", "7", "--project", lived, "--json").body["rows"]
    counts = call("log", "--project", lived, "--json").body["counts"]
    digest = next(row["release"] for row in counts if row["arm"] == "shadow")
    one = call("quality", "--days", "7", "--release", digest[:12], "--project", lived, "--json").body["rows"]
    assert 0 <= one < every


def test_a_stretch_without_records_waits(call, lived):
    assert call("quality", "--from", "2010-01-01 00:00", "--to", "2010-01-02 00:00", "--project", lived).code in (2, 3)
