"""Every rule in the catalog obeys the laws, and the laws see through rules that do not."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from roadworthy.core.catalog import write_plan
from roadworthy.core.measure import Measurement, Verdict
from roadworthy.observe.base import rule
from roadworthy.testing.rules import check_rule


@pytest.mark.parametrize("name", list(rule))
def test_obeys_the_laws(name):
    check_rule(rule.get(name))


@pytest.mark.parametrize("name", list(rule))
def test_can_be_written_as_a_plan_and_made_again(name):
    made = rule.make(name)
    assert write_plan(made) == name
    assert rule.make(write_plan(made)) == made


@dataclass(frozen=True)
class Honest:
    """Alarms when a tenth of the last hours failed."""

    severity: str = "page"
    days: float = 1.0
    title: str = "toy"
    share: float = 0.1
    least: int = 100

    def __call__(self, series, now):
        rows = series.within(now - 3 * 3600, now)
        failed, n = series.failed()[rows].sum(), series.count("requests")[rows].sum()
        if n < self.least:
            return Verdict("wait", "few requests")
        return self.said(failed / n)

    def said(self, found):
        return Verdict(
            "fail" if found > self.share else "pass", f"{found:.3f} failed", "toy", (Measurement("failed", found, 9),)
        )


@dataclass(frozen=True)
class Nameless(Honest):
    title: str = ""


@dataclass(frozen=True)
class OfNoSeverity(Honest):
    severity: str = "urgent"


@dataclass(frozen=True)
class OfNoReach(Honest):
    days: float = 0.0


@dataclass(frozen=True)
class PassesOnNothing(Honest):
    def __call__(self, series, now):
        return super().__call__(series, now) if series.n else Verdict("pass", "nothing failed")


@dataclass(frozen=True)
class DividesByNothing(Honest):
    def __call__(self, series, now):
        return self.said(float(series.count("failed").sum()) / int(series.count("requests").sum()))


@dataclass(frozen=True)
class WithoutSmallNumbers(Honest):
    least: int = 1


@dataclass(frozen=True)
class Nervous(Honest):
    share: float = 1e-6


@dataclass(frozen=True)
class Deaf(Honest):
    share: float = 1.0


@dataclass(frozen=True)
class WithoutEvidence(Honest):
    def said(self, found):
        return Verdict("fail" if found > self.share else "pass", "some failed")


@dataclass(frozen=True)
class WithoutReason(Honest):
    def said(self, found):
        return Verdict("fail" if found > self.share else "pass", "", "toy", (Measurement("failed", found, 9),))


@dataclass(frozen=True)
class Whimsical(Honest):
    def said(self, found):
        return Verdict(
            "fail" if found > self.share else "pass", f"{random.random()}", "toy", (Measurement("f", found, 9),)
        )


@dataclass(frozen=True)
class Forgetful(Honest):
    def said(self, found):
        random.random()
        return super().said(found)


@dataclass(frozen=True)
class Meddling(Honest):
    def __call__(self, series, now):
        said = super().__call__(series, now)
        if said.decision == "fail" and series.n:
            series.counts["rows"][0] += 1
        return said


FAULTY = [
    (Nameless, "must have a `title`"),
    (OfNoSeverity, "page or ticket, has 'urgent'"),
    (OfNoReach, "how far back it looks, says 0.0"),
    (PassesOnNothing, "must wait on nothing, said 'pass'"),
    (DividesByNothing, "raises ZeroDivisionError"),
    (WithoutSmallNumbers, "one failure of three"),
    (Nervous, "alarms in calm weeks"),
    (Deaf, "alarms in no trouble"),
    (WithoutEvidence, "alarms without evidence"),
    (WithoutReason, "gives no reason"),
    (Whimsical, "of the same minutes"),
    (Forgetful, "draws from `random`"),
    (Meddling, "changed the minutes"),
]


def test_an_honest_rule_passes():
    check_rule(Honest)


@pytest.mark.parametrize(("leaf", "law"), FAULTY, ids=[leaf.__name__ for leaf, _ in FAULTY])
def test_a_faulty_rule_is_caught(leaf, law):
    with pytest.raises(AssertionError, match=law):
        check_rule(leaf)
