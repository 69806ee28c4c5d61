"""The laws of repairs: what is normal stays, each row by itself, once is enough, and the plan does the same."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field
from roadworthy.core.wire import Request, Response
from roadworthy.evaluate.answers import tensor
from roadworthy.evaluate.base import Repair
from roadworthy.serve.base import wrapper
from roadworthy.testing.corruptions import mixed_sample
from roadworthy.testing.leaves import around, differing, equal, example_of


def check_repair(leaf: type) -> None:
    """Run every law on a repair class, made by `example()` or by its defaults on `damaged_sample()`.

    `@classmethod def example(cls) -> tuple[Repair, Sample, Sample]` gives a repair, a sample to mend and the lab, for
    a leaf without defaults or with damage of its own. Raises AssertionError with the law that is broken.
    """
    returns = "a repair, a sample for it to mend and a lab sample"
    made, sample, lab = example_of(leaf, lambda: (leaf(), damaged_sample(), plain_sample()), returns)
    check_pure(made, sample, lab)
    check_only_inputs(made, sample, lab)
    check_mends(made, sample, lab)
    check_calm(made, lab)
    check_once_is_enough(made, sample, lab)
    check_row_by_row(made, sample, lab)
    check_foreign_sample(made, lab)
    check_plan(made, sample, lab)


def plain_sample(n: int = 120) -> Sample:
    """A lab: small letters, no marks beyond the keyboard's, categories without blanks, and no hole in `heat`."""
    sample = mixed_sample(n)
    said = np.array([text.lower().replace("“", "").replace("”", "") for text in sample.columns["said"]], dtype=object)
    return _with(sample, {"said": said})


def damaged_sample(n: int = 120) -> Sample:
    """The same with every kind of damage in `said`, `town` and `heat`, a row or some of each, and rows without any."""
    sample = plain_sample(n)
    said, town, heat = (sample.columns[name].copy() for name in ("said", "town", "heat"))
    for row, damage in enumerate(DAMAGE):
        said[row :: 3 * len(DAMAGE)] = damage
    town[::7], town[1::7] = " north", "SOUTH"
    heat[::5], heat[1::5] = np.nan, 99_999.0
    return _with(sample, {"said": said, "town": town, "heat": heat})


DAMAGE = (
    "ｗｈｅｒｅ is my card",
    "whe\u200bre is\u202e my card",
    "where\u00a0is \n my  card ",
    "it isnâ€™t in zÃ¼rich",
    "<p>where is my card &amp; pin</p>",
    "> where is\n> my card\n\n-- \nalex",
    "whеrе is mу card",
    "where isn’t “my” card – now",
    "WHERE IS MY CARD",
    None,
    "\ud800 is half a letter",
    "",
)


def _with(sample: Sample, columns: Mapping[str, NDArray[Any]]) -> Sample:
    names = {"heat": Field(nullable=True), "holes": Field(nullable=True), "said": Field("text", nullable=True)}
    fields = {**sample.fields, **names}
    return Sample(
        {**sample.columns, **columns}, sample.labels, sample.at, sample.known_at, sample.ids, sample.tags, fields=fields
    )


def check_pure(made: Repair, sample: Sample, lab: Sample) -> None:
    """Neither the sample nor the lab is written into."""
    before = copy.deepcopy((sample, lab))
    made(sample, lab)
    for was, now in zip(before, (sample, lab), strict=True):
        changed = differing(was.columns, now.columns, same_type=False)
        assert not changed, f"{made!r} writes into the sample that it was given, in {', '.join(changed)}"


def check_only_inputs(made: Repair, sample: Sample, lab: Sample) -> None:
    """Labels, times, ids and tags stay, every column keeps its rows, and no column comes or goes."""
    mended = made(sample, lab)
    assert list(mended.columns) == list(sample.columns), f"{made!r} adds, drops or reorders columns"
    assert mended.n == sample.n, f"{made!r} makes {mended.n} rows of {sample.n}"
    changed = differing(around(sample), around(mended), same_type=False)
    assert not changed, f"{made!r} changes {', '.join(changed)}; a repair mends the inputs only"


def check_mends(made: Repair, sample: Sample, lab: Sample) -> None:
    """Something is mended in the sample that it can mend."""
    assert differing(sample.columns, made(sample, lab).columns, same_type=False), (
        f"{made!r} mends nothing in its example: add `example()` with damage of its kind"
    )


def check_calm(made: Repair, lab: Sample) -> None:
    """In the lab itself, where all is normal, there is nothing to mend."""
    changed = differing(lab.columns, made(lab, lab).columns, same_type=False)
    assert not changed, f"{made!r} changes {', '.join(changed)} of the lab itself, which is what normal means"


def check_once_is_enough(made: Repair, sample: Sample, lab: Sample) -> None:
    """What was mended is not mended again."""
    once = made(sample, lab)
    changed = differing(once.columns, made(once, lab).columns, same_type=False)
    assert not changed, f"{made!r} changes {', '.join(changed)} again when it is run a second time"


def check_row_by_row(made: Repair, sample: Sample, lab: Sample) -> None:
    """Some of the rows, in any order, become what they become among all others: so it can stand before a model."""
    rows = np.random.default_rng(0).permutation(sample.n)[: sample.n // 3]
    together, alone = made(sample, lab).take(rows), made(sample.take(rows), lab)
    changed = differing(together.columns, alone.columns, same_type=False)
    assert not changed, f"{made!r} mends {', '.join(changed)} by what stands in the other rows of the sample"


def check_foreign_sample(made: Repair, lab: Sample) -> None:
    """A sample without rows, or without its columns, comes back as it was; so does any where the lab is empty."""
    rows, none = np.array([1.0, 2.0]), np.empty(0)
    foreign = (Sample({}), Sample({"heat": none, "town": none.astype(object)}), Sample({"some other": rows}))
    for sample, known in ((foreign[0], lab), (foreign[1], lab), (foreign[2], lab), (foreign[2], Sample({}))):
        try:
            mended = made(sample, known)
        except Exception as wrong:
            raise AssertionError(
                f"{made!r} fails on a sample with columns {list(sample.columns)}: {wrong!r}"
            ) from wrong
        changed = differing(sample.columns, mended.columns, same_type=False)
        assert not changed, f"{made!r} changes {', '.join(changed)} of a sample with columns {list(sample.columns)}"


def check_plan(made: Repair, sample: Sample, lab: Sample) -> None:
    """What `plan(lab)` puts in front of a model does to a request what the repair did to the sample.

    A repair that no wrapper can do has no `plan`, or one that is None.
    """
    plan = made.plan(lab) if hasattr(made, "plan") else None
    if plan is None:
        return
    try:
        wrapped = wrapper.make(plan)
    except Exception as wrong:
        raise AssertionError(
            f"{made!r} proposes the plan {plan!r}, which no wrapper can be made of: {wrong}"
        ) from wrong
    fields = {name: sample.fields.get(name, Field("text")) for name in sample.columns}
    inputs = {name: tensor(name, fields[name], column) for name, column in sample.columns.items()}
    seen: list[Request] = []

    async def model(request: Request) -> Response:
        seen.append(request)
        return Response(request.id, {})

    async def ask() -> None:
        await wrapped(model)(Request("law", inputs, 0.0))

    asyncio.run(ask())
    mended = made(sample, lab)
    for name, column in mended.columns.items():
        wanted = tensor(name, fields[name], column).data
        assert equal(np.array(seen[0].inputs[name].data), np.array(wanted), same_type=False), (
            f"{made!r} mends {name!r} in another way than its plan {plan!r} does in front of the model"
        )
