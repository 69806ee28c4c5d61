"""The ledger of a routed mixture: what every call cost, per resolved request, and whether no router had been cheaper.

It reads records only. Comparisons and explored answers are told apart from what routing itself costs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from roadworthy.core.blocks import block_sums, of_totals
from roadworthy.core.charges import PURPOSES, Purpose
from roadworthy.core.errors import BadData
from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.record import Record
from roadworthy.cost.bills import Bill, bills

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Right = Callable[[Record], float]

# What each row is reduced to; sums of these over blocks of requests give every figure with its interval.
_COLUMNS = (
    "rows",
    "requests",
    "answered",
    "labelled",
    "right",
    "usd",
    "learning",  # comparisons, and what explored answers cost beyond the wanted ones
    "strong",  # rows that went to the strong member because it was wanted
    "tried",  # of these, rows that the weak one was asked about before
    "overhead",  # router, verifier, and what no step tells; failed calls are in the members' prices
    "strong_usd",
    "strong_weight",
    "weak_usd",
    "weak_weight",
    "strong_right",
    "strong_labelled",
    "weak_right",
    "weak_labelled",
)


class Line(Struct, frozen=True, omit_defaults=True):
    """What one member (or the router, ...) was paid for one purpose: calls, their cost and the time they took."""

    at: str
    purpose: Purpose
    calls: int
    usd: float
    seconds: float
    unpriced: int = 0


class Ledger(Struct, frozen=True, omit_defaults=True):
    """Every dollar of a routed mixture, and what it would have been without a router.

    `measured` holds, each with its interval: `usd_per_request`, `usd_per_answered` and `usd_per_right` request,
    `usd_per_row` (with `where` "" as it was, "without learning", and a member's name for that one alone), `saving` per
    row against the strong member alone (as it was, and without learning), `strong_share`, `break_even_share`, and
    `usd_per_right_row` of the mixture and of either member alone.
    """

    requests: int
    rows: int
    failed: int
    unpriced: int
    retries: int
    usd: float
    learning_usd: float
    lines: tuple[Line, ...]
    measured: tuple[Measurement, ...]
    verdict: Verdict

    def of(self, name: str, where: str = "") -> Measurement:
        """A measurement by its name. Raises LookupError on one that a ledger does not have."""
        for found in self.measured:
            if found.name == name and found.where == where:
                return found
        raise LookupError(f"this ledger has no {name!r} of {where!r}")


def ledger(
    records: Sequence[Record],
    members: Sequence[str],
    right: Right | None = None,
    planned_share: float | None = None,
    confidence: float = 0.95,
) -> Ledger:
    """The ledger of records whose paths name `members`, the cheapest first; the last is the strong one.

    `right` says whether a labelled row's answer was right (1.0 or 0.0, NaN where nobody knows); `right_by` makes one.
    The price of a member alone is that of the rows that it was asked about, each weighted with 1 over the chance of
    being asked, where that was written down; its failures and retries are in it. Raises BadData without records, or
    where either member never answered.
    """
    if len(members) < 2:
        raise BadData(f"a ledger compares a mixture with its dearest member: name two or more, got {list(members)!r}")
    found = bills(records, members)
    if not found:
        raise BadData("no record to bill: neither stable's rows nor those of another arm that answers users")
    weak, strong = members[0], members[-1]
    sums = _sums(found, weak, strong, right)
    measured = _measured(sums, found, weak, strong, confidence)
    return Ledger(
        len({bill.request for bill in found}),
        len(found),
        sum(bill.record.error is not None for bill in found),
        sum(math.isnan(bill.usd) for bill in found),
        sum(bill.retries for bill in found),
        math.fsum(bill.usd for bill in found if bill.usd == bill.usd),
        float(sums[:, _COLUMNS.index("learning")].sum()),
        tuple(_lines(found)),
        measured,
        _verdict({(one.name, one.where): one for one in measured}, strong, planned_share),
    )


def right_by(output: str = "probability", threshold: float = 0.5) -> Right:
    """A row is right where its output names its label: class 1 from `threshold` on, or the greatest of a vector."""

    def right(record: Record) -> float:
        value = record.outputs.get(output)
        if record.label is None or value is None:
            return math.nan
        if isinstance(value, float | int):
            return float((value >= threshold) == (record.label >= 0.5))
        return float(max(range(len(value)), key=value.__getitem__) == record.label)

    return right


def _lines(found: Sequence[Bill]) -> list[Line]:
    totals: dict[tuple[str, Purpose], list[float]] = {}
    for bill in found:
        for item in bill.items:
            total = totals.setdefault((item.at, item.purpose), [0, 0.0, 0.0, 0])
            total[0] += 1
            total[1] += 0.0 if math.isnan(item.usd) else item.usd
            total[2] += item.seconds
            total[3] += math.isnan(item.usd)
    order = sorted(totals, key=lambda key: (PURPOSES.index(key[1]), key[0]))
    return [
        Line(at, purpose, int(calls), usd, seconds, int(unpriced))
        for at, purpose in order
        for calls, usd, seconds, unpriced in (totals[at, purpose],)
    ]


def _sums(found: Sequence[Bill], weak: str, strong: str, right: Right | None) -> NDArray[np.float64]:
    """The columns, summed over blocks of whole requests in time order."""
    import numpy as np

    prices = {name: _mean_price(found, name) for name in (weak, strong)}
    rows = np.array([_row(bill, weak, strong, right, prices) for bill in found], np.float64)
    requests = [bill.request for bill in found]
    rows[:, 1:5] = _by_request(rows, requests)
    return block_sums(rows, requests, [bill.record.at for bill in found])


def _by_request(rows: NDArray[np.float64], requests: Sequence[str]) -> NDArray[np.float64]:
    """Requests, and those answered, labelled and right in all of their rows, counted at each request's first row."""
    import numpy as np

    _, first, inverse, counts = np.unique(requests, return_index=True, return_inverse=True, return_counts=True)
    whole = np.stack([np.bincount(inverse, rows[:, k]) == counts for k in range(1, 5)], axis=1)
    at_first = np.zeros((len(rows), 4))
    at_first[first] = whole
    return at_first


def _mean_price(found: Sequence[Bill], name: str) -> float:
    paid = [item.usd for bill in found for item in bill.items if item.at == name and _is_answer(item.purpose)]
    known = [usd for usd in paid if usd == usd]
    return math.fsum(known) / len(known) if known else math.nan


def _is_answer(purpose: Purpose) -> bool:
    return purpose in ("answer", "tried", "comparison", "explored")


def _row(bill: Bill, weak: str, strong: str, right: Right | None, prices: Mapping[str, float]) -> tuple[float, ...]:
    record, answered = bill.record, bill.record.error is None
    judged = math.nan if right is None or not answered else right(record)
    labelled = judged == judged
    usd = 0.0 if math.isnan(bill.usd) else bill.usd
    explored = next((item.at for item in bill.items if item.purpose == "explored"), "")
    # An explored answer stands in for the wanted one, which would have cost something too.
    instead = prices[strong if explored == weak else weak] if explored else 0.0
    learning = bill.usd_of("comparison") + bill.usd_of("explored") - (0.0 if math.isnan(instead) else instead)
    wanted = explored == weak if explored else bill.has(strong, "answer")
    overhead = bill.usd_of("router") + bill.usd_of("verifier") + bill.usd_of("other")
    own = [_alone(bill, name, judged, answered_by(bill, weak, strong) == name) for name in (strong, weak)]
    return (
        1.0,
        1.0,
        float(answered),
        float(labelled),
        judged if labelled else 0.0,
        usd,
        learning if explored or bill.usd_of("comparison") else 0.0,
        float(wanted),
        float(wanted and bill.has(weak, "tried")),
        overhead,
        *own[0][:2],
        *own[1][:2],
        *own[0][2:],
        *own[1][2:],
    )


def answered_by(bill: Bill, weak: str, strong: str) -> str:
    """Whose answer went out: the strong member's wherever it gave one, for a comparison too."""
    if any(item.at == strong and _is_answer(item.purpose) for item in bill.items):
        return strong
    return weak if any(item.at == weak and _is_answer(item.purpose) for item in bill.items) else ""


def _alone(bill: Bill, name: str, judged: float, its_answer: bool) -> tuple[float, float, float, float]:
    """Weighted: what the row cost at this member, that it was asked, that it was right, and that that is known."""
    asked = [item for item in bill.items if item.at == name and (_is_answer(item.purpose) or item.purpose == "failed")]
    chance = 1.0 if bill.chances is None else bill.chances.get(name, 1.0)
    if not asked or not chance > 0 or any(math.isnan(item.usd) for item in asked):
        return 0.0, 0.0, 0.0, 0.0
    known = its_answer and judged == judged
    weight = 1.0 / chance
    return sum(item.usd for item in asked) * weight, weight, weight * judged if known else 0.0, weight * known


def _measured(
    sums: NDArray[np.float64], found: Sequence[Bill], weak: str, strong: str, confidence: float
) -> tuple[Measurement, ...]:
    n, place = len(found), {name: k for k, name in enumerate(_COLUMNS)}
    weighted = all(bill.chances is not None for bill in found if bill.record.error is None)

    def measure(
        name: str, value: Callable[[Callable[[str], Any]], Any], unit: str = "usd", where: str = ""
    ) -> Measurement:
        def of(totals: NDArray[np.float64]) -> Any:
            return value(lambda column: totals[:, place[column]])

        one = of_totals(name, sums, of, n, unit, where, confidence)
        return Measurement(
            name, one.value, one.n, one.low, one.high, unit, where, {**one.conditions, "weighted": weighted}
        )

    return (
        measure("usd_per_request", lambda t: t("usd") / t("requests")),
        measure("usd_per_answered", lambda t: t("usd") / t("answered")),
        measure("usd_per_right", lambda t: t("usd") / t("requests") * t("labelled") / t("right")),
        measure("usd_per_row", lambda t: t("usd") / t("rows")),
        measure("usd_per_row", lambda t: (t("usd") - t("learning")) / t("rows"), where="without learning"),
        measure("usd_per_row", lambda t: _price(t, "strong"), where=strong),
        measure("usd_per_row", lambda t: _price(t, "weak"), where=weak),
        measure("saving", lambda t: _price(t, "strong") - t("usd") / t("rows")),
        measure(
            "saving", lambda t: _price(t, "strong") - (t("usd") - t("learning")) / t("rows"), where="without learning"
        ),
        measure("strong_share", lambda t: t("strong") / t("rows"), "1"),
        measure("break_even_share", _break_even, "1"),
        measure("usd_per_right_row", lambda t: _price(t, "strong") / _rate(t, "strong"), where=strong),
        measure("usd_per_right_row", lambda t: _price(t, "weak") / _rate(t, "weak"), where=weak),
    )


def _price(t: Callable[[str], Any], member: str) -> Any:
    """What a row costs at one member, its failures and retries included."""
    return t(f"{member}_usd") / t(f"{member}_weight")


def _rate(t: Callable[[str], Any], member: str) -> Any:
    return t(f"{member}_right") / t(f"{member}_labelled")


def _break_even(t: Callable[[str], Any]) -> Any:
    """The share of the strong member at which the mixture costs as much as that member alone.

    With prices s and w, overhead o a row, and the weak one tried before a share q of the escalations, a share e costs
    o + (1 - e) w + e (s + q w), which is s at e = (s - w - o) / (s - w + q w).
    """
    s, w, o = _price(t, "strong"), _price(t, "weak"), t("overhead") / t("rows")
    return (s - w - o) / (s - w + t("tried") / t("strong") * w)


def _verdict(measured: Mapping[tuple[str, str], Measurement], strong: str, planned_share: float | None) -> Verdict:
    """Was the mixture cheaper than its strong member alone would have been?"""
    saving, share = measured["saving", ""], measured["strong_share", ""]
    even = measured["break_even_share", ""]
    evidence = (saving, share, even, measured["usd_per_row", ""], measured["usd_per_row", strong])
    if saving.n == 0:
        return Verdict("wait", f"nobody knows what {strong} costs: none of its rows has a price", "saving", evidence)
    plan = "" if planned_share is None else f" where {planned_share:.1%} was planned"
    breaks = f", and it pays up to {even.value:.1%}" if even.n else ""
    said = f"{share.value:.1%} of the rows went to {strong}{plan}{breaks}"
    each = _per_1k(saving.value, saving.low, saving.high)
    if saving.high < 0:
        lost = _per_1k(-saving.value, -saving.high, -saving.low)
        because = f"net loss: {strong} alone would have been cheaper by {lost}; {said}"
        return Verdict("fail", because, "saving", evidence)
    if saving.low > 0:
        return Verdict("pass", f"cheaper than {strong} alone by {each}; {said}", "saving", evidence)
    return Verdict("wait", f"the saving of {each} may be none; {said}", "saving", evidence)


def _per_1k(value: float, low: float, high: float) -> str:
    return f"{1000 * value:.4g} usd per 1,000 rows [{1000 * low:.4g}, {1000 * high:.4g}]"
