"""A Level says which answers of one model are kept, and why the others go on to the next. It asks no model."""

from __future__ import annotations

import math
import re
from ast import literal_eval
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from roadworthy.core.errors import SpecError, nearest, unknown
from roadworthy.core.wire import Response, Tensor

# Whoever reads a probability without more says yes from here on.
CUT = 0.5
# What the path tells of a score, so that thresholds can be learnt from records: as much as a float of 32 bits knows.
DIGITS = 7
SHUT = "every row is sent on since the promise broke"
_WORDS = re.compile(
    r"(?P<output>.+?) (?P<score>[-+.\w]+)(?: in (?P<said>'.*'|\".*\"))?"
    r"(?:(?P<yes>, at least \S+: kept)|(?P<no> below \S+: kept)|(?: between \S+ and \S+| below \S+): sent on"
    rf"|: (?P<shut>{SHUT}))"
)


class Judged(NamedTuple):
    """Is the answer to a row kept, why, and what was it decided for: yes or no, a class, or the answer itself."""

    kept: bool
    because: str
    decided: Any


class Told(NamedTuple):
    """What the step of a level tells: the score, the class it was for ("" of a yes or no), was it kept, and as a yes.

    `shut`: no score would have been kept.
    """

    score: float
    said: str
    kept: bool
    yes: bool
    shut: bool


@dataclass(frozen=True)
class Level:
    """One model of a cascade (`at`). The last one has no thresholds: what it answers is kept.

    A binary answer is kept below `low`, as a no, and from `high` on, as a yes. Any other is kept where its confidence
    is at least `least`, or what `least_of` has for the class that it names. The next level is asked where there is no
    answer after `wait_seconds` (0: it may take until the deadline). One that is `shut` keeps nothing and says so.
    """

    at: str
    low: float | None = None
    high: float | None = None
    least: float | None = None
    least_of: Mapping[str, float] = field(default_factory=dict)
    wait_seconds: float = 0.0
    shut: bool = False

    def __post_init__(self) -> None:
        for name in ("low", "high", "least"):
            value = getattr(self, name)
            if value is not None and math.isnan(value):
                raise ValueError(f"`{name}` of level {self.at!r} must be a number, got {value!r}")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"`low` of level {self.at!r} must not be above `high`, got {self.low!r} and {self.high!r}")
        if self.binary and (self.least is not None or self.least_of):
            raise ValueError(f"level {self.at!r} has `low` or `high` as well as `least`: give one of the two kinds")
        if self.wait_seconds < 0:
            raise ValueError(f"`wait_seconds` of level {self.at!r} must be 0 or more, got {self.wait_seconds!r}")

    @property
    def binary(self) -> bool:
        """Does it look at the probability of a yes?"""
        return self.low is not None or self.high is not None

    @property
    def decides(self) -> bool:
        """Does it keep some answers and send others on?"""
        return self.binary or self.least is not None or bool(self.least_of)

    @property
    def crosses(self) -> bool:
        """Does it decide rows otherwise than a reader who cuts the probability at one half?"""
        return (self.low is not None and self.low > CUT) or (self.high is not None and self.high < CUT)

    def judge(self, response: Response, output: str, classes: Sequence[str]) -> list[Judged]:
        """What becomes of each row of an answer. Raises SpecError where it lacks what the thresholds are about."""
        tensor = output_of(response, output, self.at)
        if self.binary:
            return [self._side(tensor.name, value) for value in flat(tensor)]
        found = decided(tensor, classes)
        if not self.decides:
            return [Judged(True, "the last level: kept", one) for one in found]
        sure = self._confidence(response, tensor)
        return [self._sure(one, classes, how) for one, how in zip(found, sure, strict=True)]

    def _side(self, output: str, value: float | None) -> Judged:
        low, high = self.low, self.high
        if value is None or value != value:
            return Judged(False, f"no {output}: sent on", None)
        if self.shut:
            return Judged(False, f"{output} {value:.{DIGITS}g}: {SHUT}", value >= CUT)
        if high is not None and value >= high:
            return Judged(True, f"{output} {value:.{DIGITS}g}, at least {high:.4g}: kept", True)
        if low is not None and value < low:
            return Judged(True, f"{output} {value:.{DIGITS}g} below {low:.4g}: kept", False)
        between = f"between {-math.inf if low is None else low:.4g} and {math.inf if high is None else high:.4g}"
        return Judged(False, f"{output} {value:.{DIGITS}g} {between}: sent on", value >= CUT)

    def _sure(self, one: Any, classes: Sequence[str], sure: float | None) -> Judged:
        name = classes[one] if type(one) is bool and len(classes) == 2 else str(one)
        least = self.least_of.get(name, math.inf if self.least is None else self.least)
        if sure is None or sure != sure:
            return Judged(False, "no confidence: sent on", one)
        if self.shut:
            return Judged(False, f"confidence {sure:.{DIGITS}g} in {name!r}: {SHUT}", one)
        if sure >= least:
            return Judged(True, f"confidence {sure:.{DIGITS}g} in {name!r}, at least {least:.4g}: kept", one)
        return Judged(False, f"confidence {sure:.{DIGITS}g} in {name!r} below {least:.4g}: sent on", one)

    def _confidence(self, response: Response, tensor: Tensor) -> Sequence[float | None]:
        if response.confidence is not None:
            return response.confidence
        width, data = width_of(tensor), flat(tensor)
        if width < 2:
            raise SpecError(
                f"level {self.at!r} has `least` and its model tells no confidence: wrap it in one that does, or give "
                "`low` and `high` for the probability of a binary answer"
            )
        return [max(data[k * width : (k + 1) * width]) for k in range(tensor.shape[0])]


