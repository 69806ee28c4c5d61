"""Prometheus itself, from Debian's package: it reads our rules, our metrics and a server that is really there.

Where it is neither installed nor to be had, these tests are skipped and say so.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import yaml

from roadworthy.app.server import Address, read_address
from roadworthy.core.spec import Application, Columns, Data, Field, ModelSpec, Monitor, Slo, Spec
from roadworthy.observe.export.grafana import dashboard
from roadworthy.observe.export.prometheus_rules import rules, scrape_config
from roadworthy.registry.releases import Registry

CACHE = Path("/tmp/roadworthy-prometheus")
SPEC = Spec(
    Application("toy", "binary", {"x": Field()}),
    Data(Columns("y"), "lab.parquet", "production.parquet"),
    ModelSpec("model.txt", "toy.py:Toy"),
    monitor=Monitor(slos=(Slo("availability"), Slo("fast", 0.99, 2000.0)), runbook="https://wiki/"),
)
PROGRAM = """
import sys
from pathlib import Path
from roadworthy.app.server import serve
from roadworthy.core.spec import *
root = Path(sys.argv[1])
monitor = Monitor(slos=(Slo("availability"), Slo("fast", 0.99, 2000.0)))
spec = Spec(
    Application("toy", "binary", {"x": Field()}),
    Data(Columns("y"), "lab.parquet", "production.parquet"),
    ModelSpec("model.txt", "toy.py:Toy"),
    monitor=monitor,
    serving=Serving(durability="process"),
    root=root,
)
serve(spec, root / "state", port=0, clock="request", drain_seconds=0.0)
"""


@pytest.fixture(scope="session")
def tools() -> Callable[[str], str]:
    """`tools("promtool")`: where it is. Debian's package is fetched once and unpacked, never installed."""
    if not (shutil.which("promtool") and shutil.which("prometheus")) and not (CACHE / "usr/bin/promtool").exists():
        _fetch()

    def find(name: str) -> str:
        return shutil.which(name) or str(CACHE / "usr/bin" / name)

    return find


def _fetch() -> None:
    CACHE.mkdir(exist_ok=True)
    if not list(CACHE.glob("prometheus_*.deb")):
        for found in Path("/tmp").glob("prometheus_2*.deb"):
            shutil.copy(found, CACHE)
    try:
        if not list(CACHE.glob("prometheus_*.deb")):
            subprocess.run(
                ["apt-get", "download", "prometheus"], cwd=CACHE, check=True, capture_output=True, timeout=60
            )
        (package,) = CACHE.glob("prometheus_*.deb")
        subprocess.run(["dpkg", "-x", package, CACHE], check=True, capture_output=True, timeout=60)
    except (OSError, ValueError, subprocess.SubprocessError) as wrong:
        pytest.skip(f"no Prometheus here: not installed, and its Debian package cannot be had: {wrong}")


@pytest.fixture
def served(spec, state, made, tmp_path, until) -> Iterator[Address]:
    """A server process whose project has two objectives."""
    Registry(state).point("toy", "stable", made("0.25"), 1.0, "test", "first")
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    until(lambda: read_address(tmp_path / "state") or process.poll() is not None)
    address = read_address(tmp_path / "state")
    assert address
    yield address
    process.kill()
    process.communicate()


def exposed(address: Address) -> str:
    with urllib.request.urlopen(f"{address.admin_url}/metrics", timeout=10) as answer:
        return answer.read().decode()


def names_in(expressions: list[str]) -> set[str]:
    """The metrics that PromQL asks for, and not what it groups by."""
    bare = [re.sub(r'"(?:[^"\\]|\\.)*"', '""', text) for text in expressions]
    bare = [re.sub(r"\b(?:by|without|on|ignoring) \([^)]*\)", "", text) for text in bare]
    return {name for text in bare for name in re.findall(r"\b[a-z][a-zA-Z0-9_:]*_[a-z0-9_:]+(?=\{)", text)}


def all_rules() -> list[dict]:
    return [rule for group in yaml.safe_load(rules(SPEC))["groups"] for rule in group["rules"]]


