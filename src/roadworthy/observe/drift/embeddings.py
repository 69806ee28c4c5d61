"""Keeps an index of vectors honest: who made each one, of what text, and does it still find what it should?"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.stats import binomial_survival, mean, nothing, proportion, z_of
from roadworthy.observe.drift.two_sample import compared, judged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Search = Callable[[str, int], Sequence[str]]

_TERM = re.compile(r"\w+", re.UNICODE)


class Provenance(Struct, frozen=True):
    """Who made a vector: `model` and `preprocessing` by their ids, and the `content` (hash) that it was made of."""

    model: str
    preprocessing: str
    content: str
    at: float


def provenance(text: str, model: str, preprocessing: str, at: float) -> Provenance:
    """Of a vector that is made of `text` at `at` (Unix seconds): to be kept beside it in the index."""
    return Provenance(model, preprocessing, content_hash(text), at)


def content_hash(text: str) -> str:
    """Sixteen bytes of it as hex: the same text gives the same hash everywhere."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def index_health(
    index: Mapping[str, Provenance], documents: Mapping[str, str], model: str, preprocessing: str
) -> tuple[Measurement, ...]:
    """What of an index, or of a random sample of it, is fit to be searched with queries of this model.

    `documents` maps the ids to today's texts. `mixed_model` is the share of vectors that another model or another
    preprocessing made: their distances to a query mean nothing. `stale_content` is the share whose document changed
    since, `orphaned` whose document is gone, `unindexed` the share of documents that have no vector.
    """
    mixed = sum((p.model, p.preprocessing) != (model, preprocessing) for p in index.values())
    alive = {key: p for key, p in index.items() if key in documents}
    stale = sum(content_hash(documents[key]) != p.content for key, p in alive.items())
    absent = sum(key not in index for key in documents)
    return (
        proportion("mixed_model", mixed, len(index)),
        proportion("stale_content", stale, len(alive)),
        proportion("orphaned", len(index) - len(alive), len(index)),
        proportion("unindexed", absent, len(documents)),
    )


class Anchor(Struct, frozen=True):
    """A query whose right answers are known: the ids of documents and how relevant each is."""

    query: str
    relevant: Mapping[str, float]


class AnchorDay(Struct, frozen=True):
    """What a fixed set of anchors found on one day: recall and nDCG at k, query by query."""

    at: float
    k: int
    recall: tuple[float, ...]
    ndcg: tuple[float, ...]

    def measurements(self) -> tuple[Measurement, Measurement]:
        """Their means over the queries."""
        return mean(f"recall_at_{self.k}", self.recall), mean(f"ndcg_at_{self.k}", self.ndcg)


def look_up(anchors: Sequence[Anchor], search: Search, k: int, at: float) -> AnchorDay:
    """Ask every anchor; `search(query, k)` gives the ids that are found, best first."""
    found = [list(search(anchor.query, k))[:k] for anchor in anchors]
    recalls = [recall_at(ids, anchor.relevant, k) for ids, anchor in zip(found, anchors, strict=True)]
    gains = [ndcg_at(ids, anchor.relevant, k) for ids, anchor in zip(found, anchors, strict=True)]
    return AnchorDay(at, k, tuple(recalls), tuple(gains))


def recall_at(found: Sequence[str], relevant: Mapping[str, float], k: int) -> float:
    """The share of the relevant documents, at most k of them, among the first k found."""
    wanted = {key for key, grade in relevant.items() if grade > 0}
    return len(wanted.intersection(found[:k])) / min(k, len(wanted)) if wanted else 1.0


def ndcg_at(found: Sequence[str], relevant: Mapping[str, float], k: int) -> float:
    """The gain of the first k over that of the best order (Jarvelin and Kekalainen 2002, with linear gains)."""
    gain = sum(relevant.get(key, 0.0) / np.log2(place + 2) for place, key in enumerate(found[:k]))
    best = sum(grade / np.log2(place + 2) for place, grade in enumerate(sorted(relevant.values(), reverse=True)[:k]))
    return float(gain / best) if best > 0 else 1.0


