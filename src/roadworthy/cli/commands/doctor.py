"""Check that this machine and this project can run: Python, extras, disk, files, the state directory."""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from typing import NamedTuple

from rich.table import Table

from roadworthy.cli.opening import open_spec, project_option
from roadworthy.cli.outcome import Outcome
from roadworthy.cli.services import Server
from roadworthy.core.errors import RoadworthyError
from roadworthy.core.measure import EXIT_CODES, Verdict, worst

EXAMPLE = "roadworthy doctor --project examples/flights"
EXTRAS = {"uvloop": "serve", "httptools": "serve", "orjson": "serve", "onnxruntime": "onnx", "polars": "data"}
FREE_GIB = 1.0


class Finding(NamedTuple):
    """One thing that was looked at."""

    what: str
    verdict: Verdict


def options(parser: argparse.ArgumentParser) -> None:
    """Which project to look at."""
    project_option(parser)


def run(args: argparse.Namespace) -> Outcome:
    """Every finding with what to do about it; exit code 1 when something is broken."""
    findings = [*_machine(args), *_project(args)]
    table = Table("what", "verdict", "because", box=None, header_style="bold")
    for finding in findings:
        table.add_row(finding.what, finding.verdict.decision, finding.verdict.because)
    decision = worst([f.verdict for f in findings])
    return Outcome([f._asdict() for f in findings], table, EXIT_CODES[decision])


def _machine(args: argparse.Namespace) -> Iterator[Finding]:
    supported = (3, 11) <= sys.version_info[:2] <= (3, 13)
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("python", _verdict(supported, f"Python {version}", f"Python {version}: use 3.11, 3.12 or 3.13"))
    for module, extra in EXTRAS.items():
        there = importlib.util.find_spec(module) is not None
        yield Finding(module, _verdict(there, "installed", f"not installed: pip install 'roadworthy[{extra}]'"))
    free = shutil.disk_usage(args.project if args.project.exists() else ".").free / 2**30
    yield Finding("disk", _verdict(free > FREE_GIB, f"{free:.1f} GiB free", f"{free:.1f} GiB free: records need more"))
    yield Finding("sqlite", _verdict(sqlite3.sqlite_version_info >= (3, 24), sqlite3.sqlite_version, "needs 3.24"))
    yield Finding("cores", Verdict("pass", f"{os.cpu_count()} cores"))


def _project(args: argparse.Namespace) -> Iterator[Finding]:
    try:
        spec = open_spec(args)
    except RoadworthyError as wrong:
        yield Finding("project", Verdict("fail", str(wrong)))
        return
    yield Finding("project", Verdict("pass", f"{spec.application.name} in {spec.root}"))
    # Without the extra, whose absence is told above, no server can run here.
    if all(importlib.util.find_spec(module) for module, extra in EXTRAS.items() if extra == "serve"):
        at = Server(spec).address()
        yield Finding("server", Verdict("pass", f"process {at.pid} on {at.url}" if at else "not running"))


def _verdict(good: bool, fine: str, broken: str) -> Verdict:
    return Verdict("pass", fine) if good else Verdict("fail", broken)
