"""Mix is which damage production's texts have, estimated against the lab's, and a sample that has as much of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement
from roadworthy.core.sample import Sample
from roadworthy.core.stats import nothing, proportion, z_of
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.text.signs import GRADES, Grades, Signs
from roadworthy.evaluate.text.texts import named, texts_of

Floats = NDArray[np.float64]


class Part(Struct, frozen=True, omit_defaults=True):
    """So large a share of the rows (`weight`) is spoilt by this corruption (a plan) at this severity.

    `share` is the evidence: the share as it was estimated, which gets no weight while it may as well be 0. `because`
    says so in words.
    """

    plan: Any
    severity: float
    weight: float
    share: Measurement | None = None
    because: str = ""

    def __post_init__(self) -> None:
        for name, value in (("severity", self.severity), ("weight", self.weight)):
            if not 0 <= value <= 1:
                raise ValueError(f"`{name}` of {self.plan!r} must be between 0 and 1, got {value!r}")


class Mix(Struct, frozen=True, omit_defaults=True):
    """Parts whose rows do not overlap; what they leave of the sample stays clean.

    By hand: `Mix((Part("typo", severity=0.5, weight=0.35), Part("paste:form=html", 1.0, 0.2)))`.
    """

    parts: tuple[Part, ...]
    because: str = ""

    def __post_init__(self) -> None:
        total = sum(part.weight for part in self.parts)
        if total > 1 + 1e-9:
            raise ValueError(f"the weights of a mix add up to at most 1, these to {total:g}")

    @property
    def clean(self) -> float:
        """The share of the rows that stays as it is."""
        return max(0.0, 1 - sum(part.weight for part in self.parts))


# What a chat with customers may look like: a prior for those who have no production sample, and no measurement.
PLAUSIBLE = Mix(
    (
        Part("typo", 0.5, 0.35),
        Part("mixed_language", 1.0, 0.15),
        Part("incomplete", 0.6, 0.2),
        Part("paste", 1.0, 0.2),
    ),
    "assumed, not measured",
)


def mixture(sample: Sample, mix: Mix, rng: np.random.Generator) -> Sample:
    """The sample with each row spoilt by one part at most, drawn by the weights."""
    drawn, start = rng.random(sample.n), 0.0
    spoilt = dict(sample.columns)
    for part in mix.parts:
        hit = (drawn >= start) & (drawn < start + part.weight)
        start += part.weight
        if hit.any():
            # On the whole sample, as a stale value comes from rows that belong to another part.
            bad = corruption.make(part.plan)(sample, part.severity, rng)
            for name, column in bad.columns.items():
                if column is not sample.columns[name]:
                    spoilt[name] = _put(spoilt[name], column, hit)
    return replace(sample, columns=spoilt)


def _put(into: NDArray[Any], column: NDArray[Any], hit: NDArray[np.bool_]) -> NDArray[Any]:
    kind = into.dtype if into.dtype == column.dtype else np.result_type(into, column)
    changed = into.astype(kind)
    changed[hit] = column[hit]
    return changed


class Cause(NamedTuple):
    """A corruption at a severity, as one of the things that may have happened to a text."""

    plan: str
    severity: float


def _causes() -> tuple[Cause, ...]:
    often: tuple[tuple[str, tuple[float, ...]], ...] = (
        ("typo", (0.2, 0.5, 1.0)),
        ("ocr", (0.5,)),
        ("incomplete", (0.4, 0.8)),
        *((f"mixed_language:language={language}", (0.5, 1.0)) for language in ("es", "de", "fr", "pt")),
        ("unicode:form=full_width", (0.5,)),
        ("unicode:form=homoglyph", (0.5,)),
        ("unicode:form=zero_width", (0.25,)),
        ("unicode:form=bidi", (0.25,)),
        ("spacing", (0.5,)),
        ("spacing:form=split", (0.5,)),
    )
    whole = ("newline", "html", "quote_prefix", "signature", "nbsp", "bullets", "table_pipe")
    rows = (*(f"paste:form={form}" for form in whole), "letter_case", "letter_case:form=lower", "punctuation")
    rows += ("punctuation:form=dropped", "mojibake", "unicode:form=nfd")
    return (*(Cause(p, s) for p, found in often for s in found), *(Cause(p, 1.0) for p in rows))


CAUSES = _causes()
# Each cause spoils so many of the lab's texts: enough to know how often a sign is left, to within 2 points.
SPOILT = 800


def estimate(
    production: Sample,
    lab: Sample,
    rng: np.random.Generator,
    *,
    columns: Sequence[str] = (),
    causes: Sequence[Cause] = CAUSES,
    most: int = 2000,
    at_least: int = 100,
) -> Mix:
    """The share of production's texts that each cause has spoilt, and the mix that they make.

    One half of the lab teaches what is normal (`Signs`), the other half is spoilt by each cause in turn to see which
    signs it leaves; the shares are those under which production's signs are likeliest (maximum likelihood for a
    mixture of known laws, by EM: Dempster, Laird & Rubin 1977; so Saerens, Latinne & Decaestecker 2002), the signs
    of a text being taken as independent given its cause. So the lab's own rate of each sign is allowed for. Intervals
    are from 40 bootstrap draws, of production's rows and of the laws. At most `most` texts are read of each; with
    fewer than `at_least` nothing is estimated.
    """
    known = _drawn(lab, named(lab, columns, "text"), 2 * most, rng)
    seen = _drawn(production, named(production, columns, "text"), most, rng)
    if min(len(seen), len(known) // 2) < at_least:
        given = f"{len(seen)} texts of production and {len(known)} of the lab"
        because = f"{given}: {at_least} and {2 * at_least} are needed"
        return Mix(tuple(_unknown(dict.fromkeys(cause.plan for cause in causes), because)), because)
    signs, held = Signs.of(known[::2]), known[1::2][:SPOILT]
    laws = _Laws.of(signs, held, causes, rng)
    patterns, counts = np.unique(signs(seen), axis=0, return_counts=True)
    shares = _shares(laws.likelihood(patterns), counts)
    draws = np.stack([_again(patterns, counts, laws, rng) for _ in range(40)])
    parts = tuple(_parts(laws.causes, shares[1:], draws[:, 1:], len(seen)))
    unseen = [cause.plan for cause in causes if cause.plan not in {part.plan for part in parts}]
    return Mix((*parts, *_unknown(dict.fromkeys(unseen), "leaves no sign on the lab's texts")))


@dataclass(frozen=True)
class _Laws:
    """How texts look that nothing befell (`clean`), and those on which a cause has left a sign.

    `clean` (signs, GRADES) and `marked` (causes, signs, GRADES) are counts of texts, `untouched` (causes,) how many of
    `n` texts look as before: a typo in a name that nobody knows. Keeping these apart is what makes the signs of a
    text nearly independent.
    """

    causes: tuple[Cause, ...]
    clean: Floats
    marked: Floats
    untouched: Floats
    n: int

    @classmethod
    def of(cls, signs: Signs, texts: list[str], causes: Sequence[Cause], rng: np.random.Generator) -> _Laws:
        """The laws as the lab's texts show them, spoilt by each cause; one that hardly shows is left out."""
        before = signs(texts)
        found: list[tuple[Cause, Floats, int]] = []
        for cause in causes:
            after = signs(_spoilt(texts, cause, rng))
            changed = (after != before).any(axis=1)
            if changed.mean() >= 0.05:
                found.append((cause, _counts(after[changed]), int((~changed).sum())))
        marked = np.array([law for _, law, _ in found]).reshape(-1, before.shape[1], GRADES)
        untouched = np.array([rows for *_, rows in found], dtype=np.float64)
        return cls(tuple(cause for cause, *_ in found), _counts(before), marked, untouched, len(texts))

    def likelihood(self, patterns: Grades) -> Floats:
        """How likely each pattern of signs is when nothing befell the text, and under each cause, up to a factor.

        Half a count more for each grade seen anywhere: what never happened in so few texts may happen yet.
        """
        laws = np.concatenate((self.clean[None], self.marked))
        padded = laws + 0.5 * (laws.sum(axis=0) > 0)
        logs = np.log(np.maximum(padded / padded.sum(axis=2, keepdims=True), 1e-12))
        found = sum(logs[:, sign, patterns[:, sign]].T for sign in range(patterns.shape[1]))
        likely: Floats = np.exp(found - np.max(found, axis=1, keepdims=True))
        looks = self.untouched / self.n
        likely[:, 1:] = looks * likely[:, :1] + (1 - looks) * likely[:, 1:]
        return likely

    def redrawn(self, rng: np.random.Generator) -> _Laws:
        """As other texts of the lab might have shown them."""
        clean, marked = (rng.gamma(law) for law in (self.clean, self.marked))
        untouched = rng.binomial(self.n, self.untouched / self.n).astype(np.float64)
        return replace(self, clean=clean, marked=marked, untouched=untouched)


