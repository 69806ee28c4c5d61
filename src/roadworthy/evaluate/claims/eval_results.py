"""Claims in the `.eval_results/*.yaml` that Hugging Face model repositories keep beside the card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadworthy.core.errors import BadData
from roadworthy.core.measure import Claim
from roadworthy.evaluate.base import claims
from roadworthy.evaluate.reproduction.claim_files import (
    claim_of,
    dataset_name,
    entries,
    need,
    table,
    text_of,
    words,
    yaml_of,
)


@claims("eval_results")
@dataclass(frozen=True)
class EvalResults:
    """A file of `.eval_results/`: a list of entries with `dataset: {id, task_id}` and `value`.

    The file names no metric, which the benchmark's own `eval.yaml` has: `metric` says it. Notes become the prompt.
    """

    metric: str = "accuracy"

    def __call__(self, path: Path) -> Sequence[Claim] | None:
        if path.suffix.lower() not in (".yaml", ".yml"):
            return None
        inside = path.parent.name == ".eval_results"
        text = text_of(path)
        # A broken file elsewhere may be of any format, and is left to the others.
        if not inside and "dataset" not in text:
            return None
        found = yaml_of(path, text)
        if not isinstance(found, list) or not any(isinstance(table(entry).get("dataset"), dict) for entry in found):
            if inside:
                raise BadData(f"`{path}` must be a list of entries with `dataset` and `value`, got {found!r:.80}")
            return None
        return [self._claim(path, place, entry) for place, entry in entries(found, "")]

    def _claim(self, path: Path, place: str, entry: Any) -> Claim:
        data, source = table(need(path, place, entry, "dataset")), table(entry.get("source"))
        name = words(need(path, f"{place}.dataset", data, "id"))
        task = words(data.get("task_id")) or words(data.get("config"))
        value = need(path, place, entry, "value")
        return claim_of(
            path,
            f"{place}.value",
            words(entry.get("metric")) or self.metric,
            value,
            source=words(source.get("url")) or path.name,
            data=dataset_name(name, task, words(data.get("revision"))),
            split=words(data.get("split")),
            prompt=words(entry.get("notes")),
        )

    @classmethod
    def example(cls, folder: Path) -> tuple[Path, tuple[Claim, ...]]:
        """A result file, and the claim in it."""
        path = folder / "gpqa.yaml"
        path.write_text("- dataset: {id: some/gpqa, task_id: diamond}\n  value: 87.31\n", encoding="utf-8")
        return path, (Claim("accuracy", 0.8731, source="gpqa.yaml", data="some/gpqa/diamond"),)
