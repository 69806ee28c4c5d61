"""The laws of claim formats: a file of theirs is read whole or refused by name, and any other file is left alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from roadworthy.core.errors import BadData
from roadworthy.core.measure import Claim
from roadworthy.evaluate.base import ClaimFormat

# The value that every example states, and what stands in its place where it cannot be read.
VALUE = "87.31"
UNREADABLE = "quite good"

FOREIGN = {
    "empty.yaml": b"",
    "empty.json": b"",
    "empty.md": b"",
    "notes.md": b"---\nlicense: mit\ntags: [x]\n---\n# A model\nIt is 91 % right.\n",
    "plain.md": b"# A model\n",
    "config.yaml": b"learning_rate: 0.1\nlayers: [1, 2]\n",
    "list.yaml": b"- 1\n- two\n",
    "config.json": b'{"layers": [1, 2], "name": "x"}',
    "list.json": b"[1, 2, 3]",
    "table.csv": b"metric,value\naccuracy,0.9\n",
    "noise.bin": bytes(range(256)),
}


def check_claim_format(leaf: type) -> None:
    """Run every law on a claim format, made by its defaults.

    `@classmethod def example(cls, folder) -> tuple[Path, Sequence[Claim]]` writes a file that states an accuracy of
    87.31 per cent as `87.31`, and says what should be read. Raises AssertionError with the law that is broken.
    """
    given = getattr(leaf, "example", None)
    assert given is not None, f"{leaf.__name__} needs `@classmethod def example(cls, folder)` that writes a file"
    made: ClaimFormat = leaf()
    with TemporaryDirectory() as folder:
        path, stated = given(Path(folder))
        check_reads(made, path, stated)
        check_unreadable(made, path)
        check_torn(made, path)
        check_foreign(made, Path(folder))
        check_missing(made, path)


def check_reads(made: ClaimFormat, path: Path, stated: Sequence[Claim]) -> None:
    """All that the file states is read, twice alike, and the file stays as it was."""
    before = path.read_bytes()
    found = made(path)
    assert found is not None, f"{made!r} does not know its own example"
    assert list(found) == list(stated), f"{made!r} reads {list(found)!r} where {list(stated)!r} is stated"
    assert made(path) == found, f"{made!r} reads one file in two ways"
    assert path.read_bytes() == before, f"{made!r} writes into the file"
    for claim in found:
        assert claim.source, f"{made!r} does not say where the claim about {claim.metric!r} comes from"
        assert math.isfinite(claim.value), f"{made!r} gives {claim.value!r} for {claim.metric!r}"


def check_unreadable(made: ClaimFormat, path: Path) -> None:
    """A value that is no number is refused by name, never dropped."""
    text = path.read_text(encoding="utf-8")
    assert VALUE in text, f"the example of {made!r} must state {VALUE}"
    for value in (UNREADABLE, "931"):
        path.write_text(text.replace(VALUE, value), encoding="utf-8")
        refused = _refusal(made, path)
        assert value in refused, f"{made!r} does not refuse the value {value!r}; it must name it in a BadData"
    path.write_text(text, encoding="utf-8")


def check_torn(made: ClaimFormat, path: Path) -> None:
    """A file that ends too early is read, refused or left alone; nothing but BadData is raised, and no number made."""
    whole = path.read_bytes()
    stated = {claim.value for claim in made(path) or ()}
    for end in range(0, len(whole), max(1, len(whole) // 40)):
        path.write_bytes(whole[:end])
        found = _read(made, path) or ()
        # A value that is cut in its middle is another number, which nobody can know.
        wrong = {claim.value for claim in found} - stated
        cut = whole[:end].rstrip().endswith(tuple(VALUE[:k].encode() for k in range(1, len(VALUE))))
        assert cut or not wrong, f"{made!r} reads {wrong!r} in a file that ends after {end} bytes"
    path.write_bytes(whole)


def check_foreign(made: ClaimFormat, folder: Path) -> None:
    """A file of another kind is none of its own, whatever is in it."""
    for name, content in FOREIGN.items():
        path = folder / name
        path.write_bytes(content)
        found = _read(made, path)
        assert not found, f"{made!r} reads {found!r} in {name}"


def check_missing(made: ClaimFormat, path: Path) -> None:
    """A file that is gone is refused by name."""
    gone = path.with_name(f"gone{path.suffix}")
    assert gone.name in _refusal(made, gone), f"{made!r} does not refuse a file that is not there"


def _refusal(made: ClaimFormat, path: Path) -> str:
    try:
        made(path)
    except BadData as refused:
        return str(refused)
    return ""


def _read(made: ClaimFormat, path: Path) -> Sequence[Claim] | None:
    try:
        return made(path)
    except BadData:
        return None
    except Exception as wrong:
        raise AssertionError(f"{made!r} raises {wrong!r} on a file of {path.stat().st_size} bytes") from wrong
