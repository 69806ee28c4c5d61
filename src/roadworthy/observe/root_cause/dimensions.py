"""A Dimension is one thing that rows differ in, such as their tenant, as codes over two stretches of records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import polars as pl

Role = Literal["asked", "served", "happened"]
Codes = NDArray[np.int64]

# Rarer values share one code: a table of thousands of callers explains nothing that "other" does not.
MOST_VALUES = 60
# Numbers of fewer kinds than this are taken as they are, others are binned.
FEW = 12
# Texts that are longer than a name, or hardly ever the same, count by their length.
LONG_LETTERS, OFTEN_NEW = 40.0, 0.5
BATCH_SECONDS = 2.0
QUANTILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
DIGITS = 12


@dataclass(frozen=True)
class Dimension:
    """`now` and `before` hold one code a row; `picks` (c, values) says which codes each of the c `labels` means.

    A label is a description such as `tenant=acme` or `text length>512`. What was `asked` can be a cause, and so can who
    `served` it; what `happened` (whether a cache knew it) is a consequence. `aliases` part the rows in the same way.
    """

    name: str
    role: Role
    now: Codes
    before: Codes
    labels: tuple[str, ...]
    picks: NDArray[np.bool_]
    aliases: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many codes there are."""
        return int(self.picks.shape[1])

    def counts(self, which: Literal["now", "before"]) -> NDArray[np.float64]:
        """Rows of each code."""
        codes = self.now if which == "now" else self.before
        return np.bincount(codes, minlength=self.size).astype(np.float64)

    def take(self, now: NDArray[Any], before: NDArray[Any]) -> Dimension:
        """The same for some of the rows."""
        return replace(self, now=self.now[now], before=self.before[before])

    def then(self, inside: NDArray[Any], outside: NDArray[Any]) -> Dimension:
        """As if some rows of the baseline were the window, and others the baseline."""
        return replace(self, now=self.before[inside], before=self.before[outside])


def dimensions(now: pl.DataFrame, before: pl.DataFrame) -> list[Dimension]:
    """What rows can differ in: release, arm, tags, inputs, tokens, the class or the length of the answer, the cache.

    A column that one of the two lacks is there with nulls. What has one value only is left out.
    """
    found = [*_columns(now, before), *_derived(now, before)]
    return [each for each in found if ((each.counts("now") + each.counts("before")) > 0).sum() > 1]


def without_aliases(found: Sequence[Dimension]) -> list[Dimension]:
    """One of each set of dimensions that part the rows alike, with the names of the others."""
    kept = list(found)
    for a, b in combinations(found, 2):
        if a in kept and b in kept and a.role != "happened" and _alike(a, b):
            here = kept.index(a)
            kept[here] = replace(a, aliases=(*a.aliases, b.name))
            kept.remove(b)
            a = kept[here]
    return kept


