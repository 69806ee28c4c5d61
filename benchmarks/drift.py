"""What watching for drift costs and how often it cries wolf, beside Evidently, in one run.

A million rows of 20 columns against a stored profile; false alarms of every detector of single columns at five sizes;
what one planted value does. Evidently is installed into `.bench/evidently` at the first run.
`python benchmarks/drift.py [--draws 1000] [--rounds 2] [--peer no]`; the last line is a JSON list of Measurements.
Ends with 1 where a bound is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import zlib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import msgspec
import numpy as np

from drift_tables import REFERENCE_ROWS, SIZES, big_table, planted, small_table
from roadworthy.core.measure import Measurement
from roadworthy.core.profile import Profile
from roadworthy.core.stats import binomial_survival, proportion
from roadworthy.core.window import Window
from roadworthy.observe.base import detector
from roadworthy.observe.drift.drift_report import drift_report

BENCH = Path(__file__).resolve().parents[1] / ".bench"
EVIDENTLY = ("evidently==0.7.23", "pandas<3")
LEAVES = ("drift", "psi", "kl", "jensen_shannon", "chi_square", "ks", "wasserstein")
ALPHAS = (0.05, 0.01)
FLOORS = ("", "no floor")
SETTINGS = (("no floor", 0.05), ("no floor", 0.01), ("", 0.05), ("", 0.01))
ROWS = 1_000_000
MOST_CPU_S, LEAST_TIMES, MOST_BYTES = 0.7, 50.0, 50_000
# Of all rates of one run, none that holds is called broken more often than this (Bonferroni).
SURPRISE = 0.01


def window(columns: dict[str, Any]) -> Window:
    n = len(next(iter(columns.values())))
    return Window(columns, {}, np.full(n, np.nan), np.full(n, np.nan))


def from_log(columns: dict[str, Any]) -> dict[str, Any]:
    """The columns as `state.records.scan()` gives them: texts are polars Series."""
    import polars as pl

    return {n: pl.Series(n, c.tolist(), pl.String) if c.dtype == object else c for n, c in columns.items()}


def seconds_of_ours(stored: bytes, current: Window) -> float:
    """CPU seconds from the stored bytes to every distance, p-value and histogram of every column."""
    began = time.process_time()
    reference = msgspec.msgpack.decode(zlib.decompress(stored), type=Profile)
    report = drift_report(reference, Profile.of(current, like=reference))
    spent = time.process_time() - began
    if len(report.rows) != 20:
        sys.exit(f"20 columns were given and {len(report.rows)} compared")
    return spent


def speed(rounds: int, peer: bool) -> list[Measurement]:
    """Ours before and after each round of Evidently's."""
    rng = np.random.default_rng(0)
    profile = Profile.of(window(from_log(big_table(rng, ROWS))))
    stored = zlib.compress(msgspec.msgpack.encode(profile))
    columns = big_table(rng, ROWS)
    frames = {"": window(from_log(columns)), "text as object arrays": window(columns)}
    spent: dict[str, list[float]] = {where: [] for where in frames}
    theirs: list[float] = []
    for k in range(rounds):
        for where, current in frames.items():
            spent[where] += [seconds_of_ours(stored, current) for _ in range(3)]
        if peer:
            theirs.append(float(run_peer("seconds", ROWS, k)["cpu_s"]))
            for where, current in frames.items():
                spent[where] += [seconds_of_ours(stored, current) for _ in range(3)]
    found = [middle("cpu_s_1m_x_20", spent[where], "s", where) for where in frames]
    json_bytes = len(msgspec.json.encode(profile))
    found.append(Measurement("profile_bytes", json_bytes, ROWS, json_bytes, json_bytes, "bytes", "as JSON"))
    found.append(Measurement("profile_bytes", len(stored), ROWS, len(stored), len(stored), "bytes"))
    if theirs:
        found.append(middle("evidently_cpu_s_1m_x_20", theirs, "s"))
        ours = spent[""]
        low, high = min(theirs) / max(ours), max(theirs) / min(ours)
        times = float(np.median(theirs) / np.median(ours))
        found.append(Measurement("times_evidently", times, len(theirs), low, high, conditions=interval()))
    return found


