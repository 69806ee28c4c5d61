from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from roadworthy.cli.main import main

FILE = Path(__file__).parents[2] / "examples" / "ci" / "gap.yml"


def test_the_workflow_is_one_that_github_reads() -> None:
    flow = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    assert set(flow[True]) == {"pull_request", "push"}  # YAML 1.1 reads `on` as true
    steps = flow["jobs"]["gap"]["steps"]
    assert all(("run" in step) != ("uses" in step) for step in steps)


def test_the_workflow_uses_options_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    calls = re.findall(r"^ +(?:set --|if \[ -f).*$", FILE.read_text(encoding="utf-8"), re.MULTILINE)
    used = set(re.findall(r"--[a-z-]+", " ".join(calls)))
    assert used == {"--project", "--seed", "--baseline"}
    with pytest.raises(SystemExit):
        main(["gap", "--help"])
    told = capsys.readouterr().out
    assert all(option in told for option in used)
