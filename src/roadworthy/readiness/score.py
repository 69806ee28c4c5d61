"""The readiness score: the ML Test Score (Breck et al. 2017) and four coverages, with what lacks for the next level."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct
from rich.console import Group, RenderableType
from rich.text import Text

from roadworthy.core.measure import Measurement, Requirement, Verdict, judge
from roadworthy.readiness import data_checks, infrastructure_checks, model_checks, monitoring_checks
from roadworthy.readiness.artefacts import Artefacts
from roadworthy.readiness.check import Check, Finding
from roadworthy.readiness.coverages import Coverage, coverages, level_of

SECTIONS: Mapping[str, tuple[Check, ...]] = {
    "data": data_checks.CHECKS,
    "model": model_checks.CHECKS,
    "infrastructure": infrastructure_checks.CHECKS,
    "monitoring": monitoring_checks.CHECKS,
}

# Table V of the paper: up to which score a sentence holds.
MEANINGS = (
    (0.0, "more of a research project than a production system"),
    (1.0, "not totally untested, but with serious holes in reliability to be expected"),
    (2.0, "a first pass at basic productionisation; more investment may be needed"),
    (3.0, "reasonably tested; more of the tests and procedures may be automated"),
    (5.0, "strong levels of automated testing and monitoring, fit for mission-critical systems"),
    (7.0, "exceptional levels of automated testing and monitoring"),
)

MARKS = {1.0: "●", 0.5: "◐", 0.0: "○"}


class Result(Struct, frozen=True):
    """What came of one check."""

    section: str
    name: str
    title: str
    finding: Finding


class Score(Struct, frozen=True):
    """`value` is the least of the four sections' sums, 0 to 7; `meaning` is what the paper says of that."""

    value: float
    meaning: str
    sections: Mapping[str, float]
    results: tuple[Result, ...]
    coverages: tuple[Coverage, ...]
    level: str
    next: tuple[str, ...]
    verdict: Verdict


def readiness(found: Artefacts) -> Score:
    """The score of a project. `verdict` compares it with `readiness: at_least:` of the project file."""
    results = tuple(
        Result(section, check.name, check.title, _finding(check, found))
        for section, checks in SECTIONS.items()
        for check in checks
    )
    sums = {s: sum(r.finding.points for r in results if r.section == s) for s in SECTIONS}
    value = min(sums.values())
    covered = coverages(found)
    measured = Measurement("ml_test_score", value, len(results), value, value)
    verdict = judge(measured, Requirement("ml_test_score", at_least=found.spec.readiness.at_least))
    meaning = next(words for bound, words in MEANINGS if value <= bound)
    return Score(value, meaning, sums, results, covered, level_of(covered), _next(results, sums), verdict)


def names() -> list[str]:
    """Every check, as `readiness: manual:` names it."""
    return [check.name for checks in SECTIONS.values() for check in checks]


def _finding(check: Check, found: Artefacts) -> Finding:
    """What the artefacts are worth, or half a point for a document of what people did."""
    computed = check.rule(found)
    document = found.documents.get(check.name)
    if document is None or computed.points:
        return computed
    return Finding(0.5, "done by hand, and written down", (document,), computed.missing)


def _next(results: tuple[Result, ...], sums: Mapping[str, float]) -> tuple[str, ...]:
    """What would raise the least section, the halves first: they are half done."""
    least = min(sums, key=lambda section: sums[section])
    open_ones = [r for r in results if r.section == least and r.finding.points < 1]
    ordered = sorted(open_ones, key=lambda r: -r.finding.points)
    return tuple(f"{r.name}: {r.finding.missing}" for r in ordered if r.finding.missing)


def score_text(score: Score) -> Group:
    """The score for the terminal: each check with its evidence or what it lacks, the coverages, the next steps."""
    parts: list[RenderableType] = [Text(f"ML Test Score {score.value:g} of 7: {score.meaning}", style="bold")]
    for section, points in score.sections.items():
        parts.append(Text(f"\n{section} {points:g} of 7", style="bold"))
        parts += [_lines(result) for result in score.results if result.section == section]
    parts.append(Text(f"\nDeployment safety: {score.level}, by the least of four coverages", style="bold"))
    parts += [_share(coverage) for coverage in score.coverages]
    parts.append(Text("\nNext, in the section with the fewest points", style="bold"))
    parts += [Text(f"  {step}") for step in score.next[:3]]
    return Group(*parts)


def _lines(result: Result) -> Text:
    """A check on its first line, why and where to look or what to do below it."""
    found = result.finding
    style = {1.0: "green", 0.5: "yellow"}.get(found.points, "red")
    text = Text.assemble((f"  {MARKS[found.points]} ", style), f"{result.title} ", (f"({result.name})", "dim"))
    text.append(f"\n    {found.because}" + (f"; see {', '.join(found.evidence)}" if found.evidence else ""))
    if found.missing:
        text.append(f"\n    to do: {found.missing}")
    return text


def _share(coverage: Coverage) -> Text:
    m, missing = coverage.measured, coverage.missing
    share = f"{m.value:.0%} of {m.n} {m.where}" if m.n else f"no {m.where} yet"
    more = f" and {len(missing) - 2} more" if len(missing) > 2 else ""
    lacks = f": {'; '.join(missing[:2])}{more}" if missing and m.n else ""
    return Text(f"  {m.name.replace('_', ' ')}: {share}{lacks}")
