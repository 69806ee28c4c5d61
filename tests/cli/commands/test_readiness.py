"""`roadworthy readiness` scores what a project has to show, and fails a build below what it asks for."""

from __future__ import annotations

import msgspec

from roadworthy.core.stats import proportion
from roadworthy.registry.releases import Registry


def points(body, name):
    return next(r["finding"].get("points") for r in body["results"] if r["name"] == name)


def test_a_life_gives_points_for_what_happened_in_it(call, lived):
    told = call("readiness", "--project", lived, "--json")
    assert told.code == 0, told.err
    for name in ("debuggable", "canary", "feature_expectations"):
        assert points(told.body, name) in (0.5, 1.0), name
    assert points(told.body, "privacy") == 0
    assert told.body["value"] == min(told.body["sections"].values())
    offline = next(c for c in told.body["coverages"] if c["measured"]["name"] == "offline_evaluation")
    assert offline["measured"]["n"] >= 1


def test_a_build_fails_below_the_score_that_is_asked_for(call, lived):
    assert call("readiness", "--at-least", "0", "--project", lived).code == 0
    failed = call("readiness", "--at-least", "6.5", "--project", lived)
    assert failed.code == 1
    assert "Next, in the section with the fewest points" in failed.out
    assert "from 0 to 7, got 9.0" in call("readiness", "--at-least", "9", "--project", lived).err


def test_a_document_gives_half_a_point_and_one_that_is_not_there_is_an_error(call, released, rewrite):
    rewrite("cost: {", "readiness: {manual: {inclusion: docs/fair.md}}\ncost: {")
    assert "there is no such file: write it" in call("readiness", "--project", released).err
    (released / "docs").mkdir()
    (released / "docs" / "fair.md").write_text("We looked at every ward.")
    assert points(call("readiness", "--project", released, "--json").body, "inclusion") == 0.5
    rewrite("inclusion", "inclusiveness")
    assert "did you mean 'inclusion'?" in call("readiness", "--project", released).err


def test_tests_and_a_build_of_the_project_are_found(call, released):
    (released / "tests").mkdir()
    (released / "tests" / "test_train.py").write_text("from train import train\n")
    (released / ".gitlab-ci.yml").write_text("script: [pytest, roadworthy gap]\n")
    body = call("readiness", "--project", released, "--json").body
    assert [points(body, name) for name in ("feature_code", "unit_tests", "integration")] == [1, 1, 1]


def test_what_the_release_measured_in_the_lab_is_offline_evaluation(call, released, state):
    made = Registry(state).list()[0]
    assert {m.name for m in made.measured} >= {"auc", "ece"}
    assert made.versions["numpy"]
    body = call("readiness", "--project", released, "--json").body
    offline = next(c["measured"] for c in body["coverages"] if c["measured"]["name"] == "offline_evaluation")
    assert offline == msgspec.to_builtins(proportion("offline_evaluation", 1, 1, where="stable releases"))
