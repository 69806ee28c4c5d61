"""`roadworthy cascade answer` answers a whole table, keeps its promise for it, and goes on where it was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import polars as pl
import pytest

from roadworthy.cli.bought import Bought
from roadworthy.cli.cascade_telling import TableAnswered
from roadworthy.cli.cascading import ask_members
from roadworthy.cli.flows import read
from roadworthy.cli.table_cascade import Saved
from roadworthy.core.project import read_project

# Writes down every row that the last member is asked about; may take its time, refuse rows, or be away.
WATCHED = '''
import asyncio
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent

@dataclass(frozen=True)
class Watched:
    """Tells who was asked about what."""
    seconds: float = 0.0
    refuses_below: float = -1e9
    away_after: int = 10**9
    def __call__(self, inner):
        asked = 0
        async def ask(request):
            nonlocal asked
            rows = [float(x) for x in request.inputs["radius"].data]
            await asyncio.sleep(self.seconds)
            if asked + len(rows) > self.away_after:
                raise ConnectionError("nobody at home")
            asked += len(rows)
            if min(rows) < self.refuses_below:
                raise ZeroDivisionError("too small for me")
            with (HERE / "asked.txt").open("a") as file:
                file.writelines(f"{x!r}\\n" for x in rows)
            return await inner(request)
        return ask
'''


@pytest.fixture
def table(two):
    return two / "data" / "production.parquet"


@pytest.fixture
def watched(two):
    """Gives the last member a wrapper with such settings, and tells the rows that it was asked about."""
    (two / "watched.py").write_text(WATCHED)
    file = two / "roadworthy.yaml"
    plain = file.read_text()

    def wrapped(settings: str) -> Path:
        large = "large: {file: model/clinic.onnx, usd_per_1k: 2.0"
        assert large in plain
        file.write_text(plain.replace(large, f"{large}, wrappers: [{{'watched.py:Watched': {{{settings}}}}}]"))
        return two / "asked.txt"

    return wrapped


def last_alone(project):
    """What the last member says of every row."""
    spec = read_project(project, check_files=False)
    return ask_members(spec, read(spec, "production")).answers["large"] >= 0.5


def answer(call, table, out, project, *words, promise=("--agreement", "0.9")):
    return call("cascade", "answer", table, out, *promise, "--project", project, *words, "--json")


@pytest.mark.parametrize("parts", [(), ("--part-rows", "500")])
def test_a_table_is_answered_as_promised_and_billed(call, two, table, tmp_path, parts):
    out = tmp_path / "out.parquet"
    told = answer(call, table, out, two, *parts)
    assert told.code == 0, told.err
    found, rows, last = msgspec.convert(told.body, TableAnswered), pl.read_parquet(out), last_alone(two)
    assert rows.columns == ["id", "answer", "confidence", "by", "release", "error"]
    assert rows["id"].to_list() == pl.read_parquet(table)["id"].to_list()
    same = rows["answer"].to_numpy() == last
    assert same.mean() >= found.reached[0].evidence[0].low >= 0.9
    by_last = rows["by"].to_numpy() == "large"
    assert same[by_last].all()
    assert not same[~by_last].all()
    assert found.asked == {"small": 2000, "large": int(by_last.sum())}
    assert found.sent_on.value == by_last.mean() < 0.7
    assert found.usd["large"] == pytest.approx(by_last.sum() * 0.002)
    assert (found.usd_last_alone, found.failed, found.parts) == (4.0, 0, 4 if parts else 1)
    assert not Path(f"{out}.parts").exists()


def test_precision_and_recall_are_kept_in_csv_and_the_text_says_so(call, two, table, tmp_path):
    out, csv = tmp_path / "out.csv", tmp_path / "in.csv"
    pl.read_parquet(table).write_csv(csv)
    promise = ("--precision", "0.9", "--recall", "0.85")
    said = call("cascade", "answer", csv, out, *promise, "--columns", "ward", "--project", two).out
    rows, last = pl.read_csv(out), last_alone(two)
    assert rows.columns[0] == "ward"
    answers = rows["answer"].to_numpy() == 1
    assert (answers & last).sum() >= 0.9 * answers.sum()
    assert (answers & last).sum() >= 0.85 * last.sum()
    assert "promised: precision 0.9 and recall 0.85 with probability 0.9" in said
    assert "recall is at least 0.85" in said
    assert "USD" in said
    assert "less than 4 for the last one about every row" in said


def test_a_table_too_small_to_show_anything_is_sent_on_whole_and_says_so(call, two, table, tmp_path):
    few, out = tmp_path / "few.parquet", tmp_path / "out.parquet"
    pl.read_parquet(table).head(30).write_parquet(few)
    said = call("cascade", "answer", few, out, "--agreement", "0.97", "--project", two)
    assert said.code == 0
    assert "every row was sent on: 30 rows do not show the promise for any cheap answer" in said.out
    assert "5.0% MORE than 0.06 for the last one about every row" in said.out
    assert set(pl.read_parquet(out)["by"]) == {"large"}


def test_rows_on_which_the_last_member_fails_keep_their_reason(call, two, table, tmp_path, watched):
    watched("refuses_below: 8.0")
    out = tmp_path / "out.parquet"
    pl.read_parquet(table).with_columns(
        radius=pl.when(pl.col("id") == pl.col("id").first()).then(None).otherwise("radius")
    ).write_parquet(table)
    told = answer(call, table, out, two, "--part-rows", "700")
    rows = pl.read_parquet(out)
    assert told.code == 1, told.err
    failed = rows.filter(pl.col("error").is_not_null())
    assert told.body["failed"] == len(failed) > 1
    assert failed["answer"].null_count() == failed["by"].null_count() == len(failed)
    assert "not nullable" in rows["error"][0]
    assert "ZeroDivisionError: too small for me" in failed["error"].to_list()
    assert rows.filter(pl.col("error").is_null())["answer"].null_count() == 0


def started(*words):
    command = [sys.executable, "-m", "roadworthy.cli", "cascade", "answer", *map(str, words)]
    world = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=world, text=True)


def test_a_killed_run_goes_on_gives_the_same_file_and_pays_for_nothing_twice(call, two, table, tmp_path, watched):
    asked = watched("seconds: 0.01")
    whole, out = tmp_path / "whole.parquet", tmp_path / "out.parquet"
    words = ("--agreement", "0.9", "--project", two, "--part-rows", "400", "--batch", "40")
    bought = call("cascade", "answer", table, whole, *words, "--json").body["asked"]["large"]
    assert bought == len(asked.read_text().split())
    asked.unlink()
    process = started(table, out, *words)
    folder = Path(f"{out}.parts")
    while not ((folder / "000001.parquet").exists() and (folder / "bought.jsonl").exists()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not out.exists()
    parts = len(list(folder.glob("0*.parquet")))
    saved = msgspec.json.decode((folder / f"after-{parts - 1:06d}.json").read_bytes(), type=Saved)
    paid = saved.asked["large"] + sum(row >= 400 * parts for row in Bought(folder / "bought.jsonl").answers())
    before = len(asked.read_text().split())
    assert 0 < paid <= before
    told = call("cascade", "answer", table, out, *words, "--resume", "--json")
    assert (told.code, told.body["resumed_at"]) == (0, 400 * parts)
    assert out.read_bytes() == whole.read_bytes()
    assert told.body["asked"]["large"] == bought
    assert len(asked.read_text().split()) - before == bought - paid


def test_an_interrupted_run_says_how_to_go_on(two, table, tmp_path, watched):
    watched("seconds: 0.02")
    out = tmp_path / "out.parquet"
    process = started(table, out, "--agreement", "0.9", "--project", two, "--batch", "20")
    while not Path(f"{out}.parts", "bought.jsonl").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130
    assert said.startswith(f"stopped; go on with: roadworthy cascade answer {table} {out} --agreement 0.9")
    assert said.strip().endswith("--resume")
    assert "Traceback" not in said


def test_a_last_member_that_is_away_stops_the_run_which_goes_on_later(call, two, table, tmp_path, watched):
    out = tmp_path / "out.parquet"
    asked = watched("away_after: 300")
    words = ("--part-rows", "500", "--batch", "50")
    told = answer(call, table, out, two, *words)
    assert told.code == 2
    assert "member 'large' answers nobody now (nobody at home)" in told.err
    paid = len(asked.read_text().split())
    assert 0 < paid <= 300
    # The wrapper is part of the release: with another one nothing may go on.
    watched("away_after: 900000")
    other = answer(call, table, out, two, *words, "--resume")
    assert (other.code, "another `release`" in other.err) == (2, True)


def test_a_run_goes_on_with_the_same_promise_only(call, two, table, tmp_path, watched):
    out = tmp_path / "out.parquet"
    watched("away_after: 450")
    words = ("--part-rows", "500", "--batch", "50")
    assert answer(call, table, out, two, *words).code == 2
    assert Path(f"{out}.parts", "000000.parquet").exists()
    for more, said in ((("--seed", "1"), "another seed: 0, and now it is 1"), (("--delta", "0.2"), "another promise")):
        told = answer(call, table, out, two, *words, *more, "--resume")
        assert (told.code, said in told.err) == (2, True), told.err
    assert "--resume" in answer(call, table, out, two, *words).err
    watched("away_after: 450")
    assert answer(call, table, out, two, *words, "--resume", "--seed", "0").code in (0, 2)


def test_one_of_several_workers_promises_more(call, two, table, tmp_path):
    sent = [
        answer(call, table, tmp_path / f"{n}.parquet", two, "--part-rows", "1000", "--workers", str(n)).body["sent_on"][
            "value"
        ]
        for n in (1, 50)
    ]
    assert sent[0] < sent[1]


def test_what_cannot_be_promised_or_answered_is_refused(call, two, table, tmp_path):
    out = tmp_path / "out.parquet"
    for words, said in (
        (("--accuracy", "0.9"), "`--accuracy` is against labels, which a table to be answered has none of"),
        (
            ("--agreement", "0.9", "--cheap", "smal"),
            "no member that may answer cheaply named 'smal'; did you mean 'small'",
        ),
        (("--agreement", "0.9", "--columns", "answer"), "also the name of a column that is written"),
        (("--agreement", "0.9", "--workers", "0"), "--workers must be at least 1, got 0"),
        ((), "got nothing"),
    ):
        told = call("cascade", "answer", table, out, *words, "--project", two)
        assert (told.code, said in told.err) == (2, True), told.err
        assert not out.exists()


def test_one_model_answers_no_table_as_a_cascade(call, released, tmp_path):
    table = released / "data" / "production.parquet"
    told = answer(call, table, tmp_path / "out.csv", released)
    assert (told.code, "names no `model.members`" in told.err) == (2, True)
