"""Rows made up from stated figures, to plan the first rollout of a deployment that has answered nobody yet."""

from __future__ import annotations

import numpy as np

from roadworthy.core.window import Window

_MOST_ROWS = 50_000


def stated_traffic(
    requests_per_hour: float,
    error_rate: float,
    base_rate: float,
    rng: np.random.Generator,
    until: float = 0.0,
    output: str = "probability",
    labelled: float = 1.0,
    label_delay_hours: float = 1.0,
    seconds: float = 0.02,
    days: float = 14.0,
) -> Window:
    """Two weeks of stable that end at `until`: independent requests at an even rate, honest probabilities, no cycle.

    `base_rate` is the mean of the labels, which `labelled` of the requests get, `label_delay_hours` later. Raises
    ValueError on a figure that cannot be.
    """
    _check(requests_per_hour, error_rate, base_rate, labelled)
    n = int(min(_MOST_ROWS, max(2, requests_per_hour * 24 * days)))
    at = np.array(until - np.arange(n, 0, -1) * (3600 / requests_per_hour), np.float64)
    answers = rng.beta(4 * base_rate, 4 * (1 - base_rate), n)
    known, happened = rng.random(n) < labelled, rng.random(n) < answers
    labels = np.array(np.where(known, happened, np.nan), np.float64)
    failed = rng.random(n) < error_rate
    took = seconds * np.exp(0.3 * rng.standard_normal(n))
    return Window(
        {},
        {output: np.where(failed, np.nan, answers)},
        labels,
        at,
        ids=np.array([f"stated-{k}" for k in range(n)], object),
        confidence=np.maximum(answers, 1 - answers),
        known_at=np.where(np.isnan(labels), np.nan, at + 3600 * label_delay_hours),
        errors=np.where(failed, "RuntimeError: as stated", np.full(n, None, object)),
        seconds={"total": took, "model": 0.8 * took},
        arms=np.full(n, "stable", object),
    )


def _check(requests_per_hour: float, error_rate: float, base_rate: float, labelled: float) -> None:
    if not 0 < requests_per_hour < float("inf"):
        raise ValueError(f"`requests_per_hour` must be above 0, got {requests_per_hour!r}")
    for name, share in (("error_rate", error_rate), ("labelled", labelled)):
        if not 0 <= share <= 1:
            raise ValueError(f"`{name}` is a share between 0 and 1, got {share!r}")
    if not 0 < base_rate < 1:
        raise ValueError(f"`base_rate` must lie between 0 and 1, got {base_rate!r}")
