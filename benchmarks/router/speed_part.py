"""What a decision costs in CPU time: on prompts that are new to the router, and on words that are, too."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from mmlu import PROMPT, Questions

from roadworthy.core.measure import Measurement
from roadworthy.core.wire import Request, Tensor
from roadworthy.route.routers.router import Guarded, Router, load

SHORT = 200
ROUNDS = 15


def speeds(router: Router, questions: Questions) -> list[Measurement]:
    """Microseconds a decision, by the router with its watch, as read from its file."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "router.json"
        replace(router).write(path)
        size = path.stat().st_size
        cold, warm = load(path), load(path)
    asked = [request_of(prompt) for prompt in questions.prompts[:4000]]
    short = [one for one in asked if len(one.inputs[PROMPT].data[0]) <= SHORT]
    cold.gain(asked[0])
    begin = time.process_time()
    for one in asked[1:501]:
        cold.gain(one)
    first = 1e6 * (time.process_time() - begin) / 500
    for one in asked:
        warm.gain(one)
    each = {name: _microseconds(warm, part) for name, part in (("short", short), ("mmlu", asked))}
    lengths = {"short": f"up to {SHORT} characters", "mmlu": "MMLU questions"}
    told = [Measurement("decision_us", each[k], ROUNDS, unit="us", where=lengths[k]) for k in each]
    told.append(Measurement("decision_us", first, 500, unit="us", where="the first 500 of a process"))
    told.append(Measurement("decisions_per_second", 1e6 / each["mmlu"], ROUNDS, unit="1/s", where="one core"))
    return [*told, Measurement("file_bytes", size, 1, unit="bytes")]


def request_of(prompt: str) -> Request:
    """A prompt as it comes over the wire."""
    return Request("r", {PROMPT: Tensor(PROMPT, "BYTES", (1,), [prompt])}, 0.0)


def _microseconds(router: Guarded, asked: Sequence[Request]) -> float:
    """The least of several rounds: whoever shares the machine only adds."""
    spent = []
    for _ in range(ROUNDS):
        begin = time.process_time()
        for one in asked:
            router.gain(one)
        spent.append(time.process_time() - begin)
    return 1e6 * float(np.min(spent)) / len(asked)
