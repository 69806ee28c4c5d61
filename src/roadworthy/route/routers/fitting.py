"""A router is fitted to rows of which both models' answers were judged; too few or one-sided labels are refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from roadworthy.core.calibration import debiased_error
from roadworthy.core.errors import BadData, unknown
from roadworthy.core.measure import Measurement
from roadworthy.core.stats import auc, log_loss
from roadworthy.route.routers.curve import Curve, curve_of
from roadworthy.route.routers.labelled import Labelled, checked
from roadworthy.route.routers.logistic import Folded, fit_folds, sigmoid, stretched
from roadworthy.route.routers.packed import Packed
from roadworthy.route.routers.reading import Category, Column, Number, Scale, Vector
from roadworthy.route.routers.router import AnyPart, Lines, ReferenceRows, Router, RouterFile, Settings
from roadworthy.route.routers.segments import Segments
from roadworthy.route.routers.sparse import beside
from roadworthy.route.routers.texts import Text

if TYPE_CHECKING:
    from numpy.typing import NDArray

_USUAL = Settings()
RIDGES = (2.0, 4.0, 8.0)
_AFTER_RIDGES = (0.1, 1.0, 10.0)
_FOLDS = 5


class RouterFit(Struct, frozen=True):
    """A fitted router's file, and how good it was on rows that were left out while fitting.

    `measured` are log loss, AUC and calibration error of either model's chance; `curve` is its cost-quality curve on
    the labelled rows, `ridge` the strength that was chosen.
    """

    file: RouterFile
    n: int
    measured: tuple[Measurement, ...]
    curve: Curve
    ridge: float
    after: Curve | None = None

    @property
    def router(self) -> Router:
        """The router itself."""
        return Router(self.file, self.file.settings)


def fit(
    rows: Labelled,
    *,
    tag: str = "segment",
    kinds: Mapping[str, str] | None = None,
    traffic: Mapping[str, Column] | None = None,
    traffic_segments: Sequence[str] = (),
    settings: Settings = _USUAL,
    bits: int = 16,
    rng: np.random.Generator | None = None,
) -> RouterFit:
    """Learn when the strong model pays, from a few hundred judged rows and any number of `traffic` rows without labels.

    `kinds` says how to read a column (`text`, `vector`, `number`, `category`), where that is not to be guessed. Of the
    traffic one half tells which words are rare, the other where the thresholds lie and what is strange; without traffic
    the labelled rows do both, each judged by models fitted without it. Raises BadData for too few labels, for labels of
    one kind, and for NaN.
    """
    strong, weak, weights = checked(rows, tag)
    labels = np.stack([strong, weak], axis=1)
    segments = [str(name) for name in rows.segments]
    words, compared = _halves(rows, traffic, traffic_segments)
    parts = _parts(rows.columns, kinds or {}, words[0], bits)
    if segments:
        parts.append(Category.fit(tag, segments))
    columns = {**rows.columns, tag: segments} if segments else rows.columns
    folds = _folds(rows.groups, len(strong), rng or np.random.default_rng(0))
    features = beside([part.rows(columns[part.column]) for part in parts])
    found = stretched(fit_folds(features, labels, weights, folds, RIDGES), labels, weights)
    lines = _lines(parts, found)
    shrunk = Segments.fit(segments, strong, weak, weights) if segments else Segments()
    known = tag if segments else ""
    reference, scales = _reference(lines, columns, found.left_out, weights, compared, segments, shrunk, known)
    file = RouterFile(lines, reference, scales, shrunk, known, settings=settings, labels=len(strong))
    measured, curve = _measured(labels, found.left_out), curve_of(_gains(found.left_out), strong, weak, "left_out")
    plain = RouterFit(file, len(strong), measured, curve, found.ridge)
    return _looking_after(plain, rows, labels, weights, found.left_out, folds) if rows.after else plain


def _gains(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return sigmoid(odds[:, 0]) - sigmoid(odds[:, 1])


def _parts(
    columns: Mapping[str, Column], kinds: Mapping[str, str], traffic: Mapping[str, Column], bits: int
) -> list[AnyPart]:
    for name in kinds:
        if name not in columns:
            raise BadData(unknown("column", name, columns))
    parts: list[AnyPart] = []
    for name, values in columns.items():
        kind = kinds.get(name) or _guessed(values)
        if kind == "text":
            parts.append(Text.fit(name, [*values, *traffic.get(name, ())], bits))
        elif kind == "vector":
            parts.append(Vector.fit(name, values))
        elif kind == "number":
            parts.append(Number.fit(name, values))
        elif kind == "category":
            parts.append(Category.fit(name, values))
        else:
            raise BadData(unknown("kind of column", kind, ("text", "vector", "number", "category")))
    return parts


def _guessed(values: Column) -> str:
    if isinstance(values, np.ndarray) and values.ndim == 2:
        return "vector"
    known = [value for value in values if value is not None]
    if known and isinstance(known[0], str | bytes):
        words = sum(len(value.split()) for value in known if isinstance(value, str | bytes)) / len(known)
        return "text" if words > 2 or len(set(known)) > len(known) / 2 else "category"
    return "vector" if known and isinstance(known[0], Sequence | np.ndarray) else "number"


Half = tuple[Mapping[str, Column], Sequence[str]]


def _halves(rows: Labelled, traffic: Mapping[str, Column] | None, segments: Sequence[str]) -> tuple[Half, Half]:
    """Every other row of the traffic to count words in, the rest to compare with."""
    if not traffic:
        return ({}, ()), ({}, ())
    if missing := rows.columns.keys() - traffic.keys():
        raise BadData(f"`traffic` needs the columns of the labelled rows, and has no {', '.join(sorted(missing))}")
    named = bool(len(rows.segments))
    sizes = {len(traffic[name]) for name in rows.columns} | ({len(segments)} if named else set())
    if len(sizes) != 1 or min(sizes) < 2:
        said = "columns and segments" if named else "columns"
        raise BadData(f"`traffic` needs {said} of one length, at least 2, got {sorted(sizes)}")
    first, second = ({name: traffic[name][k::2] for name in rows.columns} for k in (0, 1))
    return (first, segments[::2]), (second, segments[1::2])


def _folds(groups: Sequence[Any], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    _, codes = np.unique(np.asarray(groups, dtype=str), return_inverse=True) if len(groups) else (None, np.arange(n))
    names = int(codes.max()) + 1
    if names < _FOLDS:
        raise BadData(f"`groups` must name at least {_FOLDS} groups, got {names}")
    return np.asarray((rng.permutation(names) % _FOLDS)[codes])


def _lines(parts: Sequence[AnyPart], found: Folded) -> Lines:
    strong, weak = found.lines
    weights = Packed.of(np.stack([strong.weights, weak.weights], axis=1), "<f2")
    return Lines(tuple(parts), weights, (strong.intercept, weak.intercept))


def _reference(
    lines: Lines,
    columns: Mapping[str, Column],
    left_out: NDArray[np.float64],
    weights: NDArray[np.float64],
    traffic: Half,
    segments: Sequence[str],
    shrunk: Segments,
    tag: str,
) -> tuple[ReferenceRows, Scale]:
    """The rows that thresholds and strangeness are taken from: traffic, or else the labelled rows as left out."""
    given, names = traffic
    odds = left_out
    if given:
        columns, segments, weights = (
            ({**given, tag: names} if tag else given),
            names,
            np.ones(len(next(iter(given.values())))),
        )
        features = beside([part.rows(columns[part.column]) for part in lines.parts])
        packed = lines.weights.array()
        odds = np.stack([features.times(packed[:, k]) + lines.intercepts[k] for k in (0, 1)], axis=1)
    strange = np.stack([part.strangeness(columns[part.column], known=not given) for part in lines.parts], axis=1)
    scales = Scale.of(strange)
    total = ((strange - np.array(scales.middle)) / np.array(scales.spread)).sum(axis=1)
    # The log-odds of rows that were left out are those of other models, and no measure for this one's.
    signals = np.column_stack([total, odds]) if given else total[:, None]
    gains, codes = _gains(odds), _codes(segments, shrunk, len(odds))
    # Segments without a label go to the strong model whatever the threshold, and have no part in it.
    kept = np.flatnonzero(codes >= 0)
    rows = ReferenceRows(
        Packed.of(gains[kept]), Packed.of(codes[kept], "<u2"), Packed.of(weights[kept]), Packed.of(signals)
    )
    return rows, scales


def _codes(segments: Sequence[str], shrunk: Segments, n: int) -> NDArray[np.int64]:
    if not shrunk.names:
        return np.zeros(n, np.int64)
    place = {name: k for k, name in enumerate(shrunk.names)}
    return np.array([place.get(str(name), -1) for name in segments])


def _looking_after(
    plain: RouterFit,
    rows: Labelled,
    labels: NDArray[np.float64],
    weights: NDArray[np.float64],
    left_out: NDArray[np.float64],
    folds: NDArray[np.int64],
) -> RouterFit:
    """The router with lines over what was expected before the answer and what the answer showed."""
    columns = {"before.strong": left_out[:, 0], "before.weak": left_out[:, 1]}
    columns |= {name: np.asarray(values, np.float64) for name, values in rows.after.items()}
    if wrong := {name: len(column) for name, column in columns.items() if len(column) != plain.n}:
        raise BadData(f"`after` needs one number a row ({plain.n}), got {wrong}")
    parts = [Number.fit(name, column.tolist()) for name, column in columns.items()]
    features = beside([part.rows(columns[part.column].tolist()) for part in parts])
    found = stretched(fit_folds(features, labels, weights, folds, _AFTER_RIDGES), labels, weights)
    gains, codes = _gains(found.left_out), _codes(rows.segments, plain.file.segments, plain.n)
    told = {"after_gains": Packed.of(gains), "after_codes": Packed.of(codes, "<u2")}
    file = replace(plain.file, after=_lines(parts, found), **told)
    return replace(plain, file=file, after=curve_of(gains, labels[:, 0], labels[:, 1], "left_out"))


def _measured(labels: NDArray[np.float64], left_out: NDArray[np.float64]) -> tuple[Measurement, ...]:
    found: list[Measurement] = []
    for name, right, odds in zip(("strong", "weak"), labels.T, left_out.T, strict=True):
        chances = sigmoid(odds)
        found += [log_loss(right, chances, name), auc(right, chances, name), debiased_error(right, chances, name)]
    return tuple(found)