def check(levels: Sequence[Level], members: Sequence[str]) -> None:
    """Raise SpecError where levels do not go with the models that there are, or some would never be asked."""
    names = [level.at for level in levels]
    if len(levels) < 2 or len(set(names)) < len(names):
        raise SpecError(f"a cascade has two levels or more, each at a model of its own; got {names!r}")
    for level in levels:
        if level.at not in members:
            raise SpecError(unknown("model for a level of the cascade", level.at, members))
    for name in members:
        if name not in names:
            raise SpecError(f"{name!r} stands on no level of the cascade ({', '.join(names)}), so that nobody asks it")
    for level in levels[:-1]:
        if not level.decides:
            raise SpecError(
                f"level {level.at!r} has no threshold, so that everything or nothing would go on: give it `low` and "
                "`high`, or `least` (`roadworthy cascade fit` finds them)"
            )
    if levels[-1].decides:
        raise SpecError(f"{levels[-1].at!r} is the last level and has thresholds, but nobody to send rows on to")


def told_by(because: str) -> Told | None:
    """What a level wrote into a path, read again; None for words of another kind, such as of a level that failed."""
    words = _WORDS.fullmatch(because)
    if words is None:
        return None
    said = str(literal_eval(words["said"])) if words["said"] else ""
    kept = words["yes"] is not None or words["no"] is not None
    return Told(float(words["score"]), said, kept, words["yes"] is not None, words["shut"] is not None)


def output_of(response: Response, output: str, at: str) -> Tensor:
    """The tensor that is looked at; with no name given, the only one. Raises SpecError for a stream or no such one."""
    outputs = response.outputs
    if type(outputs) is not dict and not isinstance(outputs, Mapping):
        raise SpecError(f"{at!r} answers in a stream, which cannot be judged row by row: no cascade can stand on it")
    tensor = outputs.get(output) if output else next(iter(outputs.values()), None)
    if tensor is None:
        has = f"{nearest(output, outputs)} (it has: {', '.join(outputs) or 'none'})"
        raise SpecError(f"the answer of {at!r} has no output {output!r} to judge it by{has}")
    return tensor


def decided(tensor: Tensor, classes: Sequence[str]) -> list[Any]:
    """What each row of an answer says: the likeliest class of several, yes or no of a probability, else itself."""
    width, data = width_of(tensor), flat(tensor)
    if width < 2:
        return [value >= CUT if type(value) is float and 0 <= value <= 1 else value for value in data]
    found = []
    for k in range(tensor.shape[0]):
        row = data[k * width : (k + 1) * width]
        likeliest = max(range(width), key=row.__getitem__)
        found.append(classes[likeliest] if classes else str(likeliest))
    return found


def flat(tensor: Tensor) -> list[Any]:
    """Its values, which an engine may have left in an array."""
    if type(tensor.data) is list:
        return tensor.data
    values: list[Any] = tensor.data.reshape(-1).tolist()
    return values


def width_of(tensor: Tensor) -> int:
    """How many values a row has."""
    return math.prod(tensor.shape[1:])
