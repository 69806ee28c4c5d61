"""MMLU questions with the recorded right and wrong of two models, as RouteLLM published them (Apache-2.0).

A row belongs to the tuning part or to the reported part by a hash of its prompt, so equal prompts stay together.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.sample import Sample
from roadworthy.evaluate.corruptions.typo import Typo
from roadworthy.route.routers.labelled import Labelled

STRONG, WEAK = "gpt-4-1106-preview", "mistralai/Mixtral-8x7B-Instruct-v0.1"
# The prompts that are also in RouteLLM's training data (its list of them), by the start of their SHA-256.
KNOWN = frozenset({"fe63a4593e5a", "78752910a0f7", "a79957eb022d", "adddd87e46b3", "7b8edc7541b7"})
TUNING_SHARE = 0.35
LABELS = 1500
PROMPT, SUBJECT = "prompt", "subject"


@dataclass(frozen=True)
class Questions:
    """Rows (n,): the prompt, its subject, and whether the strong and the weak model were right."""

    prompts: NDArray[np.object_]
    subjects: NDArray[np.object_]
    strong: NDArray[np.float64]
    weak: NDArray[np.float64]
    drawn: NDArray[np.float64]

    @property
    def n(self) -> int:
        """How many rows there are."""
        return len(self.prompts)

    @property
    def gain(self) -> NDArray[np.float64]:
        """What the strong model gains in each row: 1, 0 or -1."""
        return self.strong - self.weak

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Questions:
        """Some of the rows."""
        return Questions(self.prompts[rows], self.subjects[rows], self.strong[rows], self.weak[rows], self.drawn[rows])

    def labelled(self, with_subjects: bool) -> Labelled:
        """The rows as a router learns from them; equal prompts are one group."""
        subjects = self.subjects.tolist() if with_subjects else ()
        return Labelled({PROMPT: self.prompts.tolist()}, self.strong, self.weak, subjects, groups=self.prompts.tolist())

    def without(self, others: Questions) -> Questions:
        """The rows whose prompt is not among the others'."""
        seen = set(others.prompts.tolist())
        return self.take(np.array([prompt not in seen for prompt in self.prompts]))

    def mistyped(self, form: str, rng: np.random.Generator) -> list[str]:
        """The prompts with 5 % of their letters mistyped."""
        typo = Typo((PROMPT,), form=form, rate=0.05)  # type: ignore[arg-type]
        return list(typo(Sample({PROMPT: self.prompts}), 1.0, rng).columns[PROMPT])


def read(data: Path) -> tuple[Questions, Questions]:
    """The tuning part and the reported part of the decontaminated questions (14,037 rows in all)."""
    rows = []
    for file in sorted((data / "router" / "routellm_mmlu").glob("mmlu_*.csv")):
        with file.open(newline="", encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                digest = sha256(row["prompt"].encode()).hexdigest()
                if digest[:12] not in KNOWN:
                    right = row[STRONG] == "True", row[WEAK] == "True"
                    rows.append((row["prompt"], file.stem[5:], *right, int(digest[:8], 16) / 2**32))
    if len(rows) != 14_037:
        raise SystemExit(f"{data} holds {len(rows)} decontaminated questions and not 14,037: pass --data PATH")
    prompts, subjects, strong, weak, drawn = zip(*rows, strict=True)
    texts = np.array(prompts, dtype=object), np.array(subjects, dtype=object)
    found = Questions(*texts, *(np.array(column, np.float64) for column in (strong, weak, drawn)))
    return found.take(found.drawn < TUNING_SHARE), found.take(found.drawn >= TUNING_SHARE)


def random_rows(n: int, rng: np.random.Generator, labels: int = LABELS) -> NDArray[np.int64]:
    """Rows to have judged: any."""
    return np.asarray(rng.permutation(n)[:labels])


def rooted_rows(subjects: Sequence[str], rng: np.random.Generator, labels: int = LABELS) -> NDArray[np.int64]:
    """Rows to have judged: of each subject as many as the root of its size says (power allocation, Bankier 1988).

    In between as many of each, which knows the large ones too little, and any rows, of which a small one has a handful.
    """
    names, codes = np.unique(np.asarray(subjects, dtype=str), return_inverse=True)
    roots = np.sqrt(np.bincount(codes))
    ends = np.rint(np.cumsum(roots) / roots.sum() * labels).astype(int)
    each = np.diff(ends, prepend=0)
    return np.concatenate([rng.permutation(np.flatnonzero(codes == k))[: each[k]] for k in range(len(names))])
