"""Every block of every page is run as a stranger would: bash as commands, python as programs, files as written.

The README's first block fills a virtual environment of its own and lives through eight months of flights: some minutes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import pytest

REPO = Path(__file__).parents[2]
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "examples/flights/README.md",
    "examples/digits/README.md",
    "examples/cascade/README.md",
    *(f"docs/{p.name}" for p in (REPO / "docs").glob("*.md")),
]
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# These would make virtual environments and run this very test again; `.ci/run` is what runs them.
RUN_BY_CI = {"make test lint", "make test", "make lint"}


class Block(NamedTuple):
    """A fenced block: its language, what stands behind it, its text, and the `text` block that follows at once."""

    page: str
    language: str
    options: str
    text: str
    printed: str


def blocks() -> list[Block]:
    found = []
    for page in PAGES:
        whole = (REPO / page).read_text(encoding="utf-8")
        matches = list(BLOCK.finditer(whole))
        for one, following in zip_longest(matches, matches[1:]):
            told = following is not None and following[1] == "text" and not whole[one.end() : following.start()].strip()
            found.append(Block(page, one[1], one[2].strip(), one[3], following[3] if told and following else ""))
    return [block for block in found if block.language in ("bash", "python")]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, as a stranger has it, with an empty virtual environment beside it."""
    target = tmp_path_factory.mktemp("clone") / "roadworthy"
    files = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=REPO, text=True)
    for name in filter(None, files.split("\0")):
        if (REPO / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPO / name, target / name)
    subprocess.run([sys.executable, "-m", "venv", str(target.parent / "venv")], check=True)
    return target


@pytest.mark.parametrize("block", blocks(), ids=lambda b: f"{b.page}: {b.text.splitlines()[0][:50]}")
def test_every_block_runs_and_prints_what_the_page_says(block, clone, tmp_path):
    if block.options.startswith("file="):
        (clone / block.options.removeprefix("file=")).write_text(block.text)
        program = f"import runpy; runpy.run_path({block.options.removeprefix('file=')!r})"
        command = ["python", "-c", program]
    elif block.language == "python":
        command = ["python", "-c", block.text]
    else:
        lines = [line for line in block.text.splitlines() if line.strip() not in RUN_BY_CI]
        command = ["bash", "-euo", "pipefail", "-c", "\n".join(lines)]
    path = f"{clone.parent / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    world = {**os.environ, "PATH": path, "COLUMNS": "100"}
    command[0] = shutil.which(command[0], path=path) or command[0]
    # Into files: a server that the block leaves behind would hold a pipe open, and this would wait for its end.
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        done = subprocess.run(command, cwd=clone, env=world, stdout=out, stderr=err, timeout=900, check=False)
    printed = (tmp_path / "out").read_text(encoding="utf-8")
    assert done.returncode == 0, f"{printed}\n{(tmp_path / 'err').read_text(encoding='utf-8')}"
    assert block.printed.strip() in printed, printed
