"""Claim files finds the claims of a file or of a model's folder, whichever known format they are in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from roadworthy.core.errors import BadData
from roadworthy.core.measure import Claim
from roadworthy.evaluate.base import claims
from roadworthy.evaluate.reproduction.claim_values import is_share, read_metric, read_value

CLAIMED_MOST = 64 * 1024 * 1024


def read_claims(path: Path) -> tuple[Claim, ...]:
    """The claims in a file, or in the README.md and `.eval_results/` of a model's folder.

    The first format that knows the file reads it. Raises BadData where none does, or where the file is torn.
    """
    if path.is_dir():
        return _in_folder(path)
    for name in claims:
        found = claims.make(name)(path)
        if found is not None:
            return tuple(found)
    known = "; ".join(f"{name}: {what}" for name, what in claims.describe().items())
    raise BadData(f"`{path}` holds no claims of a known format ({known})")


def _in_folder(folder: Path) -> tuple[Claim, ...]:
    """A README that only describes the model is no error where result files state the claims."""
    results = sorted([*folder.glob(".eval_results/*.yaml"), *folder.glob(".eval_results/*.yml")])
    card = folder / "README.md"
    found = [claim for file in results for claim in read_claims(file)]
    if card.is_file():
        found += claims.make("model_index")(card) or ()
    if not found:
        raise BadData(f"`{folder}` has no claims: it needs a README.md with a `model-index`, or .eval_results/*.yaml")
    return tuple(found)


def text_of(path: Path) -> str:
    """A file's text. Raises BadData where it is missing, too long or not UTF-8."""
    try:
        if path.stat().st_size > CLAIMED_MOST:
            raise BadData(f"`{path}` has {path.stat().st_size:,} bytes; claims are read from at most {CLAIMED_MOST:,}")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as gone:
        raise BadData(f"cannot read the claims in `{path}`: {gone}") from gone


def yaml_of(path: Path, text: str, first_line: int = 1) -> Any:
    """YAML (and JSON) as Python objects; `first_line` is where the text stands in the file. Raises BadData."""
    try:
        return yaml.safe_load(text)
    # Too deep a nesting is a RecursionError, and a date such as 2025-99-99 a ValueError.
    except (yaml.YAMLError, RecursionError, ValueError) as wrong:
        mark = getattr(wrong, "problem_mark", None)
        where = f"line {mark.line + first_line}: " if mark else ""
        raise BadData(f"`{path}` is not YAML: {where}{getattr(wrong, 'problem', None) or wrong}") from wrong


def need(path: Path, place: str, found: Any, key: str) -> Any:
    """What an entry has under a key. Raises BadData naming file, place and key."""
    if not isinstance(found, Mapping) or found.get(key) is None:
        has = ", ".join(map(str, found)) if isinstance(found, Mapping) else repr(found)
        raise BadData(f"`{path}`: `{place}` has no `{key}` (it has: {has or 'nothing'})")
    return found[key]


def entries(found: Any, place: str) -> Iterator[tuple[str, Any]]:
    """The entries of a list, each with its place in the file; a single entry counts as a list of one."""
    for k, item in enumerate(found if isinstance(found, list) else [found]):
        yield f"{place}[{k}]", item


def table(found: Any) -> Mapping[str, Any]:
    """A mapping, empty where something else stands."""
    return found if isinstance(found, Mapping) else {}


def words(found: Any) -> str:
    """A scalar as text, "" for null; what is nested is left to who knows it."""
    return "" if found is None or isinstance(found, (list, Mapping)) else str(found)


def claim_of(path: Path, place: str, metric: str, value: Any, **rest: Any) -> Claim:
    """One claim from a written metric and value. Raises BadData naming the entry whose value cannot be read."""
    name = read_metric(metric)
    try:
        number, tolerance = read_value(value, is_share(name.metric))
    except ValueError as wrong:
        raise BadData(f"`{path}`: `{place}` ({metric}): {wrong}") from wrong
    given: dict[str, Any] = {"definition": name.definition, "split": name.split, "extractor": name.extractor}
    given |= {"tolerance": tolerance} | {key: found for key, found in rest.items() if found}
    return Claim(name.metric, number, **given)


def number_of(path: Path, place: str, found: Any) -> float:
    """A number beside the value (a bound, a count), 0 where nothing stands. Raises BadData."""
    if found is None:
        return 0.0
    try:
        return float(found)
    except (TypeError, ValueError) as wrong:
        raise BadData(f"`{path}`: `{place}` must be a number, got {found!r}") from wrong


def dataset_name(name: str, config: str = "", revision: str = "") -> str:
    """A data set as one word: `glue/mrpc@5503434`."""
    parts = name if not config or config == "default" else f"{name}/{config}"
    return f"{parts}@{revision}" if revision else parts
