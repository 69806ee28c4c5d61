"""A model with the distance of each row to what it was trained on, beside its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.errors import BadData, SpecError, nearest
from roadworthy.core.spec import Signature
from roadworthy.serve.base import Engine, engine
from roadworthy.serve.formats.base import LIMITS, Limits
from roadworthy.serve.formats.folder import opened
from roadworthy.serve.inner import Outer
from roadworthy.serve.uncertainty.distance import Reference, fit_spreads, read, strangeness, write

Columns = Mapping[str, NDArray[Any]]


@engine("distance")
@dataclass(frozen=True)
class Distance:
    """Another engine, with `distance` to the training rows and its p-value `ood` beside its answer.

    The model is a folder with the inner model and the file `reference`, which `uncertainty.distance.write` made of
    rows of the training set (their spread, or a coreset of them) and of held-out ones. `inner` is the inner engine's
    plan (where empty, by what its file is), `model` its file where there are several. Distances are between inputs:
    all numeric ones in the order of the signature, or `columns`; or between values of the inner answer `of`, such as
    an embedding, which is then handed out only with `keep`. `ood` is small for a strange row: among rows like the
    held-out ones it is at most a in at most a share a of them.
    """

    file: Path
    inner: Any = ""
    model: str = ""
    reference: str = "reference.npz"
    columns: tuple[str, ...] = ()
    of: str = ""
    keep: bool = False
    name: str = "ood"
    output: str = ""
    code: str = ""
    trust: bool = False
    limits: Limits = LIMITS
    folder: Path = Path()

    def __post_init__(self) -> None:
        if self.of and self.columns:
            raise ValueError(f"distances are between `columns` or of an answer: got {self.columns!r} and {self.of!r}")

    def __call__(self, columns: Columns) -> dict[str, NDArray[Any]]:
        """The inner outputs, `distance` (n,) and `ood` (n,)."""
        found = dict(self._inner(columns))
        rows = self._answer(found) if self.of else self._inputs(columns)
        away, p = strangeness(self._reference, rows)
        if self.of and not self.keep:
            del found[self.of]
        return {**found, "distance": away, self.name: p}

    @property
    def waits(self) -> bool:
        """Whether the inner engine waits for others."""
        return bool(getattr(self._inner, "waits", False))

    def check(self, signature: Signature) -> None:
        """Raise BadData where the inner engine or the reference does not take these inputs."""
        check = getattr(self._inner, "check", None)
        if check is not None:
            check(signature)
        if self.of:
            return
        numeric = [name for name, field in signature.inputs.items() if field.datatype != "BYTES"]
        for name in self.columns:
            if name not in numeric:
                raise BadData(f"no numeric input {name!r}{nearest(name, numeric)} (known: {', '.join(numeric)})")
        width = sum(signature.inputs[name].width for name in self.columns or numeric)
        if width != len(self._reference.centre):
            raise BadData(f"the reference has {len(self._reference.centre)} values a row, the inputs have {width}")

    @classmethod
    def example(cls, folder: Path) -> tuple[Distance, dict[str, NDArray[Any]]]:
        """A small model and its reference written into `folder`, and rows: what the laws run every engine on."""
        import skops.io
        from sklearn.linear_model import LogisticRegression

        rows = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
        (folder / "example").mkdir(exist_ok=True)
        lab = LogisticRegression().fit(rows, rows[:, 0] > rows[:, 1])
        skops.io.dump(lab, folder / "example" / "model.skops")
        write(fit_spreads(rows[:40], rows[40:], Random(0)), folder / "example" / "reference.npz")
        return cls(folder / "example"), {name: rows[:9, [k]] for k, name in enumerate("abc")}

    @cached_property
    def _place(self) -> Path:
        return opened(Path(self.file), self, self.limits)

    @cached_property
    def _inner(self) -> Engine:
        outer = Outer(self._place, self.folder, self.code, self.trust, "" if self.of else self.output, self.limits)
        others = [name for name in outer.files() if name != self.reference]
        if not self.model and len(others) != 1:
            told = ", ".join(others) or "none"
            raise SpecError(f"beside {self.reference!r} lie {told}: say as `model` which of them is the model")
        return outer.engine(self.model or others[0], self.inner)

    @cached_property
    def _reference(self) -> Reference:
        return read(self._place / self.reference)

    def _inputs(self, columns: Columns) -> NDArray[Any]:
        names = self.columns or tuple(name for name, values in columns.items() if values.dtype != object)
        if not names:
            raise SpecError("no input is a number: take the distance of an answer, such as `of: embedding`")
        return np.concatenate([np.asarray(columns[name], np.float64) for name in names], axis=1)

    def _answer(self, found: Columns) -> NDArray[Any]:
        if self.of not in found:
            has = ", ".join(found)
            raise SpecError(f"the inner model has no answer {self.of!r}{nearest(self.of, found)} (it has: {has})")
        values = found[self.of]
        return values.reshape(len(values), -1)
