"""Claims in the `model-index` that Hugging Face model cards carry in their front matter."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
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
    number_of,
    table,
    text_of,
    words,
    yaml_of,
)
from roadworthy.evaluate.reproduction.claim_values import family, read_metric

_FRONT = re.compile(r"---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|$)", re.DOTALL)


@claims("model_index")
@dataclass(frozen=True)
class ModelIndex:
    """A model card (README.md) whose front matter has a `model-index` of results and metrics.

    `low` and `high`, `n` and `where`, which our own cards write, are read too; other readers pass over them.
    """

    def __call__(self, path: Path) -> Sequence[Claim] | None:
        if path.suffix.lower() not in (".md", ".markdown"):
            return None
        text = text_of(path)
        front = _FRONT.match(text)
        if front is None:
            _check_end(path, text)
            return None
        index = table(yaml_of(path, front[1], first_line=2)).get("model-index")
        if index is None:
            return None
        found = [claim for place, model in entries(index, "model-index") for claim in _of_model(path, place, model)]
        if not found:
            raise BadData(f"`{path}` has a `model-index` without metrics: add `results[].metrics[]`, or leave it out")
        return found

    @classmethod
    def example(cls, folder: Path) -> tuple[Path, tuple[Claim, ...]]:
        """A card, and the claims in it."""
        metric = "{type: accuracy, value: 87.31, name: accuracy}"
        result = f"{{task: {{type: x}}, dataset: {{type: adult, name: Adult, split: test}}, metrics: [{metric}]}}"
        path = folder / "README.md"
        path.write_text(f"---\nmodel-index:\n- name: trees\n  results:\n  - {result}\n---\n# Trees\n", encoding="utf-8")
        return path, (Claim("accuracy", 0.8731, source="README.md", data="Adult", split="test", model="trees"),)


def _check_end(path: Path, text: str) -> None:
    if text.startswith("---") and "model-index" in text:
        raise BadData(f"`{path}`: the front matter has no end; close it by a line `---`")


def _of_model(path: Path, place: str, model: Any) -> Iterator[Claim]:
    name = words(need(path, place, model, "name"))
    for at, result in entries(need(path, place, model, "results"), f"{place}.results"):
        for where, metric in entries(need(path, at, result, "metrics"), f"{at}.metrics"):
            yield _claim(path, where, metric, table(result), name)


def _claim(path: Path, place: str, metric: Any, result: Any, model: str) -> Claim:
    kind, value = _kind(words(need(path, place, metric, "type")), metric), need(path, place, metric, "value")
    data, source = table(result.get("dataset")), table(result.get("source"))
    shots = words(table(data.get("args")).get("num_few_shot"))
    found = {
        "where": words(metric.get("where")),
        "source": words(source.get("url")) or path.name,
        "data": _data(data),
        "split": words(data.get("split")),
        "n": int(number_of(path, f"{place}.n", metric.get("n"))),
        "prompt": f"{shots}-shot" if shots else "",
        "model": model,
        "tolerance": _half_width(path, place, metric),
    }
    return claim_of(path, f"{place}.value", kind, value, **found)


def _data(data: Any) -> str:
    name = words(data.get("name")) or words(data.get("type"))
    return dataset_name(name, words(data.get("config")), words(data.get("revision")))


def _kind(written: str, metric: Any) -> str:
    """The metric's type, or what says its variant too: that may stand in `config`, in `args` or in the title."""
    settings = [words(metric.get("config")), *(words(value) for value in table(metric.get("args")).values())]
    for said in (written, *(f"{setting} {written}" for setting in settings if setting), words(metric.get("name"))):
        found = read_metric(said)
        if found.definition and family(found.metric) == family(read_metric(written).metric):
            return said
    return written


def _half_width(path: Path, place: str, metric: Any) -> float:
    if not {"low", "high"} <= metric.keys():
        return 0.0
    low, high = (number_of(path, f"{place}.{bound}", metric[bound]) for bound in ("low", "high"))
    return (high - low) / 2
