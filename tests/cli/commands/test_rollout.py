"""`roadworthy rollout` starts, tells, promotes and takes back; its exit code is where the rollout stands."""

from __future__ import annotations

import pytest

from roadworthy.registry.releases import Registry


@pytest.fixture
def candidate(call, released):
    return call("retrain", "--project", released, "--json").body["digest"]


@pytest.fixture
def started(call, released, candidate):
    told = call("rollout", "start", candidate[:10], "--project", released, "--by", "ada", "--json")
    assert told.code == 3, told.err
    return told.body


def test_a_rollout_that_runs_is_exit_code_3(call, released, candidate, started):
    assert started["candidate"] == candidate
    told = call("rollout", "status", "--project", released, "--json")
    assert (told.code, told.body["status"], told.body["stage"], told.body["by"]) == (3, "running", 0, "ada")


def test_a_person_reads_where_it_stands(call, released, started):
    told = call("rollout", "status", "--project", released)
    assert "1 shadow 100 %" in told.out
    assert started["candidate"][:12] in told.out


def test_a_promoted_candidate_is_live_and_exit_code_0(call, released, candidate, started, state):
    told = call("rollout", "promote", "--project", released, "--why", "looks good", "--json")
    assert (told.code, told.body["status"]) == (0, "promoted")
    assert Registry(state).alias("clinic", "stable") == candidate
    assert call("rollout", "status", "--project", released).code == 0


def test_an_aborted_candidate_is_not_live_and_exit_code_1(call, released, candidate, started, state):
    told = call("rollout", "abort", "--project", released, "--json")
    assert (told.code, told.body["status"]) == (1, "aborted")
    assert Registry(state).alias("clinic", "stable") != candidate


def test_a_second_rollout_is_refused_while_one_runs(call, released, candidate, started):
    assert call("rollout", "start", candidate, "--project", released).code == 2


def test_what_is_missing_is_told(call, released):
    for words, said in [
        (("status",), "never had a rollout"),
        (("start",), "which release?"),
        (("start", "ffff"), "no release with the digest 'ffff'"),
        (("promote",), "clinic"),
    ]:
        told = call("rollout", *words, "--project", released)
        assert (told.code, said in told.err) == (2, True), told
