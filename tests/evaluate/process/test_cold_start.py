from __future__ import annotations

import itertools
import json
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
from scipy import stats

from roadworthy.evaluate.process.cold_start import ColdStart, cold_start, median, warm_after

SLOW = """
import time

time.sleep(0.2)

def load(seconds, kind="plain"):
    time.sleep(float(seconds))
    spells = iter([0.15, 0.06, 0.06, 0.06])

    def answer():
        time.sleep(next(spells, 0.005))

    async def awaited():
        answer()

    return awaited if kind == "async" else answer
"""
CHILD = (sys.executable, "-m", "roadworthy.evaluate.process.cold_child")


@pytest.fixture
def slow(tmp_path: Path) -> str:
    (tmp_path / "slow.py").write_text(SLOW)
    return f"{tmp_path / 'slow.py'}:load"


def stages(found: ColdStart) -> dict[str, float]:
    return {m.where: m.value for m in found.stages}


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_each_stage_takes_at_least_what_it_sleeps(slow: str, kind: str) -> None:
    found = cold_start([*CHILD, slow, "0.3", kind, "--answers", "40"], repeats=2)
    assert [start.because for start in found.starts] == ["", ""]
    took = stages(found)
    assert list(took) == ["process", "import", "load", "first answer", "warm"]
    assert took["import"] >= 200
    assert took["load"] >= 300
    assert took["first answer"] >= 150
    assert found.ready.value >= 200 + 300 + 150
    assert found.level.value >= 5
    assert {m.name for m in found.stages} == {"stage_ms"}
    assert all(len(start.answers) == 40 for start in found.starts)


def test_a_stage_lasts_from_the_line_before_it_to_its_own() -> None:
    """A clock that ticks once whenever it is read: here once at the launch, and once a line of ours."""
    ticks = itertools.count()
    lines = ['{"stage": "boot"}', "WARNING: no GPU", "3", '{"other": 1}', '{"stage": "weights"}', '{"answer": 0.5}']
    code = "\n".join(f"print({line!r})" for line in lines)
    found = cold_start([sys.executable, "-c", code], repeats=1, now=lambda: float(next(ticks)))
    assert found.starts[0].stages == {"boot": 1.0, "weights": 1.0}
    assert found.starts[0].answers == (0.5,)
    assert stages(found)["boot"] == 1000


def test_a_start_that_never_gets_warm_has_no_time_until_ready() -> None:
    answers = [1.0 - 0.01 * k for k in range(60)]
    code = f"import json\nfor s in {answers}: print(json.dumps({{'answer': s}}))"
    found = cold_start([sys.executable, "-c", code], repeats=1)
    assert found.starts[0].warm_after is None
    assert found.ready.n == 0
    assert found.level.n == 0
    assert stages(found)["first answer"] == 1000


def test_a_child_that_dies_is_kept_with_the_stage_and_its_last_words(slow: str) -> None:
    found = cold_start([*CHILD, slow, "soon"], repeats=1)
    assert found.starts[0].because.startswith("exit code 1 after the stage 'import': ValueError")
    assert found.ready.n == 0


def test_only_the_starts_that_went_well_count(tmp_path: Path) -> None:
    code = f"""
import json, pathlib, sys
seen = pathlib.Path({str(tmp_path / "seen")!r})
if not seen.exists():
    seen.touch()
    sys.exit("no memory")
for _ in range(20): print(json.dumps({{"answer": 0.25}}))
"""
    found = cold_start([sys.executable, "-c", code], repeats=3)
    assert [start.because for start in found.starts] == ["exit code 1 after the stage 'launch': no memory", "", ""]
    assert found.level.n == 2
    assert found.level.value == 250


def test_a_child_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    code = "import subprocess, sys; subprocess.run(['sleep', '600'])"
    began = time.monotonic()
    found = cold_start([sys.executable, "-c", code], repeats=1, timeout_seconds=1.0)
    assert found.starts[0].because == "not done within 1 s; killed after the stage 'launch'"
    assert time.monotonic() - began < 300, "the pipe that its child held is closed too"


def test_a_program_that_says_nothing_and_one_that_is_not_there_are_named() -> None:
    assert "no `answer` line came" in cold_start([sys.executable, "-c", ""], repeats=1).starts[0].because
    assert "'/no/such' cannot be run" in cold_start(["/no/such"], repeats=1).starts[0].because
    with pytest.raises(ValueError, match="`command` must be given and `repeats` at least 1"):
        cold_start([], repeats=1)


@pytest.mark.parametrize(
    ("cold", "after"),
    [([], 0), ([1.0], 1), ([1.0, 0.9], 2), ([1.0] * 8, 8), ([0.01, 0.01, 0.5], 0)],
    ids=["warm at once", "one", "two", "eight", "one slow answer is an accident"],
)
def test_warm_is_when_the_level_is_reached(cold: list[float], after: int) -> None:
    assert warm_after([*cold, *[0.01] * 40]) == after


def test_two_speeds_in_turn_are_one_level() -> None:
    assert warm_after([0.5, 0.5, *[0.01, 0.014] * 30]) == 2


def test_too_few_answers_have_no_level() -> None:
    assert warm_after([0.01] * 19) is None
    assert warm_after([0.01] * 20) == 0


@pytest.mark.parametrize(("n", "bounded"), [(5, False), (6, True), (40, True)])
def test_the_median_has_the_exact_interval(n: int, bounded: bool) -> None:
    found = median("m", np.arange(1.0, n + 1), "ms")
    assert np.isfinite(found.high) == bounded
    if bounded:
        inside = stats.binom.cdf(found.high - 1, n, 0.5) - stats.binom.cdf(found.low - 1, n, 0.5)
        tighter = stats.binom.cdf(found.high - 2, n, 0.5) - stats.binom.cdf(found.low, n, 0.5)
        assert inside >= 0.95 > tighter


def test_a_cold_start_goes_to_json_and_back() -> None:
    code = "import json\nfor s in [0.5] + [0.1] * 30: print(json.dumps({'answer': s}))"
    found = cold_start([sys.executable, "-c", code], repeats=1)
    assert found.starts[0].warm_after == 1
    assert msgspec.json.decode(msgspec.json.encode(found), type=ColdStart) == found
    assert json.loads(msgspec.json.encode(found))["starts"][0]["answers"][0] == 0.5
