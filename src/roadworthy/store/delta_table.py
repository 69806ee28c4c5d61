"""One Delta table on a disk or in S3: rows are appended once, whoever dies or comes at the same time.

It does not know what the rows mean. A commit carries numbers of its writers (Delta's application transactions), so
that rows and how far a writer has come are there together, or not at all.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roadworthy.core.errors import MissingExtra, SpecError
from roadworthy.store import kinds
from roadworthy.store.files import StoreError
from roadworthy.store.kinds import Kind

if TYPE_CHECKING:
    import polars as pl
    from deltalake import DeltaTable

log = logging.getLogger(__name__)

# Names that differ in nothing but case are one to Delta, and a column keeps its type: the second gets a `#1`.
MARK = "#"

_KINDS: dict[str, Kind] = {
    "Boolean": "bool",
    "Int64": "int",
    "Float32": "float32",
    "Float64": "float",
    "String": "text",
}

_DECORATION = re.compile("\x1b\\[[0-9;]*m|↳")

ROW_GROUP = 20_000
ATTEMPTS = 20
CHECKPOINT_EVERY = 50


class Overtaken(Exception):
    """Another writer has moved one of our numbers on; nothing was written."""


@dataclass(frozen=True)
class Table:
    """`uri` is a path or `s3://bucket/path`; `options` are those of delta-rs for the store, `$NAME` an environment
    variable. `by` is the column that splits the table into folders, and `first` makes its first columns.
    """

    uri: str
    first: Callable[[], pl.DataFrame]
    by: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    sleep: Callable[[float], None] = time.sleep

    def numbers(self, names: Sequence[str]) -> dict[str, int | None]:
        """How far each writer has come; None for one that never wrote."""
        with naming(self.uri):
            table = self.open()
            return {name: table.transaction_version(name) if table else None for name in names}

    def append(self, rows: pl.DataFrame, numbers: Mapping[str, int], expected: Mapping[str, int | None]) -> None:
        """Add the rows and the new numbers in one commit. Raises Overtaken where the old ones are not as `expected`.

        Raises StoreError where the store does not answer; the rows are there or not then, which `numbers` tells.
        """
        with naming(self.uri):
            for attempt in range(ATTEMPTS):
                table = self.open() or self._create()
                found = {name: table.transaction_version(name) for name in expected}
                if found != expected:
                    raise Overtaken(f"`{self.uri}` has {found!r} where {dict(expected)!r} was expected")
                if self._commit(table, rows, numbers):
                    return
                self.sleep(0.01 * 2 ** min(attempt, 6))
        raise StoreError(f"`{self.uri}`: other writers were faster {ATTEMPTS} times; the rows are sent again")

    def open(self) -> DeltaTable | None:
        """The table as it is now, or None while nobody has written to it."""
        module = delta_module()
        try:
            found: DeltaTable = module.DeltaTable(self.uri, storage_options=self.storage_options)
        except module.exceptions.TableNotFoundError:
            return None
        return found

    def scan(self) -> pl.LazyFrame:
        """All rows, in no order, under the names that they were appended with."""
        import polars as pl

        with naming(self.uri):
            table = self.open()
            if table is None:
                return self.first().lazy()
            return _together(pl.scan_delta(table))

    def compact(self, keep_hours: int = 168) -> dict[str, int]:
        """Make few large files of many small ones, remove files that no reader of the last hours needs, checkpoint."""
        with naming(self.uri):
            table = self.open()
            if table is None:
                return {"files_before": 0, "files_after": 0, "files_removed": 0}
            before = len(table.file_uris())
            table.optimize.compact(writer_properties=_writing())
            removed = table.vacuum(keep_hours, dry_run=False, enforce_retention_duration=False)
            table.create_checkpoint()
            return {"files_before": before, "files_after": len(table.file_uris()), "files_removed": len(removed)}

    @property
    def storage_options(self) -> dict[str, str]:
        """The options, with what they take from the environment."""
        return {name: _from_environment(name, value) for name, value in self.options.items()}

    def _create(self) -> DeltaTable:
        """An empty table. Of two who make it at once, one finds it made."""
        module = delta_module()
        if "://" not in self.uri:
            Path(self.uri).mkdir(parents=True, exist_ok=True)
        try:
            module.write_deltalake(
                self.uri,
                self.first(),
                mode="error",
                partition_by=[self.by] if self.by else None,
                configuration={"delta.checkpointInterval": str(CHECKPOINT_EVERY)},
                storage_options=self.storage_options,
            )
        except (module.exceptions.DeltaError, OSError):
            if self.open() is None:
                raise
        made = self.open()
        assert made is not None
        return made

    def _commit(self, table: DeltaTable, rows: pl.DataFrame, numbers: Mapping[str, int]) -> bool:
        """Write and commit; False where another writer came first and everything must be looked at again."""
        module = delta_module()
        transactions = [module.Transaction(name, number) for name, number in numbers.items()]
        try:
            module.write_deltalake(
                table,
                rows.rename(_fitting(table, rows)),
                mode="append",
                schema_mode="merge",
                writer_properties=_writing(),
                commit_properties=module.CommitProperties(app_transactions=transactions),
            )
        except module.exceptions.CommitFailedError as late:
            log.debug("`%s`: %s", self.uri, late)
            return False
        return True


def delta_module() -> Any:
    """The package `deltalake`. Raises MissingExtra."""
    try:
        import deltalake
        import deltalake.exceptions
    except ImportError as gone:
        raise MissingExtra("a Delta table", "deltalake", "delta") from gone
    return deltalake


@contextmanager
def naming(uri: str) -> Iterator[None]:
    """Turn an error of the store into a StoreError that names the table and the next step."""
    module = delta_module()
    try:
        yield
    except (module.exceptions.DeltaError, OSError) as wrong:
        # They come in colours and in several lines.
        said = " ".join(_DECORATION.sub("", str(wrong)).split())
        raise StoreError(f"`{uri}`: {said}; check that the store answers, and the rights and keys to it") from wrong


def _writing() -> Any:
    """Groups of rows as small as in our own segments: what a reader of one id must unpack."""
    return delta_module().WriterProperties(compression="ZSTD", compression_level=3, max_row_group_size=ROW_GROUP)


def _fitting(table: DeltaTable, rows: pl.DataFrame) -> dict[str, str]:
    """Under which name of the table each column goes: its own, unless that one means something else there already."""
    import polars as pl

    there = {name.casefold(): (name, kind) for name, kind in pl.scan_delta(table).collect_schema().items()}
    chosen: dict[str, str] = {}
    for name, kind in rows.schema.items():
        number = 0
        while not _fits(physical := _numbered(name, number), kind, there):
            number += 1
        there[physical.casefold()] = physical, kind
        chosen[name] = physical
    return chosen


def _fits(name: str, kind: Any, there: Mapping[str, tuple[str, Any]]) -> bool:
    if name.casefold() not in there:
        return True
    known, has = there[name.casefold()]
    return bool(known == name and (has == kind or (has.is_float() and kind.is_integer())))


def _numbered(name: str, number: int) -> str:
    return f"{name}{MARK}{number}" if number or MARK in name else name


def _together(frame: pl.LazyFrame) -> pl.LazyFrame:
    """The columns under their own names again, as one type where the table has several of a name."""
    import polars as pl

    groups: dict[str, list[tuple[str, Kind]]] = {}
    for physical, kind in frame.collect_schema().items():
        name = physical.rpartition(MARK)[0] if MARK in physical else physical
        groups.setdefault(name, []).append((physical, _kind_of(kind)))
    columns = []
    for name, held in groups.items():
        common = reduce(kinds.join, (kind for _, kind in held))
        parts = [kinds.cast(pl.col(physical), kind, common) for physical, kind in held]
        columns.append((pl.coalesce(parts) if len(parts) > 1 else parts[0]).alias(name))
    return frame.select(columns)


def _kind_of(type_: Any) -> Kind:
    """What the type of a column is called; binary columns and others are nothing that could be joined."""
    inner = getattr(type_, "inner", None)
    return f"list[{_KINDS.get(str(inner), 'other')}]" if inner is not None else _KINDS.get(str(type_), "other")


def _from_environment(name: str, value: str) -> str:
    if not value.startswith("$"):
        return value
    found = os.environ.get(value[1:])
    if found is None:
        raise SpecError(f"`{value[1:]}`, which the option {name!r} takes from the environment, is not set")
    return found
