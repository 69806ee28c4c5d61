"""Run by the Python that has gbstats: reads counts as JSON from its input, writes the intervals of both kinds."""

import json
import sys

from gbstats.frequentist.tests import SequentialConfig, SequentialTwoSidedTTest
from gbstats.models.statistics import ProportionStatistic

found = []
for errors, rows, candidate_errors, candidate_rows in json.load(sys.stdin):
    arms = ProportionStatistic(n=rows, sum=errors), ProportionStatistic(n=candidate_rows, sum=candidate_errors)
    kinds = (SequentialConfig(difference_type=kind) for kind in ("absolute", "relative"))
    found.append([SequentialTwoSidedTTest(*arms, kind).confidence_interval for kind in kinds])
json.dump(found, sys.stdout, default=float)
