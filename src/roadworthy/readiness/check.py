"""A check of readiness: what it asks, and how many points artefacts are worth, with evidence or what is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from msgspec import Struct

from roadworthy.readiness.artefacts import Artefacts


class Finding(Struct, frozen=True, omit_defaults=True):
    """1 point where something is done automatically and again and again, half of one where by hand and documented.

    `evidence` says where to look (a file, or a command that shows it), `missing` what to do for the rest of the point.
    """

    points: float
    because: str
    evidence: tuple[str, ...] = ()
    missing: str = ""


class Check(NamedTuple):
    """One test of the ML Test Score: its name in the project file, its sentence in the paper, and its rule."""

    name: str
    title: str
    rule: Callable[[Artefacts], Finding]


def automatic(because: str, *evidence: str) -> Finding:
    """The whole point."""
    return Finding(1.0, because, evidence)


def by_hand(because: str, missing: str, *evidence: str) -> Finding:
    """Half a point: it was done, but not automatically, or only once."""
    return Finding(0.5, because, evidence, missing)


def nothing(missing: str, because: str = "nothing shows it") -> Finding:
    """No point, and what would give one."""
    return Finding(0.0, because, (), missing)


def only_by_hand(found: Artefacts) -> Finding:
    """A question for people: no artefact answers it, so that the document of `readiness: manual:` does."""
    return nothing(
        "answer it, write the answer down and name the document under `readiness: manual:`", "people judge it"
    )
