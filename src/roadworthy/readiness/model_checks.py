"""The seven tests of the ML Test Score for the development of models (Breck et al. 2017, section III)."""

from __future__ import annotations

from roadworthy.readiness.artefacts import Artefacts
from roadworthy.readiness.check import Check, Finding, automatic, by_hand, nothing, only_by_hand

LEAST_ROLLOUTS = 3


def reviewed(found: Artefacts) -> Finding:
    """What made the release is committed, and somebody else approved it."""
    code = found.stable.code if found.stable else ""
    if not code or code.endswith("+changes"):
        return nothing(
            "commit the project with git before `roadworthy release`", "what made the release is not committed"
        )
    if not found.approvals:
        return by_hand(f"made from {code}", "let somebody else run `roadworthy releases approve DIGEST`", code)
    return automatic(f"made from {code}, approved by {found.approvals}", code, "roadworthy releases")


def correlated(found: Artefacts) -> Finding:
    """Several candidates had offline figures and were then measured with the labels of real requests."""
    online = [rollout for rollout in found.rollouts if rollout.labels]
    if len(online) < LEAST_ROLLOUTS:
        return nothing(
            f"take {LEAST_ROLLOUTS} candidates through a rollout with the gate `quality`",
            f"{len(online)} candidates were compared on labels of real requests",
        )
    return automatic(
        f"{len(online)} candidates were compared on {sum(r.labels for r in online):,} labels of real requests",
        "roadworthy rollout status",
    )


def tuned(found: Artefacts) -> Finding:
    """The release says how many settings were tried."""
    trials = (found.stable.training if found.stable else {}).get("trials")
    if isinstance(trials, int) and trials > 1:
        return automatic(f"the best of {trials} trials", "roadworthy releases")
    return nothing("let `train` return its settings with `trials`, or document the search", "no search is recorded")


def staleness(found: Artefacts) -> Finding:
    """What an old model costs was measured by keeping one frozen."""
    if found.life:
        return automatic(
            "a frozen model was measured beside the managed one, month by month", ".roadworthy/report.html"
        )
    return nothing("replay production with `roadworthy run`, which keeps one model frozen for comparison")


def simpler(found: Artefacts) -> Finding:
    """The model was set beside a simpler one."""
    if found.compared > 1:
        return by_hand(
            f"{found.compared} models were compared", "compare in the build, at every change", ".roadworthy/compare"
        )
    return nothing("compare with a simpler model: `roadworthy gap --compare simple.onnx this.onnx`")


def slices(found: Artefacts) -> Finding:
    """Important slices are measured before release and guarded during it."""
    measured, guarded = found.gap is not None and found.gap.slices > 0, "slices" in found.gates
    if measured and guarded:
        return automatic("the gap report measures slices, and the gate `slices` guards them", ".roadworthy/gap.html")
    if found.gap is not None and measured:
        return by_hand(
            f"the gap report measures {found.gap.slices} slices", "add the gate `slices`", ".roadworthy/gap.html"
        )
    return nothing("give `data: columns: tags:` and run `roadworthy gap`; add the gate `slices`")


CHECKS = (
    Check("specs_reviewed", "Model specs are reviewed and submitted.", reviewed),
    Check("offline_online", "Offline and online metrics correlate.", correlated),
    Check("tuned", "All hyperparameters have been tuned.", tuned),
    Check("staleness", "The impact of model staleness is known.", staleness),
    Check("simpler_model", "A simpler model is not better.", simpler),
    Check("slices", "Model quality is sufficient on important data slices.", slices),
    Check("inclusion", "The model is tested for considerations of inclusion.", only_by_hand),
)
