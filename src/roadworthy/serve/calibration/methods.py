"""The ways to calibrate that we have, the simplest first, and how each is fitted by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from roadworthy.core.errors import BadData, unknown
from roadworthy.serve.calibration.applied import Scores
from roadworthy.serve.calibration.labelled_rows import binary_rows, class_rows
from roadworthy.serve.wrappers import (
    beta_calibrated,
    calibrated,
    classwise,
    histogram,
    isotonic,
    temperature,
    vector_scaling,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

Task = Literal["binary", "multiclass"]
NOTHING = "none"


class Outputs(NamedTuple):
    """Which output of a model is calibrated, and what it holds where the classes are several."""

    name: str
    of: Scores = "probabilities"


class Method(NamedTuple):
    """How one way is fitted, for which task, and on which outputs (`of`); the order of METHODS is from simple on."""

    task: Task
    fit: Callable[[ArrayLike, ArrayLike, Outputs], Any]
    of: tuple[Scores, ...] = ("probabilities", "logits")


def _named(fit: Callable[..., Any]) -> Callable[[ArrayLike, ArrayLike, Outputs], Any]:
    return lambda labels, outputs, of: fit(labels, outputs, output=of.name)


def _platt(labels: ArrayLike, probabilities: ArrayLike, output: str) -> calibrated.Calibrated:
    made = calibrated.fit(labels, probabilities)
    return calibrated.Calibrated(made.slope, made.intercept, output)


def _scored(fit: Callable[..., Any]) -> Callable[[ArrayLike, ArrayLike, Outputs], Any]:
    return lambda labels, outputs, of: fit(labels, outputs, of.name, of.of)


def _each(fit: Callable[..., Any]) -> Method:
    return Method("multiclass", _named(partial(classwise.fit, each=fit)), ("probabilities",))


METHODS: Mapping[str, Method] = {
    "calibrated": Method("binary", _named(_platt)),
    "beta_calibrated": Method("binary", _named(beta_calibrated.fit)),
    "histogram": Method("binary", _named(histogram.fit)),
    "isotonic": Method("binary", _named(isotonic.fit)),
    "temperature": Method("multiclass", _scored(temperature.fit)),
    "vector_scaling": Method("multiclass", _scored(vector_scaling.fit)),
    "classwise calibrated": _each(calibrated.fit),
    "classwise beta_calibrated": _each(beta_calibrated.fit),
    "classwise histogram": _each(histogram.fit),
    "classwise isotonic": _each(isotonic.fit),
}


def methods_for(task: Task, of: Scores = "probabilities") -> list[str]:
    """The names of the ways that serve a task and such outputs, the simplest first."""
    return [name for name, method in METHODS.items() if method.task == task and of in method.of]


def named(methods: Sequence[str], task: Task, of: Scores) -> list[str]:
    """The methods of these names, or all that serve. Raises BadData for one that does not serve such a task."""
    serving = methods_for(task, of)
    for name in methods:
        if name not in serving:
            raise BadData(unknown(f"way to calibrate {of} of a {task} task", name, serving))
    return list(methods) or serving


def fit_by_name(
    name: str, labels: ArrayLike, outputs: ArrayLike, output: str = "", of: Scores = "probabilities"
) -> Any:
    """The wrapper that the method `name` finds; `output` ("": the usual name) is which output of the model it is for.

    Raises BadData for a name that nobody knows and for rows that the method cannot learn from.
    """
    if name not in METHODS:
        raise BadData(unknown("method", name, METHODS))
    method = METHODS[name]
    if of not in method.of:
        raise BadData(f"{name} needs probabilities, and these are {of}: put `temperature` first, or choose it instead")
    return method.fit(labels, outputs, Outputs(output or usual_output(method.task), of))


def usual_output(task: Task) -> str:
    """What models call the output that is calibrated, where nobody says."""
    return "probability" if task == "binary" else "probabilities"


def checked(labels: ArrayLike, outputs: ArrayLike, task: Task, of: Scores, least: int) -> tuple[NDArray[Any], Floats]:
    """Labels and outputs as arrays. Raises BadData for what no method could learn from."""
    if task == "binary":
        return binary_rows(labels, outputs, least, "a choice among methods")
    return class_rows(labels, outputs, least, "a choice among methods", of == "probabilities")


def apply(leaf: Any, outputs: Floats, of: Scores = "probabilities") -> Floats:
    """The probabilities that a wrapper makes of a model's outputs; None only takes logits through their softmax."""
    if leaf is None:
        leaf = temperature.Temperature(output="scores", of=of)
        return outputs if outputs.ndim == 1 or of == "probabilities" else leaf.on_outputs({"scores": outputs})["scores"]
    found: Floats = leaf.on_outputs({leaf.output: outputs})[leaf.output]
    return found
