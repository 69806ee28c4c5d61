"""A gap report with every section filled, for tests of whatever shows, compares or keeps one."""

from __future__ import annotations

import math

from roadworthy.core.measure import Claim, Decision, Measurement, Verdict
from roadworthy.core.stats import nothing, proportion
from roadworthy.core.worse_slices import WorseSlice
from roadworthy.evaluate.crowd.equality import Equality, Example
from roadworthy.evaluate.crowd.matching import Fault
from roadworthy.evaluate.crowd.under_load import Level, UnderLoad
from roadworthy.evaluate.hostile.edge_runs import EdgeReport, EdgeRun
from roadworthy.evaluate.load_test.load import LoadRun
from roadworthy.evaluate.load_test.search import Outcome, Probe, Search
from roadworthy.evaluate.mix import Mix, Part
from roadworthy.evaluate.paired import Flips
from roadworthy.evaluate.process.cold_start import ColdStart, Start
from roadworthy.evaluate.process.memory import Memory
from roadworthy.evaluate.reports.report import Failure, GapReport, Repaired, Rung, Slice, Spoilt
from roadworthy.evaluate.reproduction.reproduce import Cause, Reproduction

DAMAGES = ("keyboard typos", "mixed language", "cut short", "pasted markup", "full-width letters", "zero-width marks")


def rich_report(name: str = "Support intents", accuracy: float = 0.91, p99_ms: float = 18.4) -> GapReport:
    """A report on a classifier of texts, with every section filled; `accuracy` is that of the lab."""
    lab, production = _metrics(accuracy, 3080), _metrics(accuracy - 0.04, 4120)
    spoilt = tuple(
        _spoilt(damage, k, step, accuracy - 0.04) for k, damage in enumerate(DAMAGES) for step in range(1, 6)
    )
    mixed = _damaged("the mix", {}, 1.0, 1450, accuracy - 0.04, 0.079)
    claim = Claim("accuracy", accuracy + 0.03, 0.004, source="README.md", split="test")
    return GapReport(
        name=name,
        made_at=1.79e9,
        headline="accuracy",
        reproductions=(_not_reproduced(claim, lab[0]),),
        lab=lab,
        production=production,
        slices=tuple(_slices(accuracy - 0.04)),
        spoilt=spoilt,
        load=_load(p99_ms),
        capacity=Measurement("capacity_rps", 1480.0, 10, 1460.0, 1500.0, "rps"),
        cost=Measurement("usd_per_1k", 0.00021, 5, 0.0002, 0.00022, "usd", conditions={"utilisation": 0.5}),
        verdicts=_verdicts(production[0], p99_ms),
        waterfall=tuple(_rungs(accuracy)),
        failures=(Failure("production", "TimeoutError: after 2.0 s", 12),),
        environment={"python": "3.11.2", "system": "Linux x86_64", "processors": "2", "numpy": "2.4.1"},
        settings={"seed": 7, "severities": [0.2, 0.4, 0.6, 0.8, 1.0], **{t: _data(t) for t in ("lab", "production")}},
        owner="support-desk@example.org",
        meaning="Which of 77 intents a customer's message has.",
        task="multiclass",
        weak=(WorseSlice("lang=fr & length=long", _share(212, 420), _share(480, 3700), 0.227, 2.1e-40, 318),),
        shift=(
            Measurement("ks", 0.21, 4120, 0.18, 0.24, where="text (length)", conditions={"p": 1e-30, "most": "lower"}),
            Measurement("js", 0.04, 4120, 0.0, 0.09, where="text (language)", conditions={"p": 0.4, "most": "'en'"}),
        ),
        unlabelled=(
            Measurement("confidence", 0.74, 9000, 0.73, 0.75),
            Measurement("entropy", 1.2, 9000, 1.1, 1.3, "bits"),
        ),
        mix=_mix(),
        mixed=mixed,
        repairs=tuple(_repairs(accuracy - 0.04)),
        edges=_edges(),
        search=_search(),
        under_load=_under_load(accuracy - 0.04),
        equalities=_equalities(),
        cold=_cold(),
        memory=_memory(),
        effective=_accuracy(accuracy - 0.123, 400),
        seconds={"reproduce the claim": 2.1, "production": 3.4, "corruptions": 21.0, "load": 25.2, "cold start": 6.6},
    )


