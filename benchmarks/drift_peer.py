"""Evidently on the tables of `drift.py`, run by the Python of its own virtual environment; prints one line of JSON.

`drift_peer.py seconds ROWS SEED` is what its default preset costs; `drift_peer.py verdicts DRAWS` is what its tests say
of columns where nothing moved, and beside one planted value.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
warnings.filterwarnings("ignore")

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

from drift_tables import REFERENCE_ROWS, SIZES, big_table, planted, small_table  # noqa: E402

TESTS = ("psi", "kl_div", "jensenshannon", "wasserstein", "ks")


def seconds(rows: int, seed: int) -> dict[str, float]:
    """CPU seconds of the default preset on two tables; making the tables is not counted."""
    from evidently import Report
    from evidently.presets import DataDriftPreset

    rng = np.random.default_rng(seed)
    reference, current = (pd.DataFrame(big_table(rng, rows)) for _ in range(2))
    began = time.process_time()
    Report([DataDriftPreset()]).run(current, reference)
    spent = time.process_time() - began
    return {"cpu_s": spent, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def verdicts(draws: int) -> dict[str, object]:
    """Per test: the share of calm columns that it calls drifted at each size, and what one planted value does to it."""
    from evidently.legacy.calculations import stattests
    from evidently.legacy.core import ColumnType

    named = {test.name: test for test in vars(stattests).values() if hasattr(test, "name")}
    tests = {name: named[known] for name in TESTS for known in named if known.lower().startswith(_prefix(name))}

    def drifted(name: str, old: np.ndarray, new: np.ndarray) -> bool:
        test = tests[name]
        threshold = test.default_threshold
        found = test.func(pd.Series(old), pd.Series(new), ColumnType.Numerical, threshold)
        return bool(found.drifted if hasattr(found, "drifted") else found[1])

    alarms = {name: {} for name in tests}
    for n in SIZES:
        rng = np.random.default_rng(n)
        pairs = [
            (old[k][~np.isnan(old[k])], new[k][~np.isnan(new[k])])
            for old, new in ((small_table(rng, REFERENCE_ROWS), small_table(rng, n)) for _ in range(draws))
            for k in old
            if old[k].dtype != object
        ]
        for name in tests:
            alarms[name][n] = float(np.mean([drifted(name, *pair) for pair in pairs]))
    rng = np.random.default_rng(0)
    old, calm = rng.normal(size=10_000), rng.normal(size=10_000)
    cases = {"calm": calm, "calm + 1e6": planted(calm), "shifted": calm + 1, "shifted + 1e6": planted(calm + 1)}
    outlier = {name: {what: drifted(name, old, new) for what, new in cases.items()} for name in tests}
    return {"alarms": alarms, "outlier": outlier}


def _prefix(name: str) -> str:
    return {"kl_div": "kl", "ks": "ks"}.get(name, name)


if __name__ == "__main__":
    act = {"seconds": seconds, "verdicts": verdicts}[sys.argv[1]]
    print(json.dumps(act(*map(int, sys.argv[2:]))))
