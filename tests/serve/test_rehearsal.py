"""A wrapper that cannot use what the model answers is refused before it is live, wherever it stands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.errors import RoadworthyError
from roadworthy.core.spec import Field, Serving, Signature
from roadworthy.serve.assemble import assemble
from roadworthy.serve.base import wrapper
from roadworthy.serve.rehearsal import rehearsed

ENGINE = '''
"""Answers one kind of output."""
from dataclasses import dataclass
import numpy as np

@dataclass(frozen=True)
class Kind:
    kind: str = "binary"

    def __call__(self, columns):
        n = len(columns["x"])
        return {
            "binary": {"probability": np.full(n, 0.7, np.float32)},
            "text": {"probability": np.full(n, "yes", object)},
            "number": {"prediction": np.full(n, 3.0)},
            "whole": {"probability": np.ones(n, np.int64)},
            "named": {"label": np.full(n, "yes", object)},
            "column": {"scores": np.zeros((n, 1), np.float32)},
        }[self.kind]
'''
LEAF = {"lac": {"output": "probability"}}
WRAPPERS = {
    "mondrian_segment": {"mondrian_segment": {"leaf": LEAF, "by": "x", "thresholds": {"": 0.5}}},
    "weighted": {"weighted": {"leaf": LEAF, "scores": [0.5], "weights": [1.0]}},
    "recalibrated": "recalibrated",
    "abstain": {"abstain": {"threshold": 0.6, "answer": "withheld", "outputs": ["probability"]}},
    "lac": {"lac": {"output": "probability"}},
    "calibrated": "calibrated",
    "doubt": "doubt",
}


def warmed(folder: Path, kind: str, *plans: object):
    (folder / "kinds.py").write_text(ENGINE)
    engine = {"kinds.py:Kind": {"kind": kind}}
    release = Release("t", (Artifact("model", "", 0, engine),), Signature({"x": Field()}, {}), wrappers=plans)
    return assemble(release, {"model": folder / "kinds.py"}, folder, Serving()).warm_up()


@pytest.mark.parametrize("name", WRAPPERS)
@pytest.mark.parametrize("around", [(), ("cache", {"rescale": {"column": "x"}}, {"vocabulary": {"values": {}}})])
def test_a_wrapper_that_can_use_the_outputs_passes_and_others_are_refused_with_a_sentence(tmp_path, name, around):
    assert warmed(tmp_path, "binary", *around, WRAPPERS[name], "cache") is not None
    for kind in ("number", "text"):
        with pytest.raises(RoadworthyError, match=r"probability|confidence"):
            warmed(tmp_path, kind, *around, WRAPPERS[name], "cache")


@pytest.mark.parametrize(
    ("kind", "plan", "said"),
    [
        ("whole", "calibrated", "holds int64, not floating-point numbers"),
        ("column", "temperature", r"has shape \(1, 1\); allowed: \(n, k\) of 2 classes or more"),
        ("number", {"abstain": {"threshold": 0.5, "on": "prediction", "answer": "withheld", "outputs": ["p"]}}, "'p'"),
        ("text", "cache", "are outputs of numbers; this model's are not"),
        ("named", {"abstain": {"threshold": 0.5, "on": "label"}}, "'label' holds text"),
    ],
)
def test_what_would_be_answered_wrongly_is_refused(tmp_path, kind, plan, said):
    with pytest.raises(RoadworthyError, match=said):
        warmed(tmp_path, kind, plan)


def test_what_a_wrapper_does_not_tell_nobody_guesses():
    def mine(inner):
        return inner

    assert rehearsed([wrapper.make("lac"), mine], {"probability": np.array([0.5])}) is None
    assert rehearsed([], {}) == {}
