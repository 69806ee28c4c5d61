"""What a mock endpoint does, as data: how long it works, when it stalls, what fails, and which tokens it writes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any, Literal

import msgspec
import yaml
from msgspec import Struct, field

from roadworthy.core.errors import Missing, SpecError

Broken = Literal["reset", "truncated", "silent", "garbled", "unfinished"]


class Law(Struct, frozen=True, forbid_unknown_fields=True):
    """A random time: its mean in seconds and, where the law has one to choose, its coefficient of variation."""

    law: Literal["constant", "exponential", "lognormal", "gamma"] = "constant"
    seconds: float = 0.0
    cv: float = 1.0

    def __post_init__(self) -> None:
        if self.seconds < 0 or self.cv <= 0:
            raise ValueError(f"`seconds` must be at least 0 and `cv` above 0, got {self.seconds!r} and {self.cv!r}")

    def draw(self, rng: Random) -> float:
        """One time."""
        if self.law == "constant" or not self.seconds:
            return self.seconds
        if self.law == "exponential":
            return rng.expovariate(1 / self.seconds)
        if self.law == "gamma":
            return rng.gammavariate(self.cv**-2, self.seconds * self.cv**2)
        spread = math.log1p(self.cv**2)
        return rng.lognormvariate(math.log(self.seconds) - spread / 2, math.sqrt(spread))


class Stall(Struct, frozen=True, forbid_unknown_fields=True):
    """For the last `seconds` of every `every` seconds nothing goes on."""

    seconds: float
    every: float

    def __post_init__(self) -> None:
        if not 0 < self.seconds < self.every:
            raise ValueError(
                f"`seconds` of a stall must be between 0 and `every`, got {self.seconds!r}, {self.every!r}"
            )


class Fault(Struct, frozen=True, forbid_unknown_fields=True):
    """A share of the requests that goes wrong.

    `kind` is a status (4xx at once, 5xx after the work), or: `reset` (the connection), `truncated` (half of the answer,
    then the connection ends), `silent` (no answer ever), `garbled` (a line that is none of its protocol), `unfinished`
    (a stream without its `[DONE]`).
    """

    kind: int | Broken
    share: float
    retry_after_seconds: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.kind, int) and not 400 <= self.kind <= 599:
            raise ValueError(f"`kind` must be a status from 400 to 599 or a word, got {self.kind!r}")
        if not 0 <= self.share <= 1:
            raise ValueError(f"`share` must be between 0 and 1, got {self.share!r}")


class Token(Struct, frozen=True, forbid_unknown_fields=True):
    """One token of a stream: `after` seconds of work from the one before, or from the start."""

    text: str
    after: float = 0.0
    reasoning: bool = False


class Script(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of a mock endpoint.

    `servers` work in parallel, first come first served (0: as many as are asked). A request takes `service`; a written
    one then a `gap` for each further token, `reasoning` hidden tokens coming first. With `tokens` these are written,
    at their own times. `usage_off` is added to the count of tokens that is told. With more than `degrade_above` in
    flight (0: never) answers are wrong. A finished answer is held back up to `shuffle_seconds`, so that the order of
    completion is not that of arrival. `answers` maps a prompt to what is written; an unlisted one is echoed.
    """

    seed: int = 0
    servers: int = 0
    service: Law = Law()
    stall: Stall | None = None
    faults: tuple[Fault, ...] = ()
    tokens: tuple[Token, ...] = ()
    gap: Law = Law()
    reasoning: int = 0
    usage_off: int = 0
    degrade_above: int = 0
    shuffle_seconds: float = 0.0
    answers: Mapping[str, str] = field(default_factory=dict)
    model: str = "mock"
    inputs: tuple[str, ...] = ("x",)
    output: str = "probability"

    def __post_init__(self) -> None:
        if min(self.servers, self.reasoning, self.degrade_above, self.shuffle_seconds) < 0:
            raise ValueError("`servers`, `reasoning`, `degrade_above` and `shuffle_seconds` must be at least 0")
        if sum(fault.share for fault in self.faults) > 1:
            raise ValueError("the shares of `faults` come to more than 1")


def read_script(path: Path) -> Script:
    """The script in a YAML or JSON file. Raises Missing and SpecError."""
    if not path.is_file():
        raise Missing(f"no script {str(path)!r}; write one, such as `service: {{seconds: 0.02}}`")
    try:
        told: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        return msgspec.convert(told or {}, Script)
    except (yaml.YAMLError, UnicodeDecodeError, msgspec.ValidationError) as wrong:
        raise SpecError(f"{str(path)!r} is no script of a mock endpoint: {wrong}") from wrong
