"""Check a tokenizer: does odd text come back, become control tokens, cost too much, or stream as something else?"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table

from roadworthy.cli.outcome import Outcome
from roadworthy.core.errors import BadData
from roadworthy.core.measure import EXIT_CODES, Measurement, Requirement, Verdict, judge, worst

if TYPE_CHECKING:
    from roadworthy.evaluate.tokens.tokenizers import TokenizerFault

EXAMPLE = "roadworthy tokenizer tokenizer.json --texts prompts.txt"
MOST_SHOWN = 20


def options(parser: argparse.ArgumentParser) -> None:
    """Which tokenizer, and which texts beside the naughty ones."""
    parser.add_argument("file", help="tokenizer.json, tekken.json, a sentencepiece .model, or file.py:Name")
    parser.add_argument("--texts", type=Path, help="texts of your own, one a line, in place of our naughty ones")
    parser.add_argument("--most-tokens", type=float, default=8.0, help="tokens a character that are too many (8)")


def run(args: argparse.Namespace) -> Outcome:
    """What was found; exit code 1 where text becomes control tokens, costs too much or streams as something else."""
    from roadworthy.evaluate.hostile.naughty_strings import naughty_strings
    from roadworthy.evaluate.tokens.stream_equality import check_stream, held_back
    from roadworthy.evaluate.tokens.tokenizer_files import open_tokenizer
    from roadworthy.evaluate.tokens.tokenizers import check_tokenizer

    tokenizer = open_tokenizer(args.file, Path())
    texts = _lines(args.texts) if args.texts else [(case.name, case.text) for case in naughty_strings()]
    report = check_tokenizer(tokenizer, texts, args.most_tokens)
    stream = check_stream(tokenizer, held_back(tokenizer.decode), texts)
    verdicts = list(_verdicts([*report.measured, *stream.measured], args.most_tokens))
    shown = Group(_measured([*report.measured, *stream.measured]), "", *_lines_of(verdicts), "", _faults(report.faults))
    body = {"report": report, "stream": stream, "verdicts": verdicts}
    return Outcome(body, shown, EXIT_CODES[worst(verdicts)])


def _verdicts(measured: list[Measurement], most_tokens: float) -> Iterator[Verdict]:
    """A loss on the way there and back is told and not judged: some tokenizers mean to normalise."""
    bounds = [
        Requirement("injections", at_most=0.0),
        Requirement("exceptions", at_most=0.0),
        Requirement("tokens_per_character_max", at_most=most_tokens),
        Requirement("stream_equal", at_least=1.0),
    ]
    found = {m.name: m for m in measured}
    for bound in bounds:
        if bound.metric in found and found[bound.metric].n:
            yield judge(found[bound.metric], bound)


def _lines(file: Path) -> list[tuple[str, str]]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as wrong:
        raise BadData(f"{str(file)!r} cannot be read as UTF-8 text: {wrong}; write one text a line") from wrong
    if not lines:
        raise BadData(f"{str(file)!r} is empty; write one text a line")
    return [(f"line {number}", line) for number, line in enumerate(lines, 1)]


def _measured(found: list[Measurement]) -> Table:
    table = Table("what", "value", "n", box=None, header_style="bold")
    for m in found:
        unit = "" if m.unit == "1" else f" {m.unit}"
        table.add_row(m.name, f"{m.value:.4g}{unit}", f"{m.n:,}")
    return table


def _lines_of(verdicts: list[Verdict]) -> list[str]:
    return [f"{verdict.decision}: {verdict.because}" for verdict in verdicts]


def _faults(faults: Sequence[TokenizerFault]) -> RenderableType:
    from rich.markup import escape

    table = Table("text", "what", "because", box=None, header_style="bold")
    for fault in faults[:MOST_SHOWN]:
        table.add_row(escape(f"{fault.name}: {fault.text}"[:60]), fault.what, escape(fault.because[:100]))
    more = f"and {len(faults) - MOST_SHOWN} more; --json has them all" if len(faults) > MOST_SHOWN else ""
    return Group(table, more) if faults else "every text came back as it was"
