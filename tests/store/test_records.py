"""The record log keeps every row once, finds it again, and answers while others read and write."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import numpy as np
import pytest

from roadworthy.core.errors import Missing
from roadworthy.core.record import Label, Record
from roadworthy.core.wire import Step
from roadworthy.store.files import StoreError
from roadworthy.store.records import RecordLog


def row(id, at=0.0, release="a" * 64, arm="stable", **more):
    return Record(id, at, release, arm, {"x": 1.0}, {"p": 0.5}, **more)


def test_a_record_comes_back_as_it_was_written(log):
    full = row(
        "one",
        at=12.5,
        confidence=0.9,
        prediction_set=("late", "on time"),
        path=(Step("small", "sure enough"),),
        seconds={"queue": 0.001},
        tokens=3,
        usd=0.002,
        tags={"carrier": "UA"},
        error="timeout",
    )
    log.write([full])
    assert log.read() == [full]


def test_numpy_values_are_kept_as_plain_ones(log):
    inputs = {"x": np.float32(1.5), "n": np.int64(3), "b": np.bool_(True), "s": np.str_("UA"), "v": np.ones(2)}
    log.write([Record(np.str_("one"), np.float64(1.0), "r", "stable", inputs, {})])
    assert log.get("one")[0].inputs == {"x": 1.5, "n": 3, "b": True, "s": "UA", "v": [1.0, 1.0]}


def test_rows_come_in_the_order_of_their_time_whatever_order_they_were_written_in(log):
    log.write([row("late", 3.0), row("early", 1.0)])
    log.write([row("middle", 2.0)])
    assert [r.id for r in log.read()] == ["early", "middle", "late"]


def test_the_same_id_and_arm_is_kept_once_and_the_first_stands(log):
    log.write([row("one", 1.0), row("one", 2.0)])
    log.write([row("one", 3.0), row("one", 4.0, arm="shadow")])
    assert [(r.at, r.arm) for r in log.get("one")] == [(1.0, "stable"), (4.0, "shadow")]


def test_an_answer_stands_beside_an_earlier_failure_of_the_same_id(log):
    log.write([row("a", error="Overloaded: full"), row("a"), row("a", error="Overloaded: again")])
    assert [r.error for r in log.read()] == ["Overloaded: full", None]


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ({}, "abcd"),
        ({"since": 2.0}, "bcd"),
        ({"until": 3.0}, "ab"),
        ({"since": 2.0, "until": 3.0}, "b"),
        ({"release": "new"}, "cd"),
        ({"arms": ["canary", "shadow"]}, "cd"),
        ({"arms": []}, ""),
        ({"ids": ["d", "a", "nobody"]}, "ad"),
        ({"after": 2}, "cd"),
        ({"release": "new", "arms": {"shadow"}, "since": 0.0}, "d"),
    ],
)
def test_filters_choose_rows_and_count_agrees(log, filters, ids):
    log.write(
        [row("a", 1.0, "old"), row("b", 2.0, "old"), row("c", 3.0, "new", "canary"), row("d", 4.0, "new", "shadow")]
    )
    assert "".join(r.id for r in log.read(**filters)) == ids
    assert log.count(**filters) == len(ids)


def test_counts_are_by_release_and_arm(log):
    log.write([row("a", release="old"), row("b", release="old"), row("a", release="new", arm="shadow")])
    assert log.counts() == {("old", "stable"): 2, ("new", "shadow"): 1}


def test_position_lets_a_reader_go_on_where_it_stopped(log):
    assert log.position() == 0
    log.write([row("a", 9.0)])
    seen = log.position()
    log.write([row("b", 1.0)])
    assert [r.id for r in log.read(after=seen)] == ["b"]


def test_an_unknown_id_says_what_to_do_next(log):
    with pytest.raises(Missing, match=r"no record with the id 'gone' in `.*records.db`; `read` with `since`"):
        log.get("gone")


def test_a_near_id_is_proposed(log):
    log.write([row("flight-00124")])
    with pytest.raises(Missing, match="did you mean 'flight-00124'"):
        log.get("flight-0012")


def test_the_id_of_a_request_of_several_rows_names_its_rows(log):
    log.write([row("request.0"), row("request.1"), row("requests")])
    with pytest.raises(Missing, match=r"several rows: ask for 'request.0', 'request.1'$"):
        log.get("request")


def test_appends_inside_a_loop_are_answered_after_they_are_on_disk(log):
    async def append_and_look():
        for k in range(20):
            await log.append(lambda k=k: [row(f"{k}.0"), row(f"{k}.1")])
            assert log.count() == 2 * k + 2

    asyncio.run(append_and_look())


class CountingLoop(asyncio.SelectorEventLoop):
    """A real event loop that counts how often another thread woke it."""

    woken = 0

    def call_soon_threadsafe(self, *given, **more):
        self.woken += 1
        return super().call_soon_threadsafe(*given, **more)


def test_many_appends_share_a_commit_and_one_call_into_the_loop(log):
    async def append_all():
        await asyncio.gather(*(log.append(lambda k=k: [row(str(k))]) for k in range(5000)))

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        runner.run(append_all())
        assert log.count() == 5000
        assert runner.get_loop().woken < 500


def test_append_outside_of_a_loop_names_the_way_to_write(log):
    with pytest.raises(RuntimeError, match="outside of one use `write`"):
        log.append(lambda: [row("one")])


def test_loops_of_several_threads_are_each_answered(log):
    async def append_some(name):
        await asyncio.gather(*(log.append(lambda k=k: [row(f"{name}{k}")]) for k in range(50)))

    threads = [threading.Thread(target=asyncio.run, args=(append_some(name),)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.count() == 150


def test_a_fault_in_one_maker_is_that_callers_alone(log):
    def faulty():
        yield row("half")
        raise ZeroDivisionError("the maker's own fault")

    async def append_three():
        makers = [lambda: [row("a")], faulty, lambda: [row("b")]]
        return await asyncio.gather(*map(log.append, makers), return_exceptions=True)

    answers = asyncio.run(append_three())
    assert [type(answer) for answer in answers] == [type(None), ZeroDivisionError, type(None)]
    assert {r.id for r in log.read()} == {"a", "b"}


@pytest.mark.parametrize(
    ("bad", "error", "says"),
    [
        (row("n", at=float("nan")), ValueError, "must be Unix seconds, got nan"),
        (row(7), TypeError, "must be text"),
        (row("o", tags={"x": object()}), TypeError, "cannot hold"),
        (row("\ud800"), UnicodeEncodeError, "surrogates"),
    ],
)
def test_a_row_that_cannot_be_kept_takes_nobody_else_along(log, bad, error, says):
    async def append_two():
        return await asyncio.gather(
            log.append(lambda: [bad]), log.append(lambda: [row("good")]), return_exceptions=True
        )

    answers = asyncio.run(append_two())
    assert isinstance(answers[0], error)
    assert says in str(answers[0])
    assert [r.id for r in log.read()] == ["good"]


def test_a_caller_who_went_away_is_recorded_all_the_same(log):
    async def cancel_one():
        gone = log.append(lambda: [row("gone")])
        gone.cancel()
        await log.append(lambda: [row("stayed")])

    asyncio.run(cancel_one())
    assert {r.id for r in log.read()} == {"gone", "stayed"}


def test_a_loop_that_was_closed_meanwhile_loses_no_row(log):
    async def leave_without_waiting():
        log.append(lambda: [row("left")])

    asyncio.run(leave_without_waiting())
    log.write([row("after")])
    assert {r.id for r in log.read()} == {"left", "after"}


def test_closing_commits_what_is_queued_and_then_refuses(tmp_path):
    log = RecordLog(tmp_path / "records.db", "process")

    async def append_and_close():
        waiting = [log.append(lambda k=k: [row(str(k))]) for k in range(300)]
        log.close()
        await asyncio.gather(*waiting)

    asyncio.run(append_and_close())
    log.close()
    with pytest.raises(StoreError, match="is closed: open the state directory again before writing"):
        log.write([row("late")])
    with pytest.raises(StoreError, match="is closed: open the state directory again before reading"):
        log.read()
    again = RecordLog(tmp_path / "records.db")
    assert again.count() == 300
    again.close()


LABELLER = """
import sys
from pathlib import Path
from roadworthy.core.record import Label
from roadworthy.store.records import RecordLog

log, done = RecordLog(Path(sys.argv[1]), "process"), set()
print("ready", flush=True)
while len(done) < 400:
    fresh = [r for r in log.read() if r.id not in done]
    report = log.write_labels([Label(r.id, 1.0, r.at + 1) for r in fresh])
    assert report.kept == len(fresh), report
    done.update(r.id for r in fresh)
log.close()
"""


def test_another_process_reads_and_labels_while_this_one_writes(log):
    async def append_slowly():
        for k in range(400):
            await log.append(lambda k=k: [row(f"{k:03d}", float(k))])

    command = [sys.executable, "-c", LABELLER, str(log.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "ready\n"
        asyncio.run(append_slowly())
        assert other.wait(timeout=60) == 0
    assert [(r.label, r.label_at) for r in log.read()] == [(1.0, k + 1.0) for k in range(400)]


def test_a_label_is_never_kept_in_the_row_itself(log):
    log.write([row("one", label=1.0, label_at=5.0)])
    assert log.get("one")[0].label is None
    log.write_labels([Label("one", 0.0, 6.0)])
    assert (log.get("one")[0].label, log.get("one")[0].label_at) == (0.0, 6.0)
