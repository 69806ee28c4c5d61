from __future__ import annotations

import pytest
from msgspec.structs import replace

from roadworthy.observe.alerting.alert_words import alert_html, alert_text, alerts_text, headline
from roadworthy.testing.sinks import alert


@pytest.mark.parametrize(
    ("status", "sign"), [("raised", "ALARM"), ("again", "STILL ON"), ("acknowledged", "SEEN"), ("resolved", "OVER")]
)
def test_the_headline_says_what_happened(status, sign):
    assert headline(alert(status)) == f"[page] {sign} flights/slo-availability (tenant=acme)"


def test_the_text_has_the_causes_and_the_runbook():
    lines = alert_text(alert()).splitlines()
    assert "  runbook    https://runbooks.example.org/slo-availability" in lines
    assert "  also       flights/seasonal-errors" in lines
    assert lines[-3:] == ["  slice          share", "  tenant=<acme>  81 % ", "  rest           19 % "]


def test_what_is_not_known_is_not_told():
    bare = replace(alert(), where="", release="", runbook="", cause=None, also=())
    assert alert_text(bare).count("\n  ") == 2
    assert "<table></table>" not in alert_html(bare)


def test_a_page_shows_no_markup_of_strangers():
    page = alert_html(replace(alert(), because="<script>alert(1)</script>", runbook="javascript:alert(1)"))
    assert "<script>" not in page
    assert "href" not in page


def test_open_alarms_are_a_line_each():
    silent, told = replace(alert(), silenced=3), replace(alert(), acknowledged_by="mira", because="x")
    assert "silenced 3" in alerts_text([silent])
    assert alerts_text([told]) == ("page   slo-availability             since 2023-11-14 22:12 UTC  acknowledged x")
    assert "grouped" in alerts_text([replace(alert(), grouped_under="flights/other")])
    assert alerts_text([]) == "no alarm is on"
