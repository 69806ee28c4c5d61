"""The order of the steps: what is prepared, claimed, released, trained and explained."""

from __future__ import annotations

import asyncio

import msgspec
import numpy as np
import pytest

from roadworthy.cli.flows import (
    claims_of,
    controller_of,
    handler_of,
    lab_release,
    prepare,
    read,
    release_model,
    train_candidate,
    with_code,
    with_digests,
)
from roadworthy.cli.replaying import Traffic
from roadworthy.core.errors import SpecError
from roadworthy.core.project import read_project
from roadworthy.registry.releases import Registry
from roadworthy.rollout.controller import gates_of

CARD = """---
model-index:
- name: clinic
  results:
  - task: {type: tabular-classification}
    dataset: {type: clinic, name: clinic}
    metrics: [{type: roc_auc, value: 0.98}]
---
"""


def test_prepare_runs_only_while_a_file_is_missing(clinic):
    file = clinic / "roadworthy.yaml"
    file.write_text(file.read_text() + "prepare: prepare.py:prepare\n")
    (clinic / "prepare.py").write_text("def prepare(root, say):\n    (root / 'data' / 'lab.parquet').touch()\n")
    spec, said = read_project(clinic), []
    prepare(spec, said.append)
    (clinic / "data" / "lab.parquet").unlink()
    prepare(spec, said.append)
    assert said == ["prepare: prepare.py:prepare"]
    assert (clinic / "data" / "lab.parquet").is_file()


def test_a_table_that_the_project_does_not_name_is_told(rewrite):
    bare = rewrite("  history: data/history.parquet\n", "")
    with pytest.raises(SpecError, match=r"names no `data\.history`"):
        read(bare, "history")


def test_claims_come_from_the_file_and_from_the_card(clinic, rewrite):
    (clinic / "card.md").write_text(CARD)
    claims = claims_of(rewrite("  engine: onnx", "  engine: onnx\n  card: card.md"))
    assert [claim.value for claim in claims] == [0.975, 0.98]


def test_the_engine_follows_from_the_file_where_it_is_not_named(rewrite):
    release, _ = lab_release(rewrite("  engine: onnx\n", ""), 0.0, "test")
    assert release.artifacts[0].engine == "onnx"


def test_a_file_that_no_engine_is_known_for_is_refused(clinic):
    (clinic / "model" / "clinic.onnx").rename(clinic / "model" / "clinic.bin")
    file = clinic / "roadworthy.yaml"
    file.write_text(file.read_text().replace("  engine: onnx\n", "").replace("clinic.onnx", "clinic.bin"))
    bare = read_project(clinic)
    with pytest.raises(SpecError, match=r"no engine is known for '\.bin' files"):
        lab_release(bare, 0.0, "test")


def test_the_projects_own_code_is_part_of_the_release(spec, clinic):
    release, files = lab_release(spec, 0.0, "test")
    wrapped = msgspec.structs.replace(release, wrappers=("train.py:Something",))
    whole, files = with_code(wrapped, files, clinic)
    assert [artifact.name for artifact in whole.artifacts] == ["model", "train.py"]
    assert files["train.py"] == clinic / "train.py"


def test_the_digests_are_those_that_the_registry_gives(spec, state):
    release, files = lab_release(spec, 0.0, "test")
    assert with_digests(release, files) == Registry(state).add(release, files)


def test_a_kept_release_answers_as_the_model_that_it_was_made_of(spec, state):
    registry = Registry(state)
    release, _ = release_model(spec, registry, 0.0, "test", "first")
    kept = registry.get(release.digest)
    request = Traffic(read(spec, "production"), spec.signature).request(0)

    async def answer(release, files):
        handler = handler_of(spec, release, files)
        response = await handler(request)
        await handler.close()
        return np.asarray(response.outputs["probability"].data).tolist()

    made = asyncio.run(answer(*lab_release(spec, 0.0, "test")))
    assert asyncio.run(answer(kept, registry.files(kept))) == made


def test_only_the_first_release_goes_live(spec, state, rewrite):
    registry = Registry(state)
    first, live = release_model(spec, registry, 0.0, "test", "first")
    again, still = release_model(spec, registry, 5.0, "test", "again")
    other, also = release_model(rewrite("  engine: onnx", "  engine: {onnx: {threads: 2}}"), registry, 6.0, "test", "x")
    assert (live, still, also) == (True, False, False)
    assert again == first != other
    assert registry.alias("clinic", "stable") == first.digest


def test_a_candidate_is_trained_on_what_is_known_and_replaces_its_parent(spec, state):
    registry = Registry(state)
    first, _ = release_model(spec, registry, 0.0, "test", "first")
    candidate = train_candidate(spec, registry, read(spec, "history"), 9.0, 0, "test")
    assert (candidate.parent, candidate.made_at) == (first.digest, 9.0)
    assert candidate.data["train"]
    assert registry.get(candidate.digest) == candidate


def test_without_training_code_no_candidate_is_trained(state, rewrite):
    bare = rewrite("  train: train.py:train\n", "")
    with pytest.raises(SpecError, match=r"names no `model\.train`"):
        train_candidate(bare, Registry(state), read(bare, "history"), 9.0, 0, "test")


def test_the_controller_makes_gates_of_the_projects_folder(spec, state):
    gates = gates_of(spec.rollout, controller_of(spec, state, Registry(state)).root)
    assert [gate.catalog_name for gate in gates] == ["errors", "latency", "quality"]
    assert gates[1].slower == 20
