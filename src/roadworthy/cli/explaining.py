"""Opens the model of a release, so that its answers can be attributed to their inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from roadworthy.cli.flows import handler_of
from roadworthy.cli.opening import registry_of
from roadworthy.cli.spans import last_rows
from roadworthy.core.catalog import read_plan
from roadworthy.core.errors import BadData, Missing
from roadworthy.core.insides import Columns, Explained, Insides
from roadworthy.core.sample import Sample
from roadworthy.core.window import Window
from roadworthy.evaluate.answers import answers
from roadworthy.observe.base import explainer
from roadworthy.observe.explain import Explanation, explain
from roadworthy.observe.explanation.attributions import Attribution, attribute
from roadworthy.observe.profiles import reference_of
from roadworthy.registry.releases import Registry
from roadworthy.serve.base import engine
from roadworthy.serve.columns import dtype_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from roadworthy.core.artifact import Release
    from roadworthy.core.record import Record
    from roadworthy.core.spec import Signature, Spec
    from roadworthy.core.wire import Handler
    from roadworthy.store.state import State

# Exact ones first; the last one fits every model.
ORDER = ("linear", "tree", "sampled")
BACKGROUND_ROWS = 200
# Wrappers that change no answer: what the engine says is what the caller got.
CLEAR = {"cache"}


def explained(spec: Spec, state: State, id: str) -> Explanation:
    """The answer for one prediction, attributed to its inputs, and asked again of the release that gave it."""
    registry = registry_of(spec, state)

    def handler(release: Release) -> Handler:
        return handler_of(spec, release, registry.files(release))

    def made_on(release: Release) -> Window | None:
        try:
            return reference_of(state, release.digest)
        except Missing:
            return None

    attributer = Attributer(spec, state, registry)
    return explain(state, registry, id, handler, reference_of=made_on, attribute=attributer)


class _Opened(NamedTuple):
    """A release's model as a function, what is inside of it where that is known, and rows to set an answer against."""

    predict: Any
    insides: Insides | None
    background: Columns


class Attributer:
    """Attributes answers of any release of a project; what it has opened stays open."""

    def __init__(self, spec: Spec, state: State, registry: Registry, cpu_seconds: float = 0.5) -> None:
        self.spec, self.state, self.registry = spec, state, registry
        settings = {"sampled": {"cpu_seconds": cpu_seconds}}
        self._explainers = [explainer.make({name: settings.get(name)}) for name in ORDER]
        self._opened: dict[str, _Opened] = {}

    def __call__(self, record: Record, release: Release) -> Attribution:
        """Which inputs made a record's answer. Raises BadData where that is text, or nothing is there to compare."""
        if release.digest not in self._opened:
            self._opened[release.digest] = self._open(release)
        opened = self._opened[release.digest]
        row = columns_of(release.signature, {name: [value] for name, value in record.inputs.items()})
        model = Explained(_of_one(opened.predict, record), opened.insides)
        return attribute(self._explainers, model, row, opened.background)

    def of(self, record: Record) -> Attribution:
        """The same, for whoever has only the record."""
        return self(record, self.registry.get(record.release))

    def _open(self, release: Release) -> _Opened:
        """The engine where it alone makes the answer, else the whole stack of handlers."""
        background = columns_of(release.signature, self._background(release).inputs)
        if not _is_clear(release):
            return _Opened(self._handler(release), None, background)
        runs = self._engine(release)
        return _Opened(runs, runs.insides(background) if hasattr(runs, "insides") else None, background)

    def _handler(self, release: Release) -> Any:
        handler = handler_of(self.spec, release, self.registry.files(release))
        return lambda columns: {"answer": answers(handler, Sample(_flat(columns)), release.signature)}

    def _engine(self, release: Release) -> Any:
        files = self.registry.files(release)
        plan = next(artifact.engine for artifact in release.artifacts if artifact.name == "model")
        output = next(iter(release.signature.outputs)) if len(release.signature.outputs) == 1 else ""
        return engine.make(plan, self.spec.root, file=files["model"], folder=self.spec.root, output=output)

    def _background(self, release: Release) -> Window:
        """Rows that the release was made on; where no profile is kept, the last ones that it or another answered."""
        try:
            found: Window = reference_of(self.state, release.digest)
        except Missing:
            records, most = self.state.records, 10 * BACKGROUND_ROWS
            found = Window.of(last_rows(records, most, release.digest) or last_rows(records, most))
        rows = np.random.default_rng(0).permutation(found.n)[:BACKGROUND_ROWS]
        return found.take(np.sort(rows))


def columns_of(signature: Signature, values: Mapping[str, Sequence[Any] | NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Inputs by name as an engine takes them: (n, width) of the field's type. Raises BadData for one that is absent."""
    lacking = [name for name in signature.inputs if name not in values]
    if lacking:
        raise BadData(f"no values of the input {lacking[0]!r} are at hand (there are: {', '.join(values) or 'none'})")
    found = {}
    for name, field in signature.inputs.items():
        column = np.array(list(values[name]), dtype_of(field))
        found[name] = column.reshape(len(values[name]), field.width)
    return found


def _of_one(predict: Any, record: Record) -> Any:
    """The model as a function to one number a row: of several classes the probability of the one that was answered."""
    answer = next(iter(record.outputs.values()), None)
    if isinstance(answer, str) or answer is None:
        raise BadData(f"the answer of {record.id!r} is {answer!r}, and only numbers can be attributed to inputs")
    column = int(np.argmax(answer)) if isinstance(answer, list | tuple) else -1

    def one(columns: Columns) -> NDArray[np.float64]:
        found = np.asarray(next(iter(predict(columns).values())), np.float64)
        return found.reshape(len(found), -1)[:, column]

    return one


def _is_clear(release: Release) -> bool:
    bare = not release.preprocessing and not release.members
    return bare and all(read_plan(plan)[0] in CLEAR for plan in release.wrappers)


def _flat(columns: Columns) -> dict[str, NDArray[Any]]:
    """Columns of width 1 as (n,), and numbers as float64: what a Sample holds."""
    return {
        name: (values[:, 0] if values.shape[1] == 1 else values).astype(object if values.dtype == object else float)
        for name, values in columns.items()
    }
