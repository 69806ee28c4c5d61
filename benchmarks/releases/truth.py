"""What a candidate is really worth: both releases asked about every row of the four weeks after its day."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from roadworthy.cli.flows import handler_of
from roadworthy.cli.replaying import Tally, Traffic, send
from roadworthy.core.artifact import Release
from roadworthy.core.measure import Measurement
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Spec
from roadworthy.core.stats import auc, calibration_error, log_losses
from roadworthy.core.wire import Request, Response
from roadworthy.registry.releases import Registry
from roadworthy.serve.assemble import Assembled

FOLLOWING_DAYS = 28.0


class Truth(NamedTuple):
    """Candidate minus stable on the same rows: log loss (with its 95 % interval over days), AUC, calibration error.

    `on_slice` is the log loss on the carrier that suffers, where one does. Rows that the candidate failed are left
    out of these and counted in `failed`.
    """

    log_loss: Measurement
    auc: float
    ece: float
    on_slice: float
    failed: float


def truth(spec: Spec, registry: Registry, releases: tuple[Release, Release], rows: Sample, carrier: str) -> Truth:
    """Of (stable, candidate) on the rows after the candidate's day."""
    stable, candidate = (_answers(spec, registry, release, rows) for release in releases)
    answered = ~np.isnan(candidate)
    kept, one, other = rows.take(answered), stable[answered], candidate[answered]
    assert kept.labels is not None
    gaps = log_losses(kept.labels, other) - log_losses(kept.labels, one)
    on = kept.tags["carrier"] == carrier
    return Truth(
        _by_day(gaps),
        auc(kept.labels, other).value - auc(kept.labels, one).value,
        calibration_error(kept.labels, other).value - calibration_error(kept.labels, one).value,
        float(gaps[on].mean()) if on.any() else np.nan,
        float(1 - answered.mean()),
    )


def _by_day(gaps: NDArray[np.float64]) -> Measurement:
    """The mean gap; a day is one value, as the flights of a day share its weather."""
    days = np.array([part.mean() for part in np.array_split(gaps, int(FOLLOWING_DAYS))])
    mean, half = float(gaps.mean()), 1.96 * float(days.std(ddof=1)) / np.sqrt(len(days))
    return Measurement("log_loss_difference", mean, len(gaps), mean - half, mean + half, "nats")


def _answers(spec: Spec, registry: Registry, release: Release, rows: Sample) -> NDArray[np.float64]:
    """What the release's own handlers say to each row, as live requests in the order of time; NaN where they fail."""
    handler = handler_of(spec, release, registry.files(release))
    assert isinstance(handler, Assembled)
    traffic = Traffic(rows, spec.signature)
    found: dict[str, float] = {}

    async def ask(request: Request) -> Response:
        response = await handler(request)
        assert isinstance(response.outputs, dict)
        found[request.id] = float(np.asarray(response.outputs[spec.application.output].data).reshape(-1)[0])
        return response

    async def all_rows() -> None:
        await send(ask, traffic.between(-np.inf, np.inf), Tally(), in_flight=64)
        await handler.close()

    asyncio.run(all_rows())
    return np.array([found.get(id, np.nan) for id in traffic.ids])
