"""A gate reads the rows of control and candidate and says pass, fail or wait. It never moves traffic."""

from __future__ import annotations

from typing import Protocol

from roadworthy.core.catalog import Catalog
from roadworthy.core.measure import Verdict
from roadworthy.core.window import Window


class Gate(Protocol):
    """Valid under repeated looks: it fails an equally good candidate with at most its alpha.

    That holds over a whole rollout, however often it is asked. It waits on nothing. `pass` means that the candidate
    is shown to be no worse than the gate's margin. Both windows hold every row (`Window.of_all`), failed ones too, in
    time order, and grow between looks; rows of one request in both are a pair (same id). They are those of the running
    stage, or of the whole rollout where the gate's class says `rows_since = "rollout"`. A gate whose proof needs the
    whole of a stage's plan has a field `share`, which the controller fills in.
    """

    def __call__(self, control: Window, candidate: Window) -> Verdict: ...


gate: Catalog[Gate] = Catalog("gate", "roadworthy.rollout.gates")
