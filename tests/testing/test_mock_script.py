"""A script says what it means, and what it cannot mean is refused with the file's name."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from roadworthy.core.errors import Missing, SpecError
from roadworthy.testing.mock_script import Fault, Law, Script, Stall, read_script

YAML = """
seed: 3
servers: 2
service: {law: gamma, seconds: 0.02, cv: 0.5}
stall: {seconds: 2, every: 10}
faults:
  - {kind: 429, share: 0.1, retry_after_seconds: 2}
  - {kind: reset, share: 0.1}
tokens:
  - {text: "hm", after: 0.1, reasoning: true}
  - {text: "yes", after: 0.2}
degrade_above: 8
"""


def test_a_script_is_read_from_yaml_and_json(tmp_path):
    (tmp_path / "a.yaml").write_text(YAML)
    script = read_script(tmp_path / "a.yaml")
    assert script.faults == (Fault(429, 0.1, 2.0), Fault("reset", 0.1))
    assert (script.stall, script.tokens[0].reasoning, script.degrade_above) == (Stall(2.0, 10.0), True, 8)
    (tmp_path / "b.json").write_text('{"servers": 2}')
    assert read_script(tmp_path / "b.json") == Script(servers=2)
    (tmp_path / "empty.yaml").write_text("")
    assert read_script(tmp_path / "empty.yaml") == Script()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("servers: -1", "must be at least 0"),
        ("sevice: {}", "unknown field"),
        ("faults: [{kind: 200, share: 1}]", "status from 400 to 599"),
        ("faults: [{kind: 500, share: 0.6}, {kind: reset, share: 0.6}]", "come to more than 1"),
        ("faults: [{kind: melt, share: 1}]", "Invalid enum value 'melt'"),
        ("stall: {seconds: 3, every: 2}", "between 0 and `every`"),
        ("service: {law: gamma, cv: 0}", "`cv` above 0"),
        ("a: [", "while parsing"),
    ],
)
def test_a_script_that_makes_no_sense_is_refused_with_its_name(tmp_path, text, words):
    file = tmp_path / "wrong.yaml"
    file.write_text(text)
    with pytest.raises(SpecError, match=r"wrong\.yaml' is no script") as caught:
        read_script(file)
    assert words in str(caught.value)


def test_a_script_that_is_not_there_is_told_with_an_example(tmp_path):
    with pytest.raises(Missing, match="write one, such as `service:"):
        read_script(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("law", "cv"),
    [
        (Law("constant", 0.02), 0.0),
        (Law("exponential", 0.02), 1.0),
        (Law("lognormal", 0.02, 0.5), 0.5),
        (Law("gamma", 0.02, 2.0), 2.0),
    ],
)
def test_a_law_has_the_mean_and_the_spread_that_it_says(law, cv):
    rng = Random(1)
    times = np.array([law.draw(rng) for _ in range(40_000)])
    assert times.mean() == pytest.approx(0.02, rel=0.03)
    assert times.std() / times.mean() == pytest.approx(cv, rel=0.05)
