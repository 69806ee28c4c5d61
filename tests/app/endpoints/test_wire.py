"""The client keeps connections, tells answers apart however they end, and says what is wrong with a server."""

from __future__ import annotations

import asyncio
import ssl
import subprocess

import pytest

from roadworthy.app.client import Lost
from roadworthy.app.endpoints.wire import Wire
from roadworthy.core.errors import BadData, BadRequest, Late, Overloaded, RoadworthyError
from roadworthy.testing.mock_script import Fault, Law, Script


def failing(saying, pieces: list[bytes], stay: bool = False, **wire) -> RoadworthyError:
    async def talk(url: str) -> RoadworthyError:
        async with Wire(url, **wire) as client:
            with pytest.raises(RoadworthyError) as caught:
                await client.ask("GET", "/")
        return caught.value

    return saying(pieces, talk, stay)


def answered(saying, *pieces: bytes):
    async def talk(url: str):
        async with Wire(url) as client:
            return await client.ask("POST", "/", b"{}")

    return saying(list(pieces), talk)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n", b"ab", b"cd"],
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n", b"2\r\ncd\r\n0\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\n\r\nab", b"cd"],
        [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nabcd"],
    ],
    ids=["length", "chunks", "until the end", "after a 100"],
)
def test_a_body_ends_where_its_framing_says(saying, pieces):
    found = answered(saying, *pieces)
    assert (found.status, found.body) == (200, b"abcd")


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab",
    ],
)
def test_a_server_that_dies_in_mid_answer_is_lost(saying, head):
    error = failing(saying, [head])
    assert isinstance(error, Lost)
    assert "hung up in mid-answer" in str(error)


def test_a_server_that_hangs_up_unanswered_is_lost(saying):
    assert "hung up before it answered" in str(failing(saying, []))


def test_what_is_no_http_says_so_with_the_next_step(saying):
    error = failing(saying, [b"\x15\x03\x01\x00\x02\x02\x46 SSH-2.0"], stay=True)
    assert isinstance(error, BadData)
    assert "does not speak HTTP there; is it the right port" in str(error)


def test_a_silent_server_is_late_and_its_connection_is_not_used_again(saying):
    error = failing(saying, [b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab"], stay=True, timeout_seconds=0.05)
    assert isinstance(error, Late)
    assert "no whole answer" in str(error)


def test_a_deadline_that_has_passed_is_late_without_asking(saying):
    async def talk(url: str) -> None:
        async with Wire(url) as client:
            with pytest.raises(Late, match="before the request was sent"):
                await client.ask("GET", "/", deadline=0.0)

    saying([], talk)


def test_connections_are_kept_and_never_shared_by_two_requests_at_once(against):
    async def talk(mock) -> tuple[int, int]:
        async with Wire(mock.url) as client:
            for _ in range(5):
                await client.ask("GET", "/v2")
            alone = len(mock._lines)
            await asyncio.gather(*(client.ask("POST", "/predict", b'{"rows": []}') for _ in range(7)))
            return alone, len(mock._lines)

    assert against(Script(service=Law(seconds=0.05)), talk) == (1, 7)


def test_a_kept_connection_that_was_closed_meanwhile_is_replaced_unnoticed(against):
    async def talk(mock) -> int:
        async with Wire(mock.url) as client:
            await client.ask("GET", "/v2")
            for line in tuple(mock._lines):
                line.cut()
            return (await client.ask("GET", "/v2")).status

    assert against(Script(), talk) == 200


def test_too_many_at_once_say_that_the_server_is_too_slow(against):
    async def talk(mock) -> list[object]:
        async with Wire(mock.url, connections=3) as client:
            asked = (client.ask("POST", "/predict", b'{"rows": []}') for _ in range(5))
            return await asyncio.gather(*asked, return_exceptions=True)

    found = against(Script(service=Law(seconds=0.05)), talk)
    assert [type(one).__name__ for one in found].count("Answered") == 3
    assert all("slower than the rate" in str(one) for one in found if isinstance(one, Overloaded))


def test_a_caller_who_gives_up_takes_the_connection_along(against):
    async def talk(mock) -> int:
        async with Wire(mock.url) as client:
            asked = asyncio.ensure_future(client.ask("POST", "/predict", b'{"rows": []}'))
            await asyncio.sleep(0.05)
            asked.cancel()
            await asyncio.wait([asked])
            await client.ask("GET", "/v2")
            return len(client._open)

    assert against(Script(faults=(Fault("silent", 1.0),)), talk) == 1


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1", "nobody listens at http://127.0.0.1:1; start the server"),
        ("http://no.such.host.invalid", "no host is known for"),
    ],
)
def test_nobody_there_is_said_with_the_next_step(url, words):
    async def talk() -> None:
        async with Wire(url) as client:
            await client.ask("GET", "/")

    with pytest.raises(Lost, match=words):
        asyncio.run(talk())


def test_tls_where_there_is_none_is_said_with_the_next_step(against):
    async def talk(mock) -> None:
        async with Wire(mock.url.replace("http:", "https:")) as client:
            await client.ask("GET", "/v2")

    with pytest.raises(Lost, match=r"does not speak TLS .*; write http://"):
        against(Script(), talk)


def test_a_certificate_is_verified(tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*made, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_side.load_cert_chain(certificate, key)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        writer.close()

    async def talk() -> bytes:
        server = await asyncio.start_server(answer, "localhost", 0, ssl=server_side)
        url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
        async with server:
            async with Wire(url) as client:
                with pytest.raises(Lost, match="a certificate that cannot be trusted"):
                    await client.ask("GET", "/")
            async with Wire(url, context=ssl.create_default_context(cafile=certificate)) as client:
                return (await client.ask("GET", "/")).body

    assert asyncio.run(talk()) == b"ok"


@pytest.mark.parametrize("wrong", ["ftp://x", "http://", "https:///path"])
def test_an_address_that_is_none_is_refused_at_once(wrong):
    with pytest.raises(BadRequest, match="the URL must be"):
        Wire(wrong)


def test_headers_and_host_are_sent_and_a_password_in_the_address_is_not():
    async def main() -> bytes:
        heads = []

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with Wire(f"http://me:secret@127.0.0.1:{port}", headers={"Authorization": "Bearer x"}) as client:
                assert "secret" not in repr(client)
                await client.ask("GET", "/a?b=c")
        return heads[0].replace(str(port).encode(), b"PORT")

    assert asyncio.run(main()) == b"GET /a?b=c HTTP/1.1\r\nhost: 127.0.0.1:PORT\r\nauthorization: Bearer x\r\n\r\n"


def test_a_header_of_two_lines_is_refused():
    with pytest.raises(BadRequest, match="must be one line"):
        Wire("http://x", headers={"a": "b\r\nc: d"})