def _drawn(sample: Sample, names: Sequence[str], most: int, rng: np.random.Generator) -> list[str]:
    """Some of the texts in these columns, in no order."""
    texts = [text for name in names for text in texts_of(sample.columns[name]) if text.strip()]
    return [texts[k] for k in rng.permutation(len(texts))[:most]]


def _spoilt(texts: list[str], cause: Cause, rng: np.random.Generator) -> list[str]:
    column = np.array([*texts, None], dtype=object)[:-1]
    bad = corruption.make(cause.plan)(Sample({"text": column}), cause.severity, rng)
    return texts_of(bad.columns["text"])


def _counts(grades: Grades) -> Floats:
    """How many texts have each grade of each sign: (signs, GRADES)."""
    return np.stack([np.bincount(sign, minlength=GRADES) for sign in grades.T]).astype(np.float64)


def _shares(likelihood: Floats, counts: NDArray[Any], steps: int = 300) -> Floats:
    """The weights of the laws under which the patterns, seen so often, are likeliest."""
    shares = np.full(likelihood.shape[1], 1 / likelihood.shape[1])
    for _ in range(steps):
        joint = likelihood * shares
        shares = (counts / joint.sum(axis=1)) @ joint / counts.sum()
    return shares


def _again(patterns: Grades, counts: NDArray[Any], laws: _Laws, rng: np.random.Generator) -> Floats:
    """The shares again, from production's rows and the laws drawn anew."""
    rows = rng.multinomial(counts.sum(), counts / counts.sum())
    return _shares(laws.redrawn(rng).likelihood(patterns[rows > 0]), rows[rows > 0], steps=100)


