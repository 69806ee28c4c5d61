"""What a served cascade writes into its paths is read again: scores, classes, audits, and whether it was shut."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from roadworthy.core.dials import Dial
from roadworthy.core.record import Record
from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.route.answering.levels import Level, told_by
from roadworthy.route.cascades.known import Known, Members
from roadworthy.route.policies.cascade import Cascade

CLASSES = ("it's", 'a "dog"', "fish, in 'salt'")


class Model:
    """Answers what its own input says: a probability of the second of two classes, or one of each."""

    def __init__(self, name: str, width: int) -> None:
        self.name, self.width = name, width

    async def __call__(self, request: Request) -> Response:
        tensor = request.inputs[self.name]
        if self.name == "broken":
            raise ValueError("a defect")
        shape = (tensor.shape[0], self.width) if self.width > 1 else (tensor.shape[0],)
        return Response(request.id, {"p": replace(tensor, name="p", shape=shape)}, "rel")


def answered(cascade: Cascade, shut: bool = False, width: int = 1, **columns: Any) -> list[Record]:
    """The records of a cascade of models that answer these columns."""
    n = len(next(iter(columns.values())))
    tensors = {
        name: Tensor(name, "FP64", (n, width), np.asarray(values, float).reshape(-1).tolist())
        for name, values in columns.items()
    }
    climb = cascade({name: Model(name, width) for name in columns})
    if shut:
        climb.levels = (
            tuple(Level(level.at, level.low, level.high, level.least, shut=True) for level in climb.levels[:-1])
            + climb.levels[-1:]
        )
    response = asyncio.run(climb(Request("r", tensors, 0.0)))
    values = np.asarray(response.outputs["p"].data).reshape(n, -1)
    given = [row.tolist() if width > 1 else row[0] for row in values]
    return [Record(f"r.{k}", 7.0, "rel", "stable", {}, {"p": given[k]}, path=response.row_path(k)) for k in range(n)]


def test_two_answers_are_read_with_their_scores_and_what_audits_found():
    levels = (Level("small", low=0.2, high=0.8), Level("large"))
    small, large = [0.91234567891, 0.1, 0.5, 0.95], [0.99, 0.99, 0.01, 0.01]
    rows = Known.of(answered(Cascade(levels, audit=1.0), small=small, large=large), Members(("small", "large")), 1.0)
    assert rows.scores[:, 0].tolist() == [0.9123457, 0.1, 0.5, 0.95]
    assert rows.kept_at.tolist() == [0, 0, 1, 0]
    assert rows.answer.tolist() == [1, 0, 0, 1]
    assert rows.last.tolist() == [1, 1, 0, 0]
    assert not rows.shut.any()
    assert rows.at.tolist() == [7.0] * 4
    unseen = Known.of(answered(Cascade(levels), small=small, large=large), Members(("small", "large")), 0.1)
    assert np.isnan(unseen.last).tolist() == [True, True, False, True]
    assert unseen.chance.tolist() == [0.1, 0.1, 1.0, 0.1]


def test_classes_are_read_by_their_names_whatever_these_are():
    levels, members = (Level("small", least=0.7), Level("large")), Members(("small", "large"), "p", CLASSES)
    small = [[0.8, 0.1, 0.1], [0.2, 0.5, 0.3], [0.1, 0.1, 0.8]]
    large = [[0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.0, 0.0, 1.0]]
    records = answered(Cascade(levels, classes=CLASSES, audit=1.0), width=3, small=small, large=large)
    rows = Known.of(records, members, 1.0)
    assert rows.said[:, 0].tolist() == [0, 1, 2]
    assert rows.last.tolist() == [1, 2, 2]
    assert rows.answer.tolist() == [0, 2, 2]
    shut = Known.of(answered(Cascade(levels, classes=CLASSES), True, 3, small=small, large=large), members, 0.1)
    assert shut.shut.all()
    assert shut.said[:, 0].tolist() == [0, 1, 2]
    assert shut.last.tolist() == shut.answer.tolist() == [1, 2, 2]
    assert shut.chance.tolist() == [1, 1, 1]


def test_of_three_levels_it_is_known_who_was_asked():
    levels = (Level("a", low=0.2, high=0.8), Level("b", low=0.3, high=0.7), Level("c"))
    a, b, c = [0.9, 0.5, 0.5], [0.5, 0.75, 0.5], [0.99, 0.01, 0.99]
    rows = Known.of(answered(Cascade(levels), a=a, b=b, c=c), Members(("a", "b", "c")), 0.1)
    assert rows.kept_at.tolist() == [0, 1, 2]
    assert np.isnan(rows.scores).tolist() == [[False, True], [False, False], [False, False]]


def test_what_the_last_model_did_not_answer_says_nothing_and_a_level_that_failed_has_no_score():
    levels = (Level("small", low=0.2, high=0.8), Level("broken"))
    assert not len(Known.of(answered(Cascade(levels), small=[0.5], broken=[0.5]), Members(("small", "broken")), 0.1))
    assert not len(
        Known.of(answered(Cascade(levels, audit=1.0), small=[0.9], broken=[0.5]), Members(("small", "broken")), 1.0)
    )
    failing = (Level("broken", low=0.2, high=0.8), Level("large"))
    rows = Known.of(answered(Cascade(failing), broken=[0.5], large=[0.9]), Members(("broken", "large")), 0.1)
    assert (np.isnan(rows.scores[0, 0]), rows.last[0]) == (True, 1.0)
    assert not len(Known.of([Record("a", 0.0, "r", "stable", {}, {}, error="x")], Members(("small", "large")), 0.1))


@pytest.mark.parametrize(
    "because", ["the last level: kept", "no p: sent on", "not answered: it failed: sent on", "0.4"]
)
def test_other_words_tell_of_no_score(because):
    assert told_by(because) is None


def test_a_number_stands_for_each_class():
    members = Members(("small", "large"), "p", ("cat", "dog"))
    assert [members.number(one) for one in ("dog", True, "False", 3, "7")] == [1, 1, 0, 3, 7]
    assert members.number("bird") == members.number("bird") != members.number("wolf")


def test_turning_what_has_no_dial_changes_nothing():
    climb = Cascade((Level("small", low=0.2, high=0.8), Level("large")))(
        {name: Model(name, 1) for name in ("small", "large")}
    )
    before = climb.levels
    climb.turn(Dial("cascade", 0.0, {"shut": 1.0}, 0, ""))
    assert (climb.dial, climb.levels) == ("", before)
