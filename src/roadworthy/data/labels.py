"""Labels written as text become class numbers; one that is no class is refused with the repair that would help."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.errors import BadData

Text = NDArray[np.object_]
# What is commonly wrong with a label's spelling, and how one would say to repair it.
REPAIRS: Mapping[str, Callable[[str], str]] = {
    "stripping blanks": str.strip,
    'dropping the "." at the end': lambda text: text.rstrip().removesuffix("."),
    "ignoring upper and lower case": str.casefold,
}
SHOWN = 5


def class_numbers(texts: Text, classes: Sequence[str], where: str) -> NDArray[np.float64]:
    """The number of each label's class (n,), NaN where it is unknown (None).

    Labels are the names in `classes`, to the letter; or, where not one of them is, the numbers of the classes, with
    `false` and `true` for 0 and 1. Raises BadData, which begins with `where`, for labels that are neither.
    """
    if len(set(classes)) < max(2, len(classes)):
        raise BadData(f"{where}: `classes` must be at least two different names, got {list(classes)!r}")
    number = {name: float(k) for k, name in enumerate(classes)}
    counts = Counter(text for text in texts if text is not None)
    strange = Counter({text: rows for text, rows in counts.items() if text not in number})
    if strange and len(strange) == len(counts):
        numbered = {text: _as_number(text, len(classes)) for text in strange}
        strange = Counter({text: rows for text, rows in strange.items() if numbered[text] is None})
        number |= {text: found for text, found in numbered.items() if found is not None}
    if strange:
        raise BadData(f"{where}: {_told(strange, counts.total(), classes)}")
    return np.array([np.nan if text is None else number[text] for text in texts], dtype=np.float64)


def proposed(strange: Mapping[str, int], classes: Sequence[str]) -> tuple[tuple[str, ...], int]:
    """The fewest repairs under which the most rows have a class, and how many rows those are.

    A repair that would make two classes one is not proposed.

    >>> proposed({" <=50K.": 3, "?": 1}, ["<=50K", ">50K"])
    (('stripping blanks', 'dropping the "." at the end'), 3)
    """
    plans = [plan for size in (1, 2, 3) for plan in combinations(REPAIRS, size)]
    usable = [plan for plan in plans if len({_repaired(name, plan) for name in classes}) == len(classes)]
    return max(((plan, _matched(strange, classes, plan)) for plan in usable), key=lambda best: best[1])


def _matched(strange: Mapping[str, int], classes: Sequence[str], plan: Sequence[str]) -> int:
    names = {_repaired(name, plan) for name in classes}
    return sum(rows for text, rows in strange.items() if _repaired(text, plan) in names)


def _repaired(text: str, plan: Sequence[str]) -> str:
    for name in plan:
        text = REPAIRS[name](text)
    return text


def _told(strange: Counter[str], rows: int, classes: Sequence[str]) -> str:
    given = ", ".join(f"{text!r} ({count} rows)" for text, count in strange.most_common(SHOWN))
    more = f" and {len(strange) - SHOWN} more" if len(strange) > SHOWN else ""
    names = ", ".join(map(repr, classes[:SHOWN])) + (f", ... ({len(classes)} classes)" if len(classes) > SHOWN else "")
    told = f"{strange.total()} of {rows} labels are no class: {given}{more}; the classes are {names}"
    plan, matched = proposed(strange, classes)
    if not matched:
        return f"{told}. Correct the labels, or name the classes as the table does (`application.classes`)"
    share = "all of them" if matched == strange.total() else f"{matched} of them"
    return f"{told}. Proposed repair: {' and '.join(plan)} would give {share} a class; write the labels so"


def _as_number(text: str, classes: int) -> float | None:
    named = {"false": 0.0, "true": 1.0}.get(text.casefold()) if classes == 2 else None
    if named is not None:
        return named
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value in range(classes) else None
