from __future__ import annotations

from roadworthy.core.record import Record
from roadworthy.core.sketch import Sketch
from roadworthy.core.wire import Step
from roadworthy.observe.counts.counting import MOST_ERRORS, Known, count
from roadworthy.observe.counts.tally import Cell, Moments

NOTHING = Known({}, 50)


def record(id: str, at: float = 30.0, arm="stable", release="r1", outputs=None, **more) -> Record:
    return Record(id, at, release, arm, {"x": 1.0}, {"p": 0.25} if outputs is None else outputs, **more)


def test_each_minute_release_and_arm_has_a_cell():
    rows = [record("a"), record("b", 59.9), record("c", 60.0), record("d", arm="canary"), record("e", release="r2")]
    found = {cell: tally.counts["requests"] for cell, tally in count(rows, NOTHING).items()}
    assert found == {
        Cell(0, "r1", "stable"): 2,
        Cell(1, "r1", "stable"): 1,
        Cell(0, "r1", "canary"): 1,
        Cell(0, "r2", "stable"): 1,
    }


def test_a_time_before_the_epoch_has_its_own_minute():
    assert list(count([record("a", -1.0)], NOTHING)) == [Cell(-1, "r1", "stable")]


def test_the_rows_of_one_request_are_one_request():
    rows = [record(f"req.{k}", seconds={"total": 0.5}, error="TimeoutError: x") for k in range(3)]
    rows += [record("1.5"), record("1.6", 31.0), record("plain")]
    (tally,) = count(rows, NOTHING).values()
    assert tally.counts == {"rows": 6, "requests": 4, "failed": 1, "errors.TimeoutError": 1}
    assert Sketch.from_bytes(tally.seconds["total"]).n == 1


def test_numbers_are_summed_over_the_rows_that_have_one():
    rows = [record("a", usd=0.5, tokens=10, confidence=0.5), record("b", usd=1.5), record("c", outputs={"text": "hi"})]
    (tally,) = count(rows, NOTHING).values()
    assert tally.numbers["usd"] == Moments(2, 2.0, 2.5)
    assert tally.numbers["tokens"] == Moments(1, 10, 100)
    assert tally.numbers["outputs.p"] == Moments(2, 0.5, 0.125)
    assert "outputs.text" not in tally.numbers


def test_numbers_that_are_not_finite_are_left_out():
    (tally,) = count(
        [record("a", outputs={"p": float("nan")}), record("b", outputs={"p": float("inf")})], NOTHING
    ).values()
    assert tally.numbers == {}


def test_answers_out_of_the_cache_are_counted():
    rows = [
        record("a", path=(Step("cache", "hit, 3 s old"),)),
        record("b", path=(Step("cache", "miss"),)),
        record("c", path=(Step("split", "hit"),)),
    ]
    (tally,) = count(rows, NOTHING).values()
    assert tally.counts["cached"] == 1


def test_errors_beyond_the_most_frequent_are_other():
    rows = [
        record(f"{kind}-{k}", error=f"E{kind}: {k}") for kind in range(MOST_ERRORS + 2) for k in range(2 + (kind > 1))
    ]
    (tally,) = count(rows, NOTHING).values()
    kinds = {name: n for name, n in tally.counts.items() if name.startswith("errors.")}
    assert kinds.pop("errors.other") == 4
    assert len(kinds) == MOST_ERRORS
    assert sum(kinds.values()) + 4 == tally.counts["failed"]


def test_each_value_of_a_tag_has_a_cell():
    rows = [record("a", tags={"tenant": "acme"}), record("b", tags={"tenant": "bolt"}), record("c")]
    found = count(rows, NOTHING)
    assert found[Cell(0, "r1", "stable")].counts["requests"] == 3
    assert found[Cell(0, "r1", "stable", "tenant", "acme")].counts["requests"] == 1
    assert found[Cell(0, "r1", "stable", "tenant", "bolt")].counts["requests"] == 1


def test_values_beyond_the_cap_are_other_and_known_ones_stay():
    rows = [record(str(k), tags={"user": f"u{k % 5}"}) for k in range(20)] + [record("x", tags={"user": "u9"})]
    found = count(rows, Known({"user": {"u9", "u8"}}, 3))
    values = {cell.value: tally.counts["requests"] for cell, tally in found.items() if cell.tag}
    assert values == {"u0": 4, "u9": 1, "other": 16}


def test_long_names_fit_the_table():
    (plain, tagged) = count([record("a", release="r" * 99, tags={"t" * 200: "v" * 400})], NOTHING)
    assert (len(plain.release), len(tagged.tag), len(tagged.value)) == (64, 128, 256)


def test_nothing_gives_nothing():
    assert count([], NOTHING) == {}
