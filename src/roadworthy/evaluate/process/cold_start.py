"""Cold start runs a program several times from nothing and measures each stage until its answers are as fast as ever.

The program says when it is where, one line of JSON on stdout each: `{"stage": "import"}` when a stage is done, in any
number and under any name, then `{"answer": 0.012}` after each answer with its seconds. Other lines are let pass.
`roadworthy.evaluate.process.cold_child` is such a program in Python.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import IO, Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import nothing
from roadworthy.evaluate.binomial import cumulative


class Start(Struct, frozen=True):
    """One start: the seconds of each stage, in order, and those of each answer; `because` where it went wrong.

    `warm_after` counts the answers that were slower than the level before it was reached, None where it never was.
    """

    stages: dict[str, float]
    answers: tuple[float, ...]
    warm_after: int | None = None
    because: str = ""


class ColdStart(Struct, frozen=True):
    """The stages of a start (`stage_ms` where=the stage, over the starts that went well), and every start.

    `first answer` is the first one's time, `warm` the time from then until the level is reached, and `ready` the
    whole from the launch until then. `level` is the time of an answer from then on.
    """

    command: tuple[str, ...]
    stages: tuple[Measurement, ...]
    ready: Measurement
    level: Measurement
    starts: tuple[Start, ...]


def cold_start(
    command: Sequence[str],
    *,
    repeats: int = 6,
    timeout_seconds: float = 120.0,
    environment: Mapping[str, str] | None = None,
    folder: str | None = None,
    now: Callable[[], float] = time.perf_counter,
) -> ColdStart:
    """Run the command `repeats` times, one after the other, and measure its stages; six give an interval of 95 %.

    Times are those at which a line arrives here, so that the program needs no clock in common with us. Files are in
    the page cache from the second start on. A start that dies, or takes more than `timeout_seconds`, is kept with
    its reason and left out of the numbers.
    """
    if repeats < 1 or not command:
        raise ValueError(f"`command` must be given and `repeats` at least 1, got {command!r} and {repeats!r}")
    starts = tuple(_start(command, timeout_seconds, environment, folder, now) for _ in range(repeats))
    good = [start for start in starts if not start.because]
    names = dict.fromkeys(name for start in good for name in start.stages)
    stages = [_over([start.stages.get(name, math.nan) for start in good], name) for name in names]
    stages.append(_over([start.answers[0] for start in good], "first answer"))
    stages.append(_over([_warming(start) for start in good], "warm"))
    ready = _over([sum(s.stages.values()) + s.answers[0] + _warming(s) for s in good], "", "ready_ms")
    level = _over([level_of(s.answers)[0] for s in good if s.warm_after is not None], "", "answer_ms")
    return ColdStart(tuple(command), tuple(stages), ready, level, starts)


def warm_after(answers: Sequence[float], window: int = 5) -> int | None:
    """How many answers come before the level is reached for good; None where there is no level yet.

    The level is the median of the later half. It is reached with the first fast answer after which the median of every
    `window` answers stays near it: within 20 %, or within three deviations of one answer from the next (a single slow
    answer is no cold one). Where the last quarter is still that much faster than the quarter before it, there is none.
    """
    if len(answers) < 4 * window:
        return None
    seconds = np.asarray(answers)
    level, allowed = level_of(answers)
    quarter = len(seconds) // 4
    if np.median(seconds[-2 * quarter : -quarter]) - np.median(seconds[-quarter:]) > allowed:
        return None
    near = seconds <= level + allowed
    medians = np.median(np.lib.stride_tricks.sliding_window_view(seconds, window), axis=1)
    slow = np.flatnonzero(medians > level + allowed)
    last = int(slow[-1]) + window // 2 + 1 if len(slow) else 0
    return last + int(np.argmax(near[last:]))


def level_of(answers: Sequence[float]) -> tuple[float, float]:
    """The seconds of a warm answer, the median of the later half, and how many more are still no slower answer."""
    later = np.asarray(answers)[len(answers) // 2 :]
    level = float(np.median(later))
    # Of the steps, as the spread about the level would be large for as long as the answers get faster.
    deviation = 1.4826 / math.sqrt(2) * float(np.median(np.abs(np.diff(later)))) if len(later) > 1 else 0.0
    return level, max(0.2 * level, 3 * deviation)


def median(name: str, values: NDArray[np.float64], unit: str, where: str = "", confidence: float = 0.95) -> Measurement:
    """The median with its order-statistic interval, whatever the distribution; open where too few values bound it."""
    found = np.sort(values[~np.isnan(values)])
    n = len(found)
    if n == 0:
        return nothing(name, unit, where)
    outside = int(np.searchsorted(cumulative(n, 0.5), (1 - confidence) / 2, "right"))
    low, high = (found[outside - 1], found[n - outside]) if outside else (-math.inf, math.inf)
    return Measurement(name, float(np.median(found)), n, float(low), float(high), unit, where)


def _over(seconds: Sequence[float], where: str, name: str = "stage_ms") -> Measurement:
    return median(name, 1000 * np.array(seconds, dtype=np.float64), "ms", where)


def _warming(start: Start) -> float:
    return math.nan if start.warm_after is None else sum(start.answers[1 : start.warm_after])


def _start(
    command: Sequence[str],
    timeout_seconds: float,
    environment: Mapping[str, str] | None,
    folder: str | None,
    now: Callable[[], float],
) -> Start:
    late = threading.Event()
    with tempfile.TemporaryFile() as told:
        launched = now()
        try:
            child = _launched(command, told, environment, folder)
        except OSError as wrong:
            return Start({}, (), because=f"{command[0]!r} cannot be run: {wrong}")

        def give_up() -> None:
            late.set()
            _end(child)

        impatient = threading.Timer(timeout_seconds, give_up)
        impatient.start()
        try:
            stages, answers = _heard(child, launched, now)
            child.wait()
        finally:
            impatient.cancel()
            _end(child)
        because = _trouble(child.returncode, late.is_set(), timeout_seconds, stages, answers, _last_line(told))
    return Start(stages, tuple(answers), warm_after(answers), because)


def _heard(child: subprocess.Popen[str], last: float, now: Callable[[], float]) -> tuple[dict[str, float], list[float]]:
    """The seconds of each stage and of each answer, as the child says that they are done."""
    stages: dict[str, float] = {}
    answers: list[float] = []
    assert child.stdout is not None
    with child.stdout as lines:
        for mark in _marks(lines):
            at = now()
            if "stage" in mark:
                stages[str(mark["stage"])] = stages.get(str(mark["stage"]), 0.0) + at - last
            else:
                answers.append(float(mark["answer"]))
            last = at
    return stages, answers


def _launched(
    command: Sequence[str], told: IO[bytes], environment: Mapping[str, str] | None, folder: str | None
) -> subprocess.Popen[str]:
    """The child in a session of its own, so that what it starts in turn ends with it."""
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=told,
        text=True,
        env=None if environment is None else dict(environment),
        cwd=folder,
        start_new_session=True,
    )


def _end(child: subprocess.Popen[str]) -> None:
    """Kill a child that has not ended, with all that it started."""
    if child.poll() is not None:
        return
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()


def _marks(lines: Any) -> Iterator[dict[str, Any]]:
    """The lines that are ours: frameworks print what they like."""
    for line in lines:
        try:
            mark = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(mark, dict) and ("stage" in mark or isinstance(mark.get("answer"), (int, float))):
            yield mark


def _trouble(
    code: int, late: bool, timeout_seconds: float, stages: dict[str, float], answers: Sequence[float], said: str
) -> str:
    after = f"after {len(answers)} answers" if answers else f"after the stage {next(reversed(stages), 'launch')!r}"
    if late:
        return f"not done within {timeout_seconds:g} s; killed {after}"
    if code:
        return f"exit code {code} {after}: {said or 'nothing on stderr'}"
    if not answers:
        return f"no `answer` line came {after}; print one line of JSON with its seconds after each answer, and flush"
    return ""


def _last_line(told: Any) -> str:
    told.seek(0)
    lines = told.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1].strip() if lines else ""
