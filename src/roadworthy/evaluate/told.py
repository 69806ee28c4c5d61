"""Told is what answers say beside their values: how sure they are, sets, intervals, ways and prices, row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.errors import BadData
from roadworthy.core.wire import Response, Tensor

Floats = NDArray[np.float64]
Objects = NDArray[np.object_]

# The outputs that hold an interval, the stop at which a row was left to others, and what marks such rows.
LOW, HIGH = "low", "high"
ABSTAIN, ABSTAINED = "abstain", "abstained"


@dataclass(frozen=True)
class Told:
    """One entry a row (n,), and None where no answer said anything of the kind.

    A row that is not told of has NaN, an empty way, and None for a set. `intervals` are (n, 2), `flagged` are the rows
    that the model abstained from. `beside` (n,) or (n, k) is what a router's other model said of the same rows, where
    it was asked too: the output `<model>.<output>`.
    """

    confidence: Floats | None = None
    sets: Objects | None = None
    intervals: Floats | None = None
    ways: Objects | None = None
    usd: Floats | None = None
    flagged: NDArray[np.bool_] | None = None
    beside: Floats | None = None


class Telling:
    """Gathers what the answers to `n` rows tell beside their `output`; a column is made when first it is needed."""

    def __init__(self, n: int, output: str = "") -> None:
        self.n, self.output = n, output
        self._columns: dict[str, NDArray[Any]] = {}

    def heard(self, response: Response, rows: range) -> None:
        """What the answer to these rows tells. Raises BadData where it does not tell as much of each of them."""
        if response.confidence is not None:
            self._put("confidence", rows, np.asarray(_each(response.confidence, rows, "confidences"), np.float64))
        if response.prediction_set is not None:
            self._list("sets", rows, [tuple(one) for one in _each(response.prediction_set, rows, "prediction sets")])
        if response.path or response.paths is not None:
            self._ways(response, rows)
        if response.usd is not None:
            self._put("usd", rows, np.array(response.usd_of_rows(len(rows)), np.float64))
        marks = response.parameters.get(ABSTAINED)
        if marks is not None:
            self._put("flagged", rows, np.asarray(_each(marks, rows, "marks of abstention"), bool), False)
        if isinstance(response.outputs, Mapping):
            self._interval(response.outputs, rows)
            self._beside(response.outputs, rows)

    @property
    def told(self) -> Told:
        """All that was told."""
        return Told(**self._columns)

    def left_to_others(self, row: int) -> bool:
        """Whether the model said that it abstains from this row."""
        flagged = self._columns.get("flagged")
        return flagged is not None and bool(flagged[row])

    def _ways(self, response: Response, rows: range) -> None:
        if response.paths is not None:
            _each(response.paths, rows, "ways")
        ways = [response.row_path(k) for k in range(len(rows))]
        self._list("ways", rows, ways, ())
        left = [any(step.at == ABSTAIN for step in way) for way in ways]
        if any(left):
            self._put("flagged", rows, np.array(left), False)

    def _interval(self, outputs: Mapping[str, Tensor], rows: range) -> None:
        """Two outputs of one number a row; others of these names are something else."""
        if not {LOW, HIGH} <= outputs.keys():
            return
        ends = [outputs[name] for name in (LOW, HIGH)]
        if all(one.datatype.startswith("FP") and np.size(one.data) == len(rows) for one in ends):
            columns = [np.asarray(one.data, np.float64).reshape(-1) for one in ends]
            self._put("intervals", rows, np.stack(columns, axis=1))

    def _beside(self, outputs: Mapping[str, Tensor], rows: range) -> None:
        for name, tensor in outputs.items():
            if self.output and name.endswith(f".{self.output}") and tensor.datatype.startswith("FP"):
                table = np.asarray(tensor.data, np.float64).reshape(len(rows), -1)
                self._put("beside", rows, table[:, 0] if table.shape[1] == 1 else table)

    def _put(self, name: str, rows: range, values: NDArray[Any], empty: Any = np.nan) -> None:
        if name not in self._columns:
            self._columns[name] = np.full((self.n, *values.shape[1:]), empty, dtype=values.dtype)
        self._columns[name][rows.start : rows.stop] = values

    def _list(self, name: str, rows: range, values: Sequence[Any], empty: Any = None) -> None:
        """Tuples, each in a cell of its own: numpy would make a table of them."""
        if name not in self._columns:
            self._columns[name] = np.empty(self.n, object)
            self._columns[name].fill(empty)
        column = self._columns[name]
        for row, value in zip(rows, values, strict=True):
            column[row] = value


def _each(values: Sequence[Any], rows: range, what: str) -> Sequence[Any]:
    if len(values) != len(rows):
        raise BadData(f"{len(values)} {what} came back for {len(rows)} rows")
    return values
