"""The answers of several models to the same rows, as one answer and what it does not know.

Epistemic uncertainty is that the models disagree: more data would settle it. Aleatoric uncertainty is what they agree
cannot be known from the inputs. Both add up to the uncertainty of the mean answer.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.errors import BadData

# What an answer is: probabilities (n,) of the second class or (n, k) of all, logits of the same shapes, or numbers.
Answers = Literal["probabilities", "logits", "values"]

# Rounding of a softmax in half precision, and not another kind of number.
_ROUNDING = 1e-2


class Spread(NamedTuple):
    """The mean answer of several models, and what of its uncertainty is of which kind, a number a row."""

    mean: NDArray[Any]
    epistemic: NDArray[np.float64]
    aleatoric: NDArray[np.float64]


def spread(answers: NDArray[Any], kind: Answers, variances: NDArray[Any] | None = None) -> Spread:
    """The answers (m, n) or (m, n, k) of m models to n rows, put together. Raises BadData where they are no `kind`."""
    if kind == "values":
        return of_values(answers, variances)
    return of_probabilities(answers if kind == "probabilities" else as_probabilities(answers))


def of_probabilities(answers: NDArray[Any]) -> Spread:
    """Mean probabilities, split in nats: entropy of the mean = mutual information + mean entropy of the models.

    Depeweg et al. 2018, "Decomposition of uncertainty in Bayesian deep learning"; the mean over models is the deep
    ensemble of Lakshminarayanan et al. 2017. `answers` are (m, n), probabilities of the second class, or (m, n, k). A
    NaN stays one.
    """
    p = np.asarray(answers, np.float64)
    _see_probabilities(p)
    entropy = coin_entropy if p.ndim == 2 else class_entropy
    mean = p.mean(axis=0)
    aleatoric = entropy(p).mean(axis=0)
    # The mutual information is never negative; rounding may make it so.
    return Spread(mean.astype(answers.dtype, copy=False), np.maximum(entropy(mean) - aleatoric, 0.0), aleatoric)


def of_values(answers: NDArray[Any], variances: NDArray[Any] | None = None) -> Spread:
    """Mean numbers, split in units squared: variance of the mixture = variance of the means + mean of the variances.

    Lakshminarayanan et al. 2017, "Simple and scalable predictive uncertainty estimation using deep ensembles".
    `variances` (m, n) are what each model takes for the noise of its row; 0 where the models do not say. Of an answer
    (m, n, k) the k variances are added up.
    """
    found = np.asarray(answers, np.float64)
    noise = np.zeros_like(found) if variances is None else np.asarray(variances, np.float64)
    if noise.shape != found.shape or (noise < 0).any():
        raise BadData(
            f"a variance is 0 or more for each value: got shapes {noise.shape} and {found.shape}, "
            f"the least being {noise.min(initial=0.0):g}"
        )
    mean = found.mean(axis=0)
    parts = found.var(axis=0), noise.mean(axis=0)
    epistemic, aleatoric = (part.sum(axis=1) if part.ndim == 2 else part for part in parts)
    return Spread(mean.astype(answers.dtype, copy=False), epistemic, aleatoric)


def as_probabilities(logits: NDArray[Any]) -> NDArray[np.float64]:
    """The softmax over the last axis of (m, n, k), the logistic function of (m, n)."""
    found = np.asarray(logits, np.float64)
    if found.ndim == 2:
        return np.asarray(0.5 + 0.5 * np.tanh(0.5 * found))
    grown = np.exp(found - found.max(axis=-1, keepdims=True))
    return np.asarray(grown / grown.sum(axis=-1, keepdims=True))


def coin_entropy(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """The entropy in nats of yes or no, `p` being the probability of yes."""
    return _terms(p) + _terms(1.0 - p)


def class_entropy(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """The entropy in nats over the last axis of probabilities of k classes."""
    return np.asarray(_terms(p).sum(axis=-1))


def _terms(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """-p log p, which is 0 at 0."""
    return np.asarray(-p * np.log(np.where(p > 0, p, 1.0)))


def _see_probabilities(p: NDArray[np.float64]) -> None:
    """Raise BadData for numbers that are no probabilities, such as logits."""
    wrong = (p < -_ROUNDING) | (p > 1 + _ROUNDING)
    if wrong.any():
        raise BadData(
            f"a probability lies between 0 and 1, got {p[wrong][0]:g}: say `kind: logits` if those are logits"
        )
    sums = p.sum(axis=-1) if p.ndim == 3 else np.empty(0)
    off = np.abs(sums - 1.0) > _ROUNDING
    if off.any():
        raise BadData(f"the probabilities of all classes add up to 1, got a row that adds up to {sums[off][0]:g}")
