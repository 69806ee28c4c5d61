"""`roadworthy gap` measures, writes its report, and answers with its verdict as the exit code."""

from __future__ import annotations

import resource

import msgspec
import polars as pl
import pytest

from roadworthy.cli.flows import write_whole
from roadworthy.core.errors import BadData
from roadworthy.testing.mock_endpoint import MockEndpoint
from roadworthy.testing.mock_script import Script

QUICK = ("--load-seconds", "0", "--rows", "200", "--crowd-rows", "0", "--no-edges", "--starts", "0")
P99 = "    - {metric: p99_ms, at_most: 500, unit: ms}\n"


def test_every_requirement_met_is_exit_code_0(call, clinic, rewrite):
    rewrite(P99, "")
    told = call("gap", "--project", clinic, *QUICK, "--json")
    assert told.code == 0, told.out
    assert told.body["reproductions"][0]["outcome"] == "reproduced"
    assert [v["decision"] for v in told.body["verdicts"]] == ["pass"]
    assert "<html" in (clinic / ".roadworthy" / "gap.html").read_text()
    kept = msgspec.json.decode((clinic / ".roadworthy" / "gap.json").read_bytes())
    assert kept["production"] == told.body["production"]


def test_a_requirement_that_is_not_met_is_exit_code_1(call, clinic, rewrite):
    rewrite("metric: auc, at_least: 0.9", "metric: auc, at_least: 0.999")
    assert call("gap", "--project", clinic, *QUICK).code == 1


def test_a_claim_that_is_not_reproduced_is_exit_code_1(call, clinic, rewrite):
    rewrite(P99, "")
    rewrite("value: 0.975, tolerance: 0.03", "value: 0.5, tolerance: 0.01")
    told = call("gap", "--project", clinic, *QUICK, "--json")
    assert (told.code, told.body["reproductions"][0]["outcome"]) == (1, "not reproduced")


def test_a_requirement_that_nothing_was_measured_for_is_exit_code_3(call, clinic):
    told = call("gap", "--project", clinic, *QUICK)
    assert (told.code, "gap.html" in told.out) == (3, True)


def test_an_unknown_key_is_told_with_its_line_and_the_nearest(call, clinic, rewrite):
    with pytest.raises(Exception, match="engin"):
        rewrite("  engine: onnx", "  engin: onnx")
    line = (clinic / "roadworthy.yaml").read_text().split("\n").index("  engin: onnx") + 1
    told = call("gap", "--project", clinic)
    assert told.code == 2
    assert f"roadworthy.yaml:{line}: no key 'engin' in `model`; did you mean 'engine'?" in told.err


def test_a_model_that_does_not_take_the_data_is_refused(call, clinic, rewrite):
    rewrite("smoothness: {kind: number}", "smoothness: {kind: category}")
    told = call("gap", "--project", clinic, *QUICK)
    assert (told.code, "wants FP32 for input 'smoothness'" in told.err) == (2, True)


def test_a_model_of_another_width_is_refused(call, clinic, rewrite):
    rewrite("    smoothness: {kind: number}\n", "")
    told = call("gap", "--project", clinic, *QUICK)
    assert (told.code, "wants 3 values a row" in told.err) == (2, True)


def test_an_input_that_the_table_lacks_is_refused_with_the_nearest(call, clinic, rewrite):
    rewrite("    texture: {", "    textura: {")
    told = call("gap", "--project", clinic, *QUICK)
    assert (told.code, "'textura'" in told.err, "'texture'" in told.err) == (2, True, True)


@pytest.mark.parametrize("left", [0, 3000])
def test_an_empty_or_truncated_table_is_refused_by_its_name(call, clinic, left):
    file = clinic / "data" / "lab.parquet"
    file.write_bytes(file.read_bytes()[:left])
    told = call("gap", "--project", clinic, *QUICK)
    assert (told.code, "lab.parquet' is empty or damaged" in told.err) == (2, True)


def test_a_table_without_rows_is_refused_by_its_name(call, clinic):
    file = clinic / "data" / "production.parquet"
    pl.read_parquet(file)[:0].write_parquet(file)
    told = call("gap", "--project", clinic, *QUICK)
    assert (told.code, "production.parquet' has no rows" in told.err) == (2, True)


def test_everything_is_measured_where_nothing_is_left_out(call, clinic):
    few = ("--load-seconds", "1", "--search-seconds", "0.1", "--rows", "100", "--crowd-rows", "20", "--starts", "1")
    body = call("gap", "--project", clinic, *few, "--json").body
    assert {"load", "search", "memory", "under_load", "edges", "cold", "spoilt"} <= {k for k, v in body.items() if v}
    assert [stage["where"] for stage in body["cold"]["stages"]][:3] == ["process", "import", "load"]
    assert body["memory"]["peak"]["value"] > 3e7
    steps = {"lab", "production", "certainty", "corruptions", "edges", "operation", "cold start"}
    assert set(body["seconds"]) == steps


