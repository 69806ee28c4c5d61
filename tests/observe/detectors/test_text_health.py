"""The detector finds the columns of text by itself, and says which fault became more frequent."""

from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.window import Window
from roadworthy.observe.detectors.text_health import TextHealth


def window(texts, n=400, **more) -> Window:
    answers = np.array([texts[k % len(texts)] for k in range(n)], dtype=object)
    outputs = {"answer": answers, **{name: np.array(values, dtype=object) for name, values in more.items()}}
    return Window({}, outputs, np.full(n, np.nan), np.arange(n, dtype=np.float64))


NORMAL = [f"Answer {k} explains one thing in a few plain words, and number {k * 7} is part of it." for k in range(97)]


def test_a_model_that_begins_to_loop_is_found():
    loops = [*NORMAL[:80], *(f"{text} And so on." + " And so on." * 20 for text in NORMAL[80:])]
    verdict = TextHealth()(window(NORMAL), window(loops))
    assert verdict.decision == "fail"
    assert "answer: " in verdict.because
    assert "loops" in {one.conditions["of"] for one in verdict.evidence[:4]}
    assert verdict.of == "text_health"


def test_the_same_answers_pass():
    assert TextHealth()(window(NORMAL), window(NORMAL)).decision == "pass"


def test_finish_reasons_are_looked_at_where_there_are_some():
    stopped, cut = ["stop"] * 400, ["stop"] * 300 + ["length"] * 100
    verdict = TextHealth()(window(NORMAL, finish_reason=stopped), window(NORMAL, finish_reason=cut))
    assert verdict.decision == "fail"
    assert "cut 25.0% of texts, was 0.0%" in verdict.because


def test_probabilities_of_tokens_show_what_the_text_does_not():
    calm, wild = window(NORMAL), window(NORMAL)
    rng = np.random.default_rng(0)
    before = Window({}, {**calm.outputs, "log_probability": rng.normal(-1, 0.1, 400)}, calm.labels, calm.at)
    after = Window({}, {**wild.outputs, "log_probability": rng.normal(-3, 0.1, 400)}, wild.labels, wild.at)
    assert "unsure" in TextHealth()(before, after).because


def test_an_input_can_be_named():
    rng = np.random.default_rng(0)
    asked = np.array([f"question {k}?" for k in range(300)], dtype=object)
    broken = asked.copy()
    broken[rng.random(300) < 0.3] = None
    nothing = np.full(300, np.nan)
    before, now = (Window({"question": q}, {}, nothing, nothing) for q in (asked, broken))
    assert "question: empty" in TextHealth("question")(before, now).because
    assert TextHealth()(before, now).because == "no output is text"
    assert TextHealth("answer")(before, now).because == "no column of text named 'answer'"


def test_a_new_column_is_named():
    verdict = TextHealth()(window(NORMAL), window(NORMAL, remark=["fine"] * 400))
    assert verdict.decision == "pass"
    assert verdict.because.endswith("; new, and not looked at: remark")


def test_of_many_rows_an_even_sample_is_read():
    few = TextHealth(most_rows=200)
    verdict = few(window(NORMAL, 3000), window(NORMAL, 3000))
    assert all(one.n == 200 for one in verdict.evidence)


def test_an_alpha_that_is_none_is_refused():
    with pytest.raises(ValueError, match="`alpha` must be between 0 and 1, got 2"):
        TextHealth(alpha=2)
