"""A guard that is taken out makes a test fail: each line that keeps a promise is removed once, in a copy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from given import Given, counted

from roadworthy.core.measure import Measurement, Requirement

REPO = Path(__file__).parents[3]
WANTED = (Requirement("mutations_unnoticed", at_most=0), Requirement("mutations_not_applied", at_most=0))


class Mutation(NamedTuple):
    """A guard, the line that is it, what stands there without it, and the test that must notice."""

    guard: str
    file: str
    line: str
    without: str
    test: str


MUTATIONS = (
    Mutation(
        "the delay of a drain",
        "app/server.py",
        "await _either(hurry, drain_seconds)",
        "pass",
        "tests/app/test_server.py::test_sigterm_answers_what_is_in_flight_and_says_that_it_is_not_ready",
    ),
    Mutation(
        "the bound of the queue",
        "serve/batch.py",
        "if lines.rows + rows > self.admission.room:",
        "if False:",
        "tests/serve/test_batch.py::test_a_full_queue_turns_away_with_the_time_to_wait",
    ),
    Mutation(
        "the deadline at the door",
        "serve/batch.py",
        "if deadline is not None and deadline - now < self.admission.ample:",
        "if False:",
        "tests/serve/test_batch.py::"
        "test_a_request_that_could_not_be_answered_in_time_is_refused_at_once_and_nothing_is_computed",
    ),
)


def run(given: Given) -> list[Measurement]:
    """Each test passes on the copy as it is and fails without its guard."""
    copy = given.folder / "copy"
    for part in ("src", "tests"):
        shutil.copytree(REPO / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPO / "pyproject.toml", copy)
    unnoticed, odd = [], []
    for mutation in MUTATIONS:
        noticed = _try(copy, mutation)
        print(f"  {mutation.guard}: {'noticed' if noticed else 'unnoticed' if noticed is False else 'not applied'}")
        if not noticed:
            (odd if noticed is None else unnoticed).append(mutation.guard)
    return [
        counted("mutations_unnoticed", len(unnoticed), len(MUTATIONS), guards=unnoticed),
        counted("mutations_not_applied", len(odd), len(MUTATIONS), guards=odd),
    ]


def _try(copy: Path, mutation: Mutation) -> bool | None:
    """True: the test fails without the guard. None: the line is not there once, or the test fails with it too."""
    file = copy / "src" / "roadworthy" / mutation.file
    whole = file.read_text()
    if whole.count(mutation.line) != 1 or not _passes(copy, mutation.test):
        return None
    file.write_text(whole.replace(mutation.line, mutation.without))
    try:
        return not _passes(copy, mutation.test)
    finally:
        file.write_text(whole)


def _passes(copy: Path, test: str) -> bool:
    world = {**os.environ, "PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", test]
    done = subprocess.run(command, cwd=copy, env=world, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{test} did not run: {done.stdout[-1000:]}{done.stderr[-1000:]}")
    return done.returncode == 0
