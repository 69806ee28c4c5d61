"""`roadworthy shadow` compares what the candidate would have answered with what stable did."""

from __future__ import annotations


def test_the_answers_of_a_shadow_are_compared_row_by_row(call, lived):
    told = call("shadow", "--project", lived, "--json")
    assert told.code == 0, told.err
    report, found = told.body["report"], told.body["disagreements"]
    assert report["pairs"] > 20
    assert {m["name"] for m in report["measured"]} >= {"agreement", "distance", "error_rate"}
    assert len(found["rows"]) <= 10


def test_a_person_sees_shares_slices_and_rows_to_look_at(call, lived):
    told = call("shadow", "--most", "2", "--project", lived)
    assert "were mirrored and answered" in told.out
    assert "agreement" in told.out


def test_without_a_shadow_it_says_how_to_begin_one(call, released):
    assert "begin one with `roadworthy rollout start`" in call("shadow", "--project", released).err
