"""The seven tests of the ML Test Score for monitoring (Breck et al. 2017, section V)."""

from __future__ import annotations

from roadworthy.core.catalog import read_plan
from roadworthy.readiness.artefacts import DAY, Artefacts
from roadworthy.readiness.check import Check, Finding, automatic, by_hand, nothing

TEND = "serve with `roadworthy serve`, which tends the records from its second minute on"


def told(found: Artefacts) -> bool:
    """Whether an alert reaches somebody."""
    return bool(found.spec.monitor.sinks or found.spec.monitor.webhook)


def _watched(found: Artefacts, chore: str, within_days: float, because: str, show: str) -> Finding:
    """A chore that was done lately, and somebody who hears of it."""
    if not found.done(chore, within_days):
        last = found.chores.get(chore)
        seen = "it never ran" if last is None else f"it last ran {(found.now - last) / DAY:.0f} days ago"
        return nothing(TEND, seen)
    if not told(found):
        return by_hand(f"{because}, but nobody is told", "name a `sinks:` entry or a `webhook:` under `monitor:`", show)
    return automatic(because, show)


def dependencies(found: Artefacts) -> Finding:
    """What changes in machine, packages and settings is noted, and what it breaks is told."""
    noted = [kind for kind in ("server_started", "settings", "host") if kind in found.events]
    if not noted:
        return nothing("serve: starts, versions and settings are noted as events")
    versions = found.stable is not None and bool(found.stable.versions)
    if versions and told(found):
        return automatic("versions are kept with the release, changes are events", "roadworthy why")
    lacks = "release again, which keeps the versions of packages" if not versions else "name a sink under `monitor:`"
    return by_hand(f"changes are noted ({', '.join(noted)})", lacks, "roadworthy why")


def invariants(found: Artefacts) -> Finding:
    """Detectors compare inputs with the release's profile on schedule."""
    names = [read_plan(plan)[0] for plan in found.spec.monitor.detectors]
    if not names:
        return nothing("name `detectors:` under `monitor:`")
    days = 2 * found.spec.monitor.every_days
    return _watched(found, "drift", days, f"{', '.join(names)} look every {days / 2:g} days", "roadworthy drift")


def skew(found: Artefacts) -> Finding:
    """What arrives is compared with what the release was trained on."""
    if not found.profile:
        return nothing("release with `roadworthy release`, which keeps a profile of the training rows")
    days = 2 * found.spec.monitor.every_days
    return _watched(found, "drift", days, "requests are compared with the training's profile", "roadworthy drift")


def fresh(found: Artefacts) -> Finding:
    """The stable release is young enough for its own schedule."""
    if found.stable is None or found.stable_since is None or not found.spec.model.train:
        return nothing("write `model: train:` and a schedule under `retrain:`", "nothing trains a newer model")
    age, wanted = (found.now - found.stable_since) / DAY, found.spec.retrain.every_days
    if age <= 2 * wanted + 28:
        return automatic(f"stable is {age:.0f} days old, one is trained every {wanted:g}", "roadworthy.yaml: retrain")
    return nothing("run `roadworthy retrain`, and see why no candidate was promoted", f"stable is {age:.0f} days old")


def stable_numbers(found: Artefacts) -> Finding:
    """Hostile inputs give an answer or a refusal, no NaN and no crash."""
    if found.gap is None or not found.gap.edges:
        return nothing("run `roadworthy gap`, which asks the hostile inputs")
    if found.gap.edges_failed:
        failed = f"{found.gap.edges_failed} of {found.gap.edges} hostile inputs hurt"
        return nothing("mend what the section on hostile inputs of the gap report names", failed)
    objectives = [slo.name for slo in found.spec.monitor.slos]
    return automatic(
        f"{found.gap.edges} hostile inputs do no harm; {', '.join(objectives)} watched", ".roadworthy/gap.html"
    )


def performance(found: Artefacts) -> Finding:
    """Latency and errors are judged every minute."""
    rules = [read_plan(plan)[0] for plan in found.spec.monitor.rules]
    return _watched(found, "minute", 1.0, f"{', '.join(rules)} look every minute", "roadworthy alerts")


def quality(found: Artefacts) -> Finding:
    """Answers are measured with the labels that came."""
    if not found.labels:
        return nothing("send outcomes with `roadworthy label`", "no label ever came")
    return _watched(found, "quality", 1.0, f"answers are measured on {found.labels:,} labels", "roadworthy quality")


CHECKS = (
    Check("dependencies", "Dependency changes result in notification.", dependencies),
    Check("invariants", "Data invariants hold for inputs.", invariants),
    Check("skew", "Training and serving are not skewed.", skew),
    Check("fresh", "Models are not too stale.", fresh),
    Check("numerics", "Models are numerically stable.", stable_numbers),
    Check("performance", "Computing performance has not regressed.", performance),
    Check("quality", "Prediction quality has not regressed.", quality),
)
