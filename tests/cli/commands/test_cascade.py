"""`roadworthy cascade` fits two models of a project into one that keeps a promise, and watches it in the records."""

from __future__ import annotations

import msgspec
import pytest

from roadworthy.route.cascades.fits import CascadeFit
from roadworthy.route.cascades.report import plot_of

# Fails on the first request only.
TOUCHY = '''
from dataclasses import dataclass

@dataclass(frozen=True)
class Touchy:
    """Does not like to begin."""
    def __call__(self, inner):
        async def ask(request):
            if request.id == "ask-0":
                raise ZeroDivisionError("not this one")
            return await inner(request)
        return ask
'''


def test_a_fit_is_released_serves_and_is_watched(call, two, answered):
    told = call("cascade", "fit", "--rows", "production", "--agreement", "0.97", "--project", two, "--json")
    assert told.code == 0, told.err
    fit = msgspec.json.decode((two / "model" / "policy.json").read_bytes(), type=CascadeFit)
    assert msgspec.convert(told.body["fit"], CascadeFit) == fit
    assert 0 < fit.delegation.value < 1
    assert plot_of(fit).curve
    page = (two / ".roadworthy" / "cascade.html").read_text()
    assert "Promised: agreement 0.97 with probability 0.9" in page
    assert "For 1,000 rows" in page
    assert call("release", "--project", two).code == 0
    asked = answered(two, 300)
    watched = call("cascade", "report", "--days", "4000", "--project", two, "--json")
    assert watched.code in (0, 3), watched.err
    assert watched.body["ledger"]["rows"] == asked
    assert {line["at"] for line in watched.body["ledger"]["lines"]} == {"small", "large"}
    assert watched.body["ledger"]["usd"] > 0
    assert watched.body["verdicts"][0]["of"] == "agreement"


def test_a_fit_says_what_to_do_next_and_each_action_has_its_own_help(call, two, tmp_path):
    words = ("cascade", "fit", "--rows", "production", "--project", two)
    assert "next: `roadworthy release` makes a release" in call(*words, "--agreement", "0.97").out
    beside = call(*words, "--agreement", "0.97", "--out", tmp_path / "other.json")
    assert f"`policy_file: {tmp_path / 'other.json'}`, then `roadworthy release`" in beside.out
    helped = {action: call("cascade", action, "--help").out for action in ("fit", "answer", "report")}
    assert "--by-class" in helped["fit"]
    assert "--by-class" not in helped["answer"]
    assert "--part-rows" in helped["answer"]
    assert "--days" in helped["report"]
    assert all("--json" in told for told in helped.values())


def test_rows_that_a_member_fails_on_are_told(call, two):
    (two / "touchy.py").write_text(TOUCHY)
    file = two / "roadworthy.yaml"
    large = "large: {file: model/clinic.onnx, usd_per_1k: 2.0"
    file.write_text(file.read_text().replace(large, f"{large}, wrappers: ['touchy.py:Touchy']"))
    told = call("cascade", "fit", "--rows", "production", "--agreement", "0.95", "--project", two)
    assert "256 of them failed and are left out, most often: ZeroDivisionError: not this one" in told.err


def test_a_promise_that_the_rows_cannot_carry_is_refused_or_sends_all_on(call, two):
    few = call("cascade", "fit", "--rows", "lab", "--agreement", "0.99999", "--project", two)
    assert few.code == 2
    assert "rows" in few.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "got nothing"),
        (("--precision", "0.9"), "`--precision 0.9 --recall 0.9`"),
        (("--agreement", "1.2"), "must lie between 0 and 1, got 1.2"),
    ],
)
def test_a_promise_must_be_one(call, two, words, said):
    refused = call("cascade", "fit", *words, "--project", two)
    assert refused.code == 2
    assert said in refused.err


def test_one_model_is_no_cascade(call, released, answered):
    answered(released, 3)
    out = released / "fit.json"
    assert (
        "names no `model.members`"
        in call("cascade", "fit", "--agreement", "0.9", "--out", out, "--project", released).err
    )
    assert "answers by no fitted cascade" in call("cascade", "report", "--days", "4000", "--project", released).err
    assert "where to?" in call("cascade", "fit", "--agreement", "0.9", "--project", released).err
