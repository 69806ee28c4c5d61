"""Whom alerts wake: false pages a week, minutes to a page in a burst, days to a slow shift, beside naive rules.

Weeks of synthetic traffic with daily and weekly cycles, bursts beyond Poisson's, errors in clumps, days with a holiday,
deploys that hiccup for two minutes: four weeks of habit, then 30 days that are judged, for many seeds at once. The
decisions are those of the rules' own functions on arrays; for drawn minutes they are compared with the rules called on
a Series. Run `python benchmarks/alerts.py`; the last line is a JSON list of Measurements. It exits with 1 where a bound
is missed.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement, Requirement, judge, worst
from roadworthy.core.record import Record
from roadworthy.core.stats import nothing, proportion
from roadworthy.observe.counts.hours import WEEK, alarm_bound, deviation, usual
from roadworthy.observe.counts.rolling import roll_up
from roadworthy.observe.counts.rollups import Series, percentiles
from roadworthy.observe.rules.burn_rate import PAGE, BurnRate
from roadworthy.observe.rules.cusum import Cusum, sums
from roadworthy.observe.rules.seasonal import LEAST_BOUND, Seasonal
from roadworthy.observe.rules.silence_of_traffic import SilenceOfTraffic, chance_of_none, usual_of
from roadworthy.store.state import State

Floats = NDArray[np.float64]
DAY_MINUTES, HABIT_DAYS, JUDGED_DAYS = 1440, 28, 30
DAYS = HABIT_DAYS + JUDGED_DAYS
BEGIN = HABIT_DAYS * DAY_MINUTES
BASE_ERRORS, CLUMP = 3e-4, 2.0
# The clock of the simulation begins on a whole week.
EPOCH = 1_700_006_400 - 1_700_006_400 % (WEEK * 3600)
BURST, BURST_MINUTES, BURSTS_A_SEED = 0.05, 30, 5


class World(NamedTuple):
    """Requests and failures of each minute (seeds, minutes), and hourly log p99 and mean output (seeds, hours).

    `holiday` and `hiccup` are the hours (seeds, hours) in which something out of the ordinary did happen.
    """

    requests: NDArray[np.int64]
    failed: NDArray[np.int64]
    p99: Floats
    output: Floats
    holiday: NDArray[np.bool_]
    hiccup: NDArray[np.bool_]


def world(seeds: int, rng: np.random.Generator, peak: float = 600.0) -> World:
    """Traffic from a fifth of the peak at night to the peak by day, weekends at 60 %, one day in thirty a holiday."""
    minute = np.arange(DAYS * DAY_MINUTES)
    day, hour = minute // DAY_MINUTES, minute % DAY_MINUTES / 60
    shape = 0.2 + 0.8 * np.exp(-0.5 * ((hour - 14) / 4) ** 2)
    shape = shape * np.where(day % 7 >= 5, 0.6, 1.0)
    hours = len(minute) // 60
    mood = np.exp(wander(seeds, hours, 0.08, 0.8, rng)).repeat(60, axis=1)
    holiday = np.where(rng.random((seeds, DAYS)) < 1 / 30, 0.4, 1.0).repeat(DAY_MINUTES, axis=1)
    mean = peak * shape * mood * holiday
    requests = rng.poisson(rng.gamma(20.0, mean / 20.0)).astype(np.int64)
    rate = np.full_like(mean, BASE_ERRORS)
    for _ in range(2 * DAYS // 7):  # two deploys a week, two minutes each of 3 % errors
        at = rng.integers(0, len(minute) - 2, seeds)
        rate[np.arange(seeds), at] = rate[np.arange(seeds), at + 1] = 0.03
    clumps = rng.poisson(requests * rate / CLUMP)
    failed = np.where(clumps > 0, clumps + rng.negative_binomial(np.maximum(clumps, 1), 1 / CLUMP), 0)
    daily = 0.25 * np.cos(2 * np.pi * (np.arange(hours) % 24 - 14) / 24)
    p99 = math.log(0.2) + daily + wander(seeds, hours, 0.08, 0.5, rng)
    output = 0.3 + 0.03 * daily + wander(seeds, hours, 0.01, 0.6, rng)
    odd = (
        (holiday < 1).reshape(seeds, hours, 60).any(axis=2),
        (rate > BASE_ERRORS).reshape(seeds, hours, 60).any(axis=2),
    )
    return World(requests, np.minimum(failed, requests), p99, output, *odd)


def wander(seeds: int, n: int, spread: float, follows: float, rng: np.random.Generator) -> Floats:
    """Noise that remembers: an AR(1) with tails of a t law of 6 degrees."""
    fresh = rng.standard_t(6, (seeds, n)) * spread * math.sqrt(4 / 6) * math.sqrt(1 - follows**2)
    found = np.empty_like(fresh)
    found[:, 0] = fresh[:, 0]
    for k in range(1, n):
        found[:, k] = follows * found[:, k - 1] + fresh[:, k]
    return found


def windowed(values: NDArray[np.int64], minutes: int) -> NDArray[np.int64]:
    """The sum of the last so many minutes at the end of each minute."""
    total = np.concatenate([np.zeros((len(values), 1), np.int64), np.cumsum(values, axis=1)], axis=1)
    end = np.arange(1, values.shape[1] + 1)
    return total[:, end] - total[:, np.maximum(end - minutes, 0)]


def burning(rule: BurnRate, made: World) -> NDArray[np.bool_]:
    """At the end of each minute, whether the rule fails."""
    found = np.zeros(made.requests.shape, bool)
    for burn, long, short in rule.windows:
        sums_ = [windowed(v, int(m)) for m in (long, short) for v in (made.failed, made.requests)]
        found |= rule.burns(*sums_, burn)
    return found


def alarms(on: NDArray[np.bool_], calm: int) -> int:
    """How many alarms that is: what is off for less than `calm` steps goes on."""
    count = 0
    for row in on:
        at = np.flatnonzero(row)
        count += int((np.diff(at, prepend=-calm - 1) > calm).sum()) if len(at) else 0
    return count


def silent(rule: SilenceOfTraffic, made: World) -> NDArray[np.bool_]:
    """At the end of each judged minute, whether the rule fails."""
    seeds, minutes = made.requests.shape
    index = np.where(made.requests > 0, np.arange(minutes), -1)
    gap = np.arange(minutes) - np.maximum.accumulate(index, axis=1)
    hourly = made.requests.reshape(seeds, -1, 60).sum(axis=2)
    found = np.zeros(made.requests.shape, bool)
    for hour in range(WEEK + 1, hourly.shape[1]):
        weeks = min(rule.weeks, (hour - 1) // WEEK)
        expected = usual_of(hourly[:, hour - 1 - WEEK * weeks : hour - 1].astype(np.float64))
        part = slice(hour * 60, hour * 60 + 60)
        chance = chance_of_none(expected[:, None] * gap[:, part] / 60, rule.steadiness)
        found[:, part] = (gap[:, part] >= rule.least_minutes) & (chance <= rule.alpha)
    return found


def metrics(made: World) -> dict[str, tuple[Floats, Floats, Floats]]:
    """For each hourly metric its scaled values, weights and plain values."""
    seeds = len(made.requests)
    requests, failed = (v.reshape(seeds, -1, 60).sum(axis=2).astype(np.float64) for v in (made.requests, made.failed))
    share = np.arcsin(np.sqrt((failed + 0.375) / (requests + 0.75)))
    even = np.ones_like(requests)
    return {
        "traffic": (np.log(requests + 1), even, requests),
        "errors": (share, 2 * np.sqrt(requests), failed / np.maximum(requests, 1)),
        "p99": (made.p99, even, np.exp(made.p99)),
        "output": (made.output, even, made.output),
    }


def seasonal(rule: Seasonal, scaled: Floats, weight: Floats, plain: Floats) -> NDArray[np.bool_]:
    """At the end of each judged hour, whether the rule fails (seeds, hours)."""
    found = np.zeros(scaled.shape, bool)
    for hour in range(HABIT_DAYS * 24, scaled.shape[1]):
        weeks = min(rule.weeks, hour // WEEK)
        habit = usual(scaled[:, hour - WEEK * weeks : hour], weight[:, hour - WEEK * weeks : hour])
        z = deviation(scaled[:, hour], weight[:, hour], habit)
        past = habit.past if rule.metric in ("errors", "p99") else np.abs(habit.past)
        z = z if rule.metric in ("errors", "p99") else np.abs(z)
        before = np.median(plain[:, hour - WEEK * weeks : hour : WEEK], axis=1)
        low, high = np.minimum(plain[:, hour], before), np.maximum(plain[:, hour], before)
        found[:, hour] = (z > np.maximum(alarm_bound(past, rule.alpha), LEAST_BOUND)) & (
            high - low >= rule.least * np.maximum(low, 1e-12)
        )
    return found


def creeping(rule: Cusum, scaled: Floats, weight: Floats, plain: Floats, since: int) -> NDArray[np.bool_]:
    """At the end of each hour from `since` on, whether the rule fails (seeds, hours)."""
    found = np.zeros(scaled.shape, bool)
    for end in range(since, scaled.shape[1] + 1):
        weeks = min(rule.weeks, end // WEEK - 1)
        first = end - WEEK * (weeks + 1)
        habit = usual(scaled[:, first : end - WEEK], weight[:, first : end - WEEK])
        up, down = sums(scaled[:, end - WEEK : end], weight[:, end - WEEK : end], habit, rule.slack)
        change = plain[:, end - 24 : end].mean(axis=1) / plain[:, first : end - WEEK].mean(axis=1) - 1
        over = (up > rule.bound) | ((down > rule.bound) if rule.metric not in ("errors", "p99") else False)
        found[:, end - 1] = over & (np.abs(change) >= rule.least)
    return found


def bursts(made: World, rng: np.random.Generator) -> tuple[World, NDArray[np.int64]]:
    """The same world with a burst of 5 % errors in each seed, and the minute at which it begins."""
    seeds, minutes = made.requests.shape
    at = rng.integers(BEGIN, minutes - BURST_MINUTES, seeds)
    failed = made.failed.copy()
    for seed, start in enumerate(at):
        part = slice(start, start + BURST_MINUTES)
        failed[seed, part] = np.maximum(failed[seed, part], rng.binomial(made.requests[seed, part], BURST))
    return made._replace(failed=failed), at


def minutes_until(on: NDArray[np.bool_], at: NDArray[np.int64]) -> Floats:
    """Minutes from the beginning of a burst to the page, in each seed; infinite where none came."""
    return np.array([_first(on[seed, start : start + BURST_MINUTES]) for seed, start in enumerate(at)])


def _first(on: NDArray[np.bool_]) -> float:
    return float(on.argmax() + 1) if on.any() else math.inf


def stopped(rule: SilenceOfTraffic, made: World, rng: np.random.Generator) -> Floats:
    """Minutes from the moment at which all traffic stops to the page."""
    at = rng.integers(BEGIN, made.requests.shape[1] - 120, len(made.requests))
    requests = made.requests.copy()
    for seed, start in enumerate(at):
        requests[seed, start : start + 120] = 0
    on = silent(rule, made._replace(requests=requests))
    return np.array([_first(on[seed, start : start + 120]) for seed, start in enumerate(at)])


def naive(made: World) -> dict[str, NDArray[np.bool_]]:
    """What many begin with: a fixed threshold on five minutes, and three standard deviations over the day before."""
    bad, n = windowed(made.failed, 5), windowed(made.requests, 5)
    rate = bad / np.maximum(n, 1)
    day = np.concatenate([np.zeros((len(rate), 1)), np.cumsum(rate, axis=1)], axis=1)
    square = np.concatenate([np.zeros((len(rate), 1)), np.cumsum(rate**2, axis=1)], axis=1)
    end = np.arange(rate.shape[1])
    begin = np.maximum(end - DAY_MINUTES, 0)
    length = np.maximum(end - begin, 1)
    mean = (day[:, end] - day[:, begin]) / length
    spread = np.sqrt(np.maximum((square[:, end] - square[:, begin]) / length - mean**2, 0))
    return {"above 1 % in 5 minutes": rate > 0.01, "above mean + 3 sd of a day": rate > mean + 3 * spread}


def a_week(name: str, count: int, seeds: int, where: str = "") -> Measurement:
    """A rate a week with Poisson's interval in Anscombe's form, over all the seeds' judged weeks."""
    weeks = seeds * JUDGED_DAYS / 7
    low = max(0.0, math.sqrt(count + 0.375) - 0.98) ** 2 - 0.375
    high = (math.sqrt(count + 0.375) + 1.2) ** 2 + 0.5
    n = round(weeks)
    return Measurement(name, count / weeks, n, max(0.0, min(low, count) / weeks), high / weeks, "1/week", where)


