"""Prompts writes out the questions of an lm-eval task: templates over the rows of a file, behind few-shot examples."""

from __future__ import annotations

import ast
import importlib.util
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from roadworthy.core.errors import BadData, MissingExtra, SpecError

Row = Mapping[str, Any]
Render = Callable[[str, Row], str]
# The seed that lm-eval draws few-shot examples with unless it is told another.
FEWSHOT_SEED = 1234


class Prompts(NamedTuple):
    """What is asked, and what should be written, row by row."""

    texts: list[str]
    targets: list[str]


def read_prompts(plan: Mapping[str, Any], path: Path) -> tuple[Prompts, list[Path]]:
    """The prompts of a task's test rows, or validation rows without those, and the files that they came from.

    Raises SpecError for settings that are missing or not read here, BadData for rows that do not fit them.
    """
    split = plan.get("test_split") or plan.get("validation_split")
    for key in ("doc_to_text", "doc_to_target"):
        if not isinstance(plan.get(key), str):
            raise SpecError(f"{str(path)!r}: `{key}` must be a template or the name of a column, got {plan.get(key)!r}")
    if plan.get("dataset_path") != "json" or not split:
        told = f"got `dataset_path: {plan.get('dataset_path')}` with the split {split!r}"
        raise SpecError(f"{str(path)!r}: rows come from `dataset_path: json` with a `test_split`; {told}")
    render, files = renderer(), _files(plan, path)
    rows = _read(files, str(split), plan, path)
    shots = _Shots(plan, path, files)
    try:
        texts = [shots.before(row, render) + _question(plan, row, render) for row in rows]
        return Prompts(texts, [_target(plan["doc_to_target"], row, render) for row in rows]), files[str(split)]
    except _template_errors() as wrong:
        raise BadData(f"{str(path)!r}: a template does not fit the rows of {split!r}: {wrong}") from wrong


def renderer() -> Render:
    """Renders a Jinja2 template, or takes the column of that name; a name that a row has not is an error.

    Templates come with the task's file and run in Jinja2's sandbox.
    """
    if importlib.util.find_spec("jinja2") is None:
        raise MissingExtra("reading an lm-eval task", "jinja2", "report")
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    world = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
    world.filters["regex_replace"] = lambda text, pattern, by, count=0: re.sub(pattern, by, text, count=count)

    def render(template: str, row: Row) -> str:
        return str(row[template]) if template in row else str(world.from_string(template).render(dict(row)))

    return render


class _Shots:
    """The few-shot examples in front of each question, drawn from their pool as lm-eval draws them."""

    def __init__(self, plan: Mapping[str, Any], path: Path, files: Mapping[str, list[Path]]) -> None:
        config = plan.get("fewshot_config") or {}
        self.plan, self.count = {**plan, **config}, int(plan.get("num_fewshot") or 0)
        self.sampler, self._random = config.get("sampler", "default"), random.Random(FEWSHOT_SEED)
        if self.sampler not in ("default", "first_n"):
            raise SpecError(f"{str(path)!r}: `sampler` must be default or first_n, got {self.sampler!r}")
        split = config.get("split") or plan.get("fewshot_split")
        # Examples out of the tested rows must not give away the row that is asked about.
        self.tested = bool(split) and split == plan.get("test_split")
        self.pool: list[Row] = []
        if self.count:
            self.pool = _read(files, str(split), plan, path) if split else list(config.get("samples") or ())
        if self.count and self.count + self.tested > len(self.pool):
            told = f"`num_fewshot` asks for {self.count} examples, and there are {len(self.pool) - self.tested}"
            raise BadData(f"{str(path)!r}: {told}; name a `fewshot_split` with enough rows")

    def before(self, row: Row, render: Render) -> str:
        """Everything that comes before the question of this row."""
        description = render(self.plan.get("description", ""), row)
        return description + "".join(self._example(shot, render) for shot in self._chosen(row))

    def _chosen(self, row: Row) -> list[Row]:
        if not self.count:
            return []
        if self.sampler == "first_n":
            return [shot for shot in self.pool if not self.tested or shot != row][: self.count]
        # The row that is asked about may be among those drawn, and is then left out.
        drawn = self._random.sample(self.pool, self.count + self.tested)
        kept = [shot for shot in drawn if not self.tested or shot != row][: self.count]
        if len(kept) < self.count:
            return self._random.sample([shot for shot in self.pool if shot != row], self.count)
        return kept

    def _example(self, row: Row, render: Render) -> str:
        question, answer = render(self.plan["doc_to_text"], row), _target(self.plan["doc_to_target"], row, render)
        prefix = render(self.plan.get("gen_prefix") or "", row)
        between = str(self.plan.get("target_delimiter", " "))
        if prefix:
            between = between if _apart(question, prefix) else ""
            answer = prefix + (" " if answer and _apart(prefix, answer) else "") + answer
        return question + between + answer + str(self.plan.get("fewshot_delimiter", "\n\n"))


