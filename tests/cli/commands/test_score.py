"""`roadworthy score` asks a release about every row of a table, loses none, and goes on where it was stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from roadworthy.cli.flows import handler_of
from roadworthy.cli.opening import existing_state
from roadworthy.cli.tables_out import progress
from roadworthy.core.project import read_project
from roadworthy.core.wire import Request, Tensor
from roadworthy.registry.releases import Registry

# Each request takes a while, so that there is a middle in which to stop.
SLOW = '''
import asyncio
from dataclasses import dataclass

@dataclass(frozen=True)
class Slow:
    """Waits before it asks."""
    def __call__(self, inner):
        async def ask(request):
            await asyncio.sleep(0.05)
            return await inner(request)
        return ask
'''
PORTIONS = ("--batch", "50", "--part-rows", "200")


@pytest.fixture
def table(released):
    return released / "data" / "production.parquet"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "scored.parquet"


@pytest.fixture
def slow(clinic, call, rewrite):
    """A clinic whose model takes its time."""
    (clinic / "slow.py").write_text(SLOW)
    rewrite("  engine: onnx", "  engine: onnx\n  wrappers: ['slow.py:Slow']")
    assert call("release", "--project", clinic).code == 0
    return clinic


def served(project, rows):
    """What the release answers when the rows are asked about one by one, as a server would."""
    spec = read_project(project)
    with existing_state(spec) as state:
        registry = Registry(state)
        release = registry.get(registry.alias(spec.application.name, "stable"))
        handler = handler_of(spec, release, registry.files(release))

    async def ask():
        found = []
        for k, row in enumerate(rows.iter_rows(named=True)):
            inputs = {name: Tensor(name, "FP32", (1,), [row[name]]) for name in release.signature.inputs}
            response = await handler(Request(str(k), inputs, 0.0))
            found.append((response.outputs["probability"].data[0], response.confidence[0]))
        return found

    return np.array(asyncio.run(ask()))


def test_a_table_is_answered_as_the_server_would_in_its_order(call, released, table, out):
    told = call("score", table, out, "--project", released, "--rows", "700", *PORTIONS, "--json")
    assert (told.code, told.body["rows"], told.body["failed"], told.err) == (0, 700, 0, "")
    found, rows = pl.read_parquet(out), pl.read_parquet(table)
    assert found.columns == ["id", "probability", "confidence", "release", "error"]
    assert found["id"].to_list() == rows["id"].head(700).to_list()
    assert found["release"].unique().to_list() == [told.body["release"]]
    expected = served(released, rows.head(300))
    np.testing.assert_allclose(found.head(300)["probability"], expected[:, 0], atol=1e-6)
    np.testing.assert_allclose(found.head(300)["confidence"], expected[:, 1], atol=1e-6)
    assert not Path(f"{out}.parts").exists()


def test_the_columns_that_were_asked_for_are_carried_over_as_they_are(call, released, table, out):
    assert call("score", table, out, "--project", released, "--columns", "ward, at,texture").code == 0
    found = pl.read_parquet(out)
    assert found.columns[:3] == ["ward", "at", "texture"]
    assert_frame_equal(found[:, :3], pl.read_parquet(table).select("ward", "at", "texture"))
    assert found.height == 2000


def test_csv_in_and_csv_out_give_the_same_answers(call, released, table, tmp_path):
    rows = pl.read_parquet(table).head(300)
    rows.write_csv(tmp_path / "in.csv")
    for name in ("a.csv", "b.parquet"):
        assert call("score", tmp_path / "in.csv", tmp_path / name, "--project", released, *PORTIONS).code == 0
    text, typed = pl.read_csv(tmp_path / "a.csv"), pl.read_parquet(tmp_path / "b.parquet")
    assert text["id"].to_list() == rows["id"].to_list()
    expected = served(released, rows)
    np.testing.assert_allclose(text["probability"], expected[:, 0], atol=1e-6)
    np.testing.assert_allclose(typed["probability"], expected[:, 0], atol=1e-6)


def test_a_bad_row_gets_its_reason_and_the_others_their_answer(call, released, table, out):
    bad = pl.read_parquet(table).head(120)
    bad = bad.with_columns(
        radius=pl.when(pl.int_range(120) == 7).then(None).otherwise("radius"),
        smoothness=pl.when(pl.int_range(120) == 60).then(1e39).otherwise("smoothness"),
        texture=pl.when(pl.int_range(120) == 8).then(None).otherwise("texture"),
    )
    bad.write_parquet(table)
    told = call("score", table, out, "--project", released, *PORTIONS)
    assert told.code == 1
    assert "120 rows scored" in told.out
    assert "2 failed" in told.out
    found = pl.read_parquet(out)
    failed = found.filter(pl.col("error").is_not_null())
    assert failed["id"].to_list() == [bad["id"][7], bad["id"][60]]
    assert failed["error"][0] == "BadRequest: input 'radius' has null; allowed: a finite number (not nullable)"
    assert failed["error"][1].startswith("BadRequest: input 'smoothness' has 1e+39")
    assert failed["probability"].null_count() == 2
    good = found.filter(pl.col("error").is_null())
    assert (good.height, good["probability"].null_count()) == (118, 0)  # a null texture is allowed
    np.testing.assert_allclose(good.head(7)["probability"], served(released, bad.head(7))[:, 0], atol=1e-6)


def test_a_csv_cell_that_is_no_number_and_a_row_that_is_too_short_fail_alone(call, released, table, tmp_path):
    pl.read_parquet(table).head(5).write_csv(tmp_path / "in.csv")
    header, *lines = (tmp_path / "in.csv").read_text().splitlines()
    place = header.split(",").index("radius")
    cells = lines[1].split(",")
    cells[place] = "wide"
    lines[1], lines[3] = ",".join(cells), "visit-x,1.0"
    (tmp_path / "in.csv").write_text("\n".join([header, *lines]) + "\n")
    told = call("score", tmp_path / "in.csv", tmp_path / "o.csv", "--project", released, "--json")
    assert (told.code, told.body["failed"]) == (1, 2)
    errors = pl.read_csv(tmp_path / "o.csv")["error"].to_list()
    assert [errors[0], errors[2], errors[4]] == [None] * 3
    assert errors[1] == "BadRequest: input 'radius' has \"wide\"; allowed: a finite number (not nullable)"
    assert errors[3] == "the row has 2 cells instead of the 9 that the header names"


def test_another_release_can_be_asked(call, released, table, out, rewrite):
    stable = call("release", "--project", released, "--json").body["digest"]
    rewrite("  engine: onnx", "  engine: onnx\n  wrappers: [{calibrated: {slope: 0.5}}]")
    other = call("release", "--project", released, "--json").body["digest"]
    options = ("--project", released, "--rows", "50", "--overwrite", "--json")
    assert call("score", table, out, *options).body["release"] == stable
    first = pl.read_parquet(out)["probability"]
    assert call("score", table, out, *options, "--release", other[:12]).body["release"] == other
    second = pl.read_parquet(out)["probability"]
    odds = first / (1 - first)
    np.testing.assert_allclose(second, (odds**0.5 / (1 + odds**0.5)), atol=1e-4)


def started(*words: object) -> subprocess.Popen:
    command = [sys.executable, "-m", "roadworthy.cli", "score", *map(str, words)]
    world = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=world, text=True)


def stop_in_the_middle(words: tuple, out: Path, how: signal.Signals) -> tuple[int, str, int]:
    """Start a scoring and stop it once it has two parts; its exit code, what it said, how many parts there are."""
    process = started(*words)
    folder = Path(f"{out}.parts")
    while len(list(folder.glob("0*.parquet"))) < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(how)
    _, said = process.communicate()
    return process.returncode, said, len(list(folder.glob("0*.parquet")))


def test_a_killed_scoring_goes_on_and_gives_the_same_file(call, slow, tmp_path):
    table = slow / "data" / "production.parquet"
    whole, out = tmp_path / "whole.parquet", tmp_path / "scored.parquet"
    words = ("--project", slow, *PORTIONS)
    assert call("score", table, whole, *words).code == 0
    code, _, parts = stop_in_the_middle((table, out, *words), out, signal.SIGKILL)
    assert (code, out.exists()) == (-signal.SIGKILL, False)
    assert 2 <= parts < 10
    (Path(f"{out}.parts") / "part.tmp").write_bytes(b"torn")
    told = call("score", table, out, *words, "--resume", "--json")
    assert (told.code, told.body["rows"]) == (0, 2000)
    assert told.body["resumed_at"] >= 2 * 200
    assert out.read_bytes() == whole.read_bytes()
    assert not Path(f"{out}.parts").exists()


def test_an_interrupted_scoring_says_how_to_go_on(slow, tmp_path):
    table, out = slow / "data" / "production.parquet", tmp_path / "scored.parquet"
    words = (table, out, "--project", slow, *PORTIONS)
    code, said, _ = stop_in_the_middle(words, out, signal.SIGINT)
    assert code == 130
    assert said.startswith(f"stopped; go on with: roadworthy score {table} {out} --project")
    assert said.strip().endswith("--resume")
    assert "Traceback" not in said


@pytest.fixture
def unfinished(call, slow, tmp_path):
    """The words of a scoring that was stopped, its table and its output."""
    table, out = slow / "data" / "production.parquet", tmp_path / "scored.csv"
    words = ("--project", slow, *PORTIONS)
    stop_in_the_middle((table, out, *words), out, signal.SIGKILL)
    return words, table, out


def test_an_unfinished_scoring_is_not_taken_for_another_one(call, unfinished):
    words, table, out = unfinished
    told = call("score", table, out, *words)
    assert (told.code, "--resume" in told.err, "--overwrite" in told.err) == (2, True, True)
    for changed, name in ((("--columns", "ward"), "columns"), (("--rows", "30"), "rows"), (("--batch", "51"), "batch")):
        told = call("score", table, out, *words, *changed, "--resume")
        assert (told.code, f"another `{name}`" in told.err) == (2, True)
    pl.read_parquet(table).reverse().write_parquet(table)
    told = call("score", table, out, *words, "--resume")
    assert (told.code, "another `input`" in told.err) == (2, True)
    assert call("score", table, out, *words, "--rows", "30", "--overwrite").code == 0
    assert pl.read_csv(out).height == 30


def test_two_cannot_score_into_one_file(call, slow, tmp_path):
    table, out = slow / "data" / "production.parquet", tmp_path / "scored.parquet"
    words = ("--project", slow, *PORTIONS)
    process = started(table, out, *words)
    try:
        while not (Path(f"{out}.parts") / "manifest.json").exists():
            time.sleep(0.01)
        told = call("score", table, out, *words, "--resume")
        assert (told.code, "another process is scoring" in told.err) == (2, True)
    finally:
        process.kill()
        process.communicate()


def test_an_output_that_exists_is_kept_unless_told_otherwise(call, released, table, out):
    out.write_text("precious")
    told = call("score", table, out, "--project", released, "--rows", "5")
    assert (told.code, out.read_text(), "--overwrite" in told.err) == (2, "precious", True)
    assert call("score", table, out, "--project", released, "--rows", "5", "--overwrite").code == 0
    assert pl.read_parquet(out).height == 5


def refused(call, *words):
    told = call("score", *words)
    assert told.code == 2, told
    assert "Traceback" not in told.err
    return told.err


def test_a_column_that_is_not_there_is_told_with_the_nearest(call, released, table, out):
    rows = pl.read_parquet(table)
    assert "no column 'wadr', which --columns asks for; did you mean 'ward'" in refused(
        call, table, out, "--project", released, "--columns", "wadr"
    )
    rows.rename({"texture": "textur"}).write_parquet(table)
    said = refused(call, table, out, "--project", released)
    assert "no column 'texture', which the model needs; did you mean 'textur'" in said
    assert not Path(f"{out}.parts").exists()


def test_a_carried_column_may_not_be_called_like_an_output(call, released, table, out):
    pl.read_parquet(table).with_columns(probability=pl.lit(1.0)).write_parquet(table)
    said = refused(call, table, out, "--project", released, "--columns", "probability")
    assert "also the name of a column that scoring writes" in said


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_table_without_rows_is_refused_and_leaves_nothing(call, released, table, out, tmp_path, suffix):
    empty = tmp_path / f"empty.{suffix}"
    getattr(pl.read_parquet(table)[:0], f"write_{suffix}")(empty)
    assert f"empty.{suffix}' has no rows to score" in refused(call, empty, out, "--project", released)
    assert not out.exists()
    assert not Path(f"{out}.parts").exists()


@pytest.mark.parametrize(("name", "left"), [("t.parquet", 0), ("t.parquet", 3000), ("t.csv", 0)])
def test_a_damaged_table_is_refused_by_its_name(call, released, table, out, tmp_path, name, left):
    (tmp_path / name).write_bytes(table.read_bytes()[:left])
    assert f"{name}' is empty" in refused(call, tmp_path / name, out, "--project", released)


def test_files_that_are_not_there_or_no_tables_are_told(call, released, table, out, tmp_path):
    options = ("--project", released)
    assert "ends in .parquet or .csv" in refused(call, released / "roadworthy.yaml", out, *options)
    assert "did you mean 'production.parquet'" in refused(call, table.with_name("producton.parquet"), out, *options)
    assert "no folder" in refused(call, table, tmp_path / "nowhere" / "o.parquet", *options)
    assert "ends in .parquet or .csv" in refused(call, table, tmp_path / "o.xlsx", *options)
    assert "leave out the .gz" in refused(call, table, tmp_path / "o.csv.gz", *options)
    assert "must be at least 1" in refused(call, table, out, *options, "--rows", "0")
    assert "no release with the digest 'ffff'" in refused(call, table, out, *options, "--release", "ffff")


def test_a_project_without_a_release_says_how_to_make_one(call, clinic, out):
    table = clinic / "data" / "production.parquet"
    assert "roadworthy release" in refused(call, table, out, "--project", clinic)
    assert call("list", "--json").code == 0
    (clinic / ".roadworthy").mkdir()
    assert "has no stable release yet" in refused(call, table, out, "--project", clinic)


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc/self").is_dir(), reason="root may write anywhere")
def test_an_output_that_cannot_be_written_is_told(call, released, table):
    said = refused(call, table, "/proc/self/scored.parquet", "--project", released)
    assert "cannot write '/proc/self/scored.parquet.parts'" in said


def test_without_a_terminal_there_is_no_bar(capsys):
    with progress("scoring", quiet=False) as tell:
        tell(10, 100)
    assert capsys.readouterr().err == ""
