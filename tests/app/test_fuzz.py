"""The fuzz itself: a few seconds of it, and whether it would see what it looks for."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from random import Random

import pytest

from roadworthy.app.exchange import json_reply

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def fuzz():
    """`benchmarks/fuzz.py` as a module."""
    spec = importlib.util.spec_from_file_location("fuzz", BENCHMARKS / "fuzz.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz"] = module
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def targets(fuzz):
    import fuzz_targets

    return fuzz_targets


@pytest.fixture
def rig(targets):
    rig = targets.Rig()
    yield rig
    rig.close()


@pytest.mark.parametrize("target", ["http", "json", "binary"])
def test_two_seconds_find_no_crash_and_much_code(fuzz, target, capsys):
    found = fuzz.Guided(Random(f"7 {target}")).run(target, 2.0)
    assert found.crashes == [], capsys.readouterr().err
    assert found.executions > 50
    assert found.covered > 200


@pytest.mark.parametrize("path", [b"/v2/models/model/infer", b"/predict"])
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"inputs":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' * 100_000,
        b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":' + b"[" * 100_000,
        b'{"rows":[{"x":' + b"[" * 100_000,
        b'{"NaN":NaN,"inputs":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_a_hundred_thousand_brackets_are_a_bad_request(targets, rig, path, body):
    raw = b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (path, len(body), body)
    answer = rig.talk(targets._served(), [raw], targets.Limits())
    ((status, told),) = targets.answers_of(answer, with_head=False)
    assert status == 400
    assert len(told) < 500


def test_a_crash_is_kept_with_what_led_to_it(fuzz, targets, rig, monkeypatch, capsys):
    async def fails(call):
        if call.body.startswith(b"ab"):
            raise RuntimeError("a defect")
        return json_reply(len(call.body))

    table = targets.Routes()
    table.add("POST", "/echo", fails)
    monkeypatch.setattr(targets, "_routes", lambda: table)
    found = fuzz.Guided(Random(7)).run("http", 5.0)
    assert len(found.crashes) == 1
    with pytest.raises(targets.Crash, match="status 500"):
        targets.Http(rig)(found.crashes[0])
    assert "status 500" in capsys.readouterr().err


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ndate: x\r\ncontent-length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ndate: x\r\nbad header\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 400 Bad Request\r\ndate: x\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ndate: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
    ],
)
def test_what_is_no_answer_is_seen(targets, raw):
    with pytest.raises((targets.Crash, ValueError)):
        targets.answers_of(raw, with_head=False)
