"""Puts `benchmarks/` on the path, as `python benchmarks/serving` does."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