def _parts(causes: Sequence[Cause], shares: Floats, draws: Floats, n: int) -> Iterator[Part]:
    """One part for each corruption, at the average of its severities."""
    members: dict[str, list[int]] = {}
    for k, cause in enumerate(causes):
        members.setdefault(cause.plan, []).append(k)
    for plan, its in members.items():
        share, spread = float(shares[its].sum()), float(draws[:, its].sum(axis=1).std(ddof=1))
        severity = float(np.average([causes[k].severity for k in its], weights=shares[its] + 1e-12))
        found = _bounded(plan, share, spread, n)
        because = "" if found.low > 0 else f"{found}: may as well be none"
        yield Part(plan, round(severity, 3), share if found.low > 0 else 0.0, found, because)


def _bounded(plan: str, share: float, spread: float, n: int) -> Measurement:
    """The share with its bootstrap interval, which is never narrower than that of so many rows counted."""
    counted = proportion("share", round(share * n), n)
    low, high = share - z_of(0.95) * spread, share + z_of(0.95) * spread
    return msgspec.structs.replace(
        counted, value=share, low=max(0.0, min(low, counted.low)), high=min(1.0, max(high, counted.high)), where=plan
    )


def _unknown(plans: Iterable[str], because: str) -> Iterator[Part]:
    for plan in plans:
        yield Part(plan, 0.0, 0.0, nothing("share", where=plan), because)
