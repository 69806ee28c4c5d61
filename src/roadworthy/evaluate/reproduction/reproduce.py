"""Reproduce sets a claim against our own measurement on the claim's data, before anything else is believed."""

from __future__ import annotations

import math
from typing import Literal

from msgspec import Struct

from roadworthy.core.measure import Claim, Measurement
from roadworthy.evaluate.reproduction.claim_values import is_share, unsaid

Outcome = Literal["reproduced", "not reproduced", "not comparable"]
CauseKind = Literal[
    "label mismatch", "labels inverted", "extractor", "preprocessing", "metric variant", "threshold", "split"
]


class Cause(Struct, frozen=True):
    """One explanation that was tried: what was supposed, and the number under it.

    `named` when it explains the claim and is no fluke. `chance` bounds how often an unrelated explanation would have
    come as close: over all that were tried where the number alone speaks for it.
    """

    kind: CauseKind
    what: str
    measured: Measurement
    named: bool
    chance: float
    because: str


class Reproduction(Struct, frozen=True):
    """A claim, what we measured instead, whether the two agree, and why.

    `causes` holds the explanations that were tried, the most plausible first; `unsaid` what the claim leaves open.
    """

    claim: Claim
    measured: Measurement
    outcome: Outcome
    because: str
    causes: tuple[Cause, ...] = ()
    unsaid: tuple[str, ...] = ()

    @property
    def cause(self) -> Cause | None:
        """The most plausible explanation, or None where none was found (or none was looked for)."""
        return next((cause for cause in self.causes if cause.named), None)


def reproduce(claim: Claim, measured: Measurement, digest: str = "") -> Reproduction:
    """Reproduced when our interval meets the claim's own, value plus or minus tolerance.

    Not comparable when the two are not about the same thing (metric, variant, slice, the data by its `digest`), or
    when our interval is so wide that it would agree with almost any claim. The variant measured is
    `measured.conditions["definition"]`.
    """
    left_open = unsaid(claim)
    obstacle = _obstacle(claim, measured, digest)
    if obstacle:
        return Reproduction(claim, measured, "not comparable", obstacle, unsaid=left_open)
    stated = f"claimed {claim.value:.4g}" + (f" ± {claim.tolerance:.2g}" if claim.tolerance else "")
    if agrees(claim, measured):
        because = f"{measured} agrees with the {stated}"
        return Reproduction(claim, measured, "reproduced", because, unsaid=left_open)
    low, high = claim.value - claim.tolerance, claim.value + claim.tolerance
    distance = low - measured.high if measured.high < low else measured.low - high
    side = "below" if measured.high < low else "above"
    because = f"{measured} lies {distance:.3g} {side} the {stated}{_hint(claim, measured)}"
    return Reproduction(claim, measured, "not reproduced", because, unsaid=left_open)


def agrees(claim: Claim, measured: Measurement) -> bool:
    """Whether our interval and the claim's own have a value in common."""
    low, high = claim.value - claim.tolerance, claim.value + claim.tolerance
    return measured.n > 0 and measured.low <= high and measured.high >= low


def _obstacle(claim: Claim, measured: Measurement, digest: str) -> str:
    if measured.name != claim.metric:
        return f"the claim is about {claim.metric!r} and {measured.name!r} was measured"
    variant = str(measured.conditions.get("definition", ""))
    # Some variants are in the metric's name: macro_f1, top_5.
    if claim.definition and claim.definition != variant and claim.definition.replace("-", "_") not in claim.metric:
        return f"the claim is about {claim.metric} ({claim.definition}) and the {variant or 'plain'} one was measured"
    if measured.where != claim.where:
        return f"the claim is about {claim.where or 'all rows'} and {measured.where or 'all rows'} was measured"
    if measured.n == 0 or math.isnan(measured.value):
        return "nothing was measured: no labelled row has an answer, or a class has too few of them"
    if _is_digest(claim.data) and digest and claim.data.removeprefix("sha256:") != digest.removeprefix("sha256:"):
        return f"the claim is about data {claim.data[:19]}… and {digest[:12]}… was measured"
    if is_share(measured.name) and abs(claim.value) > 1.5:
        return f"the claim of {claim.value:g} looks like a percentage: write {claim.value / 100:g}"
    half, widest = (measured.high - measured.low) / 2, max(0.1 * abs(claim.value), 2 * claim.tolerance)
    if not half <= widest:
        return f"{measured.n} rows are too few to tell: ± {half:.2g}, and at most ± {widest:.2g} would say something"
    return ""


def _is_digest(text: str) -> bool:
    text = text.removeprefix("sha256:")
    return len(text) == 64 and all(c in "0123456789abcdef" for c in text)


def _hint(claim: Claim, measured: Measurement) -> str:
    """The commonest causes leave a mark in the number itself."""
    if measured.name == "auc" and abs(1 - measured.value - claim.value) <= claim.tolerance + 0.01:
        return "; 1 - measured fits: are the labels or the probabilities the wrong way round?"
    if measured.name in ("auc", "accuracy") and abs(measured.value - 0.5) <= 0.02:
        return "; that is chance: do the rows of answers and labels belong together?"
    if measured.high > measured.low and claim.tolerance == 0:
        return "; the claim states no tolerance"
    return ""
