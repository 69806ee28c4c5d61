"""A package of somebody else's, installed beside roadworthy, is listed, usable in a project and held to the laws."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPO = Path(__file__).parents[1]
LEAVES = {
    "detector": "plugged_mean",
    "gate": "plugged_collapse",
    "corruption": "plugged_noise",
    "engine": "plugged_total",
}

Python = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Python:
    """An interpreter that has the package installed, which this one has not."""
    place = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    command = [*pip, "--disable-pip-version-check", "--target", str(place), str(REPO / "tests" / "plugin")]
    installed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert installed.returncode == 0, installed.stderr
    world = {**os.environ, "PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1"}

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *map(str, words)]
        return subprocess.run(command, cwd=REPO, env=world, capture_output=True, text=True, check=False)

    return run


def test_its_leaves_are_listed_beside_ours_with_what_they_do(python: Python) -> None:
    listed = json.loads(python("-m", "roadworthy.cli", "list", "--json").stdout)
    for kind, name in LEAVES.items():
        assert listed[kind][name], f"{kind} {name}"
    assert "psi" in listed["detector"]
    assert listed["corruption"]["plugged_noise"].startswith("Adds normal noise")


def test_without_it_the_catalogs_are_as_they_were() -> None:
    told = subprocess.check_output([sys.executable, "-m", "roadworthy.cli", "list", "--json"], cwd=REPO)
    assert not [name for leaves in json.loads(told).values() for name in leaves if name.startswith("plugged_")]


def test_its_leaves_are_held_to_the_laws_unasked(python: Python) -> None:
    chosen = " or ".join(LEAVES.values())
    held = python("-m", "pytest", "-vv", "-p", "no:cacheprovider", "tests/laws", "-k", chosen)
    assert held.returncode == 0, held.stdout
    checked = [line for line in held.stdout.splitlines() if "PASSED" in line and "laws" in line]
    assert all(any(name in line for line in checked) for name in LEAVES.values()), held.stdout


def test_a_project_names_them_as_if_they_were_ours(python: Python, clinic: Path) -> None:
    file = clinic / "roadworthy.yaml"
    text = file.read_text().replace("- {blank: {columns: [texture]}}", "- {plugged_noise: {share: 0.2}}")
    file.write_text(text.replace("detectors: [psi,", "detectors: [{plugged_mean: {sigmas: 9}},"))
    words = ("gap", "--project", clinic, "--load-seconds", "0", "--rows", "200", "--json")
    told = python("-m", "roadworthy.cli", *words)
    assert told.returncode in {0, 3}, told.stderr
    assert {spoilt["name"] for spoilt in json.loads(told.stdout)["spoilt"]} == {"plugged noise"}


def test_a_wrong_name_is_told_the_nearest_of_its_leaves(python: Python, clinic: Path) -> None:
    file = clinic / "roadworthy.yaml"
    file.write_text(file.read_text().replace("detectors: [psi,", "detectors: [plugged_meen,"))
    told = python("-m", "roadworthy.cli", "doctor", "--project", clinic, "--json")
    assert (told.returncode, "did you mean 'plugged_mean'?" in told.stdout) == (1, True)