def _question(plan: Mapping[str, Any], row: Row, render: Render) -> str:
    text, prefix = render(plan["doc_to_text"], row), render(plan.get("gen_prefix") or "", row)
    return text + (plan.get("target_delimiter", " ") if prefix and _apart(text, prefix) else "") + prefix


def _apart(before: str, after: str) -> bool:
    """Whether two texts would run together."""
    return bool(before) and not (before[-1].isspace() or after[0].isspace())


def _target(template: str, row: Row, render: Render) -> str:
    text = render(template, row)
    if template not in row and len(text) >= 2 and text[0] == "[" and text[-1] == "]" and _is_list(text):
        raise BadData(f"the target {text!r} lists several right answers, of which only one is read here")
    return text


def _is_list(text: str) -> bool:
    try:
        return isinstance(ast.literal_eval(text), list)
    except (SyntaxError, ValueError):
        return False


def _files(plan: Mapping[str, Any], path: Path) -> dict[str, list[Path]]:
    """The files of each split; one that names no split is that of `train`, as in the datasets library."""
    named = (plan.get("dataset_kwargs") or {}).get("data_files")
    if not named:
        raise SpecError(f"{str(path)!r}: `dataset_kwargs.data_files` must name a local JSON or JSON lines file")
    splits = named if isinstance(named, dict) else {"train": named}
    return {
        split: [path.parent / name for name in ([names] if isinstance(names, str) else names)]
        for split, names in splits.items()
    }


def _read(files: Mapping[str, list[Path]], split: str, plan: Mapping[str, Any], path: Path) -> list[Row]:
    if split not in files:
        raise SpecError(f"{str(path)!r}: no file for the split {split!r} (data_files: {', '.join(files) or 'none'})")
    inside = (plan.get("dataset_kwargs") or {}).get("field")
    rows = [row for file in files[split] for row in _rows(file, inside)]
    if not rows:
        raise BadData(f"{str(path)!r}: the split {split!r} has no rows")
    return rows


def _rows(file: Path, inside: str | None) -> Iterator[Row]:
    """The rows of a JSON array, or of a file with an object a line. Raises BadData with the line."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as wrong:
        raise BadData(f"{str(file)!r} cannot be read: {wrong}; correct `data_files`") from wrong
    if inside or text.lstrip().startswith("["):
        whole = _parsed(text, file, 1)
        yield from whole[inside] if inside else whole
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            row = _parsed(line, file, number)
            if not isinstance(row, dict):
                raise BadData(f"{str(file)!r}, line {number}: must be an object, got {line[:60]!r}")
            yield row


def _parsed(text: str, file: Path, line: int) -> Any:
    try:
        return json.loads(text)
    except ValueError as wrong:
        raise BadData(f"{str(file)!r}, line {line}: is no JSON ({wrong}); write an object a line") from wrong


def _template_errors() -> tuple[type[Exception], ...]:
    """What a template that does not fit its rows comes to: Jinja2's own errors, and those of the values in it."""
    from jinja2 import TemplateError

    return (TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError)
