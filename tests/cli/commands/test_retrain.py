"""`roadworthy retrain` trains on what is known by now, and not on what is known later."""

from __future__ import annotations

from roadworthy.registry.releases import Registry


def test_the_candidate_is_kept_with_its_parent_and_its_data(call, released, state):
    told = call("retrain", "--project", released, "--by", "ada", "--json")
    assert (told.code, told.body["rows"], told.body["started"]) == (0, 1000, False)
    registry = Registry(state)
    kept = registry.get(told.body["digest"])
    assert (kept.made_by, kept.parent) == ("ada", registry.alias("clinic", "stable"))
    assert kept.data["train"]


def test_it_can_begin_the_rollout_at_once(call, released):
    told = call("retrain", "--project", released, "--start")
    assert (told.code, "its rollout began" in told.out) == (0, True)
    assert call("rollout", "status", "--project", released).code == 3


def test_only_what_was_known_at_that_time_is_learnt_from(call, released):
    # The hundredth row of the history came at 100 x 600 s, its outcome two hours later.
    told = call("retrain", "--project", released, "--at", 1_700_000_000 + 100 * 600, "--json")
    assert told.body["rows"] == 100 - 12 + 1


def test_a_project_without_training_code_says_which_key_is_missing(call, released, rewrite):
    rewrite("  train: train.py:train\n", "")
    told = call("retrain", "--project", released)
    assert (told.code, "`model.train`" in told.err) == (2, True)
