"""Mojibake: the bytes of the text were read as those of another encoding."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.core.tidy import as_windows
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.text.texts import spoil_texts

Form = Literal["utf8_as_windows", "twice", "question_marks", "replacement", "no_accents"]
_OPENING = re.compile(r"(?:(?<=\s)|^)[\"'](?=\w)")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")


@corruption("mojibake")
@dataclass(frozen=True)
class Mojibake:
    """Severity of the texts have their letters beyond ASCII in shambles: `Ã¼`, `â€™`, `?`, `\ufffd`.

    Where `curly` is set the quotes were typed on a telephone, which makes them curly first: most English text has no
    other letters that could suffer. `twice` is read wrong two times over, `replacement` is U+FFFD.
    """

    columns: tuple[str, ...] = ()
    form: Form = "utf8_as_windows"
    curly: bool = True
    called: str = ""
    label_preserving: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise ValueError(f"`form` must be one of {', '.join(FORMS)}; got {self.form!r}")

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        hit, read = rng.random(sample.n) < severity, FORMS[self.form]

        def shamble(texts: list[str]) -> list[str]:
            return [read(_typed(text) if self.curly else text) for text in texts]

        return spoil_texts(sample, self.columns, hit, shamble)


def _typed(text: str) -> str:
    opened = _OPENING.sub(lambda m: "“" if m[0] == '"' else "‘", text)
    return opened.replace('"', "”").replace("'", "’")


def _twice(text: str) -> str:
    return as_windows(as_windows(text))


def _without_accents(text: str) -> str:
    return text.translate(_PLAIN)


_PLAIN = str.maketrans("äöüÄÖÜßáàâãéèêëíìîïóòôõúùûñçÁÀÂÉÈÊÍÓÔÚÑÇ‘’“”", "aouAOUsaaaaeeeeiiiioooouuuncAAAEEEIOOUNC''\"\"")
FORMS: dict[Form, Callable[[str], str]] = {
    "utf8_as_windows": as_windows,
    "twice": _twice,
    "question_marks": lambda text: _BEYOND_ASCII.sub("?", text),
    "replacement": lambda text: _BEYOND_ASCII.sub("\ufffd", text),
    "no_accents": _without_accents,
}