def _alike(a: Dimension, b: Dimension) -> bool:
    """Does either value tell the other?"""
    codes = np.concatenate([a.now, a.before]) * b.size + np.concatenate([b.now, b.before])
    pairs = np.flatnonzero(np.bincount(codes, minlength=a.size * b.size))
    return len(np.unique(pairs // b.size)) == len(np.unique(pairs % b.size)) == len(pairs)


def _columns(now: pl.DataFrame, before: pl.DataFrame) -> Iterator[Dimension]:
    names = list(dict.fromkeys([*now.columns, *before.columns]))
    for column, name, role in _named(names):
        a, b = _pair(now, before, column)
        # A class that was answered tells kinds of requests apart; a score only says again what the inputs do.
        if column.startswith("outputs.") and a.dtype.is_numeric():
            continue
        made = _of_column(name, role, a, b)
        if made is not None:
            yield made


def _named(columns: Sequence[str]) -> Iterator[tuple[str, str, Role]]:
    """Column, what people call it, and its role. A tag and an input of one name keep their full names."""
    plain = [c.partition(".")[2] for c in columns if c.partition(".")[0] in ("tags", "inputs", "outputs")]
    for column, role in (("release", "served"), ("arm", "served"), ("tokens", "asked")):
        if column in columns:
            yield column, column, role  # type: ignore[misc]
    for group, role in (("tags", "asked"), ("inputs", "asked"), ("outputs", "asked")):
        for column in (c for c in columns if c.startswith(f"{group}.")):
            short = column.partition(".")[2]
            yield column, short if plain.count(short) == 1 else column, role  # type: ignore[misc]


def _pair(now: pl.DataFrame, before: pl.DataFrame, column: str) -> tuple[pl.Series, pl.Series]:
    import polars as pl

    known = now[column] if column in now.columns else before[column]
    parts = [f[column] if column in f.columns else pl.Series(column, [None] * f.height) for f in (now, before)]
    kind = known.dtype if known.dtype != pl.Null else parts[1].dtype
    a, b = (part.cast(kind) if part.dtype == pl.Null else part for part in parts)
    return (a, b) if a.dtype == b.dtype else (a.cast(pl.String), b.cast(pl.String))


def _of_column(name: str, role: Role, now: pl.Series, before: pl.Series) -> Dimension | None:
    """None for a column that nobody can group by, such as vectors."""
    import polars as pl

    if now.dtype in (pl.Categorical, pl.Enum, pl.Boolean):
        now, before = now.cast(pl.String), before.cast(pl.String)
    if now.dtype == pl.String:
        if _is_prose(now, before):
            lengths = [part.str.len_chars().cast(pl.Float64) for part in (now, before)]
            return _of_numbers(f"{name} length", role, *map(_array, lengths))
        return _of_names(name, role, now, before)
    if now.dtype.is_numeric():
        return _of_numbers(name, role, *(_array(part.cast(pl.Float64)) for part in (now, before)))
    return None


def _is_prose(now: pl.Series, before: pl.Series) -> bool:
    head = [part.head(5000).drop_nulls() for part in (now, before)]
    head[0] = head[0].extend(head[1])
    n = max(1, len(head[0]))
    several = head[0].n_unique()
    letters = head[0].str.len_chars().mean()
    long = isinstance(letters, int | float) and letters > LONG_LETTERS
    return several > MOST_VALUES and (long or several > OFTEN_NEW * n)


def _array(numbers: pl.Series) -> NDArray[np.float64]:
    return numbers.fill_null(float("nan")).to_numpy().astype(np.float64)


def _of_names(name: str, role: Role, now: pl.Series, before: pl.Series) -> Dimension:
    import polars as pl

    both = pl.concat([now, before]).fill_null(f"no {name}")
    every = both.unique(maintain_order=True).to_list()
    raw = both.cast(pl.Enum(every)).to_physical().to_numpy().astype(np.int64)
    counts = np.bincount(raw[: len(now)], minlength=len(every)) + np.bincount(raw[len(now) :], minlength=len(every))
    order = [int(k) for k in np.argsort(-counts, kind="stable") if counts[k]]
    kept = order[:MOST_VALUES]
    places = np.full(len(every), len(kept), np.int64)
    places[kept] = np.arange(len(kept))
    labels = [_label(name, every[k]) for k in kept]
    size = len(kept) + (len(order) > len(kept))
    codes = places[raw]
    return Dimension(name, role, codes[: len(now)], codes[len(now) :], tuple(labels), np.eye(len(kept), size) > 0)


def _label(name: str, value: str) -> str:
    if value == f"no {name}":
        return value
    # A digest is known by its beginning.
    said = value[:DIGITS] if name == "release" else value
    return f"{name}={said if len(said) <= 60 else said[:59] + '…'}"


def _of_numbers(name: str, role: Role, now: NDArray[np.float64], before: NDArray[np.float64]) -> Dimension:
    known = np.concatenate([now, before])
    known = known[np.isfinite(known)]
    several = np.unique(known[:: max(1, len(known) // 20_000)])
    if len(several) <= FEW and np.isin(known, several).all():
        return _of_few(name, role, now, before, several)
    edges = _edges(known)
    return _of_bins(name, role, now, before, edges)


def _of_few(
    name: str, role: Role, now: NDArray[np.float64], before: NDArray[np.float64], several: NDArray[np.float64]
) -> Dimension:
    """Numbers that are names, such as a number of retries; the last code is for what is null."""
    a, b = (np.where(np.isnan(part), len(several), np.searchsorted(several, part)) for part in (now, before))
    labels = (*(f"{name}={value:g}" for value in several), f"no {name}")
    return Dimension(name, role, a, b, labels, np.eye(len(several) + 1) > 0)


def _edges(known: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quantiles, with the two digits that a person would choose."""
    found = np.quantile(known, QUANTILES) if len(known) else np.zeros(0)
    rounded = [float(f"{edge:.2g}") for edge in found]
    return np.unique([edge for edge in rounded if known.min() <= edge < known.max()])


def _of_bins(
    name: str, role: Role, now: NDArray[np.float64], before: NDArray[np.float64], edges: NDArray[np.float64]
) -> Dimension:
    """Bins between the edges, nulls behind them; a label takes all above or all up to an edge, or what lies between."""
    bins = len(edges) + 1
    a, b = (np.where(np.isnan(part), bins, np.searchsorted(edges, part)) for part in (now, before))
    upto = np.arange(bins + 1)[None, :] <= np.arange(bins - 1)[:, None]
    above = ~upto
    above[:, bins] = False
    inner = np.eye(bins + 1)[1 : bins - 1] > 0
    null = np.arange(bins + 1)[None, :] == bins
    said = [f"{edge:g}" for edge in edges]
    labels = [f"{name}<={edge}" for edge in said] + [f"{name}>{edge}" for edge in said]
    labels += [f"{low}<{name}<={high}" for low, high in pairwise(said)] + [f"no {name}"]
    return Dimension(name, role, a, b, tuple(labels), np.concatenate([upto, above, inner, null]))


def _derived(now: pl.DataFrame, before: pl.DataFrame) -> Iterator[Dimension]:
    if "seconds.model" not in now.columns or "seconds.model" not in before.columns:
        return
    a, b = (_known_to_cache(frame) for frame in (now, before))
    yield Dimension("cache", "happened", a, b, ("cache=miss", "cache=hit"), np.eye(2) > 0)


def _known_to_cache(frame: pl.DataFrame) -> Codes:
    """1 where an answer came without the model having run for it."""
    answered = frame["error"].is_null() if "error" in frame.columns else frame["id"].is_not_null()
    return (frame["seconds.model"].is_null() & answered).to_numpy().astype(np.int64)


def batch_rows(frame: pl.DataFrame) -> NDArray[np.float64]:
    """How many rows ran in the batch of each; NaN where no model ran.

    Rows of one batch carry the same time of the model, to the last bit, and were asked within a moment.
    """
    import polars as pl

    seconds = _array(frame["seconds.model"])
    slots = (frame["at"].to_numpy() / BATCH_SECONDS).astype(np.int64)
    keys = pl.DataFrame({"slot": slots, "bits": seconds.view(np.int64)})
    sizes = keys.select(pl.len().over("slot", "bits"))["len"].to_numpy().astype(np.float64)
    return np.where(np.isnan(seconds), np.nan, sizes)
