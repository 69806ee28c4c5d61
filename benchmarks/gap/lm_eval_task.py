"""Whether a task imported from an lm-eval YAML is asked and scored exactly as lm-eval 0.4.13 asks and scores it.

python benchmarks/gap/lm_eval_task.py [--data PATH]

200 word problems in the form of GSM8K and an oracle whose answers are fixed: three in four are right after "####",
others are right but said in another form, or wrong. lm_eval is installed into `.bench/lm_eval` at the first run. The
last line is a JSON list of Measurements; ends with 1 where a score, a standard error or a prompt differs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import proportion
from roadworthy.evaluate.tasks import LmTask, read_task, write_task

HERE = Path(__file__).resolve().parent
HOME = HERE.parents[1] / ".bench" / "lm_eval"
NEEDS = "lm_eval==0.4.13"
ROWS, EXAMPLES = 200, 12

# gsm8k.yaml as lm-eval ships it (MIT), over local files.
TASK: dict[str, Any] = {
    "task": "word_problems",
    "dataset_path": "json",
    "output_type": "generate_until",
    "test_split": "test",
    "fewshot_split": "train",
    "doc_to_text": "Question: {{question}}\nAnswer:",
    "doc_to_target": "{{answer}}",
    "num_fewshot": 5,
    "repeats": 1,
    "generation_kwargs": {"until": ["Question:", "</s>", "<|im_end|>"], "do_sample": False, "temperature": 0.0},
    "metric_list": [
        {
            "metric": "exact_match",
            "aggregation": "mean",
            "higher_is_better": True,
            "ignore_case": True,
            "ignore_punctuation": False,
            "regexes_to_ignore": [",", "\\$", "(?s).*#### ", "\\.$"],
        }
    ],
    "filter_list": [
        {
            "name": "strict-match",
            "filter": [
                {"function": "regex", "regex_pattern": "#### (\\-?[0-9\\.\\,]+)"},
                {"function": "take_first"},
            ],
        },
        {
            "name": "flexible-extract",
            "filter": [
                {"function": "regex", "group_select": -1, "regex_pattern": "(-?[$0-9.,]{2,})|(-?[0-9]+)"},
                {"function": "take_first"},
            ],
        },
    ],
}


class Theirs(NamedTuple):
    """What lm-eval found: a value and a standard error for each filter, and the prompts that it asked."""

    scores: dict[str, float]
    prompts: list[str]


def problems(n: int, chance: random.Random) -> list[dict[str, str]]:
    """Word problems with worked answers, the number behind "####"."""
    found = []
    for _ in range(n):
        had, each, days = chance.randint(3, 2000), chance.randint(2, 90), chance.randint(2, 30)
        text = f"A shop has {had} pears and gets {each} more on each of {days} days. How many are there then?"
        total = had + each * days
        answer = f"{days} days bring {each}*{days}={each * days} pears.\n{had}+{each * days}={total}.\n#### {total:,}"
        found.append({"question": text, "answer": answer})
    return found


def oracle(rows: list[dict[str, str]]) -> list[str]:
    """Of every 20 answers 15 are right and marked, 2 right in words, 1 right and then asks on, 2 wrong or empty."""
    said = []
    for number, row in enumerate(rows):
        total = row["answer"].rpartition("#### ")[2]
        in_form = f"Step by step. {row['answer']}"
        other = {15: f"So it is ${total}.", 16: f"The answer: {total}", 17: f"{total}\n\nQuestion: and 7?", 18: ""}
        said.append(in_form if number % 20 < 15 else other.get(number % 20, "#### 1"))
    return said


def lm_eval_python() -> str:
    """The Python of a venv with lm_eval, made at the first use."""
    python, installed = HOME / "bin" / "python", HOME / "installed"
    if not (installed.exists() and installed.read_text() == NEEDS):
        print(f"installing {NEEDS} into {HOME} ...", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(HOME)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", NEEDS]
        subprocess.run(pip, check=True, stdout=sys.stderr)
        installed.write_text(NEEDS)
    return str(python)


def asked_of_lm_eval(folder: Path, task: str, answers: list[str]) -> Theirs:
    """What lm-eval makes of the task in this folder."""
    given, result = folder / "answers.json", folder / "result.json"
    given.write_text(json.dumps(answers))
    command = [lm_eval_python(), str(HERE / "lm_eval_side.py"), str(folder), task, str(given), str(result)]
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(folder / "cache")}
    done = subprocess.run(command, env={**os.environ, **offline}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"lm_eval failed:\n{done.stderr[-3000:]}")
    found = json.loads(result.read_text())
    return Theirs(found["scores"], found["prompts"])


def written(folder: Path) -> Path:
    """The task as a user has it: a YAML and two files beside it."""
    chance = random.Random(4)
    files = {split: folder / f"{split}.jsonl" for split in ("train", "test")}
    for (_, file), n in zip(files.items(), (EXAMPLES, ROWS), strict=True):
        file.write_text("".join(json.dumps(row) + "\n" for row in problems(n, chance)))
    path = folder / "word_problems.yaml"
    # lm-eval looks for data from where it is run, so that the paths are absolute.
    named = {split: str(file) for split, file in files.items()}
    path.write_text(yaml.safe_dump({**TASK, "dataset_kwargs": {"data_files": named}}, sort_keys=False))
    return path


def compared(task: LmTask, theirs: Theirs, answers: list[str], where: str) -> list[Measurement]:
    """How far our scores and standard errors are from lm-eval's, and how many prompts are the same."""
    ours, found = task.score(answers), []
    for score in ours:
        metric, _, name = score.name.partition(",")
        value, error = theirs.scores[score.name], theirs.scores[f"{metric}_stderr,{name}"]
        conditions = {"ours": score.value, "lm_eval": value, "ours_stderr": score.conditions["stderr"]}
        conditions |= {"lm_eval_stderr": error, "lm_eval_version": NEEDS, "task": where}
        apart = abs(score.value - value), abs(score.conditions["stderr"] - error)
        for part, distance in zip(("score", "stderr"), apart, strict=True):
            here = f"{where}/{name}"
            found.append(
                Measurement(f"lm_eval_{part}_distance", distance, score.n, distance, distance, "1", here, conditions)
            )
    same = sum(a == b for a, b in zip(task.sample.columns["prompt"], theirs.prompts, strict=True))
    return [*found, proportion("lm_eval_same_prompts", same, task.sample.n, where)]


