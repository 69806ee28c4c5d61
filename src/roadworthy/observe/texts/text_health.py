"""Are the texts of a window as healthy as those of a reference? Each fault has a threshold of its own, fitted there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from msgspec import Struct

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.stats import proportion

# Faults that are there or not; all others are numbers, whose threshold is fitted.
YES_OR_NO = frozenset({"empty", "refusal", "unfinished", "cut"})


class TextBaseline(Struct, frozen=True):
    """What was normal for a model: of `n` texts so many were above the `threshold` of each fault.

    `alpha` of texts such as these are above each threshold by chance.
    """

    n: int
    alpha: float
    thresholds: Mapping[str, float]
    hits: Mapping[str, int]

    @classmethod
    def fit(cls, texts: Sequence[Mapping[str, float]], alpha: float = 0.01) -> TextBaseline:
        """From what `measured` says of each text. Fewer than 1/alpha texts fit no threshold that one text could break.

        The threshold is the value of rank (n+1)(1-alpha), which a further text exceeds with at most the chance alpha,
        whatever the law (Vovk et al. 2005, conformal prediction).
        """
        if not 0 < alpha < 1:
            raise ValueError(f"`alpha` must be between 0 and 1, got {alpha!r}")
        names = set.intersection(*map(set, texts)) if texts else set()
        values = {name: sorted(text[name] for text in texts) for name in sorted(names)}
        rank = math.ceil((len(texts) + 1) * (1 - alpha))
        fitted = {name: _threshold(name, found, rank) for name, found in values.items()}
        hits = {name: sum(value > fitted[name] for value in found) for name, found in values.items()}
        return cls(len(texts), alpha, fitted, hits)

    def faults(self, text: Mapping[str, float]) -> tuple[str, ...]:
        """What is wrong with one text; a fault that is usual here is none."""
        rare = (name for name in self.thresholds if self.hits[name] <= self.alpha * self.n)
        return tuple(name for name in rare if text.get(name, -math.inf) > self.thresholds[name])


def judged(
    baseline: TextBaseline,
    texts: Sequence[Mapping[str, float]],
    where: str = "",
    alpha: float = 0.01,
    least_rise: float = 0.01,
    least_rows: int = 50,
) -> Verdict:
    """Alarms where a fault is more frequent than in the baseline, with at most `alpha` for all faults together.

    The test is Fisher's exact one, which stays exact although the threshold was fitted on the same baseline: it only
    asks how many of the highest ranks are the window's. A rise of less than `least_rise` alarms nobody.
    """
    if len(texts) < least_rows or baseline.n < least_rows:
        return Verdict("wait", f"{len(texts)} texts against {baseline.n}, at least {least_rows} of each are needed")
    names = [name for name in baseline.thresholds if all(name in text for text in texts)]
    found = [_rate(baseline, name, texts, where, alpha / max(1, len(names))) for name in names]
    risen = [one for one in found if _rise(one) >= least_rise and one.conditions["p"] <= alpha / len(names)]
    if not risen:
        return Verdict("pass", f"no fault is more frequent than it was in {len(texts)} texts", "", tuple(found))
    worst = sorted(risen, key=lambda one: -_rise(one))
    told = "; ".join(f"{o.conditions['of']} {o.value:.1%} of texts, was {o.conditions['baseline']:.1%}" for o in worst)
    rest = [one for one in found if one not in risen]
    return Verdict("fail", f"{where or 'text'}: {told}", "", (*worst, *rest))


def _rate(
    baseline: TextBaseline, name: str, texts: Sequence[Mapping[str, float]], where: str, alpha: float
) -> Measurement:
    hits = sum(text[name] > baseline.thresholds[name] for text in texts)
    share = proportion("text_health", hits, len(texts), where, 1 - alpha)
    told = {
        "of": name,
        "baseline": baseline.hits[name] / baseline.n,
        "p": more_than_chance(hits, len(texts), baseline.hits[name], baseline.n),
        "confidence": 1 - alpha,
    }
    return Measurement("text_health", share.value, share.n, share.low, share.high, where=where, conditions=told)


def _rise(one: Measurement) -> float:
    return float(one.value - one.conditions["baseline"])


def more_than_chance(hits: int, n: int, before: int, of: int) -> float:
    """P(at least `hits` of the `hits + before` highest of n + of values are among the n), all orders being alike."""
    both = hits + before
    if not hits:
        return 1.0
    whole = _log_choose(n + of, both)
    least, most = max(hits, both - of), min(both, n)
    terms = (_log_choose(n, k) + _log_choose(of, both - k) - whole for k in range(least, most + 1))
    return min(1.0, sum(math.exp(term) for term in terms))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _threshold(name: str, values: Sequence[float], rank: int) -> float:
    if name in YES_OR_NO:
        return 0.5
    return values[rank - 1] if rank <= len(values) else math.inf