def middle(name: str, values: list[float], unit: str, where: str = "") -> Measurement:
    return Measurement(
        name, float(np.median(values)), len(values), min(values), max(values), unit, where, conditions=interval()
    )


def interval() -> dict[str, Any]:
    return {"interval": "range of the rounds", "cpus": os.cpu_count()}


def false_alarms(task: tuple[int, int]) -> dict[tuple[str, float, str], int]:
    """How many of `draws` pairs of tables of one law each detector alarms on, (detector, alpha, floor) -> alarms."""
    n, draws = task
    rng = np.random.default_rng(1_000 + n)
    found: dict[tuple[str, float, str], int] = {}
    for _ in range(draws):
        reference = Profile.of(window(small_table(rng, REFERENCE_ROWS)))
        current = Profile.of(window(small_table(rng, n)), like=reference)
        for name in LEAVES:
            for floor, alpha in SETTINGS:
                settings = {"alpha": alpha, **({"least": 0.0} if floor else {})}
                alarmed = detector.get(name)(**settings).judge(reference, current).decision == "fail"
                found[name, alpha, floor] = found.get((name, alpha, floor), 0) + alarmed
                if not alarmed and (floor, alpha) == SETTINGS[0]:
                    break  # whoever has a floor or a lower alpha alarms on less
    return found


def slice_of(name: str, n: int, alpha: float, floor: str) -> str:
    return ", ".join([name, f"n={n}", f"alpha={alpha:g}", *([floor] if floor else [])])


def calmness(draws: int) -> list[Measurement]:
    """Rates of false alarms at each size, and the worst of them over its alpha."""
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        alarms = dict(zip(SIZES, pool.map(false_alarms, [(n, draws) for n in SIZES]), strict=True))
    found, ratios = [], []
    for name in LEAVES:
        for alpha in ALPHAS:
            for floor in FLOORS:
                for n in SIZES:
                    hits = alarms[n].get((name, alpha, floor), 0)
                    where = slice_of(name, n, alpha, floor)
                    rate = proportion("false_alarms", hits, draws, where)
                    surprise = binomial_survival(hits, draws, alpha) * len(LEAVES) * len(SETTINGS) * len(SIZES)
                    found.append(rate)
                    ratios.append((surprise > SURPRISE, rate.value / alpha, rate.low / alpha, rate.high / alpha, where))
    held = all(ratio[0] for ratio in ratios)
    worst = max(ratios, key=lambda ratio: ratio[1])
    told = {
        "at": worst[4],
        "holds": held,
        "how": f"no rate is above its alpha by more than chance allows: exact binomial, Bonferroni over {len(ratios)}"
        f" rates at {SURPRISE:g}; interval of the worst rate alone",
    }
    found.append(Measurement("worst_false_alarm_over_alpha", *worst[1:2], draws, *worst[2:4], conditions=told))
    return found


