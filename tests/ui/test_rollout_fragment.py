"""The section of a rollout: whole and safe HTML, everything as text too, and nothing that axe finds wrong."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.spec import Rollout, Signal, Stage
from roadworthy.rollout.rollout_state import RolloutState
from roadworthy.rollout.views.view import Step, View, view_of
from roadworthy.ui.rollout_drawing import course_chart, evidence_svg
from roadworthy.ui.rollout_fragment import rollout_fragment, rollout_page

CHROMIUM = shutil.which("chromium")
T0 = 1_370_000_000.0
HOUR = 3600.0
NASTY = "</section><script>alert('x')</script><img src=http://evil.example/x> \u202e"
BOUNDS = {"allowed": 0.011, "fails_above": 0.03}
SHOWN = Measurement("auc_difference", 0.002, 400, -0.016, 0.02, where="pairs", conditions=BOUNDS)
ODDS = Measurement("evidence", 4.0, 400, conditions={"enough": 20.0})
AXE = """<script>
axe.run(document).then((all) => {
  const pre = document.createElement("pre");
  pre.id = "axe-found";
  const wrong = all.violations.map((v) => [v.id, v.nodes.map((n) => n.html)]);
  pre.textContent = JSON.stringify({passes: all.passes.length, wrong});
  document.body.append(pre);
});
</script>"""


@pytest.fixture
def view() -> View:
    """A canary in which one gate waits, one passes, one fails and one is not asked."""
    signals = (
        Signal("errors"),
        Signal("quality:metric=auc", may="block"),
        Signal("cost", may="advise"),
        Signal("drift", modes=("ab",)),
    )
    stages = (Stage("shadow", hours=2), Stage("canary", 0.25, 3, 24, "origin=LGA"), Stage("canary", 0.5, 3))
    verdicts = (
        Verdict("wait", "it may still be worse", evidence=(replace(SHOWN, name="error_rate_excess", where=""), ODDS)),
        Verdict("pass", "no worse", evidence=(SHOWN, Measurement("plain", 1.0, 3))),
        Verdict("fail", "dearer"),
    )
    state = RolloutState(
        id="a1b2",
        deployment="flights",
        candidate="c" * 64,
        control="5" * 64,
        plan=Rollout(stages, signals=signals, timezone="America/New_York"),
        started_at=T0,
        stage_since=T0 + 2 * HOUR,
        by="anna",
        stage=1,
        verdicts=verdicts,
        because="1.0 of 3 h: errors waits",
        touched=1234,
        asked=(0, 1, 2),
        begun=(T0, T0 + 2 * HOUR),
    )
    odds = [replace(ODDS, n=n, value=n / 100) for n in (50, 100, 400)]
    courses = {0: odds, 1: [replace(SHOWN, n=n, high=30 / n) for n in (40, 200, 400)]}
    steps = (Step(T0, "started with shadow 100 %", "anna", "weekly retraining"), Step(T0, "rolled back in canary", "c"))
    return replace(view_of(state, T0 + 3 * HOUR, courses=courses), steps=steps)


def test_the_fragment_is_one_closed_section(view: View, page: Any) -> None:
    read = page(rollout_fragment(view))
    assert read.open == []
    assert read.tags[0] == "section"
    assert read.tags.count("section") == 1
    assert set(read.references) <= set(read.ids)
    assert len(read.ids) == len(set(read.ids))
    assert "script" not in read.tags


def test_the_page_is_whole_and_loads_nothing(view: View, page: Any) -> None:
    text = rollout_page(view)
    read = page(text)
    assert text.startswith("<!doctype html>")
    assert read.open == []
    assert read.outside == []
    assert "<title>flights: running · Roadworthy</title>" in text


def test_every_number_stands_as_text(view: View, page: Any) -> None:
    text = " ".join(page(rollout_fragment(view)).text.split())
    for told in (
        "Stage 2 of 3: canary 25 % of origin=LGA … running",
        "started 31 May 2013, 07:33 by anna",
        "It has answered 1,234 requests.",
        "stable 75 %, candidate 25 % of origin=LGA",
        "done: 2 h of at least 2 h",
        "AUC difference pairs, n 400",
        "+0.002 [-0.016, +0.02] passes ≤ 0.011, fails > 0.03",
        "4 of 20 to 1",
        "· not asked",
        "asked in ab only",
        "The numbers",
        "weekly retraining",
    ):
        assert told in text


def test_a_shadow_a_pause_and_a_problem_are_told(view: View) -> None:
    text = rollout_fragment(replace(view, mirrored=0.5, paused="lunch", problem="no gate"))
    assert "50 % of origin=LGA shown to the candidate" in text
    assert "<strong>Paused:</strong> lunch" in text
    assert "<strong>The gates cannot be asked:</strong> no gate" in text
    assert "… paused" in text


def test_nobody_can_write_tags_or_turn_the_text_around(view: View, page: Any) -> None:
    signal = replace(view.signals[1], signal=NASTY, because=NASTY, evidence=(replace(SHOWN, name=NASTY, where=NASTY),))
    course = tuple(replace(m, name=NASTY, where=NASTY) for m in view.signals[1].course)
    stages = tuple(replace(stage, name=NASTY) for stage in view.stages)
    nasty = replace(
        view,
        deployment=NASTY,
        by=NASTY,
        because=NASTY,
        where=NASTY,
        stages=stages,
        signals=(replace(signal, course=course),),
        steps=(Step(T0, NASTY, NASTY, NASTY),),
    )
    for text in (rollout_fragment(nasty), rollout_page(nasty)):
        read = page(text)
        assert not {"script", "img"} & set(read.tags)
        assert read.open == []
        assert "\u202e" not in text


def test_what_is_hardly_begun_is_a_section_too(view: View) -> None:
    bare = replace(view, signals=(), steps=(), left=None, because="")
    text = rollout_fragment(bare)
    assert "Nothing was asked yet." in text
    assert "How the evidence came about" not in text
    few = replace(view.signals[1], course=view.signals[1].course[:2])
    assert "<figure" not in rollout_fragment(replace(view, signals=(few,)))


def test_open_bounds_and_huge_odds_are_drawn_within_the_bar() -> None:
    drawn = evidence_svg(replace(SHOWN, high=float("inf"), low=-float("inf")))
    places = [float(x) for x in re.findall(r' x\d?="([-\d.]+)"', drawn)]
    assert all(0 <= x <= 360 for x in places)
    assert "nan" not in drawn
    full = evidence_svg(replace(ODDS, value=1e300))
    assert 'class="full enough" x="0" y="7" width="360.0"' in full
    assert "10^300 of 20 to 1" in full


def test_a_course_has_its_bounds_its_band_and_its_numbers() -> None:
    points = [replace(SHOWN, n=n, high=30 / n) for n in (40, 200, 400)]
    drawn = course_chart("quality", points)
    assert "passes ≤ 0.011" in drawn
    assert "fails &gt; 0.03" in drawn
    assert drawn.count("<polygon") == 1
    assert drawn.count("<tr>") == 4
    odds = course_chart("errors", [replace(ODDS, n=n) for n in (40, 200)])
    assert "enough to fail" in odds
    assert "<polygon" not in odds


@pytest.mark.skipif(not CHROMIUM, reason="no chromium on PATH")
@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_wrong(view: View, tmp_path: Path, dark: bool) -> None:
    spec = find_spec("axe_core_python")
    if spec is None or spec.origin is None:
        pytest.skip("axe-core-python is not installed")
    script = (Path(spec.origin).parent / "axe.min.js").read_text(encoding="utf-8").replace("</script", "<\\/script")
    before, after = rollout_page(view).replace("<details", "<details open").rsplit("</body>", 1)
    file = tmp_path / "page.html"
    file.write_text(f"{before}<script>{script}</script>{AXE}</body>{after}", encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    options += [f"--blink-settings=preferredColorScheme={int(not dark)}", "--virtual-time-budget=60000", "--dump-dom"]
    done = subprocess.run([str(CHROMIUM), *options, file.as_uri()], capture_output=True, text=True, timeout=120)
    found = re.search(r'<pre id="axe-found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    told = json.loads(html.unescape(found[1]))
    assert told["wrong"] == []
    assert told["passes"] > 15
