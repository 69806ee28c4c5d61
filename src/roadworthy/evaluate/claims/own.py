"""Claims in a file of our own: `claims:` with one entry a number, in YAML or JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadworthy.core.errors import BadData, nearest
from roadworthy.core.measure import Claim
from roadworthy.evaluate.base import claims
from roadworthy.evaluate.reproduction.claim_files import (
    claim_of,
    dataset_name,
    entries,
    need,
    number_of,
    text_of,
    words,
    yaml_of,
)

_TEXTS = ("where", "source", "split", "definition", "prompt", "extractor", "model")
_DATA = ("data", "config", "revision", "digest")
_NUMBERS = ("tolerance", "stderr", "low", "high", "n")
_KNOWN = ("metric", "value", *_TEXTS, *_DATA, *_NUMBERS)


@claims("own")
@dataclass(frozen=True)
class Own:
    """A YAML or JSON file with `claims:`, a list of `{metric, value, split, data, n, ...}`.

    The width is said as `tolerance`, as `low` and `high`, as `stderr` (of which 1.96 are taken), or in the value.
    A `digest` (SHA-256 of the table) stands above the name of the data. An unknown key is refused.
    """

    def __call__(self, path: Path) -> Sequence[Claim] | None:
        if path.suffix.lower() not in (".yaml", ".yml", ".json"):
            return None
        text = text_of(path)
        if "claims" not in text:
            return None
        found = yaml_of(path, text)
        if not isinstance(found, Mapping) or "claims" not in found:
            return None
        if not found["claims"]:
            raise BadData(f"`{path}`: `claims` is empty: give it entries with `metric` and `value`, or leave it out")
        return [_claim(path, place, entry) for place, entry in entries(found["claims"], "claims")]

    @classmethod
    def example(cls, folder: Path) -> tuple[Path, tuple[Claim, ...]]:
        """A claims file, and the claim in it."""
        path = folder / "claims.yaml"
        path.write_text("claims:\n- {metric: acc, value: 87.31, data: adult, split: test, n: 16281}\n", "utf-8")
        return path, (Claim("accuracy", 0.8731, source="claims.yaml", data="adult", split="test", n=16281),)


def _claim(path: Path, place: str, entry: Any) -> Claim:
    metric, value = words(need(path, place, entry, "metric")), need(path, place, entry, "value")
    for key in entry:
        if key not in _KNOWN:
            raise BadData(f"`{path}`: `{place}` has an unknown key {key!r}{nearest(str(key), _KNOWN)}")
    texts = {key: words(entry.get(key)) for key in _TEXTS}
    numbers = {key: number_of(path, f"{place}.{key}", entry.get(key)) for key in _NUMBERS}
    texts["source"] = texts["source"] or path.name
    name = dataset_name(*(words(entry.get(key)) for key in ("data", "config", "revision")))
    data = words(entry.get("digest")) or name
    return claim_of(path, place, metric, value, **texts, data=data, n=int(numbers["n"]), tolerance=_half(numbers))


def _half(numbers: Mapping[str, float]) -> float:
    if numbers["tolerance"] or numbers["stderr"]:
        return abs(numbers["tolerance"]) or 1.96 * abs(numbers["stderr"])
    return max(0.0, numbers["high"] - numbers["low"]) / 2 if numbers["high"] else 0.0
