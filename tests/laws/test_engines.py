"""Every engine in the catalog obeys the laws, and the laws catch engines that do not."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from roadworthy.serve.base import engine
from roadworthy.testing.engines import check_engine, check_order

Columns = dict[str, Any]


@pytest.mark.parametrize("name", list(engine))
def test_every_engine_obeys_the_laws(name: str, tmp_path: Path) -> None:
    leaf = engine.get(name)
    absent = [module for module, _ in getattr(leaf, "needs", ()) if importlib.util.find_spec(module) is None]
    if absent:
        pytest.skip(f"{name} needs {absent}")
    check_engine(leaf, tmp_path)


def leaf_of(answer: Callable[[Columns], Any], rows: int = 4) -> type:
    class Faulty:
        @classmethod
        def example(cls, folder: Path) -> tuple[Callable[[Columns], Any], Columns]:
            x = np.arange(rows, dtype=np.float32)[::-1].copy().reshape(-1, 1)
            return answer, {"x": x}

    return Faulty


def remembering() -> Callable[[Columns], Any]:
    seen: list[int] = []

    def answer(columns: Columns) -> Any:
        seen.append(1)
        return {"y": columns["x"][:, 0] + len(seen)}

    return answer


def changing(columns: Columns) -> Any:
    columns["x"] += 1
    return {"y": columns["x"][:, 0]}


def refusing_nothing(columns: Columns) -> Any:
    if not len(columns["x"]):
        raise ValueError("found array with 0 samples")
    return {"y": columns["x"][:, 0]}


FAULTY = {
    "at once otherwise than 1 at a time": lambda c: (
        {"y": c["x"][:, 0] - c["x"].mean()} if len(c["x"]) else {"y": c["x"][:, 0]}
    ),
    "asked the same again": remembering(),
    "changes its input": changing,
    "no rows to no rows": refusing_nothing,
    "given 4 rows and answers 3": lambda c: {"y": c["x"][1:, 0]},
    "the same to every row": lambda c: {"y": np.ones(len(c["x"]))},
    "no output": lambda c: {},
    "answers 1 rows in 'y' to no rows": lambda c: {"y": c["x"][:, 0] if len(c["x"]) else np.ones(1)},
}


@pytest.mark.parametrize("law", FAULTY)
def test_a_faulty_engine_is_caught_by_its_law(law: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=law):
        check_engine(leaf_of(FAULTY[law]), tmp_path)


def test_an_engine_that_sorts_its_answers_is_caught_by_the_law_of_order() -> None:
    with pytest.raises(AssertionError, match="does not keep the order"):
        check_order(lambda c: {"y": np.sort(c["x"][:, 0])}, {"x": np.array([[3.0], [1.0], [2.0]])})


def test_a_good_engine_of_text_passes(tmp_path: Path) -> None:
    check_engine(leaf_of(lambda c: {"y": np.array([f"{x:g}" for x in c["x"][:, 0]], dtype=object)}), tmp_path)


def test_an_example_of_two_rows_is_too_small(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="need at least 3"):
        check_engine(leaf_of(lambda c: {"y": c["x"][:, 0]}, rows=2), tmp_path)


def test_an_engine_without_an_example_is_told_what_to_add(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="add `@classmethod def example"):
        check_engine(type("Bare", (), {}), tmp_path)


def test_an_engine_that_takes_text_with_nulls_is_held_to_the_laws_too(tmp_path: Path) -> None:
    def words(changed: bool) -> type:
        def answer(columns: Columns) -> Any:
            if changed and len(columns["w"]):
                columns["w"][0, 0] = "gone"
            return {"y": np.array([len(str(word)) for word in columns["w"][:, 0]], dtype=np.int64)}

        class Words:
            @classmethod
            def example(cls, folder: Path) -> tuple[Callable[[Columns], Any], Columns]:
                return answer, {"w": np.array([["a"], [None], ["ccc"]], dtype=object)}

        return Words

    check_engine(words(changed=False), tmp_path)
    with pytest.raises(AssertionError, match="changes its input 'w'"):
        check_engine(words(changed=True), tmp_path)
