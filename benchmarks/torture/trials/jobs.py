"""200 deaths of a server with asynchronous jobs, at any moment: every accepted job is done once, by its key."""

from __future__ import annotations

from given import Given, counted

from roadworthy.core.measure import Measurement, Requirement
from roadworthy.testing.job_deaths import torture

WANTED = (
    Requirement("jobs_lost_or_doubled", at_most=0),
    Requirement("jobs_accepted", at_least=100),
)
TIMES = 200


def run(given: Given) -> list[Measurement]:
    """Callers ask with idempotency keys until they are answered 202; afterwards each job and each key is looked at."""
    folder = given.folder / "jobs"
    folder.mkdir(parents=True)
    tally = torture(folder, given.times(TIMES), given.seed, say=print)
    n = len(tally.accepted)
    print(f"  {tally.kills} kills, {n} jobs, {len(tally.again)} tried again; faults: {tally.faults[:5]}")
    return [
        counted("jobs_lost_or_doubled", len(tally.faults), n, kills=tally.kills),
        counted("jobs_accepted", n, n),
        counted("jobs_tried_again", len(tally.again), n),
    ]
