"""Reproduce sets a claim against our own measurement on the claim's data, before anything else is believed."""

from __future__ import annotations

import math
from typing import Literal

from msgspec import Struct

from roadworthy.core.measure import Claim, Measurement

Outcome = Literal["reproduced", "not reproduced", "not comparable"]


class Reproduction(Struct, frozen=True):
    """A claim, what we measured instead, whether the two agree, and why."""

    claim: Claim
    measured: Measurement
    outcome: Outcome
    because: str


def reproduce(claim: Claim, measured: Measurement, digest: str = "") -> Reproduction:
    """Reproduced when our interval meets the claim's own, value plus or minus tolerance.

    Not comparable when the two are not about the same thing (metric, slice, the data by its `digest`), or when our
    interval is so wide that it would agree with almost any claim.
    """
    obstacle = _obstacle(claim, measured, digest)
    if obstacle:
        return Reproduction(claim, measured, "not comparable", obstacle)
    low, high = claim.value - claim.tolerance, claim.value + claim.tolerance
    stated = f"claimed {claim.value:.4g}" + (f" ± {claim.tolerance:.2g}" if claim.tolerance else "")
    if measured.low <= high and measured.high >= low:
        return Reproduction(claim, measured, "reproduced", f"{measured} agrees with the {stated}")
    distance = low - measured.high if measured.high < low else measured.low - high
    side = "below" if measured.high < low else "above"
    hint = _hint(claim, measured)
    return Reproduction(claim, measured, "not reproduced", f"{measured} lies {distance:.3g} {side} the {stated}{hint}")


def _obstacle(claim: Claim, measured: Measurement, digest: str) -> str:
    if measured.name != claim.metric:
        return f"the claim is about {claim.metric!r} and {measured.name!r} was measured"
    if measured.where != claim.where:
        return f"the claim is about {claim.where or 'all rows'} and {measured.where or 'all rows'} was measured"
    if measured.n == 0 or math.isnan(measured.value):
        return "nothing was measured: the lab data has no labelled row with an answer"
    if _is_digest(claim.data) and digest and claim.data.removeprefix("sha256:") != digest.removeprefix("sha256:"):
        return f"the claim is about data {claim.data[:19]}… and {digest[:12]}… was measured"
    if measured.unit == "1" and abs(claim.value) > 1.5 and abs(measured.value) <= 1.0:
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
