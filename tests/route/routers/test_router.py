from __future__ import annotations

from dataclasses import replace
from math import inf
from random import Random

import msgspec
import numpy as np
import pytest

from roadworthy.core.errors import BadRequest, SpecError
from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.route.routers.fitting import fit
from roadworthy.route.routers.labelled import Labelled
from roadworthy.route.routers.logistic import sigmoid
from roadworthy.route.routers.router import Guarded, GuardedAfter, Router, Settings, load

WORDS = ("sum", "proof", "poem", "city", "river", "integral", "name", "colour", "law", "cell")


def rows(n: int = 300, seed: int = 0) -> Labelled:
    rng = np.random.default_rng(seed)
    prompts = [" ".join(rng.choice(WORDS, 5)) for _ in range(n)]
    hard = np.array(["proof" in prompt or "integral" in prompt for prompt in prompts])
    weak, strong = (rng.random(n) < np.where(hard, low, 0.9) for low in (0.3, 0.85))
    segments = rng.choice(["science", "letters"], n).tolist()
    return Labelled({"prompt": prompts}, strong.astype(float), weak.astype(float), segments)


def asking(prompt: str, segment: str = "science", shadow: bool = False) -> Request:
    tags = {"topic": segment} if segment else {}
    return Request("r", {"prompt": Tensor("prompt", "BYTES", (1, 1), [prompt])}, 0.0, tags=tags, shadow=shadow)


@pytest.fixture(scope="module")
def router() -> Router:
    traffic = rows(600, seed=1)
    given = replace(rows(), after={"confidence": np.random.default_rng(2).random(300)})
    return fit(given, tag="topic", traffic=dict(traffic.columns), traffic_segments=traffic.segments, bits=10).router


def test_one_request_is_told_what_many_rows_are(router):
    fresh = rows(50, seed=3)
    chances = sigmoid(router.odds(fresh.columns, fresh.segments))
    told = [router.gain(asking(p, s)) for p, s in zip(fresh.columns["prompt"], fresh.segments, strict=True)]
    assert np.allclose([(gain.strong, gain.weak) for gain in told], chances)
    assert all(gain.gain == gain.strong - gain.weak for gain in told)
    assert {gain.segment for gain in told} == {"science", "letters"}


def test_the_share_of_the_budget_goes_to_the_strong_model(router):
    fresh = rows(2000, seed=4)
    for share in (0.2, 0.5, 0.8):
        asked = replace(router, settings=Settings(share=share))
        told = [asked.gain(asking(p, s)) for p, s in zip(fresh.columns["prompt"], fresh.segments, strict=True)]
        sent = float(np.mean([gain.gain >= gain.threshold for gain in told]))
        stated = asked.plan_for(share).share
        # The interval is that of the threshold; 2,000 rows have an error of their own.
        assert stated.low - 0.03 <= sent <= stated.high + 0.03
        assert told[0].threshold == asked.threshold_for(share, told[0].segment)


def test_a_router_comes_back_from_its_file_and_answers_the_same(router, tmp_path):
    path = tmp_path / "router.json"
    router.write(path)
    again = Router.read(path)
    assert again.gain(asking("proof of the river")) == router.gain(asking("proof of the river"))
    assert again.settings == router.settings
    assert b"integral" not in path.read_bytes(), "no word of a prompt is in the file"


def test_a_segment_that_was_never_seen_goes_to_the_strong_model(router):
    found = router.gain(asking("name a city", "cooking"))
    assert found.odd
    assert found.threshold == -inf == router.threshold_for(0.5, "cooking")
    assert router.gain(asking("name a city", "")).odd


def test_a_request_without_the_input_is_refused(router):
    with pytest.raises(BadRequest, match="reads input 'prompt', the request has x"):
        router.gain(Request("r", {"x": Tensor("x", "FP32", (1,), [1.0])}, 0.0))


def test_a_strange_request_is_odd_and_a_usual_one_is_not(router):
    lenient = replace(router, settings=Settings(odd_below=0.01))
    assert not lenient.gain(asking("sum proof poem city river")).odd
    strange = lenient.gain(asking("SELECT * FROM users;\n" * 40))
    assert strange.odd
    assert strange.p_value < 0.01


def test_what_the_answer_shows_moves_the_gain(router):
    request = asking("integral of the law")
    sure, unsure = (router.gain_after(request, Response("r", {}, confidence=[c])) for c in (0.99, 0.01))
    silent = router.gain_after(request, Response("r", {}))
    assert sure.gain != unsure.gain
    assert all(abs(found.gain) <= 1 for found in (sure, unsure, silent))
    assert sure.threshold == router.plan_for(0.5, after=True).thresholds[1]


def test_a_router_that_never_saw_answers_says_so():
    plain = fit(rows(), bits=8).router
    with pytest.raises(SpecError, match="does not look at answers"):
        plain.gain_after(asking("a poem"), Response("r", {}))


def test_after_an_alarm_every_request_is_odd(router):
    guarded, rng = Guarded(router, Random(0)), np.random.default_rng(5)
    topics = rng.choice(["science", "letters"], 150).tolist()
    calm = [guarded.gain(asking(" ".join(rng.choice(WORDS, 5)), topic)).odd for topic in topics]
    assert sum(calm) <= 2
    for _ in range(60):
        guarded.gain(asking("ein ganz anderer Text in einer anderen Sprache", shadow=True))
    assert not guarded.watch.alarmed, "a shadow's requests are the same requests once more"
    for k in range(60):
        guarded.gain(asking(f"ein ganz anderer Text {k} in einer anderen Sprache"))
    assert guarded.watch.alarmed
    told = guarded.gain(asking("sum proof poem city river"))
    assert told.odd
    assert told.because.startswith("requests became unlike those that the router was fitted on: alarm after ")
    assert {m.name: m.value for m in guarded.measurements()}["router_alarm"] == 1.0


def test_a_file_is_served_with_a_watch_and_looks_at_answers_where_it_can(router, tmp_path):
    both, before = tmp_path / "both.json", tmp_path / "before.json"
    router.write(both)
    quiet = replace(fit(rows(), bits=8).router, settings=Settings(alarm=0.0))
    quiet.write(before)
    assert isinstance(load(both), GuardedAfter)
    assert not hasattr(load(before), "gain_after")
    assert load(before).watch is None


def test_what_is_no_file_of_a_router_is_refused(router, tmp_path):
    with pytest.raises(SpecError, match="no file"):
        load(tmp_path / "nowhere.json")
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"before": 1}')
    with pytest.raises(SpecError, match="is no router that"):
        load(wrong)
    replace(router, file=msgspec.structs.replace(router.file, version=99)).write(wrong)
    with pytest.raises(SpecError, match="of version 99"):
        load(wrong)


@pytest.mark.parametrize("given", [{"share": 1.5}, {"alarm": -0.1}, {"times": 0.5}])
def test_settings_that_mean_nothing_are_refused(given):
    with pytest.raises(ValueError, match="must be"):
        Settings(**given)


def test_a_router_that_is_ready_has_nothing_left_to_work_out(router):
    fresh = replace(router).ready()
    worked_out = dict(vars(fresh))
    request = asking("a poem")
    fresh.gain_after(request, Response("r", {}, confidence=[fresh.gain(request).weak]))
    assert vars(fresh) == worked_out


@pytest.mark.parametrize("wrong", [{"sureness": 0.4}, {"sureness": 1.0}, {"requests": 0}, {"times": 0.5}])
def test_floors_that_nobody_can_ask_for_are_refused(wrong):
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}` must be"):
        Settings(**wrong)
