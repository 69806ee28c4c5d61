"""Who comes in, who does not, and how soon a change counts."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from roadworthy.app.doorman import Doorman, Unknown, admin_scope, public_scope
from roadworthy.app.exchange import Call, Refused, Reply, json_reply
from roadworthy.app.head import CALLER
from roadworthy.app.http import Server
from roadworthy.app.keys import DAY_SECONDS, KeyFile
from roadworthy.app.limits import Limits
from roadworthy.app.routes import Routes
from roadworthy.core.errors import SpecError

INFER = b"/v2/models/toy/infer"
LOAD = b"/v2/repository/models/toy/load"


class Clock:
    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path, clock) -> KeyFile:
    return KeyFile(tmp_path, clock)


@pytest.fixture
def door(file, clock):
    """`door()`: a doorman who has just come."""
    return lambda scope_of=public_scope: Doorman(file, scope_of, clock)


def call(path: bytes = INFER, key: str = "", header: bytes = b"x-api-key") -> Call:
    return Call(b"POST", path, b"", {header: key.encode()} if key else {}, b"")


def test_without_keys_everybody_may_do_everything_and_that_is_said(door):
    assert door().admit(call()) is None
    assert not door().locked
    assert "whoever reaches the server may use it" in str(door())


def test_a_key_opens_and_names_its_owner(door, file):
    text = file.new("ada")
    for _ in range(2):
        assert door().admit(call(key=text)) == "ada"
        assert door().admit(call(key=f"Bearer {text}", header=b"authorization")) == "ada"
        assert door().admit(call(key=f"bearer  {text}", header=b"authorization")) == "ada"
    assert str(door()) == "1 valid API key of 1"


@pytest.mark.parametrize(
    ("header", "key", "says"),
    [
        (b"x-other", "x", "this server needs an API key: send `authorization: Bearer KEY`"),
        (b"authorization", "Basic abc", "is not understood; allowed: Bearer KEY"),
        (b"x-api-key", "rw_" + "0" * 49, "not known here"),
        (b"x-api-key", "rw_000000000000000000000000000000000000000000z4MVzsH", "not known here"),
    ],
)
def test_whoever_has_no_key_is_told_how_to_send_one(door, file, header, key, says):
    file.new("ada")
    with pytest.raises(Unknown, match=says.replace("(", "\\(")) as refused:
        door().admit(call(key=key, header=header))
    assert refused.value.status == 401
    assert refused.value.headers == ((b"www-authenticate", b'Bearer realm="roadworthy"'),)


def test_health_needs_no_key(door, file):
    file.new("ada")
    assert door().admit(call(b"/v2/health/ready")) is None


def test_a_key_does_what_its_scopes_say(door, file):
    infer, control, admin = (file.new(scope, [scope]) for scope in ("infer", "control", "admin"))
    assert door().admit(call(LOAD, control)) == "control"
    assert door().admit(call(LOAD, admin)) == "admin"
    for path, key, asked in ((LOAD, infer, "control"), (INFER, control, "infer")):
        with pytest.raises(Refused, match=f"this needs '{asked}'") as refused:
            door().admit(call(path, key))
        assert refused.value.status == 403
    with pytest.raises(Refused, match="this needs 'admin'"):
        door(admin_scope).admit(call(b"/status", control))


def test_a_key_ends_with_its_days(door, file, clock):
    text, doorman = file.new("ada", days=1), door()
    assert doorman.admit(call(key=text)) == "ada"
    clock.at += DAY_SECONDS
    doorman = door()
    with pytest.raises(Unknown, match="the API key 'ada' is expired"):
        doorman.admit(call(key=text))


def test_a_key_that_expires_while_it_is_in_use_opens_no_more(door, file, clock):
    text, doorman = file.new("ada", days=1), door()
    assert doorman.admit(call(key=text)) == "ada"
    clock.at += DAY_SECONDS
    with pytest.raises(Unknown, match="expired"):
        doorman.admit(call(key=text))


def test_changes_of_other_processes_count_from_the_next_look_on(door, file):
    doorman = door()
    text = file.new("ada")
    assert doorman.refresh()
    assert doorman.admit(call(key=text)) == "ada"
    assert not doorman.refresh()
    file.revoke("ada")
    assert doorman.refresh()
    with pytest.raises(Unknown, match="revoked"):
        doorman.admit(call(key=text))


def test_what_was_locked_does_not_open_by_accident(door, file, caplog):
    text, doorman = file.new("ada"), door()
    for harm in (file.path.unlink, lambda: file.path.write_text("[]"), lambda: file.path.write_text("[{")):
        harm()
        doorman.refresh()
        assert doorman.admit(call(key=text)) == "ada"
        with pytest.raises(Unknown):
            doorman.admit(call())
    assert "those that were known stay in use" in caplog.text
    with pytest.raises(SpecError):
        door()


def test_use_is_written_down_now_and_then(door, file, clock):
    text, doorman = file.new("ada"), door()
    doorman.admit(call(key=text))
    clock.at += 1
    doorman.note_used()
    assert file.read()[0].used == 1000.0


def test_a_server_sees_keys_that_come_and_go_while_it_runs(file, clock, run_door):
    async def talk(ask) -> list[tuple[int, dict]]:
        answers = [await ask("")]
        text = file.new("ada")
        await asyncio.sleep(0.1)
        answers += [await ask(""), await ask(text), await ask(text)]
        file.revoke("ada")
        await asyncio.sleep(0.1)
        return [*answers, await ask(text)]

    open_, without, known, again, revoked = run_door(talk)
    assert open_ == (200, {"caller": ""})
    assert known == again == (200, {"caller": "ada"})
    assert without[0] == revoked[0] == 401
    assert "is revoked" in revoked[1]["error"]


@pytest.fixture
def run_door(file, clock):
    """`run_door(talk)`: a server with a doorman; `talk` gets a function that asks it with a key."""

    async def who(call: Call) -> Reply:
        return json_reply({"caller": call.headers.get(CALLER, b"").decode()})

    async def main(talk):
        routes = Routes()
        routes.add("POST", INFER.decode(), who)
        doorman = Doorman(file, public_scope, clock)
        server = Server(routes, Limits(tick_seconds=0.01), admit=doorman.admit)
        server.each_tick(doorman.refresh)
        port = await server.listen("127.0.0.1", 0)

        async def ask(key: str) -> tuple[int, dict]:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = b"POST %b HTTP/1.1\r\nhost: x\r\nx-api-key: %b\r\n" % (INFER, key.encode())
            writer.write(head + b"content-length: 2\r\n\r\n{}")
            raw = await reader.readuntil(b"}")
            writer.close()
            return int(raw[9:12]), json.loads(raw.partition(b"\r\n\r\n")[2])

        found = await talk(ask)
        await server.close(1)
        return found

    logging.getLogger("asyncio").setLevel(logging.WARNING)
    return lambda talk: asyncio.run(main(talk))
