"""Axe in Chromium looks at every page as a reader with a screen reader or a keyboard would, light and dark."""

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

from roadworthy.ui.report import compare_page, gap_page, life_page

CHROMIUM = shutil.which("chromium")
SCHEMES = {"dark": 0, "light": 1}
RUN = """<script>
const say = (found) => {
  const pre = document.createElement("pre");
  pre.id = "axe-found";
  pre.textContent = JSON.stringify({dark: matchMedia("(prefers-color-scheme: dark)").matches, ...found});
  document.body.append(pre);
};
axe.run(document).then(
  (all) => say({passes: all.passes.length, violations: all.violations.map((v) => [v.id, v.nodes.map((n) => n.html)])}),
  (wrong) => say({error: String(wrong)}),
);
</script>"""

needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="no chromium on PATH")


@pytest.fixture(scope="module")
def axe() -> str:
    spec = find_spec("axe_core_python")
    if spec is None or spec.origin is None:
        pytest.skip("axe-core-python is not installed")
    return (Path(spec.origin).parent / "axe.min.js").read_text(encoding="utf-8")


def looked_at(page: str, axe: str, scheme: str, folder: Path) -> dict[str, Any]:
    """What axe says of a page, with everything unfolded."""
    script = "<script>" + axe.replace("</script", "<\\/script") + "</script>"
    # The script stands at the end, so that the text of the page comes before any other closing tag of a body.
    opened = page.replace("<details", "<details open")
    before, after = opened.rsplit("</body>", 1)
    file = folder / "page.html"
    file.write_text(f"{before}{script}{RUN}</body>{after}", encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    options += [f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}", "--virtual-time-budget=60000", "--dump-dom"]
    done = subprocess.run(
        [str(CHROMIUM), *options, file.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    found = re.search(r'<pre id="axe-found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    told: dict[str, Any] = json.loads(html.unescape(found[1]))
    assert told["dark"] == (scheme == "dark")
    return told


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize(("which", "scheme"), [(w, s) for w in ("gap", "compare", "life") for s in SCHEMES])
def test_axe_finds_nothing_wrong(
    which: str, scheme: str, request: pytest.FixtureRequest, axe: str, tmp_path: Path
) -> None:
    given = {name: request.getfixturevalue(name) for name in ("rich", "diff", "comparison", "life")}
    pages = {"compare": lambda: compare_page(given["comparison"]), "life": lambda: life_page(given["life"])}
    page = pages.get(which, lambda: gap_page(given["rich"], given["diff"]))()
    told = looked_at(page, axe, scheme, tmp_path)
    assert told["violations"] == []
    assert told["passes"] > 20


@needs_chromium
@pytest.mark.slow
def test_axe_finds_what_is_wrong(axe: str, tmp_path: Path) -> None:
    page = '<!doctype html><html><head><title>t</title></head><body><main><img src="data:,"></main></body></html>'
    wrong = {name for name, _ in looked_at(page, axe, "light", tmp_path)["violations"]}
    assert {"image-alt", "html-has-lang"} <= wrong
