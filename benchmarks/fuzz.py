"""A coverage-guided fuzz of the HTTP parser and of the tensor decoders: executions, corpus, coverage, crashes.

With atheris (extra `torture`) libFuzzer guides it by the branches that it reaches; without, a seeded mutation fuzzer
of our own does by the lines. `--seconds` is shared by the targets. A crash is written to `--keep` and printed; exit
code 1. Last line: a JSON list of Measurements.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any, NamedTuple

import msgspec

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

TARGETS = ("http", "json", "binary")
MOST_BYTES = 4096
WATCHED = "roadworthy/app/"


class Found(NamedTuple):
    """What a fuzz of one target came to. `covered` counts lines, or atheris's edges."""

    target: str
    executions: int
    corpus: int
    covered: int
    crashes: list[bytes]


def make(target: str) -> Any:
    """The target; imported late, so that atheris can plant its counters in what it imports."""
    from fuzz_targets import TARGETS as KNOWN
    from fuzz_targets import Rig

    return KNOWN[target](Rig())


@dataclass
class Guided:
    """Mutates what reached a new line before. The same seed does the same, as far as time allows."""

    rng: Random
    corpus: list[bytes] = field(default_factory=list)
    lines: set[tuple[str, int]] = field(default_factory=set)
    executions: int = 0

    def run(self, target: str, seconds: float) -> Found:
        """Fuzz until the time is over or something crashes."""
        act, until, crashes = make(target), time.monotonic() + seconds, []
        waiting = list(act.seeds)
        logging.disable(logging.CRITICAL)
        while time.monotonic() < until and not crashes:
            # Every line costs: most executions are not watched, and those that are decide what is kept.
            watch = bool(waiting) or self.executions % 4 == 0
            data = waiting.pop() if waiting else self._mutated(act.tokens)
            before = len(self.lines)
            try:
                self._run(act, data, watch)
            except BaseException:
                traceback.print_exc()
                crashes.append(data)
            self.executions += 1
            if len(self.lines) > before or not self.corpus:
                self.corpus.append(data)
        logging.disable(logging.NOTSET)
        act.rig.close()
        return Found(target, self.executions, len(self.corpus), len(self.lines), crashes)

    def _mutated(self, tokens: tuple[bytes, ...]) -> bytes:
        rng, data = self.rng, bytearray(self.rng.choice(self.corpus))
        for _ in range(rng.choice((1, 1, 2, 4, 8))):
            at, size = rng.randrange(len(data) + 1), rng.choice((0, 1, 1, 2, 4, 16))
            way = rng.randrange(5)
            if way == 0:
                data[at : at + size] = rng.randbytes(rng.choice((0, 1, 2, 4)))
            elif way == 1:
                data[at : at + size] = rng.choice(tokens)
            elif way == 2:
                other = rng.choice(self.corpus)
                data[at:] = other[rng.randrange(len(other) + 1) :]
            elif way == 3:
                data[at:at] = data[at : at + size] * rng.choice((1, 2, 50))
            elif data:
                data[at % len(data)] ^= 1 << rng.randrange(8)
        return bytes(data[:MOST_BYTES])

    def _run(self, act: Callable[[bytes], None], data: bytes, watch: bool) -> None:
        sys.settrace(self._enter if watch else None)
        try:
            act(data)
        finally:
            sys.settrace(None)

    def _enter(self, frame: FrameType, event: str, _: Any) -> Any:
        file = frame.f_code.co_filename
        if WATCHED not in file:
            return None
        lines = self.lines

        def line(frame: FrameType, event: str, _: Any) -> Any:
            lines.add((file, frame.f_lineno))
            return line

        return line(frame, event, None)


