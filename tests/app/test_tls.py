"""TLS over real sockets, with certificates made here: what is spoken, what is refused, what changes while it runs."""

from __future__ import annotations

import asyncio
import http.client
import os
import shutil
import socket
import ssl
import subprocess
import warnings
from pathlib import Path

import pytest
import uvloop

from roadworthy.app.exchange import EVENTS, Call, Reply, json_reply
from roadworthy.app.http import Server
from roadworthy.app.limits import Limits
from roadworthy.app.routes import Routes
from roadworthy.app.tls import Tls
from roadworthy.core.errors import SpecError

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="there is no `openssl` to make certificates with"
)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> list[tuple[Path, Path]]:
    """Two certificates for localhost with their keys, and a key behind a passphrase in place of the first's."""
    folder = tmp_path_factory.mktemp("tls")
    made = []
    for name in ("one", "two"):
        certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-keyout", key, "-out", certificate, "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost"],
            check=True, capture_output=True,
        )  # fmt: skip
        key.chmod(0o600)
        made.append((certificate, key))
    locked = folder / "locked.key"
    subprocess.run(
        ["openssl", "ec", "-in", made[0][1], "-aes256", "-passout", "pass:x", "-out", locked],
        check=True, capture_output=True,
    )  # fmt: skip
    locked.chmod(0o600)
    return [*made, (made[0][0], locked)]


@pytest.fixture
def used(pairs, tmp_path) -> Tls:
    """The first pair, in files that a test may change."""
    for source, name in zip(pairs[0], ("chain.pem", "private.key"), strict=True):
        shutil.copy(source, tmp_path / name)
    return Tls(tmp_path / "chain.pem", tmp_path / "private.key")


@pytest.fixture(params=[uvloop.run, asyncio.run], ids=["uvloop", "asyncio"])
def serving(request, used):
    """`serving(talk)`: what `talk(port)` returns in a thread beside a server that speaks TLS."""

    async def echo(call: Call) -> Reply:
        return json_reply(len(call.body))

    async def big(call: Call) -> Reply:
        return Reply(200, b"x" * 1_000_000)

    async def stream(call: Call) -> Reply:
        async def pieces():
            for _ in range(3):
                await asyncio.sleep(0)
                yield b"data: 1\n\n"

        return Reply(200, content_type=EVENTS, stream=pieces())

    async def main(talk):
        routes = Routes()
        routes.add("POST", "/echo", echo)
        routes.add("GET", "/big", big)
        routes.add("GET", "/stream", stream)
        limits = Limits(tick_seconds=0.01, linger_seconds=0.1, handshake_seconds=0.2, idle_seconds=5, head_seconds=0.3)
        server = Server(routes, limits)
        port = await server.listen("127.0.0.1", 0, used)
        try:
            return await asyncio.wait_for(asyncio.to_thread(talk, port), 20)
        finally:
            await server.close(1.0)

    return lambda talk: request.param(main(talk))


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


def client(port: int, certificate: Path) -> http.client.HTTPSConnection:
    return http.client.HTTPSConnection("localhost", port, timeout=10, context=trusting(certificate))


def test_requests_are_answered_over_one_connection_and_over_another(serving, used, caplog):
    def talk(port):
        found = []
        for _ in range(2):
            connection = client(port, used.certificate)
            for n in (3, 200_000):
                connection.request("POST", "/echo", b"x" * n)
                found.append(connection.getresponse().read())
            found.append(connection.sock.version())
            connection.request("GET", "/big", headers={"connection": "close"})
            found.append(len(connection.getresponse().read()))
            connection.close()
        return found

    assert serving(talk) == [b"3", b"200000", "TLSv1.3", 1_000_000] * 2
    assert not caplog.records


def test_a_stream_ends_and_so_does_an_answer_that_ends_with_the_connection(serving, used):
    def talk(port):
        answers = []
        for raw in (b"GET /stream HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", b"GET /stream HTTP/1.0\r\n\r\n"):
            with (
                socket.create_connection(("localhost", port), timeout=10) as plain,
                trusting(used.certificate).wrap_socket(plain, server_hostname="localhost") as secure,
            ):
                secure.sendall(raw)
                answers.append(b"".join(iter(lambda: secure.recv(65536), b"")))
        return answers

    chunked, old = serving(talk)
    assert chunked.endswith(b"0\r\n\r\n")
    assert old.endswith(b"\r\n\r\n" + b"data: 1\n\n" * 3)


def test_what_is_old_or_not_tls_is_refused(serving, used):
    def talk(port):
        old = trusting(used.certificate)
        old.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings(action="ignore"):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        refused = []
        for context in (old, ssl.create_default_context()):  # the second does not trust our certificate
            with socket.create_connection(("localhost", port), timeout=10) as plain:
                try:
                    context.wrap_socket(plain, server_hostname="localhost")
                except (ssl.SSLError, ConnectionError) as wrong:
                    refused.append(type(wrong))
        with socket.create_connection(("localhost", port), timeout=10) as plain:
            plain.sendall(b"GET /big HTTP/1.1\r\nhost: x\r\n\r\n")
            try:
                return refused, plain.recv(100)
            except ConnectionError:
                return refused, b""

    refused, answer = serving(talk)
    assert len(refused) == 2
    assert not answer.startswith(b"HTTP")


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01"])
def test_a_handshake_that_does_not_come_on_is_given_up(serving, said):
    def talk(port):
        with socket.create_connection(("localhost", port), timeout=10) as plain:
            plain.sendall(said)
            try:
                return plain.recv(100)
            except ConnectionError:
                return b""

    assert serving(talk) == b""


def test_a_new_certificate_is_taken_without_a_restart_and_a_wrong_one_is_not(serving, pairs, used, caplog):
    def issuer(port, trusted):
        with (
            socket.create_connection(("localhost", port), timeout=10) as plain,
            trusting(trusted).wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            return secure.getpeercert()["subject"][0][0][1]

    def replace(source: Path, target: Path) -> None:
        shutil.copy(source, target.with_suffix(".new"))
        target.with_suffix(".new").rename(target)

    def wait(stamps) -> None:
        while used._seen == stamps:
            os.sched_yield()

    def talk(port):
        first = issuer(port, pairs[0][0])
        seen = used._seen
        replace(pairs[1][0], used.certificate)
        wait(seen)
        between = issuer(port, pairs[0][0])  # the key is still the old one
        seen = used._seen
        replace(pairs[1][1], used.key)
        wait(seen)
        for _ in range(1000):
            try:
                return first, between, issuer(port, pairs[1][0])
            except ssl.SSLCertVerificationError:
                os.sched_yield()
        return None

    assert serving(talk) == ("one", "one", "two")
    assert "the old one stays in use" in caplog.text


def test_what_cannot_be_used_is_named(pairs, tmp_path):
    (certificate, key), (_, other), (_, locked) = pairs
    open_key, nonsense = tmp_path / "open.key", tmp_path / "nonsense.pem"
    shutil.copy(key, open_key)
    open_key.chmod(0o604)
    nonsense.write_text("no certificate")
    for files, says in {
        (tmp_path / "gone", key): "no certificate .*gone",
        (certificate, tmp_path / "gone"): "cannot read the private key .*gone",
        (certificate, other): "two.key' does not belong to the certificate",
        (certificate, locked): "locked with a passphrase",
        (certificate, open_key): "everybody on this machine can read .*chmod 600",
        (nonsense, key): "are no certificate and key in PEM",
    }.items():
        with pytest.raises(SpecError, match=says):
            Tls(*files)
