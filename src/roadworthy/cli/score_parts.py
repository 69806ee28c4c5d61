"""Scored rows as part files in a folder beside the output, so that whoever was killed goes on where they end."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from roadworthy.cli.score_tables import Format
from roadworthy.core.errors import BadData, RoadworthyError, Taken

if TYPE_CHECKING:
    import polars

MANIFEST = "manifest.json"


class Plan(Struct, frozen=True):
    """What decides the rows of the output: whoever goes on must have the same."""

    input: str
    release: str
    rows: int | None
    columns: tuple[str, ...]
    batch: int
    part_rows: int
    format: Format


class Parts:
    """The folder `OUT.parts`. Part k holds the rows from `k * part_rows` on, and is there only when it is complete."""

    def __init__(self, output: Path, plan: Plan) -> None:
        self.output, self.plan = output, plan
        self.folder = folder_of(output)

    @contextmanager
    def held(self, resume: bool) -> Iterator[None]:
        """The folder, made or found again, for this process alone. Raises Taken, and BadData for other rows."""
        self._make(resume)
        with (self.folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as taken:
                raise Taken(f"another process is scoring into {str(self.folder)!r}; wait for it or stop it") from taken
            self._agree()
            yield

    def done(self) -> int:
        """How many parts are complete, from the first on without a gap."""
        count = 0
        while self._path(count).is_file():
            count += 1
        return count

    def add(self, number: int, frame: polars.DataFrame) -> None:
        """Keep a part; it is there wholly or not at all, after a power cut too."""
        with _writing(self.folder):
            aside = self.folder / "part.tmp"
            frame.write_parquet(aside)
            _sync(aside)
            aside.replace(self._path(number))

    def tally(self) -> tuple[int, dict[str, int]]:
        """How many rows are in the parts, and how many failed for each of the commonest reasons."""
        import polars

        failed: dict[str, int] = {}
        rows = 0
        for number in range(self.done()):
            errors = polars.read_parquet(self._path(number), columns=["error"])["error"]
            rows += len(errors)
            for reason, n in errors.drop_nulls().value_counts().iter_rows():
                failed[reason] = failed.get(reason, 0) + n
        return rows, dict(sorted(failed.items(), key=lambda pair: (-pair[1], pair[0])))

    def finish(self) -> None:
        """Join the parts into the output, which appears all at once, and remove the folder."""
        import polars

        paths = [self._path(number) for number in range(self.done())]
        whole = polars.concat(_alike([polars.scan_parquet(path) for path in paths]))
        aside = self.folder / f"whole.{self.plan.format}"
        with _writing(self.output):
            if self.plan.format == "csv":
                whole.sink_csv(aside)
            else:
                whole.sink_parquet(aside, row_group_size=self.plan.part_rows)
            _sync(aside)
            aside.replace(self.output)
        self.discard()

    def discard(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.folder)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.parquet"

    def _make(self, resume: bool) -> None:
        if self.folder.exists() and not resume:
            raise Taken(
                f"{str(self.folder)!r} holds an unfinished scoring: go on with --resume, or begin anew with --overwrite"
            )
        with _writing(self.folder):
            self.folder.mkdir(exist_ok=True)

    def _agree(self) -> None:
        """Write the plan, or see that it is the one that was written."""
        file = self.folder / MANIFEST
        if not file.exists():
            with _writing(file):
                aside = file.with_suffix(".tmp")
                aside.write_bytes(msgspec.json.format(msgspec.json.encode(self.plan), indent=1))
                _sync(aside)
                aside.replace(file)
            return
        try:
            before = msgspec.json.decode(file.read_bytes(), type=Plan)
        except msgspec.DecodeError as wrong:
            raise BadData(f"{str(file)!r} cannot be read ({wrong}); begin anew with --overwrite") from wrong
        for name in Plan.__struct_fields__:
            old, new = getattr(before, name), getattr(self.plan, name)
            if old != new:
                told = f"was begun with another `{name}`: {_short(old)}, and now it is {_short(new)}"
                raise BadData(f"the scoring in {str(self.folder)!r} {told}; give the same, or begin anew: --overwrite")


def folder_of(output: Path) -> Path:
    """Where the parts of an output are."""
    return output.with_name(output.name + ".parts")


def _alike(parts: Sequence[polars.LazyFrame]) -> list[polars.LazyFrame]:
    """The parts with the same columns: one in which every row failed does not know which outputs there are."""
    import polars

    wanted: dict[str, Any] = {}
    for part in parts:
        for name, kind in part.collect_schema().items():
            if wanted.get(name, polars.Null) == polars.Null:
                wanted[name] = kind
    # Release and error close the row, whichever part first had the columns before them.
    order = [name for name in wanted if name not in ("release", "error")] + ["release", "error"]
    return [
        part.select(
            (polars.col(name) if name in part.collect_schema() else polars.lit(None)).cast(wanted[name]).alias(name)
            for name in order
        )
        for part in parts
    ]


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as wrong:
        raise RoadworthyError(f"cannot write {str(path)!r}: {wrong}; complete parts are kept for --resume") from wrong


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _short(value: Any) -> str:
    return f"{value[:12]}..." if isinstance(value, str) and len(value) == 64 else repr(value)