def minutes_to(name: str, found: Floats, where: str = "", unit: str = "minutes") -> list[Measurement]:
    """Median and worst, with the range as the interval."""
    known, n = found[np.isfinite(found)], len(found)
    share = proportion(f"{name}_found", len(known), n, where)
    if len(known) < n:  # no number is as bad as one that was never found: whoever judges it waits
        return [share, nothing(f"{name}_{unit}_worst", unit, where)]
    low, top = float(known.min()), float(known.max())
    median = Measurement(f"{name}_{unit}_median", float(np.median(found)), n, low, top, unit, where)
    return [share, median, Measurement(f"{name}_{unit}_worst", top, n, top, top, unit, where)]


def series_of(made: World, seed: int, end: int) -> Series:
    """The Series that the rollups of one seed would give up to a minute."""
    at = EPOCH + 60 * np.arange(end, dtype=np.int64)
    counts = {
        name: v[seed, :end].astype(np.float64) for name, v in made._asdict().items() if name in ("requests", "failed")
    }
    return Series(float(EPOCH), float(EPOCH + 60 * end), at, np.full(end, 60), counts)


def same_as_the_rules(made: World, on: dict[str, NDArray[np.bool_]], rng: np.random.Generator, draws: int = 40) -> int:
    """Check drawn minutes against the rules as they are called in service; how many were checked."""
    page, traffic = BurnRate(), Seasonal("traffic")
    checked = 0
    for _ in range(draws):
        seed = int(rng.integers(len(made.requests)))
        alarmed = np.flatnonzero(on["burn"][seed])
        end = (
            int(rng.choice(alarmed)) + 1
            if len(alarmed) and rng.random() < 0.5
            else int(rng.integers(BEGIN, DAYS * DAY_MINUTES))
        )
        series, now = series_of(made, seed, end), float(EPOCH + 60 * end)
        for rule, told in ((page, on["burn"][seed, end - 1]), (traffic, on["traffic"][seed, end // 60 - 1])):
            said = rule(series, now).decision == "fail"
            if said != bool(told):
                sys.exit(f"{rule.title} says {said} at minute {end} of seed {seed}, its arrays {bool(told)}")
            checked += 1
    return checked


def rollup_costs(n_minutes: int = 60, per_minute: int = 1000) -> list[Measurement]:
    """CPU of counting a record, bytes of a minute, and the time of an hour's percentiles."""
    rng = np.random.default_rng(5)
    spent, reading, n, slow = 0.0, 0.0, 0, []
    with tempfile.TemporaryDirectory() as folder, State.open(Path(folder), "process") as state:
        for minute in range(n_minutes):
            state.records.write([_record(minute, k, per_minute, rng) for k in range(per_minute)])
            begun = time.process_time()
            n += roll_up(state, EPOCH + 60.0 * minute)
            spent += time.process_time() - begun
            begun = time.process_time()
            state.records.read(after=state.records.position() - per_minute)
            reading += time.process_time() - begun
        for _ in range(5):
            begun = time.process_time()
            percentiles(state, EPOCH, EPOCH + 3600, by=("release", "stage"))
            slow.append(1000 * (time.process_time() - begun))
        with state.engine.connect() as connection:
            table = state.tables["rollups"]
            sizes = [len(row.body) for row in connection.execute(table.select().where(table.c.tag == ""))]
    conditions = {"a_minute": per_minute, "cells_a_minute": "1 + 3 carriers", "stages": 3}
    return [
        Measurement("rollup_cpu_us", 1e6 * (spent - reading) / n, n, unit="us", conditions=conditions),
        Measurement("rollup_with_reading_cpu_us", 1e6 * spent / n, n, unit="us", conditions=conditions),
        Measurement("rollup_bytes_a_minute", float(np.mean(sizes)), len(sizes), min(sizes), max(sizes), "bytes"),
        Measurement("percentiles_hour_ms", float(np.median(slow)), len(slow), min(slow), max(slow), "ms"),
    ]


def _record(minute: int, k: int, per_minute: int, rng: np.random.Generator) -> Record:
    queue, model = rng.exponential(0.002), rng.lognormal(-4, 0.4)
    seconds = {"queue": queue, "model": model, "total": queue + model}
    inputs = {f"feature_{i}": i * 1.37 for i in range(16)}
    at = EPOCH + 60.0 * minute + 60.0 * k / per_minute
    tags = {"carrier": ("UA", "AA", "DL")[k % 3]}
    return Record(
        f"{minute:08x}{k:08x}",
        at,
        "5b" * 32,
        "stable",
        inputs,
        {"probability": 0.3},
        0.7,
        (),
        (),
        seconds,
        None,
        None,
        tags,
    )


def measured(seeds: int, rng: np.random.Generator) -> list[Measurement]:
    """Everything, on one made-up world for each seed."""
    made = world(seeds, rng)
    page, silence = BurnRate(), SilenceOfTraffic()
    burn, quiet = burning(page, made), silent(silence, made)
    burn[:, :BEGIN] = quiet[:, :BEGIN] = False
    # The tending tells one page where two rules find one trouble; here both are counted.
    found = [a_week("false_pages_per_week", alarms(burn, 30) + alarms(quiet, 30), seeds)]
    on: dict[str, NDArray[np.bool_]] = {"burn": burn}
    columns = metrics(made)
    for name, (scaled, weight, plain) in columns.items():
        rule = Seasonal(name)
        on[name] = seasonal(rule, scaled, weight, plain)
        where = f"seasonal {name}, stated {rule.false_alarms_a_week:g}"
        # A holiday and a deploy that fails are unlike other weeks: a ticket about them is right.
        odd = {"traffic": made.holiday, "errors": made.hiccup}.get(name, False)
        found.append(a_week("false_tickets_per_week", alarms(on[name] & ~np.asarray(odd), 12), seeds, where))
    for name in ("p99", "output"):
        rule_ = Cusum(name)
        crept = creeping(rule_, *columns[name], since=HABIT_DAYS * 24)
        where = f"cusum {name}, stated {rule_.false_alarms_a_week:g}"
        found.append(a_week("false_tickets_per_week", alarms(crept, 48), seeds, where))
    found += quiet_service(seeds, rng)
    for name, naive_on in naive(made).items():
        naive_on[:, :BEGIN] = False
        found.append(a_week("naive_false_pages_per_week", alarms(naive_on, 30), seeds, name))
    spoilt = [bursts(made, rng) for _ in range(BURSTS_A_SEED)]
    found += minutes_to("burst_paged", np.concatenate([minutes_until(burning(page, w), at) for w, at in spoilt]))
    workbook = BurnRate(windows=PAGE[1:])
    alone = np.concatenate([minutes_until(burning(workbook, w), at) for w, at in spoilt])
    found += minutes_to("burst_paged", alone, "workbook windows only")
    for name in naive(made):
        slow = np.concatenate([minutes_until(naive(w)[name], at) for w, at in spoilt])
        found += minutes_to("burst_paged", slow, f"naive: {name}")
    quietest = min(float(w.requests[k, at[k] : at[k] + 10].mean()) for w, at in spoilt for k in range(seeds))
    found.append(Measurement("requests_a_minute_in_the_quietest_burst", quietest, seeds * BURSTS_A_SEED))
    found += minutes_to("traffic_stop_paged", np.concatenate([stopped(silence, made, rng) for _ in range(2)]))
    found += slow_shift(columns["p99"])
    checked = same_as_the_rules(made, on, rng)
    return [*found, Measurement("decisions_checked_against_the_rules", float(checked), checked)]


def quiet_service(seeds: int, rng: np.random.Generator) -> list[Measurement]:
    """The pages of a service that is asked once a second by day and every five seconds at night."""
    made, page, where = world(seeds, rng, peak=60.0), BurnRate(), "1 request a second by day"
    burn, quiet = burning(page, made), silent(SilenceOfTraffic(), made)
    burn[:, :BEGIN] = quiet[:, :BEGIN] = False
    spoilt, at = bursts(made, rng)
    pages = a_week("false_pages_per_week", alarms(burn, 30) + alarms(quiet, 30), seeds, where)
    return [pages, *minutes_to("burst_paged", minutes_until(burning(page, spoilt), at), where)]


def slow_shift(column: tuple[Floats, Floats, Floats]) -> list[Measurement]:
    """Days until a p99 that grows by 5 % a day from day 40 on is found."""
    scaled, weight, _ = column
    begin = 40 * 24
    drift = np.log1p(0.05) * np.maximum(np.arange(scaled.shape[1]) - begin, 0) / 24
    on = creeping(Cusum("p99"), scaled + drift, weight, np.exp(scaled + drift), since=begin)
    found = np.array([_first(row[begin:]) for row in on]) / 24
    hourly = seasonal(Seasonal("p99"), scaled + drift, weight, np.exp(scaled + drift))
    alone = np.array([_first(row[begin:]) for row in hourly]) / 24
    return [
        *minutes_to("slow_shift", found, "cusum, 5 % a day", "days"),
        *minutes_to("slow_shift", alone, "seasonal, 5 % a day", "days"),
    ]


REQUIRED = (
    Requirement("false_pages_per_week", at_most=1.0, unit="1/week"),
    Requirement("false_pages_per_week", at_most=1.0, unit="1/week", where="1 request a second by day"),
    Requirement("burst_paged_minutes_worst", at_most=10.0, unit="minutes"),
)


def main() -> None:
    """Print what was measured, and judge it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="not used: this benchmark makes its own traffic")
    parser.add_argument("--seeds", type=int, default=40)
    arguments = parser.parse_args()
    begun = time.process_time()
    found = measured(arguments.seeds, np.random.default_rng(17)) + rollup_costs()
    for m in found:
        bounds = f"[{m.low:9.3g}, {m.high:9.3g}]" if math.isfinite(m.low) and math.isfinite(m.high) else ""
        print(f"{m.name:38} {m.where:42} {m.value:10.4g} {m.unit:8} {bounds} n={m.n}")
    print(f"{time.process_time() - begun:.0f} CPU-seconds, {arguments.seeds} seeds of {JUDGED_DAYS} days")
    verdicts = [judge(m, need) for need in REQUIRED for m in found if (m.name, m.where) == (need.metric, need.where)]
    print(*(f"{verdict.decision}: {verdict.because}" for verdict in verdicts), sep="\n")
    print(msgspec.json.encode(found).decode())
    sys.exit(0 if worst(verdicts) == "pass" and len(verdicts) == len(REQUIRED) else 1)


if __name__ == "__main__":
    main()