def outliers(draws: int) -> list[Measurement]:
    """Verdicts that one planted value of 1e6 changes, and shifts of one standard deviation missed beside it."""
    changed = missed = cases = 0
    for n in SIZES:
        rng = np.random.default_rng(n)
        for _ in range(draws):
            reference = Profile.of(window(small_table(rng, REFERENCE_ROWS)))
            now = small_table(rng, n)
            for shift in (0.0, 1.0):
                moved = now["normal_0"] + shift
                pair = [
                    Profile.of(window({**now, "normal_0": values}), like=reference)
                    for values in (moved, planted(moved))
                ]
                for name in LEAVES:
                    said, then = (detector.get(name)().judge(reference, profile) for profile in pair)
                    changed += said.decision != then.decision
                    missed += bool(shift) and (then.decision != "fail" or then.evidence[0].where != "normal_0")
                    cases += 1
    return [
        proportion("verdicts_changed_by_one_value", changed, cases),
        proportion("shifts_of_1_sd_missed_beside_it", missed, cases // 2),
    ]


def run_peer(*arguments: object) -> dict[str, Any]:
    """Run `drift_peer.py` with the Python of Evidently's own environment, made where it is missing."""
    python = BENCH / "evidently" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(BENCH / "evidently")], check=True, timeout=120)
    ready = BENCH / "evidently" / "installed"
    if not ready.exists():
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *EVIDENTLY]
        subprocess.run(pip, check=True, timeout=600)
        ready.touch()
    script = Path(__file__).with_name("drift_peer.py")
    command = [str(python), str(script), *map(str, arguments)]
    done = subprocess.run(command, check=True, timeout=500, stdout=subprocess.PIPE, cwd=BENCH)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def show(found: list[Measurement], peer: dict[str, Any]) -> None:
    """The tables for people."""
    rates = {m.where: m for m in found if m.name == "false_alarms"}
    print(f"\nfalse alarms over 20 columns, {REFERENCE_ROWS:,} rows of reference")
    print(f"{'detector':34}" + "".join(f"{f'n={n:,}':>9}" for n in SIZES))
    for name in LEAVES:
        for alpha in ALPHAS:
            for floor in FLOORS:
                cells = [
                    rates[", ".join([name, f"n={n}", f"alpha={alpha:g}", *([floor] if floor else [])])] for n in SIZES
                ]
                label = f"{name}, alpha {alpha:g}{', no floor' if floor else ''}"
                print(f"{label:34}" + "".join(f"{100 * m.value:>7.1f} %" for m in cells))
    for name, shares in peer.get("alarms", {}).items():
        print(f"{'Evidently ' + name + ', a column':34}" + "".join(f"{100 * s:>7.1f} %" for s in shares.values()))
    if peer:
        print(
            f"\n{'drifted? (n = 10,000)':34}" + "".join(f"{what:>15}" for what in next(iter(peer["outlier"].values())))
        )
        for name, said in peer["outlier"].items():
            print(f"{'Evidently ' + name:34}" + "".join(f"{'yes' if each else 'no':>15}" for each in said.values()))
    print()
    for m in found:
        if m.name != "false_alarms":
            print(m)


def missed(found: list[Measurement]) -> list[str]:
    """The bounds that were missed, in words."""
    by = {(m.name, m.where): m for m in found}
    broken = []
    if by["cpu_s_1m_x_20", ""].value > MOST_CPU_S:
        broken.append(f"cpu_s_1m_x_20 is above {MOST_CPU_S}")
    if ("times_evidently", "") in by and by["times_evidently", ""].value < LEAST_TIMES:
        broken.append(f"times_evidently is below {LEAST_TIMES:g}")
    if max(m.value for m in found if m.name == "profile_bytes") >= MOST_BYTES:
        broken.append(f"profile_bytes is not below {MOST_BYTES:,}")
    if not by["worst_false_alarm_over_alpha", ""].conditions["holds"]:
        broken.append("a rate of false alarms is above its alpha")
    broken += [f"{name} is not 0" for (name, _), m in by.items() if "_one_value" in name and m.value > 0]
    broken += [f"{name} is not 0" for (name, _), m in by.items() if name.startswith("shifts_of") and m.value > 0]
    return broken


def main() -> None:
    """Measure, print the tables and, as the last line, the measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1_000, help="pairs of tables at each size (1000)")
    parser.add_argument("--rounds", type=int, default=2, help="rounds of Evidently (2)")
    parser.add_argument("--peer", choices=("yes", "no"), default="yes", help="also run Evidently (yes)")
    parser.add_argument("--data", help="not needed here: the tables are made")
    given = parser.parse_args()
    peer = run_peer("verdicts", 10) if given.peer == "yes" else {}
    found = speed(given.rounds, given.peer == "yes")
    found += calmness(given.draws) + outliers(max(2, given.draws // 100))
    show(found, peer)
    broken = missed(found)
    for sentence in broken:
        print(f"MISSED: {sentence}")
    print(msgspec.json.encode(found).decode())
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
