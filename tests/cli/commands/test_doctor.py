"""`roadworthy doctor` says what is broken, with what to do about it."""

from __future__ import annotations

import msgspec


def found(told):
    return {finding["what"]: finding["verdict"] for finding in told.body}


def test_all_is_well_on_a_project_that_is_right(call, clinic):
    told = call("doctor", "--project", clinic, "--json")
    assert told.code == 0
    assert {verdict["decision"] for verdict in found(told).values()} == {"pass"}
    assert found(told)["server"]["because"] == "not running"


def test_a_broken_project_is_exit_code_1_with_the_line(call, clinic, rewrite):
    (clinic / "roadworthy.yaml").write_text("applicaton: {}\n")
    told = call("doctor", "--project", clinic, "--json")
    assert told.code == 1
    assert "roadworthy.yaml:1: no key 'applicaton'" in found(told)["project"]["because"]
    assert call("doctor", "--project", clinic).code == 1


def test_a_folder_that_is_not_there_is_told_too(call, tmp_path):
    assert call("doctor", "--project", tmp_path / "nowhere").code == 1


def test_a_running_server_is_told_with_its_process(call, served):
    told = call("doctor", "--project", served.spec.root, "--json")
    assert found(told)["server"]["because"].startswith(f"process {served.process.pid} on http://127.0.0.1:")


def test_the_card_of_a_server_that_was_killed_says_nothing(call, clinic):
    (clinic / ".roadworthy").mkdir()
    card = {"pid": 2**22 + 1, "host": "127.0.0.1", "port": 1, "admin_port": 2}
    (clinic / ".roadworthy" / "server.json").write_bytes(msgspec.json.encode(card))
    assert found(call("doctor", "--project", clinic, "--json"))["server"]["because"] == "not running"