def anchors_fell(
    first: AnchorDay, today: AnchorDay, alpha: float = 0.01, at_most: float = 0.05, least: int = 20
) -> Verdict:
    """Do the anchors find less than on the first day, by more than `at_most` on average and beyond chance?

    A sign test on the queries whose nDCG changed, exact at any number of them. An index that nobody touched answers
    the same every day, so days add no chances of a false alarm; only what changed it does.
    """
    if len(first.ndcg) != len(today.ndcg) or first.k != today.k:
        raise ValueError(
            f"the anchors of both days must be the same: {len(first.ndcg)} at k={first.k} against "
            f"{len(today.ndcg)} at k={today.k}; begin anew where the set is changed"
        )
    if len(first.ndcg) < least:
        return Verdict("wait", f"{len(first.ndcg)} anchor queries: {least} needed", "anchors")
    lost = np.array(first.ndcg) - np.array(today.ndcg)
    worse, changed = int((lost > 0).sum()), int((lost != 0).sum())
    p = binomial_survival(worse, changed, 0.5)
    drop = mean("ndcg_lost", lost, confidence=1 - alpha)
    told = f"{worse} of {len(lost)} anchor queries find less than on the first day and {changed - worse} more"
    told = f"{told}; nDCG at {today.k} fell by {drop.value:.3f} (p {p:.2g})"
    fell = p <= alpha and drop.value > at_most
    return Verdict("fail" if fell else "pass", told, "anchors", (drop, *today.measurements()))


def terms_of(text: str) -> list[str]:
    """The words of a text in lower case.

    >>> terms_of("Re-index the GPU node!")
    ['re', 'index', 'the', 'gpu', 'node']
    """
    return _TERM.findall(text.casefold())


def vocabulary_of(texts: Iterable[str]) -> frozenset[str]:
    """Every word that the documents of an index have."""
    return frozenset(term for text in texts for term in terms_of(text))


def new_terms(queries: Sequence[str], vocabulary: frozenset[str]) -> Measurement:
    """The share of query words that no document has: what an index cannot know, and will answer anyhow.

    A ratio of sums over queries, so that a long query full of new words counts as one surprise (Cochran 1977, 2.11).
    """
    counts = [(len(terms), sum(t not in vocabulary for t in terms)) for q in queries if (terms := terms_of(q))]
    if not counts:
        return nothing("new_terms")
    words, new = np.array(counts, np.float64).T
    rate, n = float(new.sum() / words.sum()), len(words)
    if n == 1 or new.sum() in (0.0, words.sum()):
        found = proportion("new_terms", int(new.sum()), int(words.sum()))
        return Measurement("new_terms", rate, n, found.low, found.high)
    half = z_of(0.95) * float(np.sqrt(((new - rate * words) ** 2).sum() / (n - 1) / n) / words.mean())
    return Measurement("new_terms", rate, n, max(0.0, rate - half), min(1.0, rate + half))


def margins(scores: Floats) -> Floats:
    """How far the best of each query's top scores (n, k) stands above the others (n,), over the scores' spread.

    The score itself stays high when nothing fits: all of the top then score alike. NaN where k is 1 or all are equal.
    """
    if scores.ndim != 2 or scores.shape[1] < 2:
        return np.full(len(scores), np.nan)
    ordered = -np.sort(-scores, axis=1)
    spread = ordered[:, 1:].std(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(spread > 0, (ordered[:, 0] - ordered[:, 1:].mean(axis=1)) / spread, np.nan)


def margins_moved(reference: Floats, current: Floats, alpha: float = 0.01, least: float = 0.1) -> Verdict:
    """Do the top scores (n, k) of queries stand out as they did in the reference?"""
    found = compared("top-k margin", margins(reference), margins(current)) if len(reference) and len(current) else []
    if not found:
        return Verdict("wait", f"{len(current)} queries against {len(reference)}: nothing to compare", "margins")
    return judged(found, alpha, least, "margins", "margins")
