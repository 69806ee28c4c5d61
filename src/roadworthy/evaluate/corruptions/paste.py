"""Paste: the text was copied out of a mail, a web page, a document or a table."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.text.texts import chances, spoil_texts

Form = Literal["newline", "html", "quote_prefix", "signature", "nbsp", "bullets", "table_pipe"]
SIGNATURES = (
    "\n\n-- \nBest regards,\nAlex",
    "\n\nSent from my iPhone",
    "\n--\nKind regards\nSam Lee\n+44 20 7946 0000",
    "\n\nSent from my phone. Please excuse brevity.",
    "\n\nGet Outlook for Android",
)
LINE_WORDS = 6
GAPS = 0.3  # the share of the gaps between words at which a line ends, or a blank does not break


@corruption("paste")
@dataclass(frozen=True)
class Paste:
    """Severity of the texts carry what copying leaves behind: in one `form`, or in one drawn for each text.

    newline (lines end amidst sentences), html (tags, entities), quote_prefix (`> `), signature, nbsp (no-break
    blanks), bullets, table_pipe (`| a | b |`).
    """

    columns: tuple[str, ...] = ()
    form: Form | Literal["any"] = "any"
    called: str = ""
    label_preserving: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.form != "any" and self.form not in FORMS:
            raise ValueError(f"`form` must be any, {', '.join(FORMS)}; got {self.form!r}")

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        hit, chance = rng.random(sample.n) < severity, chances(rng)
        forms = tuple(FORMS.values()) if self.form == "any" else (FORMS[self.form],)
        return spoil_texts(sample, self.columns, hit, lambda ts: [_one_of(forms, chance)(t, chance) for t in ts])


Pasted = Callable[[str, Iterator[float]], str]


def _one_of(forms: tuple[Pasted, ...], chance: Iterator[float]) -> Pasted:
    return forms[int(len(forms) * next(chance))]


def _broken(text: str, chance: Iterator[float], by: str) -> str:
    """Some of the blanks, and at least one, are something else."""
    first, *rest = text.split(" ")
    if not rest:
        return text + by
    gaps = [by if next(chance) < GAPS else " " for _ in rest]
    gaps[int(len(gaps) * next(chance))] = by
    return first + "".join(gap + word for gap, word in zip(gaps, rest, strict=True))


def _newline(text: str, chance: Iterator[float]) -> str:
    return _broken(text, chance, "\n")


def _nbsp(text: str, chance: Iterator[float]) -> str:
    return _broken(text, chance, "\u00a0")


def _html(text: str, chance: Iterator[float]) -> str:
    escaped = html.escape(text).replace(" ", "&nbsp;", 1)
    if next(chance) < 0.5:
        return f"<p>{escaped}</p>"
    return f'<div class="message"><span>{escaped}</span><br/></div>'


def _lines(text: str) -> list[str]:
    words = text.split()
    return [" ".join(words[k : k + LINE_WORDS]) for k in range(0, len(words), LINE_WORDS)] or [text]


def _quoted(text: str, chance: Iterator[float]) -> str:
    mark = "> " if next(chance) < 0.7 else ">> "
    return "\n".join(mark + line for line in _lines(text))


def _signed(text: str, chance: Iterator[float]) -> str:
    return text + SIGNATURES[int(len(SIGNATURES) * next(chance))]


def _listed(text: str, chance: Iterator[float]) -> str:
    mark = ("• ", "- ", "* ", "1. ")[int(4 * next(chance))]
    return "\n".join(mark + line for line in _lines(text))


def _piped(text: str, chance: Iterator[float]) -> str:
    return f"| {' | '.join(_lines(text))} |"


FORMS: dict[Form, Pasted] = {
    "newline": _newline,
    "html": _html,
    "quote_prefix": _quoted,
    "signature": _signed,
    "nbsp": _nbsp,
    "bullets": _listed,
    "table_pipe": _piped,
}
