"""The rows of a shadow out of the record log: what stable answered, and what the candidate would have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roadworthy.core.errors import Missing
from roadworthy.core.window import Window
from roadworthy.core.wire import Arm
from roadworthy.rollout.rollout_state import RolloutState, history

SHADOW: tuple[Arm, ...] = ("shadow",)
STABLE: tuple[Arm, ...] = ("stable",)

if TYPE_CHECKING:
    from roadworthy.core.spec import Spec
    from roadworthy.registry.releases import Registry
    from roadworthy.store.state import State


def shadow_rows(spec: Spec, state: State, registry: Registry, release: str) -> tuple[Window, Window]:
    """Stable's rows and the candidate's of the newest rollout that had a shadow, or of this candidate's.

    Raises Missing where there was none.
    """
    name = spec.application.name
    wanted = registry.get(release).digest if release else ""
    known = [found for found in history(state.engine, name) if _had_shadow(found, wanted)]
    for rollout in reversed(known):
        mirrored = state.records.read(rollout.started_at, release=rollout.candidate, arms=SHADOW)
        if mirrored:
            until = mirrored[-1].at + 1e-6
            stable = state.records.read(mirrored[0].at, until, rollout.control, STABLE)
            return Window.of_all(stable), Window.of_all(mirrored)
    which = f" of {wanted[:12]}" if wanted else ""
    raise Missing(f"no rollout{which} of {name!r} left rows of a shadow: begin one with `roadworthy rollout start`")


def _had_shadow(found: RolloutState, wanted: str) -> bool:
    shadows = any(stage.mode == "shadow" for stage in found.plan.stages)
    return shadows and (not wanted or found.candidate == wanted)
