"""A tracking server or store of MLflow, reached within seconds or named as away."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadworthy.core.errors import Denied, Missing, MissingExtra, RoadworthyError

_DATABASE = "sqlite:///"
_SECRET = re.compile(r"^([a-z+0-9]+://)[^/@]*@")
_GONE = ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "ENDPOINT_NOT_FOUND")
_REFUSED = ("PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED")

_BELOW = {"mlflow", "requests", "urllib3", "sqlalchemy", "botocore", "boto3", "azure", "google"}


class MlflowAway(RoadworthyError):
    """MLflow does not answer, or not as MLflow does. Nothing was kept on our side."""

    status = 502


@dataclass(frozen=True)
class Server:
    """Where MLflow is: `http://host:5000`, `sqlite:///mlflow.db`, or "" for what MLflow itself is set to.

    It must say something within `seconds`; after that, each request may take `request_seconds` and is tried twice,
    unless MLFLOW_HTTP_REQUEST_TIMEOUT and MLFLOW_HTTP_REQUEST_MAX_RETRIES say otherwise.
    """

    uri: str = ""
    registry_uri: str = ""
    seconds: float = 5.0
    request_seconds: float = 60.0

    def __post_init__(self) -> None:
        if not (self.seconds > 0 and self.request_seconds > 0):
            got = f"{self.seconds!r} and {self.request_seconds!r}"
            raise ValueError(f"`seconds` and `request_seconds` must be above 0, got {got}")

    def __str__(self) -> str:
        return repr(self.told) if self.uri else "of MLFLOW_TRACKING_URI"

    @property
    def told(self) -> str:
        """The address as it may be written down: without a name and password."""
        return _SECRET.sub(r"\1", self.uri)


@contextmanager
def connected(server: Server, make: bool = False) -> Iterator[Any]:
    """An `MlflowClient` of a server that has just answered. Raises MlflowAway, Missing, Denied or MissingExtra.

    A SQLite file that is not there is made only where `make` says so. MLflow reads its timeouts from the environment:
    they are set while the block runs, for the whole process, and put back; two blocks at once belong in two processes.
    """
    if not make:
        _exists(server)
    with environment(_working(server)):
        client = _client(server)
        with environment(_asking(server)), _told(server, "does not answer"):
            client.search_experiments(max_results=1)
        with _told(server, "answered no longer, or refused"):
            yield client


@contextmanager
def environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """These variables in the environment while the block runs; afterwards what was there before."""
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def code_of(wrong: BaseException) -> str:
    """What MLflow calls an error; "" for one that is not MLflow's."""
    return str(getattr(wrong, "error_code", ""))


def is_gone(wrong: BaseException) -> bool:
    """Whether MLflow says that there is no such thing."""
    return code_of(wrong) in _GONE


def _working(server: Server) -> dict[str, str]:
    """Set where the user has not; nobody is told about the use, and no bar is drawn."""
    wanted = {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(max(1, round(server.request_seconds))),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }
    return {name: value for name, value in wanted.items() if name not in os.environ}


def _asking(server: Server) -> dict[str, str]:
    seconds = str(max(1, round(server.seconds)))
    return {"MLFLOW_HTTP_REQUEST_TIMEOUT": seconds, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}


def _client(server: Server) -> Any:
    try:
        from mlflow import MlflowClient
    except ImportError as absent:
        raise MissingExtra("exchange with MLflow", absent.name or "mlflow", "mlflow") from absent
    with _told(server, "cannot be opened"):
        return MlflowClient(server.uri or None, server.registry_uri or None)


def _exists(server: Server) -> None:
    """MLflow would make an empty database of a name with a slip in it."""
    if not server.uri.startswith(_DATABASE):
        return
    file = Path(server.uri.removeprefix(_DATABASE).partition("?")[0])
    if not file.is_file():
        raise Missing(f"no MLflow database {str(file)!r}: correct the path in {server.uri!r}")


@contextmanager
def _told(server: Server, what: str) -> Iterator[None]:
    """Errors of MLflow and of the wire below it as ours, with the server's name in them."""
    try:
        yield
    except RoadworthyError:
        raise
    except Exception as wrong:
        if not _of_mlflow(wrong):
            raise
        # The chain of a refused connection goes on for a screen; its first line says it.
        said = str(wrong).strip().split("\n")[0].replace(server.uri or "\0", server.told)[:300]
        if is_gone(wrong):
            raise Missing(f"MLflow {server} has no such thing: {said}") from wrong
        if code_of(wrong) in _REFUSED:
            raise Denied(
                f"MLflow {server} refuses: {said}; see MLFLOW_TRACKING_TOKEN, MLFLOW_TRACKING_USERNAME"
            ) from wrong
        raise MlflowAway(
            f"MLflow {server} {what}: {said}; look whether it runs and can be reached from here, and ask again"
        ) from wrong


def _of_mlflow(wrong: Exception) -> bool:
    """MLflow's own errors, and those of what lies below its stores: the wire, a database, a disk, a bucket."""
    modules = {kind.__module__.partition(".")[0] for kind in type(wrong).__mro__}
    return isinstance(wrong, OSError) or bool(modules & _BELOW)
