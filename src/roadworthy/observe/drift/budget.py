"""A budget of false alarms a month, shared out over the looks and the detectors of a monitor."""

from __future__ import annotations

from roadworthy.core.spec import Monitor

MONTH_DAYS = 30.0
# A detector that errs in more than one of ten looks is believed by nobody, whatever the budget.
MOST_ALPHA = 0.1


def alpha_a_look(monitor: Monitor) -> float:
    """The rate of false alarms that each detector may have at each look, so that all keep to the budget of a month.

    Expected false alarms add up, whether or not the looks share rows, so no more is needed than to share out.

    >>> alpha_a_look(Monitor(detectors=("drift", "calibration"), every_days=1.0, false_alarms_a_month=0.6))
    0.01
    """
    looks = MONTH_DAYS / monitor.every_days
    return min(MOST_ALPHA, monitor.false_alarms_a_month / (looks * max(1, len(monitor.detectors))))
