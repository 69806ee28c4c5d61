"""Ten minutes of a coverage-guided fuzz of the HTTP parser and the decoders of tensors: nothing crashes or hangs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
from given import Given

from roadworthy.core.measure import Measurement, Requirement

REPO = Path(__file__).parents[3]
WANTED = (Requirement("fuzz_crashes", at_most=0), Requirement("fuzz_executions", at_least=1000))
SECONDS = 600


def run(given: Given) -> list[Measurement]:
    """What `benchmarks/fuzz.py` tells on its last line."""
    seconds = max(10, given.times(SECONDS))
    command = [sys.executable, str(REPO / "benchmarks/fuzz.py"), "--seconds", str(seconds), "--seed", str(given.seed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2 * seconds + 120, check=False)
    print("\n".join(f"  {line}" for line in done.stdout.splitlines()[:-1]))
    if not done.stdout.strip():
        raise RuntimeError(done.stderr[-2000:])
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=list[Measurement])
