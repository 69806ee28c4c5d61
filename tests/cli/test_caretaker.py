"""The caretaker trains when it is due, rolls a good candidate out, and takes a bad one back before it answers much."""

from __future__ import annotations

import asyncio

import pytest

from roadworthy.app.deployment import Deployment
from roadworthy.cli.flows import DAY, read, release_model
from roadworthy.cli.living import caretaker_of, ended_as_expected, live_through, outcome_of
from roadworthy.cli.replaying import Traffic
from roadworthy.cli.services import InProcess
from roadworthy.registry.releases import Registry

SCENARIO = """scenarios:
  - name: in-metres
    day: 1
    preprocessing: [{rescale: {column: radius, scale: 0.001}}]
    expect: stopped in shadow
"""


@pytest.fixture
def calm(rewrite):
    """The clinic with gates that settle in days, and none that hangs on what this machine is doing besides."""
    return rewrite("gates: [errors, {latency: {slower: 20}},", "gates: [{errors: {margin: 0.1}},")


@pytest.fixture
def live(state):
    """Live through some days in this process; the caretaker, the tally, what it said."""

    def lived(spec, days):
        registry, said = Registry(state), []
        traffic = Traffic(read(spec, "production"), spec.signature)
        began = float(traffic.at[0])
        release_model(spec, registry, began - 1, "test", "first")
        caretaker = caretaker_of(spec, state, registry, began, 0, said.append)

        async def run():
            deployment = Deployment(state, registry, spec, "clinic", lambda: began)
            service = InProcess(deployment)
            await service.settle()
            tally = await live_through(service, traffic, caretaker, began + days * DAY)
            await deployment.close()
            return tally

        return caretaker, asyncio.run(run()), said

    return lived


def test_a_quiet_day_leaves_everything_as_it_was(spec, live, state):
    caretaker, tally, said = live(spec, 1)
    assert (tally.answered, tally.failed, caretaker.trials, said) == (144, 0, [], [])
    assert state.records.count() == 144


def test_on_the_day_that_it_is_due_a_candidate_is_trained_and_promoted(calm, live, state):
    caretaker, tally, _ = live(calm, 7)
    assert tally.failed == 0
    (trial,) = caretaker.trials
    assert trial.began_at == caretaker.began + 4 * DAY
    assert outcome_of(trial) == "promoted", trial.ended
    assert caretaker.trial is None
    assert Registry(state).alias("clinic", "stable") == trial.release.digest


def test_a_scenario_that_spoils_an_input_never_answers_anybody(calm, live, rewrite, state):
    spec = rewrite("cost: {", SCENARIO + "cost: {")
    caretaker, _, said = live(spec, 3)
    trial = caretaker.trials[0]
    assert (trial.release.name, outcome_of(trial)) == ("in-metres", "stopped in shadow"), said
    assert ended_as_expected(trial)
    assert trial.ended.touched == 0
    assert any("in-metres" in line for line in said)
    assert Registry(state).alias("clinic", "stable") != trial.release.digest
    assert state.records.count(release=trial.release.digest, arms=("stable", "canary")) == 0