def _accuracy(value: float, n: int, where: str = "") -> Measurement:
    return proportion("accuracy", round(value * n), n, where)


def _share(hits: int, n: int) -> Measurement:
    return proportion("wrong", hits, n)


def _metrics(accuracy: float, n: int, where: str = "") -> tuple[Measurement, ...]:
    loss = 1.6 * (1 - accuracy) + 0.2
    return (
        _accuracy(accuracy, n, where),
        Measurement("log_loss", loss, n, loss - 0.03, loss + 0.03, "nats", where),
        Measurement("ece", 0.041, n, 0.034, 0.052, where=where),
    )


def _slices(accuracy: float) -> list[Slice]:
    places = {
        "hour=night": -0.02,
        "hour=day": 0.01,
        "lang=en": 0.03,
        "lang=de": -0.03,
        "lang=fr": -0.16,
        "length=long": -0.09,
    }
    return [Slice(where, _metrics(accuracy + moved, 700, where)) for where, moved in places.items()]


def _damaged(name: str, plan: object, severity: float, changed: int, before: float, lost: float) -> Spoilt:
    n = 4120
    told = {"detectable": 0.0061}
    change = Measurement("accuracy_change", -lost, n, -lost - 0.009, -lost + 0.009, conditions=told)
    flips = Flips(round(n * lost * 1.1), round(n * lost * 0.1), 0.41 if lost < 0.009 else 1e-12)
    return Spoilt(name, plan, severity, changed, _metrics(before - lost, n), change, flips)


def _spoilt(name: str, k: int, step: int, before: float) -> Spoilt:
    lost = (0.29, 0.05, 0.52, 0.004, 0.28, 0.126)[k] * (step / 5) ** 1.4
    return _damaged(name, {"damage": {"kind": name}}, step / 5, 800 * step, before, lost)


def _not_reproduced(claim: Claim, measured: Measurement) -> Reproduction:
    stripped = Cause(
        "label mismatch",
        "labels without the '.' at their end",
        _accuracy(claim.value, measured.n),
        True,
        1e-9,
        "it meets the claim; an unrelated explanation comes as close with chance 1e-09",
    )
    lowered = Cause(
        "metric variant", "macro accuracy", _accuracy(0.88, measured.n), False, 0.8, "it does not meet the claim"
    )
    because = f"{measured} lies 0.02 below the claimed {claim.value:.4g}"
    return Reproduction(
        claim, measured, "not reproduced", because, (stripped, lowered), ("on which data", "how many rows")
    )


def _load(p99_ms: float) -> LoadRun:
    latencies = [("p50_ms", 0.4), ("p90_ms", 0.7), ("p95_ms", 0.8), ("p99_ms", 1.0), ("p999_ms", 1.9)]
    rows = [Measurement(name, k * p99_ms, 2000, 0.95 * k * p99_ms, 1.1 * k * p99_ms, "ms") for name, k in latencies]
    gates = (
        Verdict("pass", "0 of 2,000 requests failed", "error_rate"),
        Verdict("pass", "the generator lagged 1.2 ms at its p99 (allowed 10.0)", "dispatch_lag"),
        Verdict("wait", "the clock is simulated", "client_cpu"),
    )
    served = Measurement("throughput_rps", 199.0, 2000, 190.0, 208.0, "rps")
    measured = (*rows, proportion("error_rate", 3, 2000), served)
    failed = {"Overloaded: the queue is full": 3}
    warned = ("latency rises from the first request to the last",)
    return LoadRun(
        200.0,
        10.0,
        measured,
        True,
        "2000 arrivals, lag p99 1.2 ms",
        failed,
        "server",
        {"gamma": {"cv": 3.0}},
        gates,
        warned,
    )


def _verdicts(production: Measurement, p99_ms: float) -> tuple[Verdict, ...]:
    slow = Measurement("p99_ms", p99_ms, 2000, 0.95 * p99_ms, 1.1 * p99_ms, "ms")
    decision: Decision = "pass" if slow.high <= 25 else "fail" if slow.low > 25 else "wait"
    held: Decision = "pass" if production.low >= 0.85 else "fail" if production.high < 0.85 else "wait"
    return (
        Verdict(held, f"{production} against accuracy at least 0.85", "accuracy", (production,)),
        Verdict(
            "fail",
            "accuracy on lang=fr 0.71 breaks accuracy at least 0.8",
            "accuracy",
            (_accuracy(0.71, 700, "lang=fr"),),
        ),
        Verdict(decision, f"{slow} against p99_ms at most 25 ms", "p99_ms", (slow,)),
    )


