"""The place of one answer in the order of its connection, and what becomes of it when nobody waits any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from roadworthy.app.drive import Driven, drive
from roadworthy.app.exchange import Reply, error_reply
from roadworthy.app.head import Head

if TYPE_CHECKING:
    from roadworthy.app.connection import Connection


class Slot:
    """What a driven handler calls when it ends. `held` are the bytes of the request's body."""

    __slots__ = ("connection", "head", "held", "reply", "work")

    def __init__(self, connection: Connection, head: Head, reply: Reply | None = None, held: int = 0) -> None:
        self.connection, self.head, self.reply, self.held = connection, head, reply, held
        self.work: Driven | None = None

    def __call__(self, reply: Reply | None, error: BaseException | None) -> None:
        self.work = None
        connection = self.connection
        if connection.lost:
            self.reply = reply
            self.drop()
        else:
            self.reply = reply if error is None else refusal(error)
        connection.answered(self)

    def drop(self) -> None:
        """Nobody will read the answer: cancel the work, or close the stream that it made."""
        if self.work is not None:
            self.work.cancel()
        elif self.reply is not None and self.reply.stream is not None:
            drive(self.reply.stream.aclose(), _ignore)


def refusal(error: BaseException) -> Reply:
    """The reply that tells an error, with the headers that the error wants told."""
    reply = error_reply(error)
    more = getattr(error, "headers", ())
    return replace(reply, headers=(*reply.headers, *more)) if more else reply


def _ignore(_: object, error: BaseException | None) -> None:
    """The stream is closed; what its end raised has no reader."""
