"""What the routed mixture's ledger, replays and charts are worth: a planted loss, coverage, false alarms, microseconds.

`measure(data)` replays RouteLLM's recorded answers on MMLU; `python benchmarks/router/ledger_part.py --data PATH`.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import time
from collections.abc import Iterable
from dataclasses import replace as changed
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement, Requirement, judge
from roadworthy.core.record import Record
from roadworthy.core.stats import mean, proportion
from roadworthy.core.wire import Handler, Request, Response, Tensor
from roadworthy.cost.ledger import Ledger, ledger, right_by
from roadworthy.route.policies.routed import Routed
from roadworthy.route.traffic.charts import chart_of
from roadworthy.route.traffic.traffic import Traffic
from roadworthy.route.traffic.values import Way, difference, value
from roadworthy.serve.recorded import rows_of
from roadworthy.testing.two_models import Coin, TopicGain, both, request

RUNS, ALPHA = 200, 0.05
MEMBERS = ("mixtral", "gpt4")
# Dollars a row, planted so that a verified cheap try pays up to half of the rows: 0.45 + 0.03 + 0.48 e = 1 at e = 0.52.
PLANTED = {"mixtral": 0.45, "gpt4": 1.0, "verifier": 0.03}
# What RouteLLM (Ong et al. 2024) reckons with: 0.24 and 24.7 dollars per million tokens, at 300 tokens a row.
PUBLISHED = {"mixtral": 0.24e-6 * 300, "gpt4": 24.7e-6 * 300, "verifier": 0.0}
SAME = TopicGain(0.8, 0.7, 0.1, 0.2, "law", False)
BOUNDS = (
    Requirement("ledger_flags_60_percent", at_least=1.0),
    Requirement("ledger_passes_30_percent", at_least=1.0),
    Requirement("off_policy_coverage", at_least=0.95 - 4 * (0.95 * 0.05 / RUNS) ** 0.5),
    Requirement("escalation_false_alarms", at_most=ALPHA + 4 * (ALPHA * (1 - ALPHA) / RUNS) ** 0.5),
    Requirement("routed_decision_us", at_most=30.0, unit="us"),
)


class Recorded(NamedTuple):
    """MMLU as RouteLLM recorded it: whether either model was right, and the subject."""

    weak: NDArray[np.bool_]
    strong: NDArray[np.bool_]
    subject: NDArray[np.object_]


class Sure:
    """A router that expects the same of everything: what is left is what the policy itself takes."""

    def gain(self, request: Request) -> TopicGain:
        """The same."""
        return SAME


def measure(data: Path) -> list[Measurement]:
    """All figures of this part, printed as they come."""
    rows = recorded(data)
    found = [*planted(rows), *off_policy(rows), *alarms(), *decisions()]
    for one in found:
        print(f"  {one}")
    return found


def recorded(data: Path) -> Recorded:
    """The recorded answers. The two columns of models are the cheap one's and the dear one's."""
    weak, strong, subject = [], [], []
    for path in sorted((data / "router" / "routellm_mmlu").glob("mmlu_*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                cheap, dear = list(row.values())[1:3]
                weak.append(cheap == "True")
                strong.append(dear == "True")
                subject.append(path.stem.removeprefix("mmlu_"))
    return Recorded(np.array(weak), np.array(strong), np.array(subject, object))


def planted(rows: Recorded) -> list[Measurement]:
    """A verified cheap try that sends on 30 % as planned, and one that sends on 60 %: the ledger is to tell them."""
    found: list[Measurement] = []
    for share in (0.3, 0.6):
        bill = billed(rows, share, PLANTED)
        print(f"planted, {share:.0%} sent on: {bill.verdict.decision}: {bill.verdict.because}")
        name = "ledger_passes_30_percent" if share == 0.3 else "ledger_flags_60_percent"
        wanted = "pass" if share == 0.3 else "fail"
        found.append(Measurement(name, float(bill.verdict.decision == wanted), bill.rows, 1.0, 1.0))
        saving = bill.of("saving")
        found.append(replace(saving, name=f"planted_saving_{share:.0%}".replace("%", "pct")))
        if share == 0.6:
            found += [bill.of("break_even_share"), bill.of("usd_per_right")]
        paid = billed(rows, share, PUBLISHED)
        print(f"published prices, {share:.0%} sent on: {paid.verdict.decision}: {paid.verdict.because}")
    return found


def billed(rows: Recorded, share: float, usd: dict[str, float]) -> Ledger:
    """The ledger of MMLU asked one by one through the policy; 3 % of the cheap calls fail and are made again."""
    rng = np.random.default_rng(3)
    handlers = {
        "mixtral": answering(rows.weak, rng, failing=0.03),
        "gpt4": answering(rows.strong, rng),
        "verifier": verifying(share, rng),
    }
    made = Routed(when="after", verifier="verifier", verified=0.5, tries=2, usd=usd, router_usd_per_hour=1.0)
    records = asyncio.run(asked(made.over(handlers, None), len(rows.weak)))
    return ledger(records, MEMBERS, right_by(), planned_share=0.3)


def answering(right: NDArray[np.bool_], rng: np.random.Generator, failing: float = 0.0) -> Handler:
    """A model that answers row `id` as it was recorded: a probability on the right side of 0.5 where it was right."""

    async def answer(request: Request) -> Response:
        if failing and rng.random() < failing:
            raise RuntimeError("planted")
        sure = 0.9 if right[int(request.id)] else 0.1
        return Response(request.id, {"probability": Tensor("probability", "FP64", (1,), [sure])})

    return answer


def verifying(share: float, rng: np.random.Generator) -> Handler:
    """A verifier that knows nothing and lets all but `share` of the answers pass."""

    async def answer(request: Request) -> Response:
        return Response(request.id, {"right": Tensor("right", "FP64", (1,), [float(rng.random() >= share)])})

    return answer


async def asked(handler: Handler, n: int) -> list[Record]:
    """The records of n requests, labelled."""
    found: list[Record] = []
    for k in range(n):
        one = Request(str(k), {"x": Tensor("x", "FP64", (1, 1), [0.0])}, float(k))
        found += [replace(row, label=1.0) for row in rows_of(one, await handler(one))]
    return found


def off_policy(rows: Recorded, n: int = 3000) -> list[Measurement]:
    """How often the intervals hold the value of a rule that was never run: `n` rows drawn anew each time.

    The recorded rule sends a subject's rows on by a coin of 20 % or 60 %; the one replayed sends on where the subject's
    dear model is far better, which is known here and nowhere else.
    """
    rng = np.random.default_rng(5)
    subjects, codes = np.unique(rows.subject.astype(str), return_inverse=True)
    counts = np.bincount(codes)
    gain = np.bincount(codes, rows.strong.astype(float) - rows.weak) / counts
    target = (gain > np.median(gain))[codes]
    truth = float(np.where(target, rows.strong, rows.weak).mean())
    least = float(np.where(target, rows.strong, rows.weak).mean() - rows.strong.mean())
    likely = rng.random(len(subjects)) < 0.5
    hits: dict[str, int] = {}
    widths: dict[str, list[float]] = {}
    for _ in range(RUNS):
        drawn = rng.integers(0, len(codes), n)
        traffic = logged(rows, drawn, np.where(likely[codes[drawn]], 0.6, 0.2), rng)
        chosen = target[drawn]
        ways: tuple[Way, ...] = ("ips", "snips", "dr")
        for name, one, true in (
            *((way, value(traffic, chosen, way), truth) for way in ways),
            ("difference", difference(traffic, chosen, np.ones(n, bool)), least),
        ):
            hits[name] = hits.get(name, 0) + (one.low <= true <= one.high)
            widths.setdefault(name, []).append(one.high - one.low)
    print(f"off-policy, {RUNS} runs of {n:,} rows, half-widths: ", end="")
    print(", ".join(f"{name} {np.mean(width) / 2:.4f}" for name, width in widths.items()))
    found = [proportion("off_policy_coverage", hits[name], RUNS, where=name) for name in hits]
    return [*found, mean("off_policy_half_width", np.array(widths["dr"]) / 2, where="dr")]


def logged(rows: Recorded, drawn: NDArray[np.int64], wants: NDArray[np.float64], rng: np.random.Generator) -> Traffic:
    """Rows that a recorded rule routed, with 5 % audits and 5 % explored answers."""
    audit, explore, n = 0.05, 0.05, len(drawn)
    wanted, luck = rng.random(n) < wants, rng.random(n)
    both, swapped = luck < audit, (luck >= audit) & (luck < audit + explore)
    saw_strong, saw_weak = both | (wanted ^ swapped), both | (~wanted ^ swapped)
    strong_chance = np.where(wanted, 1 - explore, audit + explore)
    weak_chance = np.where(wanted, audit + explore, 1 - explore)
    unknown = np.full(n, np.nan)
    return Traffic(
        *MEMBERS,
        np.arange(n).astype(object),
        np.arange(n, dtype=float),
        [{}] * n,
        rows.subject[drawn],
        unknown,
        wanted,
        saw_strong,
        np.where(saw_weak, rows.weak[drawn], np.nan),
        np.where(saw_strong, rows.strong[drawn], np.nan),
        weak_chance,
        strong_chance,
        weak_chance,
        strong_chance,
        unknown,
        unknown,
    )


def alarms(n: int = 3000) -> list[Measurement]:
    """How often the chart alarms on a kept plan within n looks, and how soon on 60 % where 30 % were planned."""
    rng, at = np.random.default_rng(6), np.arange(n, dtype=float)
    false: dict[str, int] = {"rows": 0, "bursts": 0}
    known, late = [], []
    for _ in range(RUNS):
        calm = rng.random(n) < 0.3
        false["rows"] += chart_of(calm, at, at, 0.3, 0.0, ALPHA).alarm_at is not None
        sessions = np.repeat(np.arange(n // 20), 20)
        bursts = (rng.random(n // 20) < 0.3)[sessions]
        false["bursts"] += chart_of(bursts, sessions, at, 0.3, 0.0, ALPHA).alarm_at is not None
    for _ in range(RUNS // 4):
        loud = rng.random(n) < 0.6
        known.append(chart_of(loud[:1000], at[:1000], at[:1000], 0.3, 0.02, 0.01).alarm_rows or n)
        change = np.concatenate([rng.random(2000) < 0.3, rng.random(1000) < 0.6])
        late.append((chart_of(change, at, at, 0.3, 0.02, 0.01).alarm_rows or n) - 2000)
    return [
        *(proportion("escalation_false_alarms", count, RUNS, where=where) for where, count in false.items()),
        middle("escalation_rows_to_alarm", known, "from the start"),
        middle("escalation_rows_to_alarm", late, "after 2,000 calm rows"),
    ]


def middle(name: str, values: Iterable[int], where: str) -> Measurement:
    """The median, between the quartiles."""
    low, half, high = np.quantile(list(values), [0.25, 0.5, 0.75]).tolist()
    return Measurement(name, half, RUNS // 4, low, high, "rows", where)


def decisions(rounds: int = 15, each: int = 2000) -> list[Measurement]:
    """CPU microseconds that the policy adds to a request of one row, and its share of one with a small model."""
    plain = asyncio.run(paced(Routed(), rounds, each))
    learning = asyncio.run(paced(Routed(audit=0.02, explore=0.02, usd_per_day=1e12), rounds, each))
    sticky = asyncio.run(paced(Routed(stickiness="latch", gain_per_second=0.01), rounds, each))
    found = []
    for name, (added, share) in (("plain", plain), ("comparisons", learning), ("sticky, load-aware", sticky)):
        low, half, high = np.quantile(added, [0.1, 0.5, 0.9]).tolist()
        found.append(Measurement("routed_decision_us", half, rounds, low, high, "us", name))
        low, half, high = np.quantile(share, [0.1, 0.5, 0.9]).tolist()
        of = {"of": "a request to a small model in a batch, in process, without HTTP or a record"}
        found.append(Measurement("routed_decision_share", half, rounds, low, high, "1", name, of))
    return found


async def paced(settings: Routed, rounds: int, each: int) -> tuple[list[float], list[float]]:
    """What is added to a handler that answers at once, and its share of a request to a small model in a batch."""
    settings = changed(settings, usd=dict.fromkeys(("small", "large"), 1.0))
    one = request("r", [0], np.random.default_rng(1), key="caller")
    batches = both(Coin([0.9]), Coin([0.9], "other_luck"))
    given = await batches["small"](one)

    async def at_once(asked: Request) -> Response:
        return given

    bare = settings.over({"small": at_once, "large": at_once}, Sure(), "3f2a9c")
    added, share = [], []
    for _ in range(rounds):
        direct, routed, model = [await timed(handler, one, each) for handler in (at_once, bare, batches["small"])]
        added.append((routed - direct) * 1e6)
        share.append((routed - direct) / (routed - direct + model))
    return added, share


async def timed(handler: Handler, request: Request, times: int) -> float:
    """CPU seconds a request."""
    started = time.process_time()
    for _ in range(times):
        await handler(request)
    return (time.process_time() - started) / times


def main() -> int:
    """This part alone."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--data", type=Path, required=True)
    found = measure(given.parse_args().data)
    missed = [
        bound.metric
        for bound in BOUNDS
        for one in found
        if one.name == bound.metric and judge(replace(one, low=one.value, high=one.value), bound).decision == "fail"
    ]
    print(f"missed: {', '.join(missed) or 'none'}")
    print(msgspec.json.encode(found).decode())
    return int(bool(missed))


if __name__ == "__main__":
    raise SystemExit(main())