def measure(data: Path | None = None) -> list[Measurement]:
    """The imported task against lm-eval, and then the task that we exported, read by lm-eval."""
    with tempfile.TemporaryDirectory(prefix="rw") as name:
        folder, again = Path(name) / "task", Path(name) / "exported"
        folder.mkdir()
        again.mkdir()
        task = read_task(written(folder))
        rows = [json.loads(line) for line in (folder / "test.jsonl").read_text().splitlines()]
        answers = oracle(rows)
        found = compared(task, asked_of_lm_eval(folder, task.name, answers), answers, "imported")
        exported = read_task(write_task(task, again))
        return found + compared(exported, asked_of_lm_eval(again, task.name, answers), answers, "exported")


def main() -> int:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="not needed here: the problems are made up")
    found = measure(parser.parse_args().data)
    for one in found:
        told = "".join(f"  {key} {value:.6g}" for key, value in one.conditions.items() if isinstance(value, float))
        print(f"{one.name:<24} {one.where:<26} {one.value:.3g} (n={one.n}){told}")
    print(msgspec.json.encode(found).decode())
    right = {"lm_eval_same_prompts": 1.0}
    return int(any(abs(one.value - right.get(one.name, 0.0)) > 1e-12 for one in found))


if __name__ == "__main__":
    sys.exit(main())
