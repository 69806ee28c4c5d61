"""How many of seven kinds of spoilt text each fault of text health finds, at how many false alarms, and at what cost.

The texts are the English in the docstrings of the packages that are installed. `python benchmarks/text_health.py`; the
last line is JSON. It ends with 1 where loops, collapse, truncation or mojibake are found in less than 90 % of texts.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

import msgspec
import numpy

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import proportion
from roadworthy.core.tidy import as_windows
from roadworthy.observe.texts.text_health import TextBaseline
from roadworthy.observe.texts.text_measures import measured

LEAST_FOUND, MOST_FALSE, MOST_MS_A_KB = 0.9, 0.01, 0.7
Spoil = Callable[[str, Random], str]


def texts(least: int = 300) -> list[str]:
    """Answers of three paragraphs each, in the order of the files."""
    paragraphs = list(dict.fromkeys(p for file in _files() for p in _paragraphs(file)))
    return [t for t in (" ".join(paragraphs[k : k + 3]) for k in range(0, len(paragraphs) - 2, 3)) if len(t) >= least]


def _files() -> Iterator[Path]:
    for folder in (Path(ast.__file__).parent, Path(numpy.__file__).parent):
        yield from (f for f in sorted(folder.rglob("*.py")) if "site-packages" not in f.relative_to(folder).parts)


def _paragraphs(file: Path) -> Iterator[str]:
    try:
        tree = ast.parse(file.read_text(errors="ignore"))
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            for paragraph in re.split(r"\n\s*\n", ast.get_docstring(node) or ""):
                flat = " ".join(paragraph.split())
                # Prose, and neither code nor a table of settings.
                if (
                    120 < len(flat) < 1200
                    and flat[0].isupper()
                    and flat[-1] in ".!?"
                    and not re.search(r">>>|::|--|==|\|", flat)
                ):
                    yield flat


def sentence_loop(text: str, rng: Random) -> str:
    sentences = re.split(r"(?<=[.!?]) ", text)
    return " ".join([*sentences[:3], *[sentences[min(2, len(sentences) - 1)]] * rng.randint(4, 12)])


def word_loop(text: str, rng: Random) -> str:
    words = text.split()
    some = words[len(words) // 2 :][: rng.randint(1, 4)]
    return " ".join([*words[: len(words) // 2], *some * rng.randint(8, 40)])


def truncated(text: str, rng: Random) -> str:
    words = text.split()
    cut = rng.randint(len(words) // 4, 3 * len(words) // 4)
    while words[cut][-1] in ".!?:;":
        cut -= 1
    return " ".join(words[: cut + 1])


def collapse(text: str, rng: Random) -> str:
    words = text.split()
    few = rng.sample(sorted(set(words)), min(12, len(set(words))))
    return " ".join([*words[: len(words) // 3], *rng.choices(few, k=2 * len(words) // 3)])


def mojibake(text: str, rng: Random) -> str:
    """Typed with curly quotes and a few accents, as people and models write; then read as Windows-1252."""
    curly = text.replace("'", "’").replace('"', "”").replace(" - ", " – ")
    return as_windows(curly if re.search(r"[^\x00-\x7f]", curly) else f"“{curly}”")


def gibberish(text: str, rng: Random) -> str:
    return " ".join("".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=len(w))) for w in text.split()) + "."


def shuffled(text: str, rng: Random) -> str:
    words = text.rstrip(".").split()
    return " ".join(rng.sample(words, len(words))) + "."


# The spoilt texts, and the faults that are meant to find them; none for what only log-probabilities can tell.
SPOILT: dict[Spoil, Sequence[str]] = {
    sentence_loop: ("loops", "repeats"),
    word_loop: ("loops", "few_words"),
    truncated: ("unfinished",),
    collapse: ("few_words", "repeats"),
    mojibake: ("mojibake",),
    gibberish: (),
    shuffled: (),
}


def found(seed: int = 1) -> tuple[list[Measurement], bool]:
    """The rates on texts that the baseline never saw, and whether each bound holds."""
    rng, all_texts = Random(seed), texts()
    rng.shuffle(all_texts)
    half = len(all_texts) // 2
    baseline = TextBaseline.fit([measured(text) for text in all_texts[:half]])
    fresh = all_texts[half:]
    normal = [baseline.faults(measured(text)) for text in fresh]
    results, well = [proportion("any_false_alarm", sum(map(bool, normal)), len(fresh))], True
    for name in baseline.thresholds:
        false = proportion("false_alarm", sum(name in faults for faults in normal), len(fresh), name)
        results.append(false)
        well &= false.low <= MOST_FALSE
    for spoil, meant in SPOILT.items():
        seen = [baseline.faults(measured(spoil(text, rng))) for text in fresh]
        hit = proportion(
            "found", sum(bool(set(faults) & set(meant or faults)) for faults in seen), len(fresh), spoil.__name__
        )
        results.append(hit)
        well &= not meant or hit.value >= LEAST_FOUND
    return results, well


def cost() -> Measurement:
    """CPU milliseconds for a KB of normal text, the median of 5 passes."""
    sample = texts()[:500]
    size = sum(len(text.encode()) for text in sample) / 1024
    passes = []
    for _ in range(5):
        began = time.process_time()
        for text in sample:
            measured(text)
        passes.append(1e3 * (time.process_time() - began) / size)
    passes.sort()
    return Measurement("text_health_ms_per_kb", passes[2], 5, passes[0], passes[-1], "ms")


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    results, well = found()
    spent = cost()
    for one in (*results, spent):
        print(one)
    print(msgspec.json.encode([*results, spent]).decode())
    return 0 if well and spent.value <= MOST_MS_A_KB else 1


if __name__ == "__main__":
    sys.exit(main())
