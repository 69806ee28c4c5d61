"""What readiness is told of the rollouts of a project."""

from __future__ import annotations

from roadworthy.cli.readying import past
from roadworthy.core.measure import Verdict
from roadworthy.core.spec import Rollout, Signal, Stage
from roadworthy.core.stats import proportion
from roadworthy.rollout.rollout_state import RolloutState

SIGNALS = (Signal("errors"), Signal("quality:metric=auc,margin=0.1"), Signal("quality:metric=brier,margin=0.2"))


def test_labels_are_counted_under_whatever_name_the_quality_gate_goes():
    said = [("errors", 5_000), ("quality metric=auc", 400), ("quality metric=brier", 300)]
    verdicts = tuple(Verdict("pass", "fine", name, (proportion("p", 1, n),)) for name, n in said)
    plan = Rollout((Stage("shadow"),), signals=SIGNALS)
    found = past(RolloutState("r", "m", "new", "old", plan, 0.0, 0.0, "me", verdicts=verdicts, asked=(0, 1, 2)))
    assert (found.gates, found.labels) == (("errors", "quality", "quality"), 400)