def test_promtool_accepts_the_rules(tools, tmp_path):
    (tmp_path / "rules.yml").write_bytes(rules(SPEC))
    told = subprocess.run([tools("promtool"), "check", "rules", tmp_path / "rules.yml"], capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr
    assert f"SUCCESS: {len(all_rules())} rules found" in told.stdout


def test_a_burst_of_errors_pages_within_ten_minutes_and_calm_hours_do_not(tools, tmp_path):
    one = msgspec.structs.replace(SPEC.monitor, slos=SPEC.monitor.slos[:1])
    (tmp_path / "rules.yml").write_bytes(rules(msgspec.structs.replace(SPEC, monitor=one)))
    # Four hours at 2 errors in 10,000, then 5 %; requests come 100 a minute.
    asked = "0+100x260"
    good = "0+99.98x239 23990.2+95x20"
    alert = {"alertname": "RoadworthyBudgetBurns", "exp_alerts": []}
    fires = {
        "exp_labels": {"severity": "page", "slo": "availability", "window": "10m", "job": "toy"},
        "exp_annotations": {
            "summary": "toy: availability: 5% of the requests of the last 10m missed it; at this speed 0.67 % of"
            " the budget of 30 days go in 10m",
            "runbook_url": "https://wiki/RoadworthyBudgetBurns",
        },
    }
    series = [
        {"series": 'roadworthy_slo_requests_total{job="toy", slo="availability"}', "values": asked},
        {"series": 'roadworthy_slo_good_total{job="toy", slo="availability"}', "values": good},
        {"series": 'roadworthy_ready{job="toy"}', "values": "1x260"},
    ]
    test = {
        "interval": "1m",
        "input_series": series,
        "alert_rule_test": [
            {**alert, "eval_time": "4h"},
            {**alert, "eval_time": "4h10m", "exp_alerts": [fires]},
            {"alertname": "RoadworthyNoData", "eval_time": "4h", "exp_alerts": []},
        ],
    }
    # Left alone, promtool takes the groups in any order: what is recorded comes before what asks for it.
    order = [group["name"] for group in yaml.safe_load(rules(SPEC))["groups"]]
    whole = {"rule_files": ["rules.yml"], "group_eval_order": order, "tests": [test]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(whole))
    told = subprocess.run([tools("promtool"), "test", "rules", tmp_path / "test.yml"], capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr


def test_promtool_finds_nothing_to_say_of_metrics_that_hold_all_that_rules_and_charts_name(tools, served, predict_all):
    predict_all(served, "r1", "r2")
    told = exposed(served)
    checked = subprocess.run([tools("promtool"), "check", "metrics"], input=told, capture_output=True, text=True)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    families = set(re.findall(r"^# TYPE (\S+)", told, re.MULTILINE))
    there = families | set(re.findall(r"^([a-zA-Z_:]+)[{ ]", told, re.MULTILINE))
    recorded = {rule["record"] for rule in all_rules() if "record" in rule}
    charts = json.loads(dashboard(SPEC))
    asked = [rule["expr"] for rule in all_rules()]
    asked += [query["expr"] for panel in charts["panels"] for query in panel.get("targets", [])]
    asked += [mark["expr"] for mark in charts["annotations"]["list"] if not mark["expr"].startswith("ALERTS")]
    named = names_in(asked)
    assert len(named) > 40
    assert named - there - recorded == set()


def test_the_names_in_a_query_are_found():
    found = names_in(['sum by (job, le_x) (rate(a_total{x="b_c{"}[5m])) / roadworthy:slo_bad:ratio5m{}'])
    assert found == {"a_total", "roadworthy:slo_bad:ratio5m"}


def test_prometheus_scrapes_a_server_and_knows_what_it_answered(tools, served, predict_all, tmp_path, until):
    predict_all(served, *(f"r{k}" for k in range(20)))
    with Prometheus(tools("prometheus"), tmp_path, served.admin_url.removeprefix("http://")) as prometheus:
        until(lambda: prometheus.value('up{job="toy"}') == 1)
        until(lambda: (prometheus.value('sum(roadworthy_requests_total{job="toy", outcome="answer"})') or 0) >= 20)
        assert prometheus.value('roadworthy_slo_good_total{slo="fast"}') == 20
        assert prometheus.value('roadworthy_slo_requests_total{slo="availability"}') == 20
        until(lambda: (prometheus.value('scrape_samples_scraped{job="toy"}') or 0) > 100)
        # Every family has samples of its own kind only, and none comes twice.
        for wrong in ("duplicate_timestamp", "out_of_order", "out_of_bounds"):
            assert prometheus.value(f"sum(prometheus_target_scrapes_sample_{wrong}_total) or vector(0)") == 0
        (target,) = [t for t in prometheus.ask("targets")["activeTargets"] if t["labels"]["job"] == "toy"]
        assert (target["health"], target["lastError"]) == ("up", "")
        groups = until(lambda: _evaluated(prometheus.ask("rules")["groups"]))
        health = {(rule["name"], rule["health"], rule.get("lastError", "")) for g in groups for rule in g["rules"]}
        assert {(state, error) for _, state, error in health} == {("ok", "")}
        assert prometheus.value('ALERTS{alertname="RoadworthyNoData", alertstate="firing"}') is None


def _evaluated(groups: list[dict]) -> list[dict]:
    return groups if all(rule["health"] != "unknown" for group in groups for rule in group["rules"]) else []


class Prometheus:
    """A Prometheus on loopback that scrapes one target each second, for the length of a block."""

    def __init__(self, program: str, folder: Path, target: str) -> None:
        config = yaml.safe_load(scrape_config(SPEC, target))
        config["scrape_configs"].append({"job_name": "self", "static_configs": [{"targets": ["PORT"]}]})
        config |= {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": ["rules.yml"]}
        text = rules(SPEC).decode().replace("interval: 30s", "interval: 1s")
        (folder / "rules.yml").write_text(text)
        self.port = _free_port()
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config).replace("PORT", f"127.0.0.1:{self.port}"))
        self.command = [
            program,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--web.console.templates=/nonexistent",
            "--web.console.libraries=/nonexistent",
            "--log.level=warn",
        ]

    def __enter__(self) -> Prometheus:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def ask(self, path: str, **query: str) -> dict:
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        for _ in range(500):
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:
                    return json.load(answer)["data"]
            except OSError:  # it is still starting
                assert self.process.poll() is None, "Prometheus does not start"
                time.sleep(0.02)
        raise AssertionError(f"Prometheus does not answer {url}")

    def value(self, query: str) -> float | None:
        found = self.ask("query", query=query)["result"]
        return float(found[0]["value"][1]) if found else None


def _free_port() -> int:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