def with_atheris(target: str, seconds: float, seed: int, keep: Path) -> Found:
    """The same under libFuzzer, in a process of its own, for it never returns."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(HERE / "fuzz.py"), "--child", target, folder]
        options = [f"-max_total_time={max(1, round(seconds))}", f"-seed={seed}", f"-artifact_prefix={keep}/{target}-"]
        options += [f"-max_len={MOST_BYTES}", "-print_final_stats=1", "-timeout=10", "-rss_limit_mb=1024"]
        done = subprocess.run([*command, *options], capture_output=True, text=True, errors="replace", check=False)
        log = done.stdout + done.stderr
        corpus = len(list(Path(folder).iterdir()))
    executions = int((re.findall(r"number_of_executed_units: (\d+)", log) or ["0"])[-1])
    covered = max(map(int, re.findall(r"cov: (\d+)", log)), default=0)
    crashes = [path.read_bytes() for path in sorted(keep.glob(f"{target}-*"))]
    if done.returncode or crashes:
        print(log[-6000:])
        crashes = crashes or [b""]
    return Found(target, executions, corpus, covered, crashes)


def child(target: str, folder: str, options: list[str]) -> None:
    """Under atheris: plant the counters, write the seeds, and fuzz for ever."""
    import atheris

    with atheris.instrument_imports(include=["roadworthy.app"]):
        act = make(target)
    logging.disable(logging.CRITICAL)
    for i, seed in enumerate(act.seeds):
        (Path(folder) / f"seed-{i}").write_bytes(seed)
    words = Path(tempfile.mkdtemp()) / "words"
    escaped = ("".join(f"\\x{byte:02x}" for byte in token) for token in act.tokens)
    words.write_text("".join(f'"{word}"\n' for word in escaped))
    atheris.Setup([sys.argv[0], folder, f"-dict={words}", *options], act)
    atheris.Fuzz()


def told(found: list[Found], seconds: float, seed: int, engine: str) -> int:
    """The table and the line of JSON; 1 for a crash."""
    from roadworthy.core.measure import Measurement

    print(f"{engine}, seed {seed}, {seconds:.0f} s")
    print(f"{'target':<10}{'executions':>12}{'corpus':>8}{'covered':>9}{'crashes':>9}")
    for one in found:
        print(f"{one.target:<10}{one.executions:>12}{one.corpus:>8}{one.covered:>9}{len(one.crashes):>9}")
        for crash in one.crashes:
            print(f"  {one.target}: {crash!r}")
    executions, crashes = sum(one.executions for one in found), sum(len(one.crashes) for one in found)
    corpus, covered = sum(one.corpus for one in found), sum(one.covered for one in found)
    counts = {"executions": executions, "crashes": crashes, "corpus": corpus, "covered": covered}
    conditions = {"engine": engine, "seed": seed, "seconds": seconds}
    measured = [Measurement(f"fuzz_{name}", n, executions, n, n, conditions=conditions) for name, n in counts.items()]
    print(msgspec.json.encode(measured).decode())
    return 1 if crashes else 0


def main() -> int:
    """Each target has its share of the time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", choices=TARGETS, action="append", help="one target; may be given more than once")
    parser.add_argument("--keep", type=Path, default=None, help="folder for what crashed (a temporary one)")
    parser.add_argument("--plain", action="store_true", help="our own fuzzer also where atheris is installed")
    parser.add_argument("--data", help="not needed here")
    chosen = parser.parse_args()
    targets = chosen.only or TARGETS
    each = chosen.seconds / len(targets)
    guided = chosen.plain or importlib.util.find_spec("atheris") is None
    if guided:
        found = [Guided(Random(f"{chosen.seed} {target}")).run(target, each) for target in targets]
    else:
        keep = chosen.keep or Path(tempfile.mkdtemp())
        keep.mkdir(parents=True, exist_ok=True)
        found = [with_atheris(target, each, chosen.seed, keep) for target in targets]
    return told(found, chosen.seconds, chosen.seed, "our own mutations" if guided else "atheris")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3], sys.argv[4:])
    sys.exit(main())