def test_models_are_set_side_by_side_and_those_that_answer_alike_are_a_tie(call, clinic):
    own = next((clinic / "model").glob("*.onnx"))
    other = own.with_name("other.onnx")
    other.write_bytes(own.read_bytes())
    told = call("gap", "--project", clinic, *QUICK, "--compare", own, other, "--json")
    assert [contender["name"] for contender in told.body["contenders"]] == [own.stem, "other"]
    (difference,) = told.body["differences"]
    assert difference["change"]["value"] == 0
    assert set(told.body["best"]) == {own.stem, "other"}
    assert {file.name for file in (clinic / ".roadworthy" / "compare").iterdir()} >= {"compare.html", "other.html"}


@pytest.mark.parametrize(
    ("models", "says"), [(["gone.onnx", "x.onnx"], "no model"), (["one.onnx"], "two models or more")]
)
def test_models_that_cannot_be_compared_are_told(call, clinic, models, says):
    told = call("gap", "--project", clinic, *QUICK, "--compare", *models)
    assert (told.code, says in told.err) == (2, True), told.err


def test_a_baseline_tells_what_has_changed(call, clinic, rewrite, tmp_path):
    rewrite(P99, "")
    call("gap", "--project", clinic, *QUICK)
    kept = tmp_path / "before.json"
    kept.write_bytes((clinic / ".roadworthy" / "gap.json").read_bytes())
    same = call("gap", "--project", clinic, *QUICK, "--baseline", kept, "--json")
    assert (same.code, same.body["baseline"]["verdict"]["decision"]) == (0, "pass"), same.body["baseline"]
    kept.write_text("{}")
    told = call("gap", "--project", clinic, *QUICK, "--baseline", kept)
    assert (told.code, "is no gap report" in told.err) == (2, True)


def test_a_report_that_the_disk_refuses_is_told_and_the_old_one_stays(tmp_path):
    page = tmp_path / "gap.html"
    write_whole(page, b"before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # a disk with room for so many bytes
    try:
        with pytest.raises(BadData, match=r"cannot write .*gap\.html' \(100000 bytes\)"):
            write_whole(page, b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"before"]


def test_a_cache_is_measured_against_the_model_without_it(call, clinic, rewrite):
    rewrite("  engine: onnx", "  engine: onnx\n  wrappers: [cache]")
    some = ("--load-seconds", "0", "--rows", "100", "--crowd-rows", "60", "--no-edges", "--starts", "0")
    body = call("gap", "--project", clinic, *some, "--json").body
    assert [one["name"] for one in body["equalities"]][-2:] == ["cache filled against none", "cache hit against none"]
    assert all(one["differing"]["value"] == 0 for one in body["equalities"])
    assert body["under_load"]["verdict"]["decision"] != "fail"


def test_a_model_that_writes_is_measured_where_it_runs(call, tmp_path):
    capitals = {f"the capital of country {k}?": f"city {k}" for k in range(400)}
    table = pl.DataFrame({"prompt": list(capitals), "wanted": list(capitals.values())})
    for name in ("lab", "production"):
        table.write_parquet(tmp_path / f"{name}.parquet")
    (tmp_path / "roadworthy.yaml").write_text(
        """
application:
  name: capitals
  task: generation
  inputs: {prompt: {kind: text}}
  output: text
  requirements: [{metric: exact_match, at_least: 0.5}]
data: {lab: lab.parquet, production: production.parquet, columns: {label: wanted}}
model: {}
claims: [{metric: exact_match, value: 0.75, tolerance: 0.05}]
corruptions: ["letter_case"]
"""
    )
    # It knows three quarters of them, as long as they are asked in small letters.
    script = Script(answers={prompt: city for k, (prompt, city) in enumerate(capitals.items()) if k % 4})
    few = ("--load-seconds", "0", "--crowd-rows", "60", "--no-edges")
    with MockEndpoint(script) as mock:
        told = call("gap", "--project", tmp_path, *few, "--endpoint", mock.url, "--json")
    assert told.code == 0, told.err
    assert told.body["reproductions"][0]["outcome"] == "reproduced"
    assert told.body["production"][0]["value"] == 0.75
    assert told.body["spoilt"][-1]["change"]["value"] < -0.5
    assert told.body["repairs"][0]["change"]["value"] > 0.5
    assert told.body["under_load"]["verdict"]["decision"] != "fail"
    without = call("gap", "--project", tmp_path, *few)
    assert (without.code, "--endpoint" in without.err) == (2, True)