def _rungs(accuracy: float) -> list[Rung]:
    claimed = Measurement("accuracy", accuracy + 0.03, 0, accuracy + 0.026, accuracy + 0.034)
    steps = [
        ("measured in the lab", "lab", 0.0, 3080, accuracy + 0.03),
        ("production as it comes", "production", 0.04, 4120, accuracy),
        ("with the damage of production", "mixed", 0.119, 4120, accuracy - 0.04),
        ("with 50 in flight", "under load", 0.121, 400, accuracy - 0.119),
        ("effective, failures counted", "effective", 0.123, 400, accuracy - 0.121),
        ("cut short", "corruption", 0.56, 4120, accuracy - 0.04),
    ]
    rungs = [Rung("claimed", "claim", claimed, math.nan)]
    return rungs + [Rung(name, kind, _accuracy(accuracy - lost, n), start) for name, kind, lost, n, start in steps]  # type: ignore[arg-type]


def _data(table: str) -> dict[str, object]:
    return {"source": f"data/{table}.parquet", "digest": ("4e" if table == "lab" else "42") * 32, "rows": 4120}


def _mix() -> Mix:
    def part(plan: str, severity: float, hits: int, because: str = "") -> Part:
        share = proportion("share", hits, 2000, plan)
        return Part(plan, severity, share.value if hits > 20 else 0.0, share, because)

    return Mix(
        (part("typo", 0.4, 704), part("mixed_language", 0.2, 300), part("mojibake", 0.2, 6, "it may as well be 0"))
    )


def _repairs(before: float) -> list[Repaired]:
    rows = []
    for name, of, lost, back, clean, plan in (
        ("nfkc", "full-width letters", 0.28, 0.28, 0.0, {"tidy": {"text": ["nfkc"]}}),
        ("strip what is invisible", "zero-width marks", 0.126, 0.126, 0.001, {"tidy": {"text": ["invisible"]}}),
        ("lower case", "keyboard typos", 0.29, 0.02, -0.05, "lower"),
        ("homoglyphs", "production", 0.0, 0.004, 0.004, ""),
    ):
        gained = Measurement("accuracy_change", back, 4120, back - 0.008, back + 0.008)
        kept = Measurement("accuracy_change", clean, 4120, clean - 0.004, clean + 0.004)
        flips = Flips(4, round(4120 * back), 1e-9)
        spoilt, mended = _accuracy(before - lost, 4120), _accuracy(before - lost + back, 4120)
        rows.append(Repaired(name, plan, of, 1.0, 4000, spoilt, mended, gained, kept, flips))
    return rows


def _edges() -> EdgeReport:
    def handled(hits: int, n: int, where: str = "") -> Measurement:
        return Measurement("edges_handled", hits / n, n, hits / n, hits / n, where=where)

    runs = [
        EdgeRun(
            "naughty_strings", "lone surrogate", "either", "crashed", False, "UnicodeEncodeError: 'utf-8'", "\\ud800"
        ),
        EdgeRun(
            "naughty_strings",
            "<script>alert(1)</script>",
            "answer",
            "refused",
            False,
            "400",
            "<script>alert(1)</script>",
        ),
        EdgeRun("extreme_numbers", "1e308", "either", "not finite", False, "the answer is not a number", "1e308"),
    ]
    shares = (handled(538, 541), handled(513, 515, "naughty_strings"), handled(25, 26, "extreme_numbers"))
    return EdgeReport(
        shares, {"answered": 520, "refused": 19, "crashed": 1, "not finite": 1}, tuple(runs), repeatable=False
    )


