"""Causes: what the parts of an analysis come to, as a list of explanations with a share of the increase for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from msgspec import Struct

from roadworthy.observe.root_cause.change_log import RankedChange
from roadworthy.observe.root_cause.exemplars import StageShare
from roadworthy.observe.root_cause.metric_rows import Metric
from roadworthy.observe.root_cause.mix_rate import DimensionSplit, Split
from roadworthy.observe.root_cause.saturation import Reading, host_evidence
from roadworthy.observe.root_cause.slice_scan import Slice

Kind = Literal["slice", "release", "cache", "inputs", "mix", "host", "overload", "upstream", "everything"]

# Where the others moved by more than this share of what the slice moved, it is not the slice that is ill.
MOST_LIKE = 0.45
LEAST_SHARE = 0.1
BUSIER = 1.3
# A slow release that was deployed at the onset; another description of what a cause names already.
DEPLOYED, ANOTHER_NAME, UNEXPLAINED = 1.15, 0.3, 0.12
LEAST_STRENGTH = 0.25
# Where slices explain so much of the increase, other descriptions of their rows only confuse.
ENOUGH = 0.7
# A mix that moved by less than this could have by chance (log-likelihood of the share of one value).
LEAST_GAIN = 15.0
WORSE = {"errors": "failing", "accuracy": "wrong", "cost": "dear"}


class Cause(Struct, frozen=True, omit_defaults=True):
    """One explanation. `what` names it (`tenant=acme`, "" for everything), `share` is its part of the increase.

    `score` orders the causes: the share, weighted by what else speaks for it (a change at the onset, the machine).
    """

    kind: Kind
    what: str
    share: float
    score: float
    confidence: str
    sentence: str
    evidence: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Findings:
    """What is known when the causes are told.

    `peeled` are slices each of which moved beside the ones before it, `slices` the best ones whether they overlap or
    not. `error` is the kind of error that grew most, with its part of the growth.
    `entire` is the release that answered every row of the window and none of the baseline, if there is one.
    """

    metric: Metric
    split: Split
    mixes: Sequence[DimensionSplit]
    slices: Sequence[Slice]
    peeled: Sequence[Slice]
    changes: Sequence[RankedChange]
    readings: Sequence[Reading]
    stages: Sequence[StageShare]
    error: tuple[str, float] = ("", 0.0)
    entire: str = ""


def causes_of(found: Findings, most: int = 5) -> tuple[Cause, ...]:
    """The causes that bring at least a tenth of the increase, the best first."""
    told = [*_of_mix(found), *_of_rate(found)]
    kept = [cause for cause in told if cause.share >= LEAST_SHARE]
    return tuple(sorted(kept, key=lambda cause: -cause.score)[:most])


def _of_mix(found: Findings) -> Iterator[Cause]:
    for split in found.mixes:
        if not _tells(split):
            continue
        kind = _kind_of_mix(split)
        what = "" if kind == "cache" else split.value
        moved = f"{split.value} went from {split.share_before:.0%} to {split.share_now:.0%} of the rows"
        followers = [other.dimension for other in found.mixes if other.follows == split.dimension]
        within = _within(found, split) if kind == "inputs" else 0.0
        evidence = [f"{name} only follows {split.dimension}" for name in followers]
        evidence += _change_said(found.changes, kind in ("cache", "release"))
        yield _cause(kind, what, split.mix + within, 1.0, _mix_sentence(kind, moved), evidence)


def _tells(split: DimensionSplit) -> bool:
    """Is this mix a cause: large enough, beyond chance, and of its own?"""
    return split.mix >= LEAST_SHARE and split.gain >= LEAST_GAIN and bool(split.value) and not split.follows


def _within(found: Findings, split: DimensionSplit) -> float:
    """What the largest inputs bring beyond their bins, which do not see that they too became larger."""
    return sum(max(0.0, s.share_of_excess) for s in found.peeled if _is_tail_of(s, split.dimension))


def _is_tail_of(s: Slice, dimension: str) -> bool:
    return s.dimensions == (dimension,) and s.where.startswith(f"{dimension}>")


def _kind_of_mix(split: DimensionSplit) -> Kind:
    if split.dimension == "cache":
        return "cache"
    longer = split.dimension.endswith(" length") or split.dimension == "tokens"
    return "inputs" if longer and ">" in split.value else "mix"


def _mix_sentence(kind: Kind, moved: str) -> str:
    return {
        "cache": f"the cache knew fewer answers: {moved}",
        "inputs": f"inputs are longer: {moved}",
    }.get(kind, f"the mix of requests changed, not how they are served: {moved}")


def _of_rate(found: Findings) -> Iterator[Cause]:
    """Slices of their own first; what they leave over is everybody's. Other names for much the same rows come last."""
    # A mix that moved by chance explains nothing, and takes nothing away either.
    left = max(0.0, 1 - sum(m.mix for m in found.mixes if _tells(m)))
    longer = [m.dimension for m in found.mixes if _tells(m) and _kind_of_mix(m) == "inputs"]
    own = [s for s in found.peeled if s.likeness < MOST_LIKE and not any(_is_tail_of(s, name) for name in longer)]
    for s in own:
        share = min(max(0.0, s.share_of_excess), left)
        left -= share
        yield _of_slice(found, s, share, 1.0)
    yield from _of_everybody(found, left)
    if sum(min(1.0, s.share_of_excess) for s in own) > ENOUGH:
        return
    told = {s.where for s in own}
    others = [s for s in found.slices if s.where not in told and s.likeness < MOST_LIKE]
    others = [s for s in others if not any(_is_tail_of(s, name) for name in longer)]
    for s in others[:2]:
        yield _of_slice(found, s, min(1.0, s.share_of_excess), ANOTHER_NAME)


