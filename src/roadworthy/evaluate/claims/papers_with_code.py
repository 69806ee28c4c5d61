"""Claims in the evaluation tables of Papers with Code, as its archive keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from roadworthy.core.errors import BadData
from roadworthy.core.measure import Claim
from roadworthy.evaluate.base import claims
from roadworthy.evaluate.reproduction.claim_files import claim_of, entries, need, table, text_of, words


@claims("papers_with_code")
@dataclass(frozen=True)
class PapersWithCode:
    """A JSON list of tasks with `datasets[].sota.rows[].metrics`: what each paper states for its model.

    Such a table has everybody's numbers: `model` and `dataset` take only those that are named so, "" all. A cell
    that is empty, null or a dash is nobody's claim. The split is not in this format.
    """

    model: str = ""
    dataset: str = ""

    def __call__(self, path: Path) -> Sequence[Claim] | None:
        if path.suffix.lower() != ".json":
            return None
        text = text_of(path)
        try:
            tasks = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError) as torn:
            if '"sota"' not in text:
                return None
            raise BadData(f"`{path}` is not JSON: {torn}") from torn
        if not isinstance(tasks, list) or not any("datasets" in table(task) for task in tasks):
            return None
        return [claim for place, task in entries(tasks, "") for claim in self._of_task(path, place, task)]

    def _of_task(self, path: Path, place: str, task: Any) -> Iterator[Claim]:
        for at, data in entries(table(task).get("datasets") or [], f"{place}.datasets"):
            yield from self._of_data(path, at, data)
        for at, deeper in entries(table(task).get("subtasks") or [], f"{place}.subtasks"):
            yield from self._of_task(path, at, deeper)

    def _of_data(self, path: Path, place: str, data: Any, above: str = "") -> Iterator[Claim]:
        own = words(data.get("dataset")) or words(data.get("subdataset")) if isinstance(data, dict) else ""
        name = "/".join(filter(None, (above, own or words(need(path, place, data, "dataset")))))
        rows = table(table(data).get("sota")).get("rows") or []
        for at, row in entries(rows, f"{place}.sota.rows"):
            if self._wanted(name, words(table(row).get("model_name"))):
                yield from _of_row(path, at, row, name)
        for at, deeper in entries(table(data).get("subdatasets") or [], f"{place}.subdatasets"):
            yield from self._of_data(path, at, deeper, name)

    def _wanted(self, data: str, model: str) -> bool:
        return self.model in ("", model) and (not self.dataset or self.dataset in data.split("/"))

    @classmethod
    def example(cls, folder: Path) -> tuple[Path, tuple[Claim, ...]]:
        """An evaluation table, and the claim in it."""
        row = {"model_name": "trees", "paper_url": "https://paper", "metrics": {"Accuracy": "87.31"}}
        tasks = [{"task": "t", "subtasks": [], "datasets": [{"dataset": "Adult", "sota": {"rows": [row]}}]}]
        path = folder / "evaluation-tables.json"
        path.write_bytes(msgspec.json.encode(tasks))
        return path, (Claim("accuracy", 0.8731, source="https://paper", data="Adult", model="trees"),)


def _of_row(path: Path, place: str, row: Any, data: str) -> Iterator[Claim]:
    metrics, model = need(path, place, row, "metrics"), words(need(path, place, row, "model_name"))
    for name, value in table(metrics).items():
        if words(value).strip() in ("", "-", "–", "N/A"):
            continue
        source = words(row.get("paper_url")) or words(row.get("paper_title")) or path.name
        yield claim_of(path, f"{place}.metrics.{name}", name, value, source=source, data=data, model=model)