def _search() -> Search:
    tried: tuple[tuple[float, float, Outcome], ...] = (
        (100.0, 1.0, "meets"),
        (400.0, 0.999, "meets"),
        (520.0, 0.993, "meets"),
        (560.0, 0.96, "misses"),
        (2400.0, 0.5, "unknown"),
    )
    probes = []
    for rate, share, outcome in tried:
        within = proportion("p99_ms at most 25 ms", round(share * 1200), 1200)
        because = f"{share:.4g} of the requests were within p99_ms at most 25 ms"
        probes.append(Probe(rate, 6.0, outcome, because, rate * share, (within,)))
    most = Measurement("max_rate_rps", 520.0, 5, 508.0, 531.0, "rps", conditions={"confidence": 0.9375, "repeats": 5})
    return Search(
        most, "0.96 of the requests were within p99_ms at most 25 ms", Measurement("knee_rps", 540.0, 5), tuple(probes)
    )


def _under_load(alone: float) -> UnderLoad:
    levels = []
    for in_flight, lost, faults in ((1, 0.0, ()), (10, 0.002, ()), (50, 0.081, (Fault("swapped", "q-17", "q-19"),))):
        value = _accuracy(alone - lost, 400)
        change = Measurement("accuracy_change", -lost, 400, -lost - 0.01, -lost + 0.01)
        differing = proportion("differing", round(400 * lost), 400)
        beyond = Measurement("differing_beyond_noise", lost, 400, max(0.0, lost - 0.02), lost + 0.02)
        verdict = Verdict("fail" if faults else "pass", f"at {in_flight} in flight: {change}", "quality_under_load")
        none = proportion("error_rate", 0, 400)
        worst = Measurement("worst_difference", 0.9 if faults else 0.0, 400, low=0.0)
        levels.append(
            Level(
                in_flight, in_flight, value, change, value, change, differing, beyond, worst, none, faults, {}, verdict
            )
        )
    return UnderLoad(
        "accuracy",
        400,
        _accuracy(alone, 400),
        tuple(levels),
        Verdict("fail", "at 50 in flight answers differ", "quality"),
    )


def _equalities() -> tuple[Equality, ...]:
    def one(name: str, hits: int, examples: tuple[Example, ...] = ()) -> Equality:
        beyond = Measurement("differing_beyond_noise", hits / 200, 200, max(0.0, hits / 200 - 0.03), hits / 200 + 0.03)
        verdict = Verdict("fail" if hits else "pass", f"{name}: {beyond}", "differing_beyond_noise", (beyond,))
        worst = Measurement("worst_difference", 0.3, 200, low=0.3) if hits else nothing("worst_difference")
        return Equality(
            name,
            proportion("differing", hits, 200),
            beyond,
            worst,
            proportion("error_rate", 0, 200),
            examples,
            (),
            {},
            verdict,
        )

    return (
        one("asked twice", 0),
        one(
            "alone against batches of 32",
            11,
            (Example(4, "card <lost>", "card stolen"), Example(90, "top up", "refund")),
        ),
        one("cache hit against none", 0),
    )


def _cold() -> ColdStart:
    milliseconds = {"process": 42.0, "import": 310.0, "load": 188.0, "first answer": 64.0, "warm": 90.0}
    stages = tuple(
        Measurement("stage_ms", ms, 5, 0.9 * ms, 1.2 * ms, "ms", where) for where, ms in milliseconds.items()
    )
    good = Start({name: ms / 1000 for name, ms in milliseconds.items()}, (0.064, 0.009, 0.003), 2)
    starts = (*(good for _ in range(5)), Start({}, (), because="it died with 137 while loading"))
    ready, level = (
        Measurement("ready_ms", 694.0, 5, 650.0, 760.0, "ms"),
        Measurement("level_ms", 2.9, 5, 2.7, 3.2, "ms"),
    )
    return ColdStart(("python", "-m", "roadworthy.evaluate.process.cold_child"), stages, ready, level, starts)


def _memory() -> Memory:
    slope = Measurement("rss_slope", 21_000.0, 60, 14_000.0, 28_000.0, "bytes/s")
    verdict = Verdict("fail", "it grows by 21 kB a second, and 10 may be", "rss_slope", (slope,))
    per_1k = Measurement("rss_per_1k", 1.1e5, 60, 0.7e5, 1.4e5, "bytes")
    return Memory(
        Measurement("rss_idle", 2.12e8, 1, unit="bytes"),
        Measurement("rss_peak", 3.9e8, 60, unit="bytes"),
        slope,
        per_1k,
        verdict,
    )
