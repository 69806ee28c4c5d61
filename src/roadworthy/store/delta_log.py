"""The record log of many hosts in Delta tables, read as the log of one host is read.

Three tables under one address: `records` by day, `labels`, and `aside`, which holds what could not be read. What two
hosts sent twice is shown once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from roadworthy.core.errors import Missing, nearest
from roadworthy.core.record import Label, Record
from roadworthy.core.wire import Arm
from roadworthy.store.delta_rows import (
    Aside,
    Sent,
    aside_frame,
    day_of,
    labels_frame,
    no_labels,
    no_records,
    nothing_aside,
    record_in,
    records_frame,
)
from roadworthy.store.delta_table import Table, naming

if TYPE_CHECKING:
    import polars as pl

Numbers = Mapping[str, int]
Expected = Mapping[str, int | None]

# A row is the only one of its id and arm; an answer may stand beside an earlier failure.
_KEY = ("id", "arm", "failed")
_INSIDE = ("day", "source", "position", "body", "failed")


@dataclass(frozen=True)
class DeltaLog:
    """`uri` is a directory or `s3://bucket/prefix`; `options` are those of delta-rs, `$NAME` from the environment.

    >>> DeltaLog("/tmp/nothing-here").count()
    0
    """

    uri: str
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def records(self) -> Table:
        """The table of records, a folder a day."""
        return Table(f"{self.uri.rstrip('/')}/records", no_records, "day", self.options)

    @property
    def labels(self) -> Table:
        """The table of labels."""
        return Table(f"{self.uri.rstrip('/')}/labels", no_labels, "", self.options)

    @property
    def aside(self) -> Table:
        """The table of what could not be read."""
        return Table(f"{self.uri.rstrip('/')}/aside", nothing_aside, "", self.options)

    def append(self, rows: Sequence[Sent], numbers: Numbers, expected: Expected) -> None:
        """Add records; see `Table.append`."""
        self.records.append(records_frame(rows), numbers, expected)

    def append_labels(self, rows: Sequence[Sent], numbers: Numbers, expected: Expected) -> None:
        """Add labels; see `Table.append`."""
        self.labels.append(labels_frame(rows), numbers, expected)

    def put_aside(self, rows: Sequence[Aside], numbers: Numbers, expected: Expected) -> None:
        """Keep what could not be read; see `Table.append`."""
        self.aside.append(aside_frame(rows), numbers, expected)

    def read(
        self,
        since: float | None = None,
        until: float | None = None,
        release: str | None = None,
        arms: Collection[Arm] | None = None,
        ids: Collection[str] | None = None,
    ) -> list[Record]:
        """The records with `since` <= at < `until`, in the order of `at`, with what is known of their labels."""
        rows = self._rows(since, until, release, arms, ids).select("body", "label", "label_at")
        with naming(self.uri):
            return [record_in(*row) for row in rows.collect().iter_rows()]

    def every_label(
        self,
        since: float | None = None,
        until: float | None = None,
        release: str | None = None,
        arms: Collection[Arm] | None = None,
        ids: Collection[str] | None = None,
    ) -> list[Label]:
        """Every label of the records that `read` would give, with who said it, in the order in which they were known.

        With nothing but `ids` only labels are looked up. What lay aside on its host is not shipped, and so is not here.
        """
        import polars as pl

        labels = self.labels.scan()
        if ids is not None:
            labels = labels.filter(pl.col("id").is_in(list(ids)))
        if (since, until, release, arms) != (None,) * 4 or ids is None:
            rows = _chosen(self.records.scan(), since, until, release, arms, ids).select("id").unique()
            labels = labels.join(rows, on="id", how="semi")
        told = ["id", "value", "at", "by"]
        rows = labels.sort("at", "source", "position").unique(told, keep="first", maintain_order=True).select(told)
        with naming(self.uri):
            return [Label(*row) for row in rows.collect().iter_rows()]

    def get(self, id: str) -> list[Record]:
        """The records of one request's row, one for each arm that answered it. Raises Missing when there is none."""
        found = self.read(ids=[id])
        if not found:
            raise Missing(f"no record with the id {id!r} in `{self.uri}`{self._near(id)}")
        return found

    def count(
        self,
        since: float | None = None,
        until: float | None = None,
        release: str | None = None,
        arms: Collection[Arm] | None = None,
        ids: Collection[str] | None = None,
    ) -> int:
        """How many records `read` would give."""
        import polars as pl

        rows = _chosen(self.records.scan(), since, until, release, arms, ids).select(_KEY)
        with naming(self.uri):
            return int(rows.unique().select(pl.len()).collect().item())

    def scan(self, since: float | None = None, until: float | None = None) -> pl.LazyFrame:
        """One row a record, as flat columns, in the order of `at`."""
        rows = self._rows(since, until, None, None, None)
        order = [name for name in rows.collect_schema().names() if name not in _INSIDE]
        fixed = [name for name in no_records().columns if name in order] + ["label", "label_at"]
        return rows.select(*fixed, *(name for name in order if name not in fixed))

    def compact(self, keep_hours: int = 168) -> dict[str, dict[str, int]]:
        """Make few large files of many small ones in each table; see `Table.compact`."""
        tables = {"records": self.records, "labels": self.labels, "aside": self.aside}
        return {name: table.compact(keep_hours) for name, table in tables.items()}

    def _rows(
        self,
        since: float | None,
        until: float | None,
        release: str | None,
        arms: Collection[Arm] | None,
        ids: Collection[str] | None,
    ) -> pl.LazyFrame:
        """The rows chosen, each once, in the order of time and of arrival, with their labels."""
        order = ["at", "source", "position"]
        rows = _chosen(self.records.scan(), since, until, release, arms, ids).sort(order)
        return rows.unique(_KEY, keep="first", maintain_order=True).join(
            self._first_labels(ids), on="id", how="left", maintain_order="left"
        )

    def _first_labels(self, ids: Collection[str] | None) -> pl.LazyFrame:
        """The label of each id that came first, which is the one that stands."""
        import polars as pl

        labels = self.labels.scan()
        if ids is not None:
            labels = labels.filter(pl.col("id").is_in(list(ids)))
        first = labels.sort("at", "source", "position").unique("id", keep="first", maintain_order=True)
        return first.select("id", label="value", label_at="at")

    def _near(self, id: str) -> str:
        """A hint: the rows of a request with several rows are called `id.0`, `id.1`, ..."""
        import polars as pl

        with naming(self.uri):
            following = self.records.scan().filter(pl.col("id") > id).select(pl.col("id").unique()).sort("id")
            found = following.head(5).collect()["id"].to_list()
        rows = [near for near in found if near.startswith(f"{id}.")]
        if rows:
            return f"; it was a request of several rows: ask for {', '.join(map(repr, rows))}"
        return nearest(id, found) or "; `read` with `since` and `until` lists the ids of a stretch of time"


def _chosen(
    rows: pl.LazyFrame,
    since: float | None,
    until: float | None,
    release: str | None,
    arms: Collection[Arm] | None,
    ids: Collection[str] | None,
) -> pl.LazyFrame:
    """Only the rows that were asked for; by `day` first, so that other days' files are not opened."""
    import polars as pl

    if since is not None:
        rows = rows.filter(pl.col("day") >= day_of(since), pl.col("at") >= since)
    if until is not None:
        rows = rows.filter(pl.col("day") <= day_of(until), pl.col("at") < until)
    if release is not None:
        rows = rows.filter(pl.col("release") == release)
    if arms is not None:
        rows = rows.filter(pl.col("arm").is_in(list(arms)))
    if ids is not None:
        rows = rows.filter(pl.col("id").is_in(list(ids)))
    return rows.with_columns(failed=pl.col("error").is_not_null())
