"""Freeze windows by the week and by the date, on the clock of a time zone."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from roadworthy.core.errors import SpecError
from roadworthy.rollout.control.freezes import frozen, read_freezes


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


# 6 March 2026 is a Friday.
@pytest.mark.parametrize(
    ("window", "when", "held"),
    [
        ("fri 16:00 - mon 08:00", "2026-03-06T15:59:59", False),
        ("fri 16:00 - mon 08:00", "2026-03-06T16:00", True),
        ("fri 16:00 - mon 08:00", "2026-03-09T07:59:59", True),
        ("fri 16:00 - mon 08:00", "2026-03-09T08:00", False),
        ("Friday 16:00 - Monday 8:00", "2026-03-08T12:00", True),
        ("sat - sun", "2026-03-08T23:59:59", True),
        ("sat - sun", "2026-03-09T00:00", False),
        ("wed", "2026-03-11T00:00", True),
        ("wed", "2026-03-12T00:00", False),
        ("2026-12-20 - 2027-01-03", "2026-12-19T23:59:59", False),
        ("2026-12-20 - 2027-01-03", "2027-01-03T23:59:59", True),
        ("2026-12-20 - 2027-01-03", "2027-01-04T00:00", False),
        ("2026-12-24 18:00 - 2026-12-26 06:00", "2026-12-24T17:00", False),
        ("2026-12-24", "2026-12-24T12:00", True),
        ("2026-12-24", "2026-12-25T00:00", False),
    ],
)
def test_a_window_holds_from_its_beginning_to_its_end(window: str, when: str, held: bool) -> None:
    assert bool(frozen((window,), "UTC", at(when))) == held


def test_the_clock_of_the_zone_decides_in_summer_and_in_winter() -> None:
    window = ("fri 16:00 - mon 08:00",)
    for day in ("2026-01-16", "2026-07-17"):
        assert frozen(window, "Europe/Berlin", at(f"{day}T15:59", "Europe/Berlin")) == ""
        held = frozen(window, "Europe/Berlin", at(f"{day}T16:00", "Europe/Berlin"))
        assert held == "frozen in 'fri 16:00 - mon 08:00' (Europe/Berlin)"


def test_of_several_windows_the_one_that_holds_is_named() -> None:
    windows = ("2026-12-24", "sat - sun")
    assert "sat - sun" in frozen(windows, "UTC", at("2026-03-08T12:00"))
    assert frozen((), "UTC", 0.0) == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fry 16:00 - mon 08:00", "cannot be read at 'fry 16:00'"),
        ("monkey", "cannot be read at 'monkey'"),
        ("", "cannot be read at ''"),
        ("2026-13-01", "month must be in 1..12"),
        ("fri 25:00 - sat", "no time '25:00'"),
        ("fri 16:00", "a beginning and no end"),
        ("fri - 2026-01-02", "mixes a day of the week and a date"),
        ("2026-01-03 - 2026-01-01", "ends where it begins, or before"),
        ("mon - sun", "ends where it begins, or before"),
        ("mon 08:00 - mon 08:00", "ends where it begins, or before"),
    ],
)
def test_what_cannot_be_read_says_what_can(text: str, said: str) -> None:
    with pytest.raises(SpecError) as refused:
        read_freezes((text,), "UTC")
    assert said in str(refused.value)
    assert "`fri 16:00 - mon 08:00`" in str(refused.value)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../../etc/passwd"])
def test_a_zone_that_nobody_knows_is_named(zone: str) -> None:
    with pytest.raises(SpecError, match="no time zone named"):
        read_freezes((), zone)
