"""`roadworthy release --trust`: who trusted which file is written down before it is opened, and part of the digest."""

from __future__ import annotations

import hashlib
import shutil

import msgspec
import pytest

from roadworthy.cli.flows import lab_release
from roadworthy.cli.members import models_of
from roadworthy.registry.releases import Registry
from roadworthy.store.events import read_events

PLAIN = """
import pickle
import numpy as np
from sklearn.linear_model import LogisticRegression

rows = np.random.default_rng(0).normal(size=(60, 3))
made = LogisticRegression().fit(rows, rows[:, 0] > 0)
"""


@pytest.fixture
def pickled(clinic, rewrite):
    """A clinic whose model is a pickle that calls a function when it is read."""
    world: dict[str, object] = {}
    exec(PLAIN, world)
    data = msgspec.convert(world["pickle"].dumps(world["made"], 2), bytes)
    # shutil.which("python") first, a harmless call that is on no list; its answer is dropped.
    (clinic / "model" / "clinic.pkl").write_bytes(b"\x80\x02cshutil\nwhich\n(Vpython\ntR0" + data[2:])
    rewrite("file: model/clinic.onnx\n  engine: onnx", "file: model/clinic.pkl\n  engine: sklearn")
    return clinic


def test_a_file_that_runs_code_is_refused_and_nothing_is_kept(call, pickled, state):
    told = call("release", "--project", pickled)
    assert told.code == 2
    assert "uses shutil.which" in told.err
    assert "release --trust" in told.err
    assert (Registry(state).list(), read_events(state.engine, "trusted")) == ([], [])


def test_trust_is_written_down_with_who_and_which_file(call, pickled, state):
    told = call("release", "--project", pickled, "--trust", "--by", "ada", "--json")
    assert (told.code, told.body["live"], told.body["trusted"]) == (0, True, True)
    (event,) = read_events(state.engine, "trusted")
    kept = (pickled / "model" / "clinic.pkl").read_bytes()
    assert event.subject == "clinic"
    assert event.data == {
        "by": "ada",
        "file": "model/clinic.pkl",
        "sha256": hashlib.sha256(kept).hexdigest(),
        "bytes": len(kept),
        "engine": "sklearn:trust=True",
    }
    (model,) = Registry(state).list()[0].artifacts
    assert (model.engine, model.digest) == ("sklearn:trust=True", event.data["sha256"])


def test_trust_in_the_project_file_is_written_down_too(call, pickled, rewrite, state):
    rewrite("engine: sklearn", "engine: {sklearn: {trust: true}}")
    assert call("release", "--project", pickled).code == 0
    assert len(read_events(state.engine, "trusted")) == 1


def test_trust_is_written_down_even_where_the_file_then_fails(call, pickled, state):
    (pickled / "model" / "clinic.pkl").write_bytes(b"\x80\x02cshutil\nwhich\n")
    told = call("release", "--project", pickled, "--trust")
    assert (told.code, "cannot be read by the tool that wrote it: EOFError" in told.err) == (2, True)
    assert len(read_events(state.engine, "trusted")) == 1


def test_an_engine_that_runs_no_code_needs_no_trust(call, clinic, state):
    told = call("release", "--project", clinic, "--trust")
    assert told.code == 2
    assert "engine 'onnx' runs no code that its file brings along: leave out `--trust`" in told.err
    assert call("release", "--project", clinic, "--json").body["trusted"] is False
    assert read_events(state.engine, "trusted") == []


def test_a_model_that_is_a_folder_becomes_one_file_with_one_digest(clinic, spec):
    folder = clinic / "model" / "folder"
    folder.mkdir()
    shutil.copy(clinic / "model" / "clinic.onnx", folder / "clinic.onnx")
    moved = msgspec.structs.replace(spec, model=msgspec.structs.replace(spec.model, file="model/folder"))
    digests = set()
    for _ in range(2):
        _, files = lab_release(moved, 0.0, "test")
        digests.add(hashlib.sha256(files["model"].read_bytes()).hexdigest())
    assert len(digests) == 1
    assert models_of(moved)["model"].engine == "onnx"


def test_the_code_of_an_engine_is_part_of_the_release(clinic, spec):
    (clinic / "own.py").write_text("class Own: ...")
    moved = msgspec.structs.replace(spec, model=msgspec.structs.replace(spec.model, engine="own.py:Own"))
    release, files = lab_release(moved, 0.0, "test")
    assert [artifact.name for artifact in release.artifacts] == ["model", "own.py"]
    assert files["own.py"] == clinic / "own.py"
