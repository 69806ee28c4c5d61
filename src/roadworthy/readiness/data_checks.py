"""The seven tests of the ML Test Score for features and data (Breck et al. 2017, section II)."""

from __future__ import annotations

from roadworthy.readiness.artefacts import Artefacts
from roadworthy.readiness.check import Check, Finding, automatic, by_hand, nothing, only_by_hand

# An input that carries less of the answers than this does nothing that anybody would miss.
LEAST_WEIGHT = 0.001
LEAST_EXPLAINED = 100


def expectations(found: Artefacts) -> Finding:
    """The project file is a schema that the server holds requests to; the profile of a release is the rest of it."""
    inputs = found.spec.application.inputs
    bare = [n for n, f in inputs.items() if f.low is None and f.high is None and not f.values and not f.unit]
    if not found.profile:
        return nothing("release with `roadworthy release`, which keeps a profile of what the model was made on")
    if len(bare) > len(inputs) / 2:
        return by_hand(
            f"every input has a kind, but {len(bare)} of {len(inputs)} have no unit, range or values",
            f"say `unit`, `low`, `high` or `values` of {', '.join(bare[:5])}",
            "roadworthy.yaml: inputs",
        )
    return automatic(
        f"{len(inputs)} inputs with kind, unit, range or values are checked at every request; a profile is kept",
        "roadworthy.yaml: inputs",
        "roadworthy drift",
    )


def beneficial(found: Artefacts) -> Finding:
    """Whether every input carries some part of the answers, from the explanations made in the background."""
    if found.explained < LEAST_EXPLAINED:
        return nothing(
            f"serve with `monitor: explain_share:` above 0 until {LEAST_EXPLAINED} answers are explained",
            f"{found.explained} answers are explained",
        )
    idle = [name for name in found.spec.application.inputs if found.weights.get(name, 0.0) < LEAST_WEIGHT]
    if idle:
        return nothing(
            f"train without {', '.join(idle)} and compare by `roadworthy gap --compare`",
            f"{len(idle)} inputs carry less than {LEAST_WEIGHT:.1%} of {found.explained} explained answers",
        )
    return automatic(f"every input carries weight in {found.explained} explained answers", "roadworthy explain ID")


def privacy(found: Artefacts) -> Finding:
    """Retention says how long personal data stay, keys who may ask."""
    kept, keyed = found.spec.log.keep_days, found.keys
    if kept and keyed:
        return automatic(f"records go after {kept:g} days; {keyed} keys say who may ask", "roadworthy.yaml: log")
    lacks = ([] if kept else ["`log: keep_days:`"]) + ([] if keyed else ["`roadworthy key make`"])
    return nothing(f"set {' and '.join(lacks)}", "records are kept for ever" if not kept else "anybody may ask")


def feature_code(found: Artefacts) -> Finding:
    """The project's own code that makes inputs is tested, and the build server runs those tests."""
    return tested(found, "code that prepares, wraps or trains")


def tested(found: Artefacts, what: str) -> Finding:
    """Whether the project's own Python files are named by its tests, which its build runs."""
    own, covered = found.own_code, found.tested_code
    if not own:
        return automatic(
            f"the project has no {what} of its own: what it uses is tested with Roadworthy", "roadworthy.yaml"
        )
    left = sorted({*own} - {*covered})
    if left:
        return nothing(
            f"write tests of {', '.join(left)} under `tests/`", f"{len(covered)} of {len(own)} files have tests"
        )
    runs = [name for name, text in found.builds.items() if "pytest" in text or "make test" in text or "tox" in text]
    if runs:
        return automatic(f"tests name all {len(own)} files, and the build runs them", *runs, *found.tests)
    return by_hand(f"tests name all {len(own)} files", "let the build server run them (see examples/ci)", *found.tests)


CHECKS = (
    Check("feature_expectations", "Feature expectations are captured in a schema.", expectations),
    Check("features_beneficial", "All features are beneficial.", beneficial),
    Check("feature_cost", "No feature's cost is too much.", only_by_hand),
    Check("feature_requirements", "Features adhere to meta-level requirements.", only_by_hand),
    Check("privacy", "The data pipeline has appropriate privacy controls.", privacy),
    Check("new_features", "New features can be added quickly.", only_by_hand),
    Check("feature_code", "All input feature code is tested.", feature_code),
)
