"""gRPC behind TLS, with a certificate that is renewed while the server runs."""

from __future__ import annotations

import shutil
import subprocess

import grpc
import pytest
import uvloop

from roadworthy.app.edge import Edge
from roadworthy.app.grpc_messages import SERVICE, messages
from roadworthy.app.grpc_server import GrpcServer

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="there is no `openssl` to make certificates with"
)


def pair(folder, name):
    """A certificate for localhost and its key, as PEM."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", key, "-out", certificate, "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate.read_bytes(), key.read_bytes()


def test_a_renewed_certificate_is_used_and_one_that_cannot_be_read_changes_nothing(mean, tmp_path, caplog):
    first, second = pair(tmp_path, "first"), pair(tmp_path, "second")
    shown = [first]

    def tls():
        if not shown:
            raise FileNotFoundError("chain.pem")
        return shown[0]

    async def lives(port, trusted):
        credentials = grpc.ssl_channel_credentials(trusted)
        async with grpc.aio.secure_channel(f"localhost:{port}", credentials) as channel:
            respond = messages.ServerLiveResponse.FromString
            call = channel.unary_unary(f"/{SERVICE}/ServerLive", messages.ServerLiveRequest.SerializeToString, respond)
            return (await call(messages.ServerLiveRequest(), timeout=10)).live

    async def main():
        served = mean()
        server = GrpcServer(served, Edge(served.signature), tls=tls)
        port = await server.listen("127.0.0.1", 0)
        try:
            assert await lives(port, first[0])
            shown[:] = [second]
            assert await lives(port, second[0])
            shown.clear()
            assert await lives(port, second[0])
            assert "the old one stays in use: chain.pem" in caplog.text
            with pytest.raises(grpc.aio.AioRpcError):
                await lives(port, first[0])
        finally:
            await server.close(1.0)

    uvloop.run(main())
