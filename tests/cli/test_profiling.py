"""A release remembers what it was made on: the lab's rows with its answers, or the rows that it was trained on."""

from __future__ import annotations

import numpy as np
import pytest

from roadworthy.cli.flows import read
from roadworthy.cli.opening import existing_state
from roadworthy.cli.profiling import profile_training
from roadworthy.core.errors import Missing
from roadworthy.core.project import read_project
from roadworthy.observe.profiles import reference_of
from roadworthy.registry.releases import Registry


@pytest.fixture
def state(released):
    with existing_state(read_project(released)) as opened:
        yield opened


def test_a_release_keeps_its_answers_to_the_labs_rows(released, state):
    spec, (release,) = read_project(released), Registry(state).list()
    kept, lab = reference_of(state, release.digest), read(spec, "lab")
    assert kept.profile.n == lab.n
    assert set(kept.inputs) == set(spec.application.inputs)
    assert ((kept.outputs["probability"] >= 0) & (kept.outputs["probability"] <= 1)).all()
    assert np.isfinite(kept.confidence).all()
    assert kept.profile.calibration.n == lab.n


def test_a_candidate_keeps_what_it_was_trained_on_without_its_own_answers(released, state):
    spec, (release,) = read_project(released), Registry(state).list()
    profile_training(spec, state, release, read(spec, "history"), 5.0)
    kept = reference_of(state, release.digest)
    assert (kept.profile.n, kept.outputs) == (read(spec, "history").n, {})


def test_a_release_without_a_profile_says_what_to_do(state):
    with pytest.raises(Missing, match="no reference profile"):
        reference_of(state, "e" * 64)
