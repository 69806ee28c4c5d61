"""The seven tests of the ML Test Score for infrastructure (Breck et al. 2017, section IV)."""

from __future__ import annotations

from roadworthy.readiness.artefacts import Artefacts
from roadworthy.readiness.check import Check, Finding, automatic, by_hand, nothing
from roadworthy.readiness.data_checks import tested

# Gates that need labels: what they pass is quality, not only health.
QUALITY = frozenset({"quality", "calibration", "business", "slices", "coverage"})


def reproducible(found: Artefacts) -> Finding:
    """The same data, seed and code are known; that they give the same bytes again has to be shown."""
    if found.events.get("reproduced"):
        return automatic("training again gave the same model", "roadworthy readiness --retrain")
    stable = found.stable
    known = stable is not None and stable.data and stable.training and stable.code
    if stable is not None and known and not stable.code.endswith("+changes"):
        return by_hand("data, seed and revision of the training are recorded", "train twice and compare", stable.code)
    return nothing("write `model: train:`, and release from a committed project: data, seed and revision are kept then")


def unit_tested(found: Artefacts) -> Finding:
    """What trains and wraps the model has tests."""
    return tested(found, "training or wrapping code")


def integration(found: Artefacts) -> Finding:
    """The build takes the whole pipeline from data to served answers."""
    runs = [name for name, text in found.builds.items() if "roadworthy gap" in text or "roadworthy run" in text]
    if runs:
        return automatic("the build runs the pipeline from the tables to answers", *runs)
    if found.gap is not None:
        return by_hand(
            "the gap report was run by hand",
            "run `roadworthy gap` in the build (see examples/ci)",
            ".roadworthy/gap.html",
        )
    return nothing("run `roadworthy gap` in the build (see examples/ci)")


def validated(found: Artefacts) -> Finding:
    """No candidate becomes stable before its quality was judged."""
    judged = QUALITY & {*found.gates}
    if judged and found.spec.rollout.stages:
        return automatic(f"no rollout promotes before {', '.join(sorted(judged))} pass", "roadworthy.yaml: rollout")
    if found.gap is not None and found.gap.decision == "pass":
        return by_hand("the gap report passes", "let a gate on labels decide in the rollout", ".roadworthy/gap.html")
    return nothing("name a gate on labels (`quality`) under `rollout:`")


def debuggable(found: Artefacts) -> Finding:
    """Every answer can be asked for again, step by step."""
    if found.records:
        return automatic(
            f"each of {found.records:,} answers can be computed again, with its path", "roadworthy explain ID"
        )
    return nothing("serve: every answer leaves a record that can be replayed")


def canaried(found: Artefacts) -> Finding:
    """New releases answer a few requests first."""
    planned = [s for s in found.spec.rollout.stages if s.mode in ("canary", "ab")]
    through = [r for r in found.rollouts if {"canary", "ab"} & {*r.modes}]
    if planned and through:
        return automatic(f"{len(through)} candidates went through a canary", "roadworthy rollout status")
    if planned:
        return by_hand("a canary is planned", "take a candidate through it", "roadworthy.yaml: rollout")
    return nothing("plan a stage of mode `canary`")


def reversible(found: Artefacts) -> Finding:
    """A release was taken back, so that everybody knows that it works."""
    taken = [r for r in found.rollouts if r.status == "rolled_back"]
    if taken or found.events.get("rolled_back"):
        return automatic(f"{len(taken)} candidates were taken back", "roadworthy rollout status")
    if len(found.promoted) > 1:
        return by_hand("an earlier release is there to return to", "exercise it: `roadworthy rollout rollback`")
    return nothing("exercise it: `roadworthy rollout abort`, or a game day with a faulty candidate")


CHECKS = (
    Check("reproducible", "Training is reproducible.", reproducible),
    Check("unit_tests", "Model specs are unit tested.", unit_tested),
    Check("integration", "The ML pipeline is integration tested.", integration),
    Check("validated", "Model quality is validated before serving.", validated),
    Check("debuggable", "The model is debuggable.", debuggable),
    Check("canary", "Models are canaried before serving.", canaried),
    Check("rollback", "Serving models can be rolled back.", reversible),
)
