"""Answer filters find the answer in a generated text, step by step, exactly as lm-eval's `filter_list` does."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import msgspec

from roadworthy.core.errors import SpecError, unknown

Step = Callable[[str], str]


@dataclass(frozen=True)
class Regex:
    """What the pattern finds: of its matches the one numbered `group_select`, of its groups the first that is set."""

    regex_pattern: str = r"#### (\-?[0-9\.\,]+)"
    group_select: int = 0
    fallback: str = "[invalid]"

    def __post_init__(self) -> None:
        try:
            re.compile(self.regex_pattern)
        except re.error as wrong:
            raise SpecError(f"`regex_pattern` {self.regex_pattern!r} is no regular expression: {wrong}") from wrong

    def __call__(self, text: str) -> str:
        found = re.findall(self.regex_pattern, text)
        if not -len(found) <= self.group_select < len(found):
            return self.fallback
        match = found[self.group_select]
        if isinstance(match, tuple):
            match = next(filter(None, match), self.fallback)
        return str(match).strip()


@dataclass(frozen=True)
class TakeFirst:
    """Of several answers to one question the first; here each question is asked once."""

    def __call__(self, text: str) -> str:
        return text


@dataclass(frozen=True)
class RemoveWhitespace:
    """The text without blanks around it."""

    def __call__(self, text: str) -> str:
        return text.strip()


@dataclass(frozen=True)
class Lowercase:
    """The text in lower case."""

    def __call__(self, text: str) -> str:
        return text.lower()


@dataclass(frozen=True)
class Uppercase:
    """The text in upper case."""

    def __call__(self, text: str) -> str:
        return text.upper()


STEPS: Mapping[str, type] = {
    "regex": Regex,
    "take_first": TakeFirst,
    "remove_whitespace": RemoveWhitespace,
    "lowercase": Lowercase,
    "uppercase": Uppercase,
}


@dataclass(frozen=True)
class AnswerFilter:
    """A named way to find the answer: its steps, one after the other.

    >>> AnswerFilter("strict-match", (Regex(),))("17 + 4 is 21.\\n#### 21")
    '21'
    """

    name: str
    steps: tuple[Step, ...] = ()

    def __call__(self, text: str) -> str:
        for step in self.steps:
            text = step(text)
        return text


# What lm-eval uses where a task names no filter.
UNFILTERED = AnswerFilter("none", (TakeFirst(),))


def read_filters(listed: Sequence[Mapping[str, Any]] | None) -> tuple[AnswerFilter, ...]:
    """The filters in a task's `filter_list`. Raises SpecError for a function that is not known here."""
    if not listed:
        return (UNFILTERED,)
    return tuple(AnswerFilter(str(one["name"]), tuple(map(_step, one["filter"]))) for one in listed)


def write_filters(filters: Sequence[AnswerFilter]) -> list[dict[str, Any]]:
    """The filters as a `filter_list`."""
    names = {kind: name for name, kind in STEPS.items()}
    return [
        {"name": one.name, "filter": [{"function": names[type(step)], **_settings(step)} for step in one.steps]}
        for one in filters
    ]


def _step(plan: Mapping[str, Any]) -> Step:
    name = plan.get("function", "")
    if name not in STEPS:
        raise SpecError(unknown("filter function", str(name), STEPS))
    settings = {key: value for key, value in plan.items() if key != "function"}
    strange = settings.keys() - {field.name for field in fields(STEPS[name])}
    if strange:
        raise SpecError(f"filter {name!r} has no setting {sorted(strange)[0]!r}")
    try:
        made: Step = msgspec.convert(settings, STEPS[name])
    except msgspec.ValidationError as wrong:
        raise SpecError(f"filter {name!r} with {settings!r}: {wrong}") from wrong
    return made


def _settings(step: Any) -> dict[str, Any]:
    return asdict(step)
