"""The signal hierarchy: what was written before a rollout began, its hash, and the gates that are made from it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import asdict

from roadworthy.core.catalog import read_plan
from roadworthy.core.errors import SpecError
from roadworthy.core.spec import Rollout, Signal, Stage
from roadworthy.rollout.base import Gate, gate

__all__ = ["code_of", "differences", "gates_of", "hash_of", "is_asked", "on_stage", "share_of"]


def hash_of(plan: Rollout, code: Mapping[str, str]) -> str:
    """SHA-256 (hex) of the plan with the hashes of the files that its gates are written in, as canonical JSON."""
    return hashlib.sha256(msgspec.json.encode(_written(plan, code), order="deterministic")).hexdigest()


def code_of(plan: Rollout, root: Path) -> dict[str, str]:
    """SHA-256 (hex) of each file of the project that a gate of the plan is in. Raises SpecError where one is gone."""
    places = [read_plan(signal.gate)[0].rpartition(":")[0] for signal in plan.hierarchy]
    found = {}
    for place in sorted({place for place in places if place.endswith(".py")}):
        try:
            found[place] = hashlib.sha256((root / place).read_bytes()).hexdigest()
        except OSError as gone:
            raise SpecError(f"the gate in {place!r} cannot be read: {gone}; put the file back, or abort") from gone
    return found


def differences(before: Rollout, code: Mapping[str, str], now: Rollout, code_now: Mapping[str, str]) -> list[str]:
    """What was edited, each in words: `stage 2: share was 0.05 and is 0.5`."""
    was, new = _written(before, code), _written(now, code_now)
    found: list[str] = []
    for name, what in (("stages", "stage"), ("signals", "signal")):
        found += _of_lists(what, was[name], new[name])
    found += _of_mappings("", {k: was[k] for k in _SINGLE}, {k: new[k] for k in _SINGLE})
    edited = [file for file in sorted({*code, *code_now}) if code.get(file) != code_now.get(file)]
    return found + [f"`{file}` was edited" for file in edited]


def gates_of(
    plan: Rollout, root: Path | None = None, share: float = 0.5, seed: int = 0, output: str = ""
) -> tuple[Gate, ...]:
    """The gates that a plan names, in the order of its hierarchy.

    `root` is the folder of the project, for gates in its files. `share` is the candidate's share of the requests,
    `seed` a number of the rollout and `output` what the release answers with, for gates that have a field for one and a
    plan that does not say it.
    """
    given = {"share": share, "seed": seed, **({"output": output} if output else {})}
    return tuple(gate.make(signal.gate, root, **given) for signal in plan.hierarchy)


def on_stage(plan: Rollout, stage: Stage, gates: Sequence[Gate]) -> tuple[int, ...]:
    """The places in the hierarchy of the signals that are asked in such a stage; `gates` are those of all."""
    asked = zip(plan.hierarchy, gates, strict=True)
    return tuple(k for k, (signal, leaf) in enumerate(asked) if is_asked(signal, leaf, stage))


def is_asked(signal: Signal, leaf: Gate, stage: Stage) -> bool:
    """Whether a gate is asked in a stage: as its signal says, or else its class."""
    modes = signal.modes or getattr(leaf, "modes", ())
    return not modes or stage.mode in modes


def share_of(stage: Stage) -> float:
    """The candidate's share of the requests in a stage."""
    return 1.0 - stage.share if stage.mode == "holdback" else stage.share


_SINGLE = ("key", "freeze", "timezone")


def _written(plan: Rollout, code: Mapping[str, str]) -> dict[str, Any]:
    """All that decides how a rollout goes, defaults too; how often somebody looks is no part, every look is valid."""
    # As it comes out of the store: `2` and `2.0` are the same there.
    plan = msgspec.json.decode(msgspec.json.encode(plan), type=Rollout)
    signals = [{**asdict(signal), "gate": list(read_plan(signal.gate))} for signal in plan.hierarchy]
    single = {name: getattr(plan, name) for name in _SINGLE}
    return {"stages": [asdict(stage) for stage in plan.stages], "signals": signals, **single, "code": dict(code)}


def _of_lists(what: str, was: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[str]:
    found = [f"{len(was)} {what}s were written, and there are {len(new)}"] if len(was) != len(new) else []
    for k, (one, other) in enumerate(zip(was, new, strict=False), 1):
        found += _of_mappings(f"{what} {k}: ", one, other)
    return found


def _of_mappings(where: str, was: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [f"{where}{name} was {was[name]!r} and is {new[name]!r}" for name in was if was[name] != new[name]]
