"""Tasks reads an lm-eval task (YAML over a local JSON file) into rows, answer filters and a metric, and writes one.

It asks no model: a task is a Sample of prompts and targets, which is asked and scored like any other.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np
import yaml
from msgspec.structs import replace
from numpy.typing import NDArray

from roadworthy.core import spec
from roadworthy.core.errors import BadData, SpecError
from roadworthy.core.measure import Measurement
from roadworthy.core.sample import Sample
from roadworthy.evaluate.answer_filters import UNFILTERED, AnswerFilter, read_filters, write_filters
from roadworthy.evaluate.metrics.exact_match import ExactMatch
from roadworthy.evaluate.prompts import Prompts, read_prompts
from roadworthy.evaluate.scoring import scored

# Keys that change nothing in what is asked and scored, or say what is the case here anyway.
IDLE = {"task", "task_alias", "tag", "group", "metadata", "dataset_name", "training_split", "should_decontaminate"}
DATA = {"dataset_path", "dataset_kwargs", "test_split", "validation_split", "fewshot_split"}
PROMPT = {"doc_to_text", "doc_to_target", "description", "target_delimiter", "fewshot_delimiter", "gen_prefix"}
PROMPT |= {"num_fewshot", "fewshot_config"}
SCORE = {"output_type", "filter_list", "metric_list", "generation_kwargs", "repeats", "include"}
# What a handler is told, and what lm-eval calls it.
PARAMETERS = {"stop": "until", "max_tokens": "max_gen_toks", "temperature": "temperature", "top_p": "top_p"}


@dataclass(frozen=True)
class Filtered:
    """A metric of what a filter finds in the answers, called as lm-eval does: "exact_match,strict-match".

    `conditions["stderr"]` is lm-eval's standard error, that of the mean of the rows with n - 1.
    """

    tasks: ClassVar[tuple[spec.Task, ...]] = ("generation",)
    best: ClassVar[float | None] = 1.0

    find: AnswerFilter = UNFILTERED
    metric: ExactMatch = field(default_factory=ExactMatch)

    def __call__(self, labels: NDArray[Any], answers: NDArray[Any], where: str = "") -> Measurement:
        labels, answers = scored(labels, answers)
        found = self.metric(labels, self.found(answers), where)
        share, n = found.value, found.n
        error = {"stderr": math.sqrt(share * (1 - share) / (n - 1))} if n > 1 else {}
        told = {**found.conditions, "filter": self.find.name, **error}
        return replace(found, name=f"{found.name},{self.find.name}", conditions=told)

    def rows(self, labels: NDArray[Any], answers: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether each answer is its target, once it is found."""
        return self.metric.rows(labels, self.found(answers))

    def found(self, answers: NDArray[Any]) -> NDArray[Any]:
        """What the filter finds in each answer."""
        return np.array([self.find(text) for text in answers], dtype=object)


@dataclass(frozen=True)
class LmTask:
    """`sample` holds the prompts, with `targets`; `parameters` go with each request (stop, max_tokens, ...)."""

    name: str
    sample: Sample
    filters: tuple[AnswerFilter, ...] = (UNFILTERED,)
    metric: ExactMatch = field(default_factory=ExactMatch)
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def metrics(self) -> tuple[Filtered, ...]:
        """The metric after each filter: what `gap` takes, so that strict and flexible stand side by side."""
        return tuple(Filtered(one, self.metric) for one in self.filters)

    @property
    def application(self) -> spec.Application:
        """What `gap` needs to know of it: text in, text out."""
        return spec.Application(self.name, "generation", dict(self.sample.fields), output="text")

    def score(self, answers: Sequence[str | None] | NDArray[Any]) -> tuple[Measurement, ...]:
        """One Measurement a filter; an answer that is None counts as wrong, as nothing was found in it."""
        said = np.array([self.stopped(text or "") for text in answers], dtype=object)
        if len(said) != self.sample.n:
            raise BadData(f"{len(said)} answers for the {self.sample.n} rows of task {self.name!r}")
        targets = np.asarray(self.sample.targets)
        return tuple(metric(targets, said) for metric in self.metrics)

    def stopped(self, text: str) -> str:
        """The text up to the first stop that it holds: a model that was told to stop there would have."""
        ends = [text.find(stop) for stop in self.parameters.get("stop", ()) if stop in text]
        return text[: min(ends)] if ends else text


