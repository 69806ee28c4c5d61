"""A table is answered part by part: a cheap member about every row, the last one about rows that are bought.

After each part the promise holds for all rows so far. It knows nothing of options and files' names.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from roadworthy.cli.asked_member import AskedMember
from roadworthy.cli.bought import Bought
from roadworthy.cli.score_parts import Parts
from roadworthy.cli.score_tables import Chunk
from roadworthy.core.errors import BadData
from roadworthy.route.cascades.deciding import decide_all, decide_next
from roadworthy.route.cascades.fits import Target
from roadworthy.route.cascades.stream import Progress, Stream
from roadworthy.route.cascades.stream_confident import AnsweredPredictions
from roadworthy.route.cascades.tally import Tally

if TYPE_CHECKING:
    import polars

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
# The columns that are written beside those that are carried over.
ADDED = ("answer", "confidence", "by", "release", "error")


class Saved(Struct, frozen=True):
    """What is kept with each part, so that the next one can begin: `asked` rows by member, and who promised what."""

    target: Target
    members: tuple[str, str]
    seed: int
    progress: Progress
    asked: dict[str, int]
    whole: bool = False


@dataclass
class TableCascade:
    """The run: `names` are what the classes are called in the output, `seed` decides which rows are drawn.

    A table of one part is a batch, whose promise is shown exactly (`whole`); a longer one is a stream.
    """

    target: Target
    cheap: AskedMember
    last: AskedMember
    names: Sequence[str | int]
    release: str
    carried: tuple[str, ...]
    parts: Parts
    seed: int = 0
    stream: Stream = field(init=False)
    whole: bool = False

    def __post_init__(self) -> None:
        self.stream = Stream(self.target)
        self._bought = Bought(self.parts.folder / "bought.jsonl")
        self._known: dict[int, Sequence[float]] = {}

    def resume(self) -> int:
        """Take up where the parts end; the number of the next one. Raises BadData where something else was begun."""
        done = self.parts.done()
        first = done * self.parts.plan.part_rows
        self._known = {row: shares for row, shares in self._bought.answers().items() if row >= first}
        if not done:
            self.last.rows += len(self._known)
            return 0
        try:
            saved = msgspec.json.decode(self._file(done - 1).read_bytes(), type=Saved)
        except (OSError, msgspec.DecodeError) as wrong:
            raise BadData(f"what part {done - 1} left cannot be read ({wrong}); begin anew with --overwrite") from wrong
        for what, old, new in (
            ("promise", saved.target.words, self.target.words),
            ("members", saved.members, self._members),
            ("seed", saved.seed, self.seed),
        ):
            if old != new:
                raise BadData(
                    f"this table was begun with another {what}: {old!r}, and now it is {new!r}; give the "
                    f"same, or begin anew: --overwrite"
                )
        self.stream, self.whole = Stream.resumed(saved.progress), saved.whole
        self.cheap.rows, self.last.rows = saved.asked[self.cheap.name], saved.asked[self.last.name] + len(self._known)
        return done

    def answer(self, chunks: Iterator[Chunk], number: int, tell: Callable[[int], None]) -> None:
        """Answer the remaining chunks, each of them a part of its own; where there is only one, as one batch."""
        first = list(islice(chunks, 1 if number else 2))
        self.whole = len(first) == 1 if number == 0 else self.whole
        for chunk in chain(first, chunks):
            frame = self._part(chunk, number, tell)
            # The state goes first: a part that is there has always left one.
            saved = Saved(self.target, self._members, self.seed, self.stream.progress, self.asked, self.whole)
            self._save(number, saved)
            self.parts.add(number, frame)
            self._bought.clear()
            self._known = {}
            self._file(number - 1).unlink(missing_ok=True)
            number += 1

    def _save(self, number: int, saved: Saved) -> None:
        aside = self.parts.folder / "after.tmp"
        with aside.open("wb") as file:
            file.write(msgspec.json.encode(saved))
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self._file(number))

    def _part(self, chunk: Chunk, number: int, tell: Callable[[int], None]) -> polars.DataFrame:
        # The same part draws the same rows however often it is begun.
        rng = np.random.default_rng([self.seed, number])
        rows = np.array([row for row in range(chunk.frame.height) if row not in chunk.faults], np.int64)
        told = self.cheap.ask(chunk, rows.tolist(), tell)
        if len(rows) and np.isnan(told.shares).any(axis=1).all():
            raise BadData(f"member {self.cheap.name!r} answered none of {len(rows):,} rows: {told.errors[0]}")
        shares, errors = told.shares.copy(), dict(chunk.faults)

        def classes_of(asked: Rows) -> Rows:
            found = self._buy(chunk, rows, asked, errors, lambda row: tell(chunk.start + chunk.frame.height))
            shares[asked] = found
            return np.where(np.isnan(found).any(axis=1), -1, np.nan_to_num(found).argmax(axis=1)).astype(np.int64)

        if self.whole:
            found = decide_all(shares.copy(), classes_of, self.target, rng)
            failed = int(found.failed.sum())
            self.stream.tally = Tally(len(rows) - failed, int(found.by_last.sum()), failed=failed, batches=1)
        else:
            found = decide_next(self.stream, shares.copy(), classes_of, rng)
        confidence = shares[np.arange(len(rows)), np.maximum(found.classes, 0)]
        return self._frame(chunk, rows, found, confidence, errors)

    def _buy(
        self, chunk: Chunk, rows: Rows, asked: Rows, errors: dict[int, str], tell: Callable[[int], None]
    ) -> Floats:
        """The last member's shares for the rows with these numbers, NaN where it has none; what was paid is kept."""
        places = rows[asked].tolist()
        new = [place for place in places if chunk.start + place not in self._known]
        if new:
            told = self.last.ask(chunk, new, tell)
            fresh = {}
            for place, shares, error in zip(new, told.shares.tolist(), told.errors, strict=True):
                if error is None:
                    fresh[chunk.start + place] = shares
                else:
                    errors[place] = error
            self._bought.add(fresh)
            self._known |= fresh
        nothing = [np.nan] * len(self.names)
        return np.array([self._known.get(chunk.start + place, nothing) for place in places], np.float64)

    def _frame(
        self, chunk: Chunk, rows: Rows, found: AnsweredPredictions, confidence: Floats, errors: Mapping[int, str]
    ) -> polars.DataFrame:
        import polars

        n = chunk.frame.height
        answer: list[str | int | None] = [None] * n
        sure: list[float | None] = [None] * n
        by: list[str | None] = [None] * n
        for k in np.flatnonzero(~found.failed).tolist():
            row, name = int(rows[k]), self.last.name if found.by_last[k] else self.cheap.name
            answer[row], sure[row], by[row] = self.names[int(found.classes[k])], float(confidence[k]), name
        kind = polars.String if isinstance(self.names[0], str) else polars.Int64
        kept = chunk.frame.select(self.carried) if self.carried else polars.DataFrame()
        return kept.with_columns(
            polars.Series("answer", answer, kind),
            polars.Series("confidence", sure, polars.Float64),
            polars.Series("by", by, polars.String),
            polars.Series("release", [self.release] * n, polars.String),
            polars.Series("error", [errors.get(row) for row in range(n)], polars.String),
        )

    @property
    def _members(self) -> tuple[str, str]:
        return self.cheap.name, self.last.name

    @property
    def asked(self) -> dict[str, int]:
        """How many rows each member was asked about."""
        return {self.cheap.name: self.cheap.rows, self.last.name: self.last.rows}

    def _file(self, number: int) -> Path:
        return self.parts.folder / f"after-{number:06d}.json"
