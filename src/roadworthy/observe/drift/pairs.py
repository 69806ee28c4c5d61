"""Pairs the columns of a reference with those of the rows at hand, and judges all of them together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from roadworthy.core.columns import Numbers, Values, Vectors
from roadworthy.core.errors import SpecError, unknown
from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.profile import Column, Part, Profile
from roadworthy.core.text_features import Texts
from roadworthy.observe.drift.distances import Distance, Pair

_TOLD = 5
# What people call the distances.
LABELS = {
    "psi": "PSI",
    "kl": "KL divergence",
    "jensen_shannon": "Jensen-Shannon distance",
    "chi_square": "Cohen's w",
    "l_infinity": "largest change of a share",
    "ks": "KS distance",
    "wasserstein": "Wasserstein distance (sd)",
    "beyond": "share beyond the reference",
}


class Settings(Protocol):
    """What the detectors of single columns have in common."""

    @property
    def alpha(self) -> float: ...
    @property
    def least(self) -> float: ...
    @property
    def columns(self) -> tuple[str, ...]: ...
    @property
    def ignore(self) -> tuple[str, ...]: ...
    @property
    def least_rows(self) -> int: ...


class Pairs(NamedTuple):
    """The columns that can be compared; `gone` ones the reference alone has, `new` ones only the rows at hand."""

    pairs: tuple[Pair, ...]
    gone: tuple[str, ...]
    new: tuple[str, ...]

    @property
    def told(self) -> str:
        """Both kinds in words, "" where there are none."""
        gone = f"; gone: {', '.join(self.gone)}" if self.gone else ""
        new = ", ".join(self.new)
        return gone + (f"; new, and so not compared: {new}" if new else "")


def pair(
    reference: Profile,
    current: Profile,
    columns: Sequence[str] = (),
    ignore: Sequence[str] = (),
    bins: int = 10,
    everything: bool = False,
) -> Pairs:
    """Pair two profiles, the second being made `like` the first.

    Of a text the features are compared, of a vector only whether it is there. `columns` are inputs, outputs or
    `confidence`; where it is empty, all inputs, or with `everything` all there are. Raises SpecError for a name that
    the reference lacks.
    """
    known, now = reference.columns(), current.columns()
    for name in (*columns, *ignore):
        if name not in known:
            raise SpecError(unknown("column", name, known))
    every = list(known) if everything else list(reference.inputs)
    names = [n for n in columns or every if n not in ignore]
    pairs = [each for name in names for each in _pairs(name, known[name], now.get(name), current.n, bins)]
    asked = set(columns) if columns else set(every)
    gone = tuple(name for name in known if name in asked and name not in ignore and name not in now)
    met = now if everything else current.inputs
    new = () if columns else tuple(name for name in met if name not in known)
    return Pairs(tuple(pairs), gone, new)


def check(settings: Settings) -> None:
    """Refuse settings that cannot be: a detector's `__post_init__`."""
    if not 0 < settings.alpha < 1:
        raise ValueError(f"`alpha` must be between 0 and 1, got {settings.alpha!r}")
    if settings.least < 0:
        raise ValueError(f"`least` must be 0 or more, got {settings.least!r}")


def compare(
    settings: Settings,
    reference: Profile,
    current: Profile,
    of: str,
    distance: Distance,
    bins: int = 10,
    ordered: bool = False,
) -> Verdict:
    """What a detector of single columns says: one distance a column, all judged together.

    `ordered` leaves out what has no order: categories.
    """
    waiting = too_few(settings, reference.n, current.n, of)
    if waiting:
        return waiting
    found = pair(reference, current, settings.columns, settings.ignore, bins)
    pairs = [p for p in found.pairs if not ordered or isinstance(p.reference, Numbers)]
    if not pairs:
        return Verdict("wait", f"the reference has no column to compare{found.told}", of)
    return judge_all(settings, of, [distance(p) for p in pairs], current.n, found.told)


def too_few(settings: Settings, n: int, m: int, of: str) -> Verdict | None:
    """The verdict on fewer rows than `least_rows`."""
    if min(n, m) >= max(1, settings.least_rows):
        return None
    return Verdict("wait", f"{m} rows against {n}: {settings.least_rows} of each needed", of)


def judge_all(
    settings: Settings,
    of: str,
    found: Sequence[Measurement],
    n: int,
    told: str = "",
    enough: Callable[[Measurement], bool] | None = None,
) -> Verdict:
    """Alarm on the columns that moved beyond chance, `alpha` being shared by all of them (Holm 1979).

    They also moved by `enough`: where that is not said, by `least`.
    """
    counts = enough or (lambda measured: measured.value >= settings.least)
    moved = sorted((m for m in beyond_chance(found, settings.alpha) if counts(m)), key=_size)
    rest = sorted((m for m in found if m not in moved), key=lambda m: (m.conditions["p"], -m.value))
    evidence = (*moved, *rest)
    if not moved:
        top = max(found, key=lambda m: m.value)
        calm = f"none of {len(found)} columns moved in {n} rows; most is {label(top)} {top.value:.3f} on {top.where}"
        return Verdict("pass", f"{calm} (p {top.conditions['p']:.2g}){told}", of, evidence)
    worst = "; ".join(f"{m.where} {label(m)} {m.value:.3f} ({m.conditions['most']})" for m in moved[:_TOLD])
    more = f"; and {len(moved) - _TOLD} more" if len(moved) > _TOLD else ""
    return Verdict("fail", f"{len(moved)} of {len(found)} columns moved: {worst}{more}{told}", of, evidence)


def beyond_chance(found: Iterable[Measurement], alpha: float) -> list[Measurement]:
    """Those that chance does not explain, with at most `alpha` for a single false one among all (Holm 1979)."""
    ordered = sorted(found, key=lambda m: m.conditions["p"])
    for place, measured in enumerate(ordered):
        if measured.conditions["p"] * (len(ordered) - place) > alpha:
            return ordered[:place]
    return ordered


def label(measured: Measurement) -> str:
    """What people call a distance."""
    return LABELS.get(measured.name, measured.name)


def _size(measured: Measurement) -> tuple[float, str]:
    return -measured.value, measured.where


def _pairs(name: str, old: Column, new: Column | None, rows: int, bins: int) -> list[Pair]:
    """The parts of a column; one that vanished is null in all rows."""
    if isinstance(old, Texts):
        return _text_pairs(name, old, new if isinstance(new, Texts) else None, rows, bins)
    if isinstance(old, Vectors):
        return [Pair(name, _presence(old), _presence(new) if isinstance(new, Vectors) else _presence_of(rows, rows))]
    if new is None:
        return [Pair(name, old, _nothing(old).without(rows), bins)]
    return [Pair(name, old, new, bins)] if isinstance(new, Numbers | Values) else []


def _text_pairs(name: str, old: Texts, new: Texts | None, rows: int, bins: int) -> list[Pair]:
    found = [Pair(name, _presence(old), _presence(new) if new else _presence_of(rows, rows), bins)]
    parts = new.parts() if new else {}
    return found + [
        Pair(f"{name}.{feature}", part, parts[feature], bins)
        for feature, part in old.parts().items()
        if part.n and feature in parts and parts[feature].n
    ]


def _presence(column: Texts | Vectors) -> Values:
    return _presence_of(column.n, column.nulls)


def _presence_of(n: int, nulls: int) -> Values:
    return Values(n, nulls, {"there": n - nulls})


def _nothing(part: Part) -> Part:
    """A column of no rows on the same frame."""
    if isinstance(part, Numbers):
        return Numbers.none_of(part.grid)
    return Values(0, 0, {})
