"""A task of lm-eval is asked and scored as lm-eval would; the real one is run by benchmarks/gap/lm_eval_task.py."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from roadworthy.core.errors import BadData, RoadworthyError, SpecError
from roadworthy.core.measure import Claim
from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.evaluate.gap import Effort, gap
from roadworthy.evaluate.tasks import LmTask, read_task, write_task

STRICT = {
    "name": "strict-match",
    "filter": [{"function": "regex", "regex_pattern": "#### (\\-?[0-9\\.\\,]+)"}, {"function": "take_first"}],
}
FLEXIBLE = {
    "name": "flexible-extract",
    "filter": [
        {"function": "regex", "group_select": -1, "regex_pattern": "(-?[$0-9.,]{2,})|(-?[0-9]+)"},
        {"function": "take_first"},
    ],
}
EXACT = {"metric": "exact_match", "ignore_case": True, "regexes_to_ignore": [",", "(?s).*#### ", "\\.$"]}
PLAN: dict[str, Any] = {
    "task": "sums",
    "dataset_path": "json",
    "dataset_kwargs": {"data_files": {"test": "test.jsonl", "train": "train.jsonl"}},
    "test_split": "test",
    "fewshot_split": "train",
    "output_type": "generate_until",
    "doc_to_text": "Question: {{question}}\nAnswer:",
    "doc_to_target": "{{answer}}",
    "generation_kwargs": {"until": ["Question:"], "temperature": 0.0, "max_gen_toks": 64},
    "filter_list": [STRICT, FLEXIBLE],
    "metric_list": [EXACT],
}
ROWS = [{"question": f"{a} + {a + 1}?", "answer": f"{a}+{a + 1}\n#### {2 * a + 1:,}"} for a in range(0, 2000, 10)]
SHOTS = [{"question": f"{k} + 0?", "answer": f"#### {k}"} for k in range(6)]


def task_in(folder: Path, rows: Any = ROWS, **changes: Any) -> Path:
    """PLAN with changes as a file, beside its rows; a change to None leaves the key out."""
    for name, part in (("test", rows), ("train", SHOTS)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    plan = {key: value for key, value in {**PLAN, **changes}.items() if value is not None}
    path = folder / "sums.yaml"
    path.write_text(yaml.safe_dump(plan))
    return path


def oracle() -> list[str]:
    """Three in four are right in form, a fifth of the rest in words, others wrong."""
    found = []
    for number, row in enumerate(ROWS):
        total = row["answer"].rpartition("#### ")[2]
        found.append(row["answer"] if number % 4 else f"It is {total}." if number % 5 == 0 else "who knows")
    return found


def test_the_score_and_its_standard_error_are_those_of_lm_eval(tmp_path: Path) -> None:
    strict, flexible = read_task(task_in(tmp_path)).score(oracle())
    assert (strict.name, strict.value, strict.n) == ("exact_match,strict-match", 0.75, 200)
    assert round(strict.conditions["stderr"], 4) == 0.0307
    assert strict.low < 0.75 < strict.high
    assert (flexible.name, flexible.value) == ("exact_match,flexible-extract", 0.8)
    assert flexible.conditions["stderr"] == pytest.approx(math.sqrt(0.8 * 0.2 / 199))


def test_prompts_are_the_templates_over_the_rows(tmp_path: Path) -> None:
    task = read_task(task_in(tmp_path, description="Add.\n", gen_prefix="It is"))
    assert task.sample.columns["prompt"][1] == "Add.\nQuestion: 10 + 11?\nAnswer: It is"
    assert task.sample.targets is not None
    assert task.sample.targets[1] == "10+11\n#### 21"
    assert task.sample.of_kind("text") == ("prompt",)
    assert task.parameters == {"stop": ["Question:"], "max_tokens": 64, "temperature": 0.0}


def test_a_template_may_be_the_name_of_a_column_and_may_replace(tmp_path: Path) -> None:
    task = read_task(task_in(tmp_path, doc_to_text="question", doc_to_target="{{question | regex_replace(' .*', '')}}"))
    assert (task.sample.columns["prompt"][3], np.asarray(task.sample.targets)[3]) == ("30 + 31?", "30")


def test_examples_are_drawn_as_lm_eval_draws_them(tmp_path: Path) -> None:
    task, chance = read_task(task_in(tmp_path, num_fewshot=2)), random.Random(1234)
    for prompt in task.sample.columns["prompt"][:5]:
        shots = chance.sample(SHOTS, 2)
        before = "".join(f"Question: {s['question']}\nAnswer: {s['answer']}\n\n" for s in shots)
        assert prompt.startswith(before + "Question: ")


def test_the_first_examples_may_be_asked_for(tmp_path: Path) -> None:
    config = {"sampler": "first_n", "samples": SHOTS[3:], "doc_to_target": "{{question}}"}
    task = read_task(task_in(tmp_path, num_fewshot=1, fewshot_split=None, fewshot_config=config))
    assert task.sample.columns["prompt"][0] == "Question: 3 + 0?\nAnswer: 3 + 0?\n\nQuestion: 0 + 1?\nAnswer:"


@pytest.mark.parametrize("sampler", ["default", "first_n"])
def test_a_row_is_never_its_own_example(tmp_path: Path, sampler: str) -> None:
    path = task_in(tmp_path, ROWS[:4], num_fewshot=3, fewshot_split="test", fewshot_config={"sampler": sampler})
    for prompt, row in zip(read_task(path).sample.columns["prompt"], ROWS, strict=False):
        assert prompt.count("Question:") == 4
        assert prompt.count(row["question"]) == 1


def test_examples_out_of_the_tested_rows_are_drawn_with_one_to_spare(tmp_path: Path) -> None:
    rows = ROWS[:6]
    task, chance = read_task(task_in(tmp_path, rows, num_fewshot=2, fewshot_split="test")), random.Random(1234)
    for row, prompt in zip(rows, task.sample.columns["prompt"], strict=True):
        shots = [shot for shot in chance.sample(rows, 3) if shot != row][:2]
        asked = [line.removeprefix("Question: ") for line in prompt.splitlines() if line.startswith("Question: ")]
        assert asked == [*(shot["question"] for shot in shots), row["question"]]


def test_text_after_a_stop_does_not_count(tmp_path: Path) -> None:
    task = read_task(task_in(tmp_path, ROWS[:2], generation_kwargs={"until": ["</s>", "Question:"]}))
    assert task.stopped("a Question: b </s> c") == "a "
    strict, flexible = task.score(["#### 1\n\nQuestion: 8?\n#### 8", "#### 21 Question: 5"])
    assert (strict.value, flexible.value) == (1.0, 1.0)


def test_without_filters_the_whole_text_is_compared(tmp_path: Path) -> None:
    task = read_task(task_in(tmp_path, ROWS[:2], filter_list=None, metric_list=[{"metric": "exact_match"}]))
    (score,) = task.score([ROWS[0]["answer"], "21"])
    assert (score.name, score.value) == ("exact_match,none", 0.5)


def test_an_answer_that_failed_is_wrong(tmp_path: Path) -> None:
    assert read_task(task_in(tmp_path, ROWS[:2])).score([None, "#### 21"])[0].value == 0.5
    with pytest.raises(BadData, match="1 answers for the 2 rows of task 'sums'"):
        read_task(task_in(tmp_path, ROWS[:2])).score(["#### 21"])


def test_steps_follow_one_another(tmp_path: Path) -> None:
    steps = [
        {"function": "uppercase"},
        {"function": "remove_whitespace"},
        {"function": "regex", "regex_pattern": "[A-D]"},
    ]
    rows = [{"question": "?", "answer": "B"}] * 2
    task = read_task(task_in(tmp_path, rows, filter_list=[{"name": "letter", "filter": steps}]))
    assert task.score([" (b) ", "none of these"])[0].value == 0.5


def test_what_is_written_is_read_as_the_same_task(tmp_path: Path) -> None:
    task = read_task(task_in(tmp_path, num_fewshot=2))
    (tmp_path / "again").mkdir()
    again = read_task(write_task(task, tmp_path / "again"))
    assert again.sample.columns["prompt"].tolist() == task.sample.columns["prompt"].tolist()
    assert np.asarray(again.sample.targets).tolist() == np.asarray(task.sample.targets).tolist()
    assert (again.filters, again.metric, again.parameters) == (task.filters, task.metric, task.parameters)
    assert again.score(oracle()) == task.score(oracle())


def test_a_task_goes_through_the_gap_with_both_extractors(tmp_path: Path) -> None:
    task: LmTask = read_task(task_in(tmp_path))
    said = dict(zip(task.sample.columns["prompt"], oracle(), strict=True))

    async def answer(request: Request) -> Response:
        (prompt,) = request.inputs["prompt"].data
        return Response(request.id, {"text": Tensor("text", "BYTES", (1,), [said[prompt]])})

    claims = [Claim(f"exact_match,{name}", 0.8, 0.01) for name in ("strict-match", "flexible-extract")]
    effort, metrics = Effort(load_seconds=0.0, crowd_rows=0), task.metrics
    report = gap(answer, task.application, task.sample, task.sample, metrics=metrics, claims=claims, effort=effort)
    assert [m.value for m in report.lab] == [0.75, 0.8]
    assert report.reproductions[1].measured.value == 0.8


def test_a_json_array_and_an_include_are_read(tmp_path: Path) -> None:
    task_in(tmp_path)
    (tmp_path / "rows.json").write_text(json.dumps({"data": ROWS[:3]}))
    kwargs = {"data_files": {"test": ["rows.json"]}, "field": "data"}
    (tmp_path / "few.yaml").write_text(
        yaml.safe_dump({"include": "sums.yaml", "task": "few", "dataset_kwargs": kwargs})
    )
    task = read_task(tmp_path / "few.yaml")
    assert (task.name, task.sample.n) == ("few", 3)


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"output_type": "multiple_choice"}, "only `output_type: generate_until`"),
        ({"repeats": 8}, "asked once"),
        ({"process_docs": "x"}, "`process_docs` is not read here"),
        ({"dataset_path": "openai/gsm8k"}, "rows come from `dataset_path: json`.*openai/gsm8k"),
        ({"dataset_kwargs": {}}, "`dataset_kwargs.data_files` must name"),
        ({"test_split": "dev"}, "no file for the split 'dev'"),
        ({"test_split": None}, "with a `test_split`"),
        ({"doc_to_text": None}, "`doc_to_text` must be a template"),
        ({"doc_to_text": "{{quesion}}"}, "a template does not fit the rows of 'test': 'quesion' is undefined"),
        ({"doc_to_text": "{{ question | int / 0 }}"}, "a template does not fit"),
        ({"doc_to_text": "{{ question.__class__.__mro__ }}"}, "unsafe|does not fit"),
        ({"doc_to_target": "['a', 'b']"}, "several right answers"),
        ({"metric_list": [{"metric": "bleu"}]}, r"must be exact_match alone, got \['bleu'\]"),
        ({"metric_list": [{"metric": "exact_match", "regexes_to_ignore": ["("]}]}, "no regular expression"),
        ({"filter_list": [{"name": "x", "filter": [{"function": "regexp"}]}]}, "did you mean 'regex'"),
        ({"filter_list": [{"name": "x", "filter": [{"function": "regex", "regex_pattern": "("}]}]}, "no regular exp"),
        ({"filter_list": [{"name": "x", "filter": [{"function": "regex", "groups": 1}]}]}, "no setting 'groups'"),
        ({"num_fewshot": 9}, "asks for 9 examples, and there are 6"),
        ({"num_fewshot": 1, "fewshot_config": {"sampler": "balanced"}}, "must be default or first_n"),
        ({"include": "sums.yaml"}, "includes itself"),
    ],
)
def test_what_cannot_be_read_exactly_is_refused_by_name(tmp_path: Path, changes: dict[str, Any], because: str) -> None:
    with pytest.raises(RoadworthyError, match=because):
        read_task(task_in(tmp_path, **changes))


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("- a\n- b", "holds list, not settings"),
        ("doc_to_text: !function utils.text", "calls Python"),
        ("a: [", "cannot be read as an lm-eval task"),
    ],
)
def test_a_file_that_is_no_task_is_refused(tmp_path: Path, text: str, because: str) -> None:
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(SpecError, match=because):
        read_task(tmp_path / "t.yaml")


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ('{"question": "a", "answer": "b"}\n{"quest', r"test.jsonl', line 2: is no JSON"),
        ("[1", "line 1: is no JSON"),
        ('"text"', "line 1: must be an object"),
        ("", "the split 'test' has no rows"),
    ],
)
def test_rows_that_are_torn_are_told_with_their_line(tmp_path: Path, text: str, because: str) -> None:
    path = task_in(tmp_path)
    (tmp_path / "test.jsonl").write_text(text)
    with pytest.raises(BadData, match=because):
        read_task(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = task_in(tmp_path)
    (tmp_path / "test.jsonl").unlink()
    with pytest.raises(BadData, match=r"test.jsonl' cannot be read"):
        read_task(path)
