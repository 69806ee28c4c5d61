"""The promises that are kept by tests: hostile model files, tritonclient, schemathesis, adding a leaf."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from given import Given, counted

from roadworthy.core.measure import Measurement, Requirement

REPO = Path(__file__).parents[3]
SUITES = {
    "hostile_files": ["tests/serve/hostile"],
    "tritonclient": ["tests/app/test_tritonclient.py"],
    "schemathesis": ["tests/app/test_openapi.py"],
}
WANTED = (
    *(Requirement(f"{name}_failed", at_most=0) for name in SUITES),
    Requirement("hostile_files_passed", at_least=50),
)


def run(given: Given) -> list[Measurement]:
    """Passed and failed tests of each suite."""
    found: list[Measurement] = []
    for name, files in SUITES.items():
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
        done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=1200, check=False)
        last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr[-500:]
        counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|error)", last)}
        failed = counts.get("failed", 0) + counts.get("error", 0) + (done.returncode not in (0, 1))
        print(f"  {name}: {last}")
        passed = counts.get("passed", 0)
        found.append(counted(f"{name}_failed", failed, passed + failed))
        found.append(counted(f"{name}_passed", passed, passed + failed))
    return found
