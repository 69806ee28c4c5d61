"""A calibration that follows late labels: fitted anew all the time, put in force only once it is shown to be better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from msgspec import Struct
from msgspec.structs import replace as changed

from roadworthy.serve.calibration.methods import apply
from roadworthy.serve.calibration.sums import Sums, sums_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# Whether each new fit must be shown to be better, or following as such.
Guard = Literal["following", "each"]
Value = Mapping[str, float | tuple[float, ...]]
# What part of the capital is risked on a block that goes as wrong as it can; we cannot know which is best, so play all.
STAKES = np.array([0.05, 0.1, 0.2, 0.4, 0.8])
NO_CAPITAL = (0.0,) * len(STAKES)
NEXT, SUM = "next_", "sum_"


class State(Struct, frozen=True):
    """Where a calibration stands. `force` and `next` are the numbers in force and those fitted last (none: too few).

    `follows` says whether whatever is fitted is in force at once. `sums` are what was learnt. `capital` is what each
    stake has made of what it began with, over `blocks` blocks since the last of `changes`. `block` is the number of the
    one now open, of whose `rows` `lead` is what the challenger gained, and `most` what it could have gained or lost.
    `seen` counts rows as they fade.
    """

    force: Mapping[str, float]
    next: Mapping[str, float]
    sums: tuple[tuple[float, ...], ...]
    follows: bool = False
    capital: tuple[float, ...] = NO_CAPITAL
    blocks: int = 0
    changes: int = 0
    block: int = -1
    rows: int = 0
    seen: float = 0.0
    lead: float = 0.0
    most: float = 0.0


@dataclass(frozen=True)
class Following:
    """How labels are followed: what is fitted (`leaf`), how fast it forgets, and when it may be put in force.

    With the guard "each", the numbers fitted last replace those in force where these are shown to be worse. With
    "following", each fit is in force at once from when following is shown to be better than the numbers of the release
    until it is shown to be worse; then those are in force again.

    Rows are taken in blocks of `block_seconds` by when their label became known. After each block the numbers are
    fitted anew, older rows counting half for every `half_life` rows since. On the next block's rows these compete with
    the numbers in force, by squared error.

    The guard is a bet (Waudby-Smith & Ramdas 2024): in each block a gambler stakes part of the capital on the
    challenger being better; a won bet's worth is the gain over the greatest gain possible with these probabilities,
    which is known before any label. As long as the challenger is expected to be no better, whatever happened before,
    the capital is a supermartingale, and exceeds 1/a ever with probability at most a (Ville 1939), however labels
    within a block depend on each other. Bets that begin at a later block are mixed in, with weights 1/(t (t + 1)). The
    j-th change may err with a = alpha / (j (j + 1)), so all of them together err with probability at most `alpha`.

    Two things it takes for granted. How late a label is may tell of the label (a late flight is known late) only within
    a block. And a storm longer than a block is taken for a change: in simulated storms of two days, blocks of six hours
    changed what was right in six of ten runs of 200 days, blocks of a day in one of thirty.
    """

    leaf: Any
    guard: Guard = "following"
    alpha: float = 0.1
    half_life: float = 5_000.0
    least_rows: int = 300
    block_seconds: float = 86_400.0

    @property
    def start(self) -> State:
        """Before any label: the numbers of the leaf."""
        shape = self._learner.shape
        numbers = {name: float(getattr(self.leaf, name)) for name in numbers_of(self.leaf)}
        return State(numbers, {}, tuple((0.0,) * shape[1] for _ in range(shape[0])))

    @property
    def _learner(self) -> Sums:
        return sums_for(self.leaf)

    def after(self, state: State, labels: Floats, outputs: Floats, known_at: Floats) -> State:
        """The state after these rows, in the order in which their labels became known. Pure; calls may be cut anywhere.

        `outputs` are what the model answered before calibration. A label from an earlier block counts to the open one.
        """
        blocks = np.maximum.accumulate(np.append(state.block, np.floor(known_at / self.block_seconds)))[1:]
        for block in np.unique(blocks).tolist():
            rows = blocks == block
            if block > state.block >= 0:
                state = self._closed(state)
            state = self._added(changed(state, block=int(block)), labels[rows], outputs[rows])
        return state

    def _added(self, state: State, labels: Floats, outputs: Floats) -> State:
        sums = np.array(state.sums) + self._learner.add(labels, outputs)
        lead, most = self._duel(state, labels, outputs) if state.next else (0.0, 0.0)
        return changed(
            state,
            sums=tuple(map(tuple, sums.tolist())),
            rows=state.rows + len(labels),
            seen=state.seen + len(labels),
            lead=state.lead + lead,
            most=state.most + most,
        )

    def _duel(self, state: State, labels: Floats, outputs: Floats) -> tuple[float, float]:
        """By how much the squared error of the challenger is lower, and by how much it could have been either way."""
        held, challenger = (apply(replace(self.leaf, **n), outputs) for n in self._duellists(state))
        if held.ndim == 1:
            held, challenger = (np.stack([1 - p, p], axis=1) for p in (held, challenger))
        # What each label that there is would have made of it.
        lead = (held**2 - challenger**2).sum(axis=1, keepdims=True) - 2 * (held - challenger)
        of_label = lead[np.arange(len(labels)), labels.astype(np.int64)]
        return float(of_label.sum()), float(np.abs(lead).max(axis=1).sum())

    def _duellists(self, state: State) -> tuple[Mapping[str, float], Mapping[str, float]]:
        """What is in force, and what challenges it: where labels are followed, the numbers of the release."""
        return (state.force, self.start.force) if state.follows else (state.force, state.next)

    def _closed(self, state: State) -> State:
        """The block is over: the bets are paid out, what was better is put in force, and the numbers are fitted."""
        if state.most > 0:
            state = self._paid(state)
        sums = np.array(state.sums)
        fitted = self._learner.fit(sums) if state.seen >= self.least_rows else None
        faded = sums * 0.5 ** (state.rows / self.half_life)
        after = changed(state, next=fitted or state.next, sums=tuple(map(tuple, faded.tolist())))
        after = changed(after, rows=0, lead=0.0, most=0.0, seen=state.seen * 0.5 ** (state.rows / self.half_life))
        return changed(after, force=after.next) if after.follows else after

    def _paid(self, state: State) -> State:
        blocks = state.blocks + 1
        began = np.array(state.capital) + 1 / (blocks * (blocks + 1))
        capital = began * (1 + STAKES * state.lead / state.most)
        state = changed(state, capital=tuple(capital.tolist()), blocks=blocks)
        if evidence(state) < self.wanted(state):
            return state
        _, better = self._duellists(state)
        state = changed(state, force=better, follows=self.guard == "following" and not state.follows)
        return changed(state, capital=NO_CAPITAL, blocks=0, changes=state.changes + 1)

    def wanted(self, state: State) -> float:
        """The capital at which the next change is made."""
        return (state.changes + 1) * (state.changes + 2) / self.alpha


def evidence(state: State) -> float:
    """The capital of all stakes together, and of the bets that have not begun yet; 1 before the first block."""
    return float(np.mean(state.capital)) + 1 / (state.blocks + 1)


def numbers_of(leaf: Any) -> tuple[str, ...]:
    """The names of what is fitted."""
    names = {"calibrated": ("slope", "intercept"), "temperature": ("temperature",)}
    names["beta_calibrated"] = ("near_zero", "near_one", "intercept")
    sums_for(leaf)
    return names[leaf.catalog_name]


def value_of(state: State) -> dict[str, float | tuple[float, ...]]:
    """The state as a Dial keeps it, the numbers in force by their own names."""
    value: dict[str, float | tuple[float, ...]] = dict(state.force)
    value |= {NEXT + name: number for name, number in state.next.items()}
    value |= {f"{SUM}{k}": row for k, row in enumerate(state.sums)}
    value["capital"] = state.capital
    counted = ("follows", "blocks", "changes", "block", "rows", "seen", "lead", "most")
    return value | {name: float(getattr(state, name)) for name in counted}


def state_of(value: Value, start: State) -> State:
    """The state that a Dial kept; `start` says which numbers there are."""

    def number(name: str) -> float:
        found = value[name]
        assert not isinstance(found, tuple)
        return float(found)

    following = {name: number(NEXT + name) for name in start.force if NEXT + name in value}
    sums = tuple(_row(value[f"{SUM}{k}"]) for k in range(len(start.sums)))
    return State(
        {name: number(name) for name in start.force},
        following,
        sums,
        follows=bool(number("follows")),
        capital=_row(value["capital"]),
        blocks=int(number("blocks")),
        changes=int(number("changes")),
        block=int(number("block")),
        rows=int(number("rows")),
        seen=number("seen"),
        lead=number("lead"),
        most=number("most"),
    )


def _row(value: float | tuple[float, ...]) -> tuple[float, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def told(state: State, following: Following) -> str:
    """The state in a sentence."""
    if not state.next:
        return "too few labels yet to fit again"
    if state.changes and not state.blocks:
        return f"change {state.changes}: shown to be better than what was in force"
    what = "followed" if state.follows else "kept"
    found, wanted = evidence(state), following.wanted(state)
    return f"{what}: evidence {found:.3g} of the {wanted:.3g} that a change takes, after {state.blocks} blocks"
