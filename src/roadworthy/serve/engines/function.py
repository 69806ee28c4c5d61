"""Any Python function of the project as a model."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core import catalog
from roadworthy.core.errors import BadData, SpecError
from roadworthy.core.spec import Signature
from roadworthy.serve.base import engine
from roadworthy.serve.formats.base import LIMITS, Limits
from roadworthy.serve.formats.folder import opened

Columns = Mapping[str, NDArray[Any]]


@engine("function")
@dataclass(frozen=True)
class Function:
    """A function `file.py:predict` on columns, or with `rows` on one row at a time, as a dict.

    `load: file.py:load`, where given, is called once with the model's file (a folder where the model is one), and what
    it returns is handed to the function first: `predict(model, columns)`. The function answers a mapping of arrays, or
    one array; of a row a mapping of values, or one value. One answer is named `output` (`value`). A generator function
    answers one row piece by piece, and is not batched: each piece is a value or a mapping. The code is the project's
    own, is part of the release, and runs; what `load` does with the file is its own affair.
    """

    code: str
    file: Path = Path()
    load: str = ""
    rows: bool = False
    output: str = ""
    limits: Limits = LIMITS
    folder: Path = Path()

    def __call__(self, columns: Columns) -> dict[str, NDArray[Any]]:
        """Outputs of shape (n,) or (n, k). Raises BadData where the function answers something else."""
        if self.streams:
            raise BadData(f"`{self.code}` is a generator function: it answers in a stream, not in batches")
        if not self.rows:
            return self._named(self._function(columns))
        answers = [self._each(self._function(row)) for row in _rows(columns)]
        if not answers:
            return {name: np.empty(0) for name in self._names}
        self.__dict__["_names"] = tuple(answers[0])
        return {name: self._stacked(name, answers) for name in answers[0]}

    @property
    def streams(self) -> bool:
        """Whether the function is a generator function."""
        return inspect.isgeneratorfunction(self._code)

    def stream(self, columns: Columns) -> Iterator[Mapping[str, NDArray[Any]]]:
        """The pieces of the answer for one row, each of shape (1,) or (1, k)."""
        asked = next(_rows(columns)) if self.rows else columns
        for piece in self._function(asked):
            yield {name: _piece(value) for name, value in self._each(piece).items()}

    def check(self, signature: Signature) -> None:
        """Raise SpecError where the function cannot be called as the settings say."""
        given = 2 if self.load else 1
        try:
            inspect.signature(self._code).bind(*range(given))
        except TypeError as wrong:
            takes = "(model, columns)" if self.load else "(columns)"
            raise SpecError(f"`{self.code}` cannot be called as {takes}: {wrong}") from wrong
        self.__dict__["_names"] = tuple(signature.outputs) or self._names

    @classmethod
    def example(cls, folder: Path) -> tuple[Function, dict[str, NDArray[Any]]]:
        """A small function written into `folder`, and rows for it: what the laws run every engine on."""
        (folder / "example.py").write_text(_EXAMPLE, encoding="utf-8")
        rows = np.random.default_rng(0).normal(size=(6, 1)).astype(np.float32)
        carriers = np.array([["AA"], ["UA"], [None], ["AA"], ["DL"], [None]], dtype=object)
        return cls("example.py:predict", rows=True, folder=folder), {"wind": rows, "carrier": carriers}

    @cached_property
    def _code(self) -> Callable[..., Any]:
        return _callable(self.code, self.folder)

    @cached_property
    def _function(self) -> Callable[[Any], Any]:
        """The function of columns or of a row, the loaded model being its first argument where there is one."""
        code = self._code
        if not self.load:
            return code
        model = _callable(self.load, self.folder)(opened(Path(self.file), self, self.limits))
        return lambda asked: code(model, asked)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        """The outputs, as far as known before the first row."""
        return (self.output or "value",)

    def _named(self, answer: Any) -> dict[str, NDArray[Any]]:
        return {name: np.asarray(values) for name, values in self._each(answer).items()}

    def _each(self, answer: Any) -> Mapping[str, Any]:
        if answer is None:
            raise BadData(f"`{self.code}` answered None; it must return an array, a value, or a mapping of them")
        return answer if isinstance(answer, Mapping) else {self.output or "value": answer}

    def _stacked(self, name: str, answers: list[Mapping[str, Any]]) -> NDArray[Any]:
        try:
            values = [answer[name] for answer in answers]
        except KeyError as absent:
            raise BadData(f"`{self.code}` answered {name!r} for the first row and not for another") from absent
        return np.array(values, dtype=object) if any(isinstance(value, str) for value in values) else np.array(values)


def _callable(where: str, folder: Path) -> Callable[..., Any]:
    found = catalog.load(where, folder)
    if not callable(found):
        raise SpecError(f"`{where}` is not a function, but {found!r:.60}")
    called: Callable[..., Any] = found
    return called


def _rows(columns: Columns) -> Iterator[dict[str, Any]]:
    """Each row as a dict of plain values, a list where it has several; a null number is NaN, a null text None."""
    plain = {name: (values[:, 0] if values.shape[1] == 1 else values).tolist() for name, values in columns.items()}
    for row in zip(*plain.values(), strict=True):
        yield dict(zip(plain, row, strict=True))


def _piece(value: Any) -> NDArray[Any]:
    array = np.array([value], dtype=object) if isinstance(value, str) else np.asarray(value)
    return array.reshape(1, -1) if array.size != 1 else array.reshape(1)


_EXAMPLE = '''"""A rule of two columns, for the laws of engines."""


def predict(row):
    return {"late": row["wind"] > 0, "because": f"{row['carrier']} with wind {row['wind']:.1f}"}
'''
