"""A release becomes stable only when every rule of the project is met, and going back is always free."""

from __future__ import annotations

import pytest
from sqlalchemy import insert

from roadworthy.core.errors import Denied, SpecError
from roadworthy.core.measure import Measurement, Requirement
from roadworthy.core.spec import Promotion
from roadworthy.registry.keeping.signing import make_key
from roadworthy.registry.releases import Registry

GOOD = Measurement("auc", 0.8, 1000, 0.78, 0.82)


def rules(state, **fields):
    return Registry(state, Promotion(**fields))


def decisions(registry, digest, rollout=""):
    return {v.of: v.decision for v in registry.may_become_stable("clinic", digest, rollout)}


def test_without_rules_any_release_may(registry, made):
    assert decisions(registry, made().digest) == {"promotion": "pass"}


@pytest.mark.parametrize(
    ("measured", "decision", "because"),
    [
        ((GOOD,), "pass", "meets auc at least 0.75"),
        ((Measurement("auc", 0.7, 1000, 0.68, 0.72),), "fail", "breaks"),
        ((Measurement("auc", 0.76, 50, 0.6, 0.9),), "wait", "straddles"),
        ((Measurement("f1", 0.9, 50, 0.8, 0.95),), "wait", r"was not measured of it \(measured: f1\)"),
        ((Measurement("auc", 80.0, 50, 78.0, 82.0, unit="%"),), "fail", "bound in '1' and measured in '%'"),
        ((Measurement("auc", 0.7, 1000, 0.68, 0.72), GOOD), "fail", "breaks"),
        ((Measurement("auc", 0.9, 99, 0.88, 0.92, where="ward=a"),), "wait", "was not measured"),
    ],
)
def test_what_was_measured_of_it_must_meet_the_bounds(state, made, measured, decision, because):
    registry = rules(state, requirements=(Requirement("auc", at_least=0.75),))
    digest = made(measured=measured).digest
    (told,) = registry.may_become_stable("clinic", digest)
    assert told.decision == decision
    if decision == "pass":
        assert registry.point("clinic", "stable", digest, 1.0, "anna", "").digest == digest
    else:
        with pytest.raises(Denied, match=f"{digest[:12]} may not become stable of 'clinic' yet: auc: .*{because}"):
            registry.point("clinic", "stable", digest, 1.0, "anna", "")
        assert registry.history("clinic") == []


def test_what_was_measured_of_its_calibration_counts_too(state, made):
    registry = rules(state, requirements=(Requirement("ece", at_most=0.1),))
    assert decisions(registry, made(calibration=(Measurement("ece", 0.02, 900, 0.01, 0.03),)).digest) == {"ece": "pass"}


def test_other_aliases_are_nobodys_business(state, made):
    registry = rules(state, approvals=2, by_rollout=True)
    digest = made().digest
    assert registry.point("clinic", "reserve", digest, 1.0, "anna", "").digest == digest
    with pytest.raises(Denied, match="0 of 2 approvals"):
        registry.point("clinic", "stable", digest, 2.0, "anna", "")


def test_only_a_rollout_promotes_after_the_first_release(state, made):
    registry = rules(state, by_rollout=True)
    first, second = made().digest, made(made_at=2.0).digest
    registry.point("clinic", "stable", first, 1.0, "anna", "the first one is free")
    with pytest.raises(Denied, match=f"begin one with `roadworthy rollout start {second[:12]}`"):
        registry.point("clinic", "stable", second, 2.0, "anna", "")
    with pytest.raises(Denied, match="rollout 'r1' of 'clinic' did not try this release"):
        registry.point("clinic", "stable", second, 2.0, "anna", "", rollout="r1")
    with state.engine.begin() as connection:
        row = {"id": "r1", "deployment": "clinic", "status": "promoted", "updated_at": 2.0}
        connection.execute(
            insert(state.tables["rollouts"]).values(**row, state=f'{{"candidate":"{second}","id":"r1"}}')
        )
        registry.moved(connection, "clinic", "stable", second, 2.0, "controller", "passed", rollout="r1")
    assert registry.alias("clinic", "stable") == second
    assert decisions(registry, made(made_at=3.0).digest, rollout="r1") == {"rollout": "fail"}


def test_retiring_and_pointing_anew_is_not_a_first_release(state, made):
    registry = rules(state, by_rollout=True)
    first, second = made().digest, made(made_at=2.0).digest
    registry.point("clinic", "stable", first, 1.0, "anna", "")
    registry.point("clinic", "stable", None, 2.0, "anna", "retired")
    assert decisions(registry, second) == {"rollout": "fail"}


def test_the_way_back_is_free_of_every_rule(state, made):
    first, second = made().digest, made(made_at=2.0).digest
    for at, digest in enumerate((first, second)):
        Registry(state).point("clinic", "stable", digest, float(at), "anna", "before there were rules")
    strict = rules(
        state,
        requirements=(Requirement("auc", at_least=0.9),),
        by_rollout=True,
        signed=True,
        trusted=("ed25519:" + "A" * 43 + "=",),
        approvals=3,
    )
    assert decisions(strict, first) == {"return": "pass"}
    assert strict.point("clinic", "stable", first, 9.0, "rollout", "rolled back").digest == first


def test_people_other_than_who_made_it_must_approve(state, made, deeds):
    registry = rules(state, approvals=2)
    digest = made().digest
    with pytest.raises(Denied, match=f"'anna' made release {digest[:12]}, and so cannot approve it"):
        registry.approve(digest, 2.0, "anna", "mine")
    for at, by in ((3.0, "ben"), (4.0, "ben")):
        assert registry.approve(digest, at, by, "looked at the errors").at == 3.0
    assert decisions(registry, digest) == {"approvals": "wait"}
    registry.approve(digest[:10], 5.0, "cleo", "fine")
    assert decisions(registry, digest) == {"approvals": "pass"}
    assert [(a.by, a.at) for a in registry.approvals(digest)] == [("ben", 3.0), ("cleo", 5.0)]
    assert [by for by, action, _ in deeds() if action == "release approved"] == ["ben", "cleo"]


def test_an_approval_has_a_name_and_a_reason(registry, made):
    with pytest.raises(SpecError, match="who gives it and why, got by='ben' and why=''"):
        registry.approve(made().digest, 2.0, "ben", "")


def test_a_release_that_nobody_trusted_signed_does_not_become_stable(state, made, tmp_path):
    key = make_key(tmp_path / "key.pem")
    registry = rules(state, signed=True, trusted=(key,))
    digest = made().digest
    with pytest.raises(Denied, match=r"signature: .* needs a signature by a trusted key, and it is not signed"):
        registry.point("clinic", "stable", digest, 1.0, "anna", "")
    registry.sign(digest, tmp_path / "key.pem", 2.0, "build")
    assert registry.point("clinic", "stable", digest, 3.0, "anna", "").digest == digest


def test_every_rule_that_is_not_met_is_named_at_once(state, made):
    registry = rules(state, requirements=(Requirement("auc", at_least=0.9),), approvals=1)
    with pytest.raises(Denied, match=r"yet: auc: .*; approvals: 0 of 1 approvals by others than .* \('anna'\)"):
        registry.point("clinic", "stable", made().digest, 1.0, "anna", "")
