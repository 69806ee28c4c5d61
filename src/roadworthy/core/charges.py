"""What a step on a request's way was paid for, and the chances that were drawn there: written and read in one place.

A policy writes them into `Step.because`, since records keep nothing else of a step; whoever audits reads them back.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from roadworthy.core.wire import Step

# `tried` is a cheap answer that was not taken, `failed` a call that gave no answer, `comparison` what was asked only to
# learn from it, `explored` an answer of the model that was not preferred, for the same end.
Purpose = Literal["answer", "tried", "failed", "verifier", "router", "comparison", "explored", "other"]
PURPOSES: tuple[Purpose, ...] = (
    "answer",
    "tried",
    "failed",
    "verifier",
    "router",
    "comparison",
    "explored",
    "other",
)

ROUTER, VERIFIER = "router", "verifier"
FAILED, COMPARISON, EXPLORED = "failed: ", "comparison: ", "explored: "
# A level of a cascade that was asked and gave none, and one that was never asked.
NOT_ANSWERED, NOT_ASKED = "not answered", "not asked"
# What it tells of a row that could go no further, so that an answer is given of which nobody was sure.
STANDS = "the answer so far stands"
# What a cascade asks of its last level only to see whether it would have agreed (`route/answering/audits.py`).
AUDIT = "audit drawn at "

_CHANCES = re.compile(r"chances ((?:\S+=[0-9.e+-]+ ?)+)")
_GAIN = re.compile(r"(?:^|[ :(])gain (-?[0-9.]+(?:e[+-]?[0-9]+)?)")
_SEGMENT = re.compile(r"\(.*?segment ([^)]*)\)")


def purposes(path: Sequence[Step], members: Collection[str]) -> list[Purpose]:
    """What each step of a path was for: of the members' calls the last that answered is the answer.

    >>> [*purposes((Step("small", "asked first"), Step("large", "confidence 0.4 below 0.8")), {"small", "large"})]
    ['tried', 'answer']
    """
    said = [_said(step, members) for step in path]
    answers = [place for place, purpose in enumerate(said) if purpose in ("answer", "explored")]
    return ["tried" if place in answers[:-1] else purpose for place, purpose in enumerate(said)]


def chances_told(members: Mapping[str, float]) -> str:
    """How likely each member was to be asked, as text that `chances_of` reads.

    >>> chances_of((Step("router", chances_told({"small": 0.97, "large": 0.05})),))
    {'small': 0.97, 'large': 0.05}
    """
    return "chances " + " ".join(f"{name}={chance:.6g}" for name, chance in members.items())


def chances_of(path: Sequence[Step]) -> dict[str, float] | None:
    """The chances that the last step which tells of any tells; None where nobody drew, or nobody said so."""
    for step in reversed(path):
        found = _CHANCES.search(step.because)
        if found:
            pairs = (pair.rpartition("=") for pair in found[1].split())
            return {name: float(chance) for name, _, chance in pairs}
    return None


def gain_of(path: Sequence[Step]) -> float | None:
    """The gain that the router expected of the dearer member, where it said one."""
    found = next((match for step in path if step.at == ROUTER and (match := _GAIN.search(step.because))), None)
    return None if found is None else float(found[1])


def segment_of(path: Sequence[Step]) -> str:
    """The segment whose threshold the router applied, "" where it named none."""
    found = next((match for step in path if step.at == ROUTER and (match := _SEGMENT.search(step.because))), None)
    return "" if found is None else found[1]


def _said(step: Step, members: Collection[str]) -> Purpose:
    if step.at == ROUTER:
        return "router"
    if step.at == VERIFIER:
        return "verifier"
    if step.at not in members:
        return "other"
    told = step.because.removeprefix("audit ")
    if told.startswith(NOT_ASKED):
        return "other"
    if told.startswith((FAILED, NOT_ANSWERED)):
        return "failed"
    if step.because.startswith((COMPARISON, AUDIT)):
        return "comparison"
    return "explored" if step.because.startswith(EXPLORED) else "answer"
