"""Two servers that know no model, asked like all others: what sockets cost on this machine, and what HTTP adds."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from serving.bodies import tensors_with_key
from serving.contestants.base import SERVERS, Contestant, Start
from serving.models import Model


def _start(script: str, python: str, model: Model, folder: Path, port: int) -> Start:
    return Start([python, str(SERVERS / script), str(port)])


def _constant(name: str, about: str) -> Contestant:
    start = partial(_start, f"{name}.py")
    return Contestant(name, about, start, "/constant", tensors_with_key, lambda answer: [], says=None)


SOCKETS = _constant("sockets", "a bare uvloop Protocol, a constant answer")
CONSTANT = _constant("constant", "our HTTP server, a constant answer")
CONSTANTS = (SOCKETS, CONSTANT)
