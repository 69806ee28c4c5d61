"""`roadworthy why` finds a slow tenant in the log and draws a page."""

from __future__ import annotations

import pytest

from roadworthy.core.record import Record

HOUR = 3600.0
NOON = 1_700_000_000.0 // HOUR * HOUR


@pytest.fixture
def slow(clinic, state):
    """Six quiet hours, then one in which a tenant's requests take ten times as long."""
    records = []
    for k in range(7 * 400):
        hour, tenant = k // 400, ("acme", "bolt", "crate")[k % 3]
        seconds = 0.01 + 0.001 * (k % 7)
        if hour == 6 and tenant == "acme":
            seconds *= 10
        at = NOON + hour * HOUR + (k % 400) * 9.0
        records.append(
            Record(f"r{k}", at, "d" * 64, "stable", {"x": 1.0}, {"probability": 0.5},
                   seconds={"total": seconds, "model": seconds * 0.8, "queue": 0.001}, tags={"tenant": tenant})
        )  # fmt: skip
    state.records.write(records)
    return clinic


def span(hour):
    return [f"--from={_time(NOON + hour * HOUR)}", f"--to={_time(NOON + (hour + 1) * HOUR)}"]


def _time(at):
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"


def test_the_slow_tenant_is_named_first(call, slow):
    told = call("why", *span(6), "--project", slow, "--json")
    assert told.code == 1, told.err
    assert "acme" in told.body["causes"][0]["what"]


def test_a_page_is_drawn_and_named(call, slow):
    told = call("why", *span(6), "--project", slow)
    page = slow / ".roadworthy" / "why.html"
    assert str(page) in told.out.replace("\n", "")
    assert "acme" in page.read_text()


def test_nothing_is_invented_for_a_quiet_hour(call, slow):
    told = call("why", *span(3), "--project", slow, "--json")
    assert told.code in (0, 3)
    assert not told.body.get("causes")


def test_a_window_without_rows_says_so(call, slow):
    told = call("why", "--from", "2001-01-01 00:00", "--to", "2001-01-01 01:00", "--project", slow)
    assert (told.code, "no" in told.err) == (2, True)
