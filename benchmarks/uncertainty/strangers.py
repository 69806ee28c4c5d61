"""How well each score tells strange digits from sound ones, and what each uncertainty costs in CPU time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np
from digit_nets import MEMBERS, SAMPLES, Rows, dropout_in, ensemble_in, train

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import auc, proportion
from roadworthy.serve.engines.torch import Torch
from roadworthy.serve.uncertainty.decomposition import as_probabilities, class_entropy
from roadworthy.serve.uncertainty.distance import fit_neighbours, fit_spreads, strangeness
from roadworthy.serve.wrappers.doubt import Doubt
from roadworthy.serve.wrappers.energy import Energy
from roadworthy.serve.wrappers.energy import fit as fit_energy


def strangers(folder: Path) -> list[Measurement]:
    """Nets that know 0 to 4: how well each score tells 5 to 9, and spoilt images of 0 to 4, from sound ones."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images, labels = digits.data.astype(np.float32), digits.target
    rng = np.random.default_rng(3)
    order = rng.permutation(len(labels))
    known = order[labels[order] < 5]
    seen, held, asked = np.split(known, [500, 650])
    place = folder / "five"
    train(place, images[seen], labels[seen], range(MEMBERS), classes=5)
    scores = _scores(folder, place, images, seen, labels[seen], held)
    shifts = {"other digits": images[labels >= 5], **_spoilt(images[asked], rng)}
    found = []
    for name, score in scores.items():
        sound = score(images[asked])
        for shift, rows in shifts.items():
            strange = score(rows)
            truth = np.r_[np.zeros(len(sound)), np.ones(len(strange))]
            found.append(_as_auroc(auc(truth, np.r_[sound, strange], f"{shift}: {name}")))
        if name.startswith(("energy", "distance")):
            found.append(proportion("ood_false_alarms", int((sound >= 0.95).sum()), len(sound), f"p <= 0.05: {name}"))
    return found


def _scores(
    folder: Path, place: Path, images: Rows, seen: Rows, classes: Rows, held: Rows
) -> dict[str, Callable[[Rows], Rows]]:
    """Scores that grow with strangeness; those with a p-value are 1 - p."""
    opened = Torch(place / "0.safetensors", "net.py:Open", {"classes": 5}, folder=folder)

    def embedding(rows: Rows) -> Rows:
        return opened({"pixels": rows})["embedding"]

    energy = fit_energy(opened({"pixels": images[held]})["logits"], Random(0))
    references = {
        "distance, Mahalanobis of inputs": (fit_spreads(images[seen], images[held], Random(0), classes), None),
        "distance, neighbours of inputs": (fit_neighbours(images[seen], images[held], Random(0), 200), None),
        "distance, Mahalanobis of embedding": (
            fit_spreads(embedding(images[seen]), embedding(images[held]), Random(0), classes),
            embedding,
        ),
        "distance, neighbours of embedding": (
            fit_neighbours(embedding(images[seen]), embedding(images[held]), Random(0), 200),
            embedding,
        ),
    }

    def far(reference: Any, of: Callable[[Rows], Rows] | None) -> Callable[[Rows], Rows]:
        return lambda rows: 1 - strangeness(reference, rows if of is None else of(rows))[1]

    ensemble, thinned = ensemble_in(place, folder, 5), dropout_in(place, folder, 5)
    return {
        "energy": lambda rows: 1 - energy.on_outputs(opened({"pixels": rows}))["ood"],
        "entropy": lambda rows: class_entropy(as_probabilities(opened({"pixels": rows})["logits"][None])[0]),
        **{name: far(*reference) for name, reference in references.items()},
        "ensemble epistemic": lambda rows: ensemble({"pixels": rows})["epistemic"],
        "dropout epistemic": lambda rows: thinned({"pixels": rows})["epistemic"],
    }


def _spoilt(images: Rows, rng: np.random.Generator) -> dict[str, Rows]:
    square = images.reshape(-1, 8, 8)
    return {
        "noise of 4 in 16": np.clip(images + rng.normal(0, 4, images.shape), 0, 16).astype(np.float32),
        "upside down": np.ascontiguousarray(square[:, ::-1, :]).reshape(images.shape),
        "inverted": 16 - images,
        "half of it hidden": np.where(np.arange(64) % 8 < 4, 0, images).astype(np.float32),
    }


def costs(folder: Path) -> list[Measurement]:
    """CPU time of each uncertainty over that of the plain forward pass, measured in turns."""
    from sklearn.datasets import load_digits

    images, place = load_digits().data.astype(np.float32), folder / "five"
    net = Torch(place / "0.safetensors", "net.py:Open", {"classes": 5}, folder=folder)
    embedding = net({"pixels": images[:600]})["embedding"]
    energy = Energy(held=tuple(np.linspace(-9, -3, 999)))
    spreads = fit_spreads(embedding[:400], embedding[400:], Random(0))
    points = fit_neighbours(embedding[:400], embedding[400:], Random(0), 400)
    mean, thinned, doubt = ensemble_in(place, folder, 5), dropout_in(place, folder, 5), Doubt("p")
    found = []
    for n in (1, 256):
        rows = {"pixels": images[:n]}
        outputs = net(rows)
        outputs = {**outputs, "p": as_probabilities(outputs["logits"][None])[0]}
        jobs: dict[str, Callable[[], Any]] = {
            "plain": lambda rows=rows: net(rows),
            f"ensemble of {MEMBERS}": lambda rows=rows: mean(rows),
            f"dropout, {SAMPLES} samples": lambda rows=rows: thinned(rows),
            "entropy and margin": lambda o=outputs: doubt.on_outputs(o),
            "energy": lambda o=outputs: energy.on_outputs(o),
            "Mahalanobis of embedding": lambda o=outputs: strangeness(spreads, o["embedding"]),
            "400 neighbours of embedding": lambda o=outputs: strangeness(points, o["embedding"]),
        }
        seconds = _interleaved(jobs)
        found += [_ratio(name, took, seconds["plain"], n) for name, took in seconds.items()]
    return found


def _interleaved(jobs: Mapping[str, Callable[[], Any]], rounds: int = 60, repeats: int = 5) -> dict[str, Rows]:
    """CPU seconds of one call of each job, round by round."""
    for job in jobs.values():
        job()
    took: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            began = time.process_time()
            for _ in range(repeats):
                job()
            took[name].append((time.process_time() - began) / repeats)
    return {name: np.array(times) for name, times in took.items()}


def _ratio(name: str, took: Rows, plain: Rows, n: int) -> Measurement:
    """The median over rounds, with the distribution-free interval of its order statistics."""
    where = f"batch of {n}: {name}"
    ordered = np.sort(took if name == "plain" else took / plain)
    half = int(0.98 * np.sqrt(len(ordered))) + 1
    middle = len(ordered) // 2
    low, value, high = (float(ordered[k]) for k in (middle - half, middle, middle + half))
    if name == "plain":
        return Measurement("uncertainty_us", value * 1e6, len(took), low * 1e6, high * 1e6, "us", where)
    return Measurement("uncertainty_cpu_over_forward", value, len(took), low, high, where=where)


def _as_auroc(area: Measurement) -> Measurement:
    return msgspec.structs.replace(area, name="ood_auroc")
