"""What two real tokenizers do to naughty strings: the Big List plus what it leaves out, there and back and streamed.

python benchmarks/gap/tokenizers.py --data ../shared/data

`mistral-common`, whose wheel holds a tekken (131,072 byte-level BPE) and a sentencepiece (32,768) tokenizer, goes into
`.bench/tokenizers` at the first run. Prints a table; the last line is a JSON list of Measurements. Without the Big List
our own strings are used.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from roadworthy.core.measure import Measurement
from roadworthy.evaluate.hostile.naughty_strings import naughty_strings
from roadworthy.evaluate.tokens.stream_equality import check_stream, held_back, token_by_token
from roadworthy.evaluate.tokens.tokenizer_files import open_tokenizer
from roadworthy.evaluate.tokens.tokenizers import check_tokenizer

HERE = Path(__file__).resolve()
HOME = HERE.parents[2] / ".bench" / "tokenizers"
REQUIREMENTS = ("mistral-common==1.13.1", "sentencepiece==0.2.3", "msgspec>=0.19", "numpy>=1.26")
INSIDE = "--inside"
FILES = {"tekken": "tekken_240911.json", "sentencepiece": "mistral_instruct_tokenizer_240323.model.v3"}

# What the Big List leaves out: half a character, controls, canonical forms, control tokens, and great length.
BEYOND = (
    "\ud800", "\x00", "before\x00after", "\x01\x02\x03", "\x1b[31mred", "\x7f", "\u202etxt.exe", "\u2066a\u2069",
    unicodedata.normalize("NFD", "café Ångström"), unicodedata.normalize("NFC", "café Ångström"), "ｈｅｌｌｏ",
    "p\u0430yp\u0430l", "e" + "\u0301" * 50, "👨‍👩‍👧‍👦",
    "\ufeff", "\u200b\u200c\u200d", "\ufffe", "\U0010ffff", "</s>", "[INST]",
    "<|im_start|>", "<unk>", " leading", "trailing ", "a" * 100_000, "ab " * 30_000,
)  # fmt: skip


def options() -> argparse.Namespace:
    """Where the recorded data are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder with tokenizer/blns.json")
    return parser.parse_args()


def installed() -> Path:
    """The Python that has the tokenizers, installed at the first use. Raises CalledProcessError where pip fails."""
    python, marker = HOME / "bin" / "python", HOME / "installed"
    wanted = "\n".join(REQUIREMENTS)
    if not marker.is_file() or marker.read_text() != wanted:
        print(f"installing {HOME.name} into {HOME} ...", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(HOME)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *REQUIREMENTS]
        subprocess.run(pip, check=True, stderr=subprocess.DEVNULL)
        marker.write_text(wanted)
    return python


def measure(data: Path | None) -> list[Measurement]:
    """Measure in the tokenizers' own Python; the table is printed, the Measurements are returned."""
    # The folder of this file is left out of the path (-P): its name would hide the package `tokenizers`.
    command = [str(installed()), "-P", str(HERE), INSIDE, *([str(data.resolve())] if data else [])]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[2] / "src"), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, encoding="utf-8")
    told, _, found = done.stdout.rstrip().rpartition("\n")
    print(told)
    return msgspec.json.decode(found, type=list[Measurement])


def main() -> int:
    """Measure and tell."""
    if sys.argv[1:2] == [INSIDE]:
        return measured(Path(sys.argv[2]) if len(sys.argv) > 2 else None)
    print(msgspec.json.encode(measure(options().data)).decode())
    return 0


def measured(data: Path | None) -> int:
    """Every check on both tokenizers."""
    listed = data / "tokenizer" / "blns.json" if data else None
    known = [(case.name, case.text) for case in naughty_strings(listed)]
    beyond = [(f"beyond {number}", text) for number, text in enumerate(BEYOND, start=1)] if listed else []
    print(f"{len(known) + len(beyond)} strings: {len(known)} of {listed or 'our own list'}, {len(beyond)} beyond it\n")
    found = [one for kind, file in FILES.items() for one in of_tokenizer(kind, file, known, beyond)]
    print("\n" + msgspec.json.encode(found).decode())
    return 0


def of_tokenizer(
    kind: str, file: str, known: Sequence[tuple[str, str]], beyond: Sequence[tuple[str, str]]
) -> list[Measurement]:
    """The Measurements of one tokenizer, told as a table on the way."""
    import mistral_common

    tokenizer = open_tokenizer(str(Path(mistral_common.__file__).parent / "data" / file))
    report = check_tokenizer(tokenizer, [*known, *beyond])
    found: list[Measurement] = [replace(m, where=kind) for m in report.measured]
    print(f"{kind} ({file})")
    for m in report.measured:
        count = "" if m.name.startswith(("tokens", "slowest")) else f"  ({round(m.value * m.n)} of {m.n})"
        print(f"  {m.name:28}{m.value:8.4f}{count}")
    for fault in report.faults:
        print(f"    {fault.name}, “{fault.text}”: {fault.loss or fault.what}, {fault.because}")
    parts = {"not ASCII": [t for t in known if not t[1].isascii()], "ASCII": [t for t in known if t[1].isascii()]}
    decoders = {"token by token": token_by_token(tokenizer.decode), "held back": held_back(tokenizer.decode)}
    for way, decoder in decoders.items():
        for part, texts in parts.items():
            streams = check_stream(tokenizer, decoder, texts)
            equal = streams.measured[0]
            print(f"  streamed {way}, {part}: {len(streams.faults)} of {equal.n} differ")
            found += [replace(m, where=f"{kind}, {way}, {part}") for m in streams.measured]
    return found


if __name__ == "__main__":
    sys.exit(main())
