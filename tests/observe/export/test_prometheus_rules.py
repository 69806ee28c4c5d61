"""The rules say what the project file says; `tests/app/test_prometheus.py` has Prometheus itself read them."""

from __future__ import annotations

import pytest
import yaml

from roadworthy.core.spec import Application, Columns, Data, Field, ModelSpec, Monitor, Slo, Spec
from roadworthy.observe.export.prometheus_rules import BURNS, quoted, rules, scrape_config


def spec_with(*slos: Slo, **more) -> Spec:
    return Spec(
        Application("toy", "binary", {"x": Field()}, owner="flights"),
        Data(Columns("y"), "a", "b"),
        ModelSpec(),
        monitor=Monitor(slos=slos, **more),
    )


def alerts(spec: Spec) -> list[dict]:
    return [r for group in yaml.safe_load(rules(spec))["groups"] for r in group["rules"] if "alert" in r]


def burning(spec: Spec) -> list[dict]:
    return [alert for alert in alerts(spec) if alert["alert"] == "RoadworthyBudgetBurns"]


def test_each_objective_has_its_burn_rates():
    found = burning(spec_with(Slo("availability", 0.999), Slo("fast", 0.99, 100.0)))
    assert [(a["labels"]["slo"], a["labels"]["window"], a["labels"]["severity"]) for a in found] == [
        (slo, window, severity)
        for slo in ("availability", "fast")
        for window, severity in (
            ("10m", "page"),
            ("1h", "page"),
            ("6h", "page"),
            ("1d", "ticket"),
            ("3d", "ticket"),
        )
    ]
    assert "> 14.4 * 0.001 and" in found[1]["expr"]
    assert found[0]["labels"]["owner"] == "flights"


@pytest.mark.parametrize(
    ("days", "times"), [(30.0, [28.8, 14.4, 6.0, 3.0, 1.0]), (7.0, [6.72, 3.36, 1.4, 0.7, 7 / 30])]
)
def test_a_burn_is_a_share_of_the_budget_of_its_days(days, times):
    assert [burn.times(Slo("a", days=days)) for burn in BURNS] == pytest.approx(times)


def test_the_fewer_requests_the_more_must_fail():
    assert [burn.least_bad(Slo("a")) for burn in BURNS] == [6, 8, 15, 32, 100]


def test_a_bound_that_no_share_can_reach_is_left_out():
    found = burning(spec_with(Slo("half", at_least=0.5)))
    assert [alert["labels"]["window"] for alert in found] == ["3d"]


def test_an_objective_for_a_tag_is_not_one_of_these_counters():
    assert burning(spec_with(Slo("acme", where="tenant=acme"))) == []
    assert "slo_" not in rules(spec_with()).decode()


def test_the_runbook_has_the_name_of_the_alert_behind_it():
    found = alerts(spec_with(runbook="https://wiki/"))
    assert {alert["annotations"]["runbook_url"] for alert in found} >= {"https://wiki/RoadworthyNotReady"}
    assert all("runbook_url" not in alert["annotations"] for alert in alerts(spec_with()))


def test_the_same_project_file_gives_the_same_bytes():
    assert rules(spec_with(Slo("a"))) == rules(spec_with(Slo("a")))


def test_a_name_with_quotes_stays_one_label():
    assert quoted('a"b\\c\n') == '"a\\"b\\\\c\\n"'
    assert 'slo="say \\"hi\\""' in burning(spec_with(Slo('say "hi"')))[0]["expr"]


def test_prometheus_is_told_where_the_server_is():
    job = yaml.safe_load(scrape_config(spec_with(), "localhost:9000"))["scrape_configs"][0]
    assert (job["job_name"], job["static_configs"]) == ("toy", [{"targets": ["localhost:9000"]}])
