"""Keeps with a release what it was made on, so that what arrives later has something to be compared with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from roadworthy.cli.flows import handler_of, read
from roadworthy.core.profile import Reference
from roadworthy.core.sample import Sample
from roadworthy.core.window import Window
from roadworthy.evaluate.answers import answers
from roadworthy.observe.profiles import keep_profile
from roadworthy.serve.columns import confidence_of

if TYPE_CHECKING:
    from roadworthy.core.artifact import Release
    from roadworthy.core.spec import Spec
    from roadworthy.registry.releases import Registry
    from roadworthy.store.state import State

# More rows make no bin surer than production's own rows allow.
MOST_ROWS = 20_000


def profile_release(spec: Spec, state: State, registry: Registry, release: Release, at: float) -> Reference:
    """Keep the profile of the lab's rows, which the model was not trained on, with the release's answers to them."""
    found = answered(spec, registry, release, read(spec, "lab"))
    keep_profile(state, release.digest, found, at)
    return found


def profile_training(spec: Spec, state: State, release: Release, known: Sample, at: float) -> Reference:
    """Keep the profile of the rows that a candidate was trained on; without answers, which would look too good."""
    found = Reference.of(Window.of_sample(known), spec.signature.inputs)
    keep_profile(state, release.digest, found, at)
    return found


def answered(spec: Spec, registry: Registry, release: Release, sample: Sample) -> Reference:
    """Rows with what a release answers to them, as a reference."""
    if sample.n > MOST_ROWS:
        rows = np.random.default_rng(0).choice(sample.n, MOST_ROWS, replace=False)
        sample = sample.take(np.sort(rows))
    handler = handler_of(spec, release, registry.files(release))
    output = next(iter(spec.signature.outputs))
    outputs = {output: answers(handler, sample, spec.signature)}
    sure = confidence_of(outputs)
    window = replace(Window.of_sample(sample, outputs), confidence=None if sure is None else np.array(sure))
    return Reference.of(window, spec.signature.inputs)