def read_task(path: Path) -> LmTask:
    """The task in an lm-eval YAML whose data is a local JSON or JSON lines file, relative to it.

    Raises SpecError for what is not read here, by name: Python functions, choices, other metrics; a score that is
    nearly that of lm-eval would be worse than none. Few-shot examples are drawn as lm-eval draws them (seed 1234).
    """
    plan = _plan(path)
    strange = plan.keys() - IDLE - DATA - PROMPT - SCORE
    if strange:
        raise SpecError(f"{str(path)!r}: `{sorted(strange)[0]}` is not read here (known: {_known()})")
    if plan.get("output_type", "generate_until") != "generate_until" or plan.get("repeats", 1) != 1:
        raise SpecError(f"{str(path)!r}: only `output_type: generate_until`, asked once (`repeats: 1`), is read here")
    prompts, files = read_prompts(plan, path)
    settings = plan.get("generation_kwargs") or {}
    parameters = {ours: settings[theirs] for ours, theirs in PARAMETERS.items() if theirs in settings}
    stops = parameters.get("stop", [plan.get("fewshot_delimiter", "\n\n")])
    parameters["stop"] = [stops] if isinstance(stops, str) else list(stops)
    return LmTask(
        name=str(plan.get("task", path.stem)),
        sample=_sample(prompts, str(path), files),
        filters=read_filters(plan.get("filter_list")),
        metric=_metric(plan.get("metric_list"), path),
        parameters=parameters,
    )


def write_task(task: LmTask, folder: Path) -> Path:
    """The task as `<name>.yaml` and `<name>.jsonl` for lm-eval; prompts are written out, few-shot examples and all."""
    rows = folder / f"{task.name}.jsonl"
    prompts, targets = task.sample.columns["prompt"], np.asarray(task.sample.targets)
    lines = (json.dumps({"prompt": p, "target": t}, ensure_ascii=False) for p, t in zip(prompts, targets, strict=True))
    rows.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    exact = {"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}
    settings = {theirs: task.parameters[ours] for ours, theirs in PARAMETERS.items() if ours in task.parameters}
    ignored = msgspec.to_builtins(task.metric)
    plan = {
        "task": task.name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(rows.resolve())}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "prompt",
        "doc_to_target": "target",
        "num_fewshot": 0,
        "generation_kwargs": {"until": [], "do_sample": False, **settings},
        "filter_list": write_filters(task.filters),
        "metric_list": [{**exact, **{key: value for key, value in ignored.items() if key != "confidence" and value}}],
    }
    path = folder / f"{task.name}.yaml"
    path.write_text(yaml.safe_dump(plan, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def _known() -> str:
    return ", ".join(sorted(IDLE | DATA | PROMPT | SCORE))


def _plan(path: Path, including: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The YAML with what it includes below it."""
    if path.resolve() in including:
        raise SpecError(f"{str(path)!r} includes itself")
    try:
        plan = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as wrong:
        hint = "; it calls Python (`!function`), which is not run here" if "!function" in str(wrong) else ""
        raise SpecError(f"{str(path)!r} cannot be read as an lm-eval task: {wrong}{hint}") from wrong
    if not isinstance(plan, dict):
        raise SpecError(f"{str(path)!r} is no lm-eval task: it holds {type(plan).__name__}, not settings")
    below = _plan(path.parent / plan["include"], (*including, path.resolve())) if "include" in plan else {}
    return {**below, **plan}


def _metric(listed: Sequence[Mapping[str, Any]] | None, path: Path) -> ExactMatch:
    names = [one.get("metric") for one in listed or ()]
    if names != ["exact_match"]:
        raise SpecError(f"{str(path)!r}: `metric_list` must be exact_match alone, got {names!r}")
    settings = {key: value for key, value in (listed or ())[0].items() if key.startswith(("ignore_", "regexes_"))}
    try:
        return msgspec.convert(settings, ExactMatch)
    except (msgspec.ValidationError, ValueError) as wrong:
        raise SpecError(f"{str(path)!r}: exact_match with {settings!r}: {wrong}") from wrong


def _sample(prompts: Prompts, source: str, files: Sequence[Path]) -> Sample:
    digests = [sha256(file.read_bytes()).hexdigest() for file in files]
    return Sample(
        {"prompt": np.array(prompts.texts, dtype=object)},
        ids=np.array([str(row) for row in range(len(prompts.texts))], dtype=object),
        source=source,
        digest=digests[0] if len(digests) == 1 else sha256("".join(digests).encode()).hexdigest(),
        fields={"prompt": spec.Field("text")},
        targets=np.array(prompts.targets, dtype=object),
    )
