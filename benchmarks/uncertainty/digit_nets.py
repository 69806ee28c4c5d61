"""Small nets with dropout that read digits, trained on the spot, and the engines that run them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.serve.engines.ensemble import Ensemble
from roadworthy.serve.engines.torch import Torch

MEMBERS, SAMPLES = 5, 20

Rows = NDArray[Any]

CODE = """
import torch


class Net(torch.nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        self.body = torch.nn.Sequential(
            torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Dropout(0.3),
            torch.nn.Linear(256, 256), torch.nn.ReLU(), torch.nn.Dropout(0.3),
        )
        self.head = torch.nn.Linear(256, classes)

    def forward(self, pixels):
        return self.head(self.body(pixels / 16.0))


class Open(Net):
    def forward(self, pixels):
        found = self.body(pixels / 16.0)
        return {"logits": self.head(found), "embedding": found}
"""


def write_code(folder: Path) -> None:
    """The class of the nets, as the project's own code."""
    (folder / "net.py").write_text(CODE, encoding="utf-8")


def train(place: Path, images: Rows, labels: Rows, seeds: range, classes: int = 10) -> None:
    """One net a seed in the folder: 60 rounds of Adam."""
    import torch
    from safetensors.torch import save_file

    sys.path.insert(0, str(place.parent))
    import net

    torch.set_num_threads(1)
    place.mkdir()
    x, y = torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))
    for seed in seeds:
        torch.manual_seed(seed)
        made = net.Net(classes)
        step = torch.optim.Adam(made.parameters(), 1e-3)
        for some in _batches(len(x), np.random.default_rng(seed), 60):
            step.zero_grad()
            torch.nn.functional.cross_entropy(made(x[some]), y[some]).backward()
            step.step()
        save_file(made.state_dict(), place / f"{seed}.safetensors")


def _batches(n: int, rng: np.random.Generator, rounds: int) -> Iterator[Rows]:
    for _ in range(rounds):
        yield from np.array_split(rng.permutation(n), n // 64)


def ensemble_in(place: Path, folder: Path, classes: int = 10) -> Ensemble:
    """All nets of the folder `place` as one; the code is in `folder`."""
    member = {"torch": {"arguments": {"classes": classes}}}
    return Ensemble(place, member, kind="logits", output="p", code="net.py:Net", folder=folder)


def dropout_in(place: Path, folder: Path, classes: int = 10) -> Torch:
    """The first net of the folder `place`, thinned."""
    settings: dict[str, Any] = {"arguments": {"classes": classes}, "dropout_samples": SAMPLES, "kind": "logits"}
    return Torch(place / "0.safetensors", "net.py:Net", output="p", folder=folder, **settings)
