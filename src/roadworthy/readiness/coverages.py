"""Four coverages of safe deployment: offline evaluation, shadow, tests, monitoring, each a share with what lacks.

After Uber, "Raising the Bar on ML Model Deployment Safety" (2025), who score a model by these four; where one level
ends and the next begins is not published, so these thresholds are ours.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import proportion
from roadworthy.readiness.artefacts import Artefacts
from roadworthy.readiness.monitoring_checks import told

# The least of the four coverages decides, as a chain is as strong as its weakest link.
LEVELS = ((0.9, "Advanced"), (0.6, "Intermediate"), (0.3, "Basic"), (0.0, "None"))


class Coverage(Struct, frozen=True, omit_defaults=True):
    """A share of what should be covered, and what is not."""

    measured: Measurement
    missing: tuple[str, ...] = ()


def coverages(found: Artefacts) -> tuple[Coverage, ...]:
    """Offline evaluation and shadow over the releases that became stable, tests over code, monitoring over watches."""
    return (_offline(found), _shadow(found), _tests(found), _monitoring(found))


def level_of(found: Sequence[Coverage]) -> str:
    """The level that the least of them reaches."""
    least = min(coverage.measured.value if coverage.measured.n else 0.0 for coverage in found)
    return next(name for bound, name in LEVELS if least >= bound)


def _coverage(name: str, covered: int, missing: Sequence[str], unit: str) -> Coverage:
    n = covered + len(missing)
    if not n:
        return Coverage(Measurement(name, where=unit), (f"there are no {unit} yet",))
    return Coverage(proportion(name, covered, n, where=unit), tuple(missing))


def _offline(found: Artefacts) -> Coverage:
    """Releases that became stable with figures measured before."""
    known = {release.digest: release for release in found.releases}
    measured = {d for d in found.promoted if d in known and known[d].measured}
    measured |= {found.gap.release} & {*found.promoted} if found.gap is not None else set()
    left = [
        f"{digest[:12]} was measured by nothing that is kept" for digest in found.promoted if digest not in measured
    ]
    return _coverage("offline_evaluation", len(found.promoted) - len(left), left, "stable releases")


def _shadow(found: Artefacts) -> Coverage:
    """Releases that were shown live requests before they answered any; the first one has nobody to be shadow of."""
    shadowed = {r.candidate for r in found.rollouts if "shadow" in r.modes}
    later = found.promoted[1:]
    left = [f"{digest[:12]} never was in shadow" for digest in later if digest not in shadowed]
    return _coverage("shadow", len(later) - len(left), left, "promoted releases")


def _tests(found: Artefacts) -> Coverage:
    """The project's own files that its tests name."""
    left = [f"{file} has no test" for file in found.own_code if file not in found.tested_code]
    return _coverage("tests", len(found.tested_code), left, "own files")


def _monitoring(found: Artefacts) -> Coverage:
    """Five watches: inputs, quality, latency and errors, somebody who is told, labels that come."""
    watches = {
        "drift is not looked for": found.done("drift", 2 * found.spec.monitor.every_days),
        "quality is not measured": found.done("quality", 1.0),
        "latency and errors are not judged": found.done("minute", 1.0),
        "nobody is told of an alert": told(found),
        "no outcomes come": found.labels > 0,
    }
    return _coverage("monitoring", sum(watches.values()), [w for w, there in watches.items() if not there], "watches")
