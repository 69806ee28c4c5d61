"""`roadworthy calibrate` fits what makes a release honest about itself, and keeps it as a release that serves."""

from __future__ import annotations

import pytest

from roadworthy.cli.flows import handler_of, read
from roadworthy.core.project import read_project
from roadworthy.evaluate.answers import answers
from roadworthy.registry.releases import Registry


def test_what_is_kept_is_a_child_of_stable_that_answers_with_sets(call, released, state, spec):
    told = call("calibrate", "--rows", "production", "--cover", "0.9", "--keep", "--project", released, "--json")
    assert told.code == 0, told.err
    registry = Registry(state)
    made = registry.get(told.body["kept"])
    assert made.parent == registry.alias(spec.application.name, "stable")
    assert "lac" in str(made.wrappers[0])
    assert "the table 'production'" in made.data["calibration"]
    given = answers(handler_of(spec, made, registry.files(made)), read(spec, "lab"), made.signature)
    assert len(given) == read(spec, "lab").n
    page = (released / ".roadworthy" / "calibration.html").read_text()
    assert "coverage to expect" in page
    assert "Reliability" in page


def test_calibration_sets_and_the_threshold_are_fitted_on_rows_of_their_own(call, released):
    both = ("--cover", "0.8", "--risk", "0.3")
    body = call("calibrate", "--rows", "production", *both, "--project", released, "--json").body["found"]
    parts = body["calibration"]["n"], body["sets"]["rows"], round(body["answering"]["curve"]["risk"]["n"])
    assert sum(parts) == body["rows"]
    assert max(parts) - min(parts) <= 1


def test_a_life_has_labelled_records_to_fit_on(call, lived):
    told = call("calibrate", "--days", "6", "--method", "calibrated", "--project", lived, "--json")
    assert told.code in (0, 3), told.err
    assert {tried["name"] for tried in told.body["found"]["calibration"]["choice"]["tried"]} == {"none", "calibrated"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--days", "1"), "has no labelled answer in these 1 days"),
        (("--rows", "production", "--cover", "0.9999"), "rows"),
        (("--rows", "production", "--cover", "1.5"), "a share between 0 and 1, got 1.5"),
        (("--rows", "production", "--cover", "0.9", "--each", "nobody"), "no tag 'nobody'"),
        (("--rows", "production", "--cover", "0.9", "--each", "class", "--follow"), "choose one of the two"),
        (("--rows", "production", "--method", "isotonc"), "did you mean 'isotonic'"),
        (("--rows", "production", "--cover", "0.9", "--sets", "cache"), "got 'cache'"),
    ],
)
def test_what_cannot_be_fitted_is_refused_with_the_reason(call, released, words, said):
    refused = call("calibrate", *words, "--project", released)
    assert refused.code == 2
    assert said in refused.err


def test_without_a_release_there_is_nothing_to_calibrate(call, clinic):
    assert "has no stable release" in call("calibrate", "--project", clinic).err
    assert read_project(clinic).application.name


def test_the_sets_that_were_served_are_drawn_over_time(call, released, state, spec, answered):
    kept = call("calibrate", "--rows", "production", "--cover", "0.8", "--keep", "--project", released, "--json").body
    Registry(state).point(spec.application.name, "stable", kept["kept"], 4e9, "test", "its sets are wanted")
    answered(released, 1100)
    told = call("calibrate", "--days", "5000", "--project", released, "--json")
    served = told.body["served"]
    assert (served["target"], served["coverage"]["n"], len(served["over_time"])) == (0.8, 1100, 3)
    assert served["coverage"]["value"] > 0.7
    assert "Coverage over time" in (released / ".roadworthy" / "calibration.html").read_text()
    assert "sets that were served" in call("calibrate", "--days", "5000", "--project", released).out
