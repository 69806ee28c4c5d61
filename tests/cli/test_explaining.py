"""Answers of a released model are attributed to their inputs, exactly where the model lets itself be opened."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from roadworthy.cli.explaining import Attributer, columns_of, explained
from roadworthy.cli.opening import existing_state
from roadworthy.core.errors import BadData
from roadworthy.core.project import read_project
from roadworthy.core.spec import Field, Signature
from roadworthy.registry.releases import Registry


@pytest.fixture
def opened(lived):
    spec = read_project(lived)
    with existing_state(spec) as state:
        yield spec, state, Registry(state)


def of_lab(state, registry):
    """A record of the lab's own release, which has nothing before its engine."""
    lab = next(release for release in registry.list() if release.name.endswith("-lab"))
    return state.records.read(release=lab.digest)[-1], lab


def test_the_parts_add_up_to_the_recorded_answer(opened):
    spec, state, registry = opened
    record, release = of_lab(state, registry)
    found = Attributer(spec, state, registry)(record, release)
    stated = 1 / (1 + np.exp(-found.score)) if found.unit == "logit" else found.score
    assert found.exact
    assert stated == pytest.approx(record.outputs["probability"], abs=1e-3)
    assert {part.where for part in found.parts} == set(spec.application.inputs)


def test_a_release_with_something_before_its_model_is_explained_as_a_whole(opened):
    spec, state, registry = opened
    record, release = of_lab(state, registry)
    plans = ({"rescale": {"column": next(iter(record.inputs)), "scale": 1.0}},)

    wrapped = registry.add(replace(release, name="wrapped", preprocessing=plans), {})
    found = Attributer(spec, state, registry, cpu_seconds=0.2)(record, wrapped)
    assert (found.method, found.exact) == ("sampled Shapley", False)
    assert found.score == pytest.approx(record.outputs["probability"], abs=1e-3)


def test_an_explanation_has_its_places_and_what_made_it(opened):
    spec, state, registry = opened
    record, _ = of_lab(state, registry)
    found = explained(spec, state, record.id)
    assert found.replay.exact
    assert found.attribution is not None
    assert found.isolation is not None
    assert (found.known > 0, len(found.reference)) == (True, len(spec.application.inputs))


def test_text_is_not_attributed(opened):

    spec, state, registry = opened
    record, release = of_lab(state, registry)
    with pytest.raises(BadData, match="only numbers can be attributed"):
        Attributer(spec, state, registry)(replace(record, outputs={"probability": "yes"}), release)


def test_columns_have_the_types_that_an_engine_takes():
    signature = Signature({"x": Field(), "n": Field("integer"), "town": Field("category"), "v": Field(width=2)}, {})
    found = columns_of(signature, {"x": [None, 1], "n": [3, 4], "town": ["a", None], "v": [[1, 2], [3, 4]]})
    assert {name: (values.dtype.kind, values.shape) for name, values in found.items()} == {
        "x": ("f", (2, 1)),
        "n": ("i", (2, 1)),
        "town": ("O", (2, 1)),
        "v": ("f", (2, 2)),
    }
    assert np.isnan(found["x"][0, 0])


def test_an_input_that_is_absent_is_named():
    with pytest.raises(BadData, match="no values of the input 'x'"):
        columns_of(Signature({"x": Field()}, {}), {"y": [1.0]})
