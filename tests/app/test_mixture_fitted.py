"""A mixture is refused where its policy was fitted to other models, was changed by hand, or its members do not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from roadworthy.app.mixture import POLICY, assembled, member_digests
from roadworthy.core.artifact import Artifact, Member, Release
from roadworthy.core.errors import SpecError
from roadworthy.core.fitted import sealed
from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Field, Serving, Signature
from roadworthy.registry.releases import Registry
from roadworthy.route.cascades.fits import CascadeFit, Level, Target

ENGINE = '''
"""Answers as many values a row as its file says."""
from dataclasses import dataclass
from pathlib import Path
import numpy as np

@dataclass(frozen=True)
class Wide:
    file: Path
    output: str = "probabilities"

    def __call__(self, columns):
        width = int(self.file.read_text())
        return {self.output: np.full((len(columns["x"]), width), 1 / width, np.float32)}
'''
SIGNATURE = Signature({"x": Field()}, {"probabilities": Field()})


@pytest.fixture
def mixture(tmp_path: Path) -> Callable[..., tuple[Release, dict[str, Path]]]:
    """`mixture(small, large)`: a release of members with these files, and what it is made of."""
    (tmp_path / "wide.py").write_text(ENGINE)

    def make(small: str = "2", large: str = "2", **more: object) -> tuple[Release, dict[str, Path]]:
        files = {"small": tmp_path / "small.txt", "large": tmp_path / "large.txt"}
        for file, width in zip(files.values(), (small, large), strict=True):
            file.write_text(width)
        held = tuple(Artifact(name, "", 0, "wide.py:Wide") for name in files)
        levels = {"cascade": {"levels": [{"at": "small", "least": 0.9}, {"at": "large"}]}}
        told = {"members": (Member("small"), Member("large")), "policy": levels, **more}
        return Release("m", held, SIGNATURE, **told), files

    return make


@pytest.fixture
def fitted(mixture, tmp_path):
    """The mixture by a file of thresholds that were fitted to its members."""
    release, files = mixture()
    delegation = Measurement("delegation", 0.3, 500, 0.2, 0.4)
    fit = CascadeFit(Target(agreement=0.9), "traffic", (Level(keep_from=0.8),), 500, 500, delegation, "drawn")
    file = tmp_path / "policy.json"
    file.write_bytes(sealed(msgspec.json.encode(fit), member_digests(release, files)))
    held = (*release.artifacts, Artifact(POLICY, "", 0, made_by="model/policy.json"))
    return replace(release, artifacts=held, policy="cascade"), {**files, POLICY: file}


def load(release: Release, files: dict[str, Path], root: Path):
    found = assembled(release, files, root, Serving())
    found.warm_up()
    return found


def test_what_was_fitted_to_these_very_members_is_loaded_from_the_project_and_from_the_registry(
    fitted, state, tmp_path
):
    release, files = fitted
    load(release, files, tmp_path)
    registry = Registry(state)
    kept = registry.add(release, files)
    load(kept, registry.files(kept), tmp_path)
    assert member_digests(kept, registry.files(kept)) == member_digests(release, files)


def test_a_member_that_changed_since_is_refused_and_a_cache_is_no_change(fitted, tmp_path):
    release, files = fitted
    load(replace(release, members=(Member("small", wrappers=("cache",)), Member("large"))), files, tmp_path)
    wrapped = replace(
        release, members=(Member("small", wrappers=({"temperature": {"output": "probabilities"}},)), release.members[1])
    )
    with pytest.raises(SpecError, match=r"'model/policy\.json' was fitted to another 'small' than the release has"):
        load(wrapped, files, tmp_path)
    files["large"].write_text(" 2")
    with pytest.raises(SpecError, match="fitted to another 'large'"):
        load(release, files, tmp_path)


def test_thresholds_that_were_changed_by_hand_are_refused(fitted, tmp_path):
    release, files = fitted
    files[POLICY].write_bytes(files[POLICY].read_bytes().replace(b'"keep_from": 0.8', b'"keep_from": 0.0'))
    with pytest.raises(SpecError, match="was changed after it was fitted"):
        load(release, files, tmp_path)


@pytest.mark.parametrize("left", [0, 40])
def test_a_truncated_file_is_refused(fitted, tmp_path, left):
    release, files = fitted
    files[POLICY].write_bytes(files[POLICY].read_bytes()[:left])
    with pytest.raises(SpecError, match="is no fitted cascade"):
        load(release, files, tmp_path)


def test_members_of_another_number_of_classes_are_refused(mixture, tmp_path):
    load(*mixture("3", "3"), tmp_path)
    with pytest.raises(SpecError, match=r"output 'probabilities' \(small 2, large 3\): models that answer together"):
        load(*mixture("2", "3"), tmp_path)
