from __future__ import annotations

import numpy as np
import pytest

from roadworthy.route.routers.fitting import RouterFit, fit
from roadworthy.route.routers.labelled import Labelled
from roadworthy.route.routers.router_text import beats_chance, fit_lines
from roadworthy.ui.route_document import route_document, route_page


def fitted(told: float) -> RouterFit:
    """A router over one number, which tells as much of which rows the cheap model gets wrong, and its confidence."""
    rng = np.random.default_rng(0)
    hard = rng.random(400)
    strong, weak = (rng.random(400) < 0.95).astype(float), (rng.random(400) > told * hard).astype(float)
    return fit(Labelled({"x": hard}, strong, weak, after={"confidence": 1 - hard * told}), tag="")


@pytest.mark.parametrize(("told", "badge"), [(0.9, "better than chance"), (0.0, "not shown to beat chance")])
def test_the_badge_says_whether_chance_was_beaten(told: float, badge: str) -> None:
    if not told:
        rng = np.random.default_rng(1)
        strong, weak = ((rng.random(300) < share).astype(float) for share in (0.9, 0.8))
        found = fit(Labelled({"x": rng.random(300)}, strong, weak), tag="")
    else:
        found = fitted(told)
    assert route_document(found, "scans").badge.text == badge
    assert beats_chance(found) is (badge == "better than chance")
    assert any("not shown to be better than chance" in line for line in fit_lines(found)) is not beats_chance(found)


def test_the_page_names_both_models_and_the_look_after_the_answer() -> None:
    page = route_page(fitted(0.9), "scans")
    assert "AUC of the dear model" in page
    assert "log loss of the cheap model" in page
    assert "The same after the answer" in page
