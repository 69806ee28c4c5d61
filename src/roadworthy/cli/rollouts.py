"""What a rollout is planned from and how it stands: rows out of the record log, handed to what computes with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from roadworthy.cli.flows import DAY
from roadworthy.core.errors import BadRequest, Missing
from roadworthy.core.window import Window
from roadworthy.core.wire import Arm
from roadworthy.rollout.control.followed import Followed
from roadworthy.rollout.control.hierarchy import gates_of
from roadworthy.rollout.planning.stated_traffic import stated_traffic
from roadworthy.rollout.views.course import courses
from roadworthy.rollout.views.view import View, view_of
from roadworthy.store.events import read_events

if TYPE_CHECKING:
    from roadworthy.core.spec import Spec
    from roadworthy.registry.releases import Registry
    from roadworthy.rollout.controller import Controller
    from roadworthy.store.state import State

ANSWERED: tuple[Arm, ...] = ("stable",)
Stated = tuple[float | None, float | None, float | None]


def expected_of(
    state: State, registry: Registry, name: str, at: float, days: float, stated: Stated, output: str
) -> Window:
    """The rows of stable of the last days, with the labels known by `at`; or rows made up from stated figures.

    `stated` are requests an hour, share of errors and mean of the labels. Raises BadRequest where only some are given.
    """
    requests, errors, base = stated
    if requests is not None and errors is not None and base is not None:
        return stated_traffic(requests, errors, base, np.random.default_rng(0), until=at, output=output)
    if stated != (None, None, None):
        raise BadRequest("state all of `--requests-per-hour`, `--error-rate` and `--base-rate`, or none of them")
    stable = registry.alias(name, "stable")
    if stable is None:
        raise Missing(f"{name!r} has no stable release to plan a rollout against: `roadworthy release` first")
    rows = Window.of_all(state.records.read(at - days * DAY, at, stable, ANSWERED))
    if rows.known_at is not None:
        rows.labels[~(rows.known_at <= at)] = np.nan
    return rows


def view_now(spec: Spec, state: State, controller: Controller, at: float, looks: int = 0) -> View:
    """The view of the running or last rollout; with `looks` each signal's course, from its rows asked so often."""
    name = spec.application.name
    now = controller.status(name)
    gates, at = gates_of(now.plan, spec.root, output=spec.application.output), max(at, now.stage_since)
    told = read_events(state.engine, "rollout", name)
    drawn = courses(now, gates, Followed(state.records, now).rows(now, at), looks) if looks else {}
    return view_of(now, at, told, drawn, gates=gates)
