"""Which of the user's machines serves a demand for least: so many as its peak needs, paid for around the clock."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from roadworthy.core.errors import SpecError, unknown
from roadworthy.core.measure import Measurement
from roadworthy.cost.prices import usd_per_1k


class Machine(Struct, frozen=True, forbid_unknown_fields=True):
    """A machine that one can rent, as the user's table has it."""

    name: str
    usd_per_hour: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.usd_per_hour) and self.usd_per_hour > 0):
            raise SpecError(f"`usd_per_hour` of machine {self.name!r} must be above 0, got {self.usd_per_hour!r}")


class Demand(Struct, frozen=True, forbid_unknown_fields=True):
    """What the application will ask: requests a second on average and in its busiest time."""

    mean_rps: float
    peak_rps: float

    def __post_init__(self) -> None:
        if not (0 < self.mean_rps <= self.peak_rps < math.inf):
            given = f"{self.mean_rps!r} and {self.peak_rps!r}"
            raise SpecError(f"`mean_rps` must be above 0 and at most `peak_rps`, got {given}")


class Fleet(Struct, frozen=True):
    """So many machines of one kind, and what 1,000 requests on them cost; the conditions say how busy they are."""

    machine: Machine
    count: int
    usd_per_1k: Measurement


def fleet(machine: Machine, goodput: Measurement, demand: Demand) -> Fleet | None:
    """As many machines as the peak needs even at the lower bound of the goodput of one; None where nothing bounds it.

    Utilisation is not assumed but follows: the mean demand over what the machines could do.
    """
    if goodput.n == 0 or not goodput.low > 0:
        return None
    count = max(1, math.ceil(demand.peak_rps / goodput.low))
    utilisation = demand.mean_rps / (count * goodput.value)
    # All of the fleet is paid, and it answers the mean demand whatever it could do: the price has no more spread.
    usd = count * machine.usd_per_hour / 3.6 / demand.mean_rps
    conditions = {
        **goodput.conditions,
        "usd_per_hour": machine.usd_per_hour,
        "machines": count,
        "utilisation": utilisation,
    }
    price = Measurement("usd_per_1k", usd, goodput.n, usd, usd, "usd", machine.name, conditions)
    return Fleet(machine, count, price)


def price_list(
    machines: Sequence[Machine], goodputs: Mapping[str, Measurement], utilisation: float
) -> tuple[Measurement, ...]:
    """US dollars per 1,000 requests on each machine, `where` naming it, the cheapest first and the unknown last.

    `goodputs` maps a machine's name to what one of it was measured to do. Raises SpecError on a name that the table
    does not have.
    """
    known = {machine.name: machine for machine in machines}
    for name in goodputs:
        if name not in known:
            raise SpecError(unknown("machine", name, known))
    prices = [
        replace(usd_per_1k(known[name].usd_per_hour, found, utilisation), where=name)
        for name, found in goodputs.items()
    ]
    return tuple(sorted(prices, key=lambda price: (price.n == 0, price.value if price.n else 0.0)))
