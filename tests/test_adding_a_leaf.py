"""Adding a leaf is one new file: the command line lists it, and the laws hold it to its kind, with no other edit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parents[1]

TOYS = {
    "observe/detectors/toy_count.py": '''"""A toy."""
from __future__ import annotations
from dataclasses import dataclass
import numpy as np
from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.window import Window
from roadworthy.observe.base import detector

@detector("toy_count")
@dataclass(frozen=True)
class ToyCount:
    """Alarms when the mean of the first numeric input moves by over eight standard errors."""
    alpha: float = 0.01

    def __call__(self, reference: Window, current: Window) -> Verdict:
        numeric = [n for n, v in current.inputs.items() if v.dtype != object and n in reference.inputs]
        names = ", ".join({*reference.inputs} ^ {*current.inputs})
        if not numeric or names or not reference.n or not current.n:
            return Verdict("wait", "no rows" + names, "toy_count")
        gaps = {n: self._gap(reference.inputs[n], current.inputs[n]) for n in numeric}
        worst = max(gaps, key=lambda n: gaps[n])
        found = (Measurement("gap", gaps[worst], current.n, where=worst),)
        return Verdict("fail" if gaps[worst] > 8 else "pass", f"{worst} moved {gaps[worst]:.1f} sd", "toy_count", found)

    def _gap(self, before, now) -> float:
        before, now = before[~np.isnan(before)], now[~np.isnan(now)]
        if len(before) < 30 or len(now) < 30:
            return 0.0
        before, now = (np.clip(values, *np.quantile(before, (0.01, 0.99))) for values in (before, now))
        se = np.append(before, now).std() * np.sqrt(1 / len(before) + 1 / len(now))
        return float(abs(before.mean() - now.mean()) / se) if se else 0.0
''',
    "rollout/gates/toy_gate.py": '''"""A toy."""
from __future__ import annotations
from dataclasses import dataclass
from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.window import Window
from roadworthy.rollout.base import gate

@gate("toy_gate")
@dataclass(frozen=True)
class ToyGate:
    """Fails when nine in ten requests of the candidate failed, and never passes."""
    alpha: float = 0.01

    def __call__(self, control: Window, candidate: Window) -> Verdict:
        failed = 0 if candidate.errors is None else sum(error is not None for error in candidate.errors)
        if candidate.n < 50 or failed < 0.9 * candidate.n:
            return Verdict("wait", f"{failed} of {candidate.n} failed", "toy_gate")
        rate = Measurement("error_rate", failed / candidate.n, candidate.n)
        return Verdict("fail", f"{failed} of {candidate.n} failed", "toy_gate", (rate,))
''',
    "evaluate/corruptions/toy_noise.py": '''"""A toy."""
from __future__ import annotations
from dataclasses import dataclass, replace
import numpy as np
from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption

@corruption("toy_noise")
@dataclass(frozen=True)
class ToyNoise:
    """Adds normal noise of a tenth of its spread to every numeric column."""

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        if not sample.n or not severity:
            return sample
        noisy = {n: v + severity * 0.1 * np.nanstd(v) * rng.normal(size=v.shape) if v.dtype != object else v
                 for n, v in sample.columns.items()}
        return replace(sample, columns=noisy)
''',
    "serve/engines/toy_sum.py": '''"""A toy."""
from __future__ import annotations
from dataclasses import dataclass
from pathlib import Path
import numpy as np
from roadworthy.serve.base import engine

@engine("toy_sum")
@dataclass(frozen=True)
class ToySum:
    """Answers the sum of the inputs."""

    @classmethod
    def example(cls, folder: Path):
        x, y = np.array([[1.0], [2.0], [4.0]], np.float32), np.array([[3.0], [1.0], [9.0]], np.float32)
        return cls(), {"x": x, "y": y}

    def __call__(self, columns):
        return {"sum": np.concatenate(list(columns.values()), axis=1).sum(axis=1)}
''',
}

# Each is a toy with one fault; the laws must see every one of them.
FAULTS = {
    "detector without a noise band": ("observe/detectors/toy_count.py", "> 8", "> 0.8"),
    "detector that passes on nothing": ("observe/detectors/toy_count.py", '"wait", "no rows"', '"pass", "no rows"'),
    "gate that passes on no data": ("rollout/gates/toy_gate.py", 'Verdict("wait"', 'Verdict("pass"'),
    "gate that fails everybody": ("rollout/gates/toy_gate.py", "failed < 0.9 * candidate.n", "failed < 0"),
    "corruption with global chance": ("evaluate/corruptions/toy_noise.py", "rng.normal(", "np.random.normal("),
    "corruption that is never the identity": (
        "evaluate/corruptions/toy_noise.py",
        "if not sample.n or not severity:",
        "severity += 0.1\n        if not sample.n:",
    ),
    "engine in the wrong order": ("serve/engines/toy_sum.py", ".sum(axis=1)}", ".sum(axis=1)[::-1]}"),
    "engine that looks at its batch": (
        "serve/engines/toy_sum.py",
        ".sum(axis=1)}",
        ".sum(axis=1) + len(columns['x'])}",
    ),
}


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the source and of the laws, to build on."""
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPO / "src", tmp_path / "src", ignore=skip)
    shutil.copytree(REPO / "tests" / "laws", tmp_path / "tests" / "laws", ignore=skip)
    shutil.copy(REPO / "pyproject.toml", tmp_path)
    for git in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "before"],
    ):
        subprocess.run(["git", *git], cwd=tmp_path, check=True)
    return tmp_path


def run(house: Path, *command: str) -> subprocess.CompletedProcess[str]:
    world = {**os.environ, "PYTHONPATH": str(house / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, *command], cwd=house, env=world, capture_output=True, text=True, check=False)


def laws(house: Path, *chosen: str) -> subprocess.CompletedProcess[str]:
    wanted = " or ".join(chosen)
    return run(
        house, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "testpaths=tests", "tests/laws", "-k", wanted
    )


def test_four_toys_are_one_file_each_and_obey_the_laws_unasked(house):
    for place, text in TOYS.items():
        (house / "src" / "roadworthy" / place).write_text(text)
    listed = json.loads(run(house, "-m", "roadworthy.cli", "list", "--json").stdout)
    assert "toy_count" in listed["detector"]
    assert "toy_gate" in listed["gate"]
    assert "toy_noise" in listed["corruption"]
    assert "toy_sum" in listed["engine"]
    checked = laws(house, "toy_count", "toy_gate", "toy_noise", "toy_sum")
    assert checked.returncode == 0, checked.stdout
    subprocess.run(["git", "add", "-A"], cwd=house, check=True)
    stat = subprocess.check_output(["git", "diff", "--cached", "--name-status"], cwd=house, text=True).split("\n")
    assert sorted(line for line in stat if line) == sorted(f"A\tsrc/roadworthy/{place}" for place in TOYS)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_leaf_is_caught(house, fault):
    place, right, wrong = FAULTS[fault]
    assert right in TOYS[place]
    (house / "src" / "roadworthy" / place).write_text(TOYS[place].replace(right, wrong))
    found = laws(house, Path(place).stem)
    assert found.returncode == 1, found.stdout
    assert "AssertionError" in found.stdout
