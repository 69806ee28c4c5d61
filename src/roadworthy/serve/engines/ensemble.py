"""Several models answer together, and how far they disagree says how much they do not know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.errors import BadData, SpecError, nearest
from roadworthy.core.spec import Signature
from roadworthy.serve.base import Engine, engine
from roadworthy.serve.formats.base import LIMITS, Limits
from roadworthy.serve.formats.folder import opened
from roadworthy.serve.inner import Outer
from roadworthy.serve.uncertainty.decomposition import Answers, spread

Columns = Mapping[str, NDArray[Any]]


@engine("ensemble")
@dataclass(frozen=True)
class Ensemble:
    """The mean of several models, with `epistemic` and `aleatoric` uncertainty beside it.

    Lakshminarayanan et al. 2017 (deep ensembles), Depeweg et al. 2018 (the split). The model is a folder: each file in
    it is a member, run by the plan `member` (where empty, by what its content is). `members` instead names each file
    with a plan of its own; a member without a file, such as `remote`, has a name that is no file. `code` and `trust`
    count for all of them, and other code that a plan names is in the same file.

    `kind` says what they answer: `probabilities` and `logits` (each made probabilities before the mean) are split in
    nats, `values` in units squared, where the output named `variance` is what a member takes for noise. Of several
    outputs `answer` is the one; `output` renames it.
    """

    file: Path = Path()
    member: Any = ""
    members: Mapping[str, Any] = field(default_factory=dict)
    kind: Answers = "probabilities"
    answer: str = ""
    variance: str = ""
    output: str = ""
    code: str = ""
    trust: bool = False
    limits: Limits = LIMITS
    folder: Path = Path()

    def __post_init__(self) -> None:
        if self.variance and self.kind != "values":
            raise ValueError(f"`variance` belongs to `kind: values`, got `kind: {self.kind}`")

    def __call__(self, columns: Columns) -> dict[str, NDArray[Any]]:
        """The mean answer (n,) or (n, k), `epistemic` (n,) and `aleatoric` (n,)."""
        found = [(name, model(columns)) for name, model in self._models.items()]
        answers = [(name, self._of(name, outputs, self.answer)) for name, outputs in found]
        noise = [(name, self._of(name, outputs, self.variance)) for name, outputs in found] if self.variance else None
        given = spread(_alike(answers), self.kind, None if noise is None else _alike(noise))
        named = self.output or self.answer or self._only(found[0][1])
        return {named: given.mean, "epistemic": given.epistemic, "aleatoric": given.aleatoric}

    @property
    def waits(self) -> bool:
        """Whether one of the members waits for others."""
        return any(getattr(model, "waits", False) for model in self._models.values())

    def check(self, signature: Signature) -> None:
        """Raise BadData where a member does not take these inputs."""
        for model in self._models.values():
            check = getattr(model, "check", None)
            if check is not None:
                check(signature)

    @classmethod
    def example(cls, folder: Path) -> tuple[Ensemble, dict[str, NDArray[Any]]]:
        """Three small models written into `folder`, and rows for them: what the laws run every engine on."""
        import skops.io
        from sklearn.linear_model import LogisticRegression

        drawn = np.random.default_rng(0)
        rows = drawn.normal(size=(60, 3)).astype(np.float32)
        (folder / "example").mkdir(exist_ok=True)
        for k in range(3):
            some = drawn.integers(0, 60, 60)
            lab = LogisticRegression().fit(rows[some], (rows[:, 0] > rows[:, 1])[some])
            skops.io.dump(lab, folder / "example" / f"{k}.skops")
        return cls(folder / "example"), {name: rows[:9, [k]] for k, name in enumerate("abc")}

    @cached_property
    def _models(self) -> Mapping[str, Engine]:
        place = None if self.file == Path() else opened(Path(self.file), self, self.limits)
        outer = Outer(place, self.folder, self.code, self.trust, limits=self.limits)
        plans = self.members or dict.fromkeys(outer.files(), self.member)
        if len(plans) < 2:
            raise BadData(f"an ensemble has 2 members or more, got {len(plans)} in {str(self.file)!r}")
        return {name: outer.engine(name, plan) for name, plan in plans.items()}

    def _of(self, member: str, outputs: Columns, wanted: str) -> NDArray[Any]:
        name = wanted or self._only(outputs)
        if name not in outputs:
            has = ", ".join(outputs)
            raise SpecError(f"member {member!r} has no output {name!r}{nearest(name, outputs)} (it has: {has})")
        return np.asarray(outputs[name])

    def _only(self, outputs: Columns) -> str:
        if len(outputs) != 1:
            raise SpecError(f"the members answer {', '.join(outputs)}: say as `answer` which of them is put together")
        return next(iter(outputs))


def _alike(answers: list[tuple[str, NDArray[Any]]]) -> NDArray[Any]:
    """The answers as one array (m, n, ...). Raises BadData naming the member whose answer has another shape."""
    first, shape = answers[0][0], answers[0][1].shape
    for name, values in answers:
        if values.shape != shape:
            raise BadData(f"member {name!r} answers the shape {values.shape} and {first!r} {shape}: they must be alike")
    return np.stack([values for _, values in answers])