def _of_slice(found: Findings, s: Slice, share: float, weight: float) -> Cause:
    """`share` is what the slices before it left over."""
    release = next((part for part in (s.where, *s.aliases) if part.startswith("release=")), "")
    kind: Kind = "release" if release and len(s.parts) == 1 else "slice"
    what = release if kind == "release" else s.where
    matching = [r for r in found.changes if r.matches]
    adjective = WORSE.get(found.metric, "slow")
    others = f", the others {'did not move' if s.likeness < 0.1 else 'moved by a part of that'}"
    parts = f"{s.share_of_rows:.0%} of the rows, {_percent(s.share_of_excess)} of the increase"
    sentence = f"{what} is {adjective}: {parts}{others}"
    evidence = [f"{s.rows:,} rows, {s.rows_before:,} in the baseline", *_change_said(matching, kind == "release")]
    aliases = tuple(a for a in (s.where, *s.aliases) if a != what)
    weight *= DEPLOYED if kind == "release" and matching else 1.0
    return _cause(kind, what, share, weight, sentence, evidence, aliases)


def _of_everybody(found: Findings, left: float) -> Iterator[Cause]:
    if left < LEAST_SHARE:
        return
    strength, said = host_evidence(found.readings)
    queue = next((s.share for s in found.stages if s.stage == "queue"), 0.0)
    rate = next((r for r in found.readings if r.name == "rows_per_second"), None)
    busier = rate is not None and rate.moved and rate.now.value > BUSIER * rate.before.value
    if strength > LEAST_STRENGTH:
        sentence = f"the machine was busy with other things while all slices got worse alike: {said}"
        yield _cause("host", "", left, 0.7 + 0.5 * strength, sentence, [said])
    if found.error[1] > 0.5:
        sentence = f"{found.error[0]} makes {_percent(found.error[1])} of the new errors, in all slices alike"
        yield _cause("upstream", found.error[0], left * min(1.0, found.error[1]), 1.0, sentence, ())
    if busier and queue > 0.4 and rate is not None:
        more = f"{rate.now.value:.1f} rows a second against {rate.before.value:.1f}"
        yield _cause("overload", "", left, 1.0, f"more is asked than can be answered: {more}, and they queue", [more])
    if found.entire:
        deploys = _change_said(found.changes, True)
        sentence = f"release={found.entire} answers everything, and all slices got worse alike"
        yield _cause("release", f"release={found.entire}", left, 1.0 if deploys else 0.8, sentence, deploys)
    sentence = "all slices got worse alike, and nothing that was recorded says why"
    yield _cause("everything", "", left, UNEXPLAINED, sentence, _change_said(found.changes, True))


def _change_said(changes: Sequence[RankedChange], wanted: bool) -> list[str]:
    near = [c for c in changes if c.score > 0.2][:2] if wanted else []
    return [f"{c.change.text}, {_away(c.seconds)}" for c in near]


def _away(seconds: float) -> str:
    if abs(seconds) < 1:
        return "at the onset"
    size = f"{abs(seconds):.0f} s" if abs(seconds) < 120 else f"{abs(seconds) / 60:.0f} min"
    return f"{size} {'before' if seconds < 0 else 'after'} the onset"


def _percent(share: float) -> str:
    return f"{min(share, 1.0):.0%}" if share <= 1.05 else "all"


def _cause(
    kind: Kind,
    what: str,
    share: float,
    weight: float,
    sentence: str,
    evidence: Sequence[str],
    aliases: tuple[str, ...] = (),
) -> Cause:
    part = min(1.0, max(0.0, share))
    score = part * weight
    sure = "very likely" if score >= 0.65 else "likely" if score >= 0.35 else "possible"
    return Cause(kind, what, part, score, sure, sentence, tuple(evidence), aliases)
