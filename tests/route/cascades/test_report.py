from __future__ import annotations

import msgspec
import numpy as np

from roadworthy.core.measure import Measurement
from roadworthy.route.cascades.filters import fit_filter
from roadworthy.route.cascades.fits import CascadeFit, Level, Target
from roadworthy.route.cascades.report import CascadePlot, plot_of, report

NINE = Target(precision=0.9, recall=0.9)


def test_the_report_says_what_is_promised_and_what_it_rests_on(rows):
    scores, truth = rows(4000, np.random.default_rng(0))
    fit = fit_filter(truth, [scores], NINE, np.random.default_rng(0), names=("small",))
    told = report(fit)
    assert "precision 0.9 and recall 0.9 with probability 0.9" in told
    assert "small: no below" in told
    assert "(ideal on the tested rows:" in told
    assert "rests on 4,000 labels" in told
    assert "was not measured" in told


def test_thresholds_of_classes_and_shut_levels_are_told():
    levels = (Level(by_class=(0.5, None)), Level(name="b"), Level(keep_from=0.7, name="c"), Level(accept_from=0.8))
    told = report(CascadeFit(NINE, "batch", levels, 9, 9, Measurement("delegation", 0.2, 9), "x", bought=3, flips=0.01))
    assert "by predicted class: 0.5, never" in told
    assert "b: sends every row on" in told
    assert "c: answers where its confidence is at least 0.7" in told
    assert "cheap: yes from 0.8 on" in told
    assert "flips at most 1.00%" in told
    assert "3 of them bought" in told


def test_the_plot_has_the_point_that_was_chosen(rows):
    scores, truth = rows(4000, np.random.default_rng(0))
    fit = fit_filter(truth, [scores], NINE, np.random.default_rng(0))
    plot = plot_of(fit)
    assert abs(plot.chosen.delegation - fit.delegation.value) < 1e-9
    assert all(point.delegation <= 1 for point in plot.ideal)
    assert msgspec.json.decode(msgspec.json.encode(plot), type=CascadePlot) == plot
