"""A socketpair between a front and the process of the model: all that is said in a turn of the loop is one frame."""

from __future__ import annotations

import asyncio
import struct
from typing import Any, Protocol, cast

from roadworthy.app.messages import DECODER, ENCODER, Message

# What waits to be read at the other end before one says that it is full.
FULL_BYTES = 64 * 1024 * 1024

_SIZE = struct.Struct("<I")


class End(Protocol):
    """Who stands at one end of a pipe."""

    def take(self, message: Any) -> None:
        """The other end says something."""

    def unsaid(self, message: Any, wrong: Exception) -> Message | None:
        """A message that has no bytes (a number beyond 64 bits, an object): what to say in its place, if anything."""

    def left(self) -> None:
        """The other end is gone."""


class Pipe(asyncio.Protocol):
    """One side of a socketpair, for one end."""

    def __init__(self, end: End) -> None:
        self.lost = False
        self._end = end
        self._loop = asyncio.get_running_loop()
        self._out: list[Message] = []
        self._read = bytearray()
        self._waiting: list[asyncio.Future[None]] = []
        self._paused = False

    @property
    def full(self) -> bool:
        """Does the other end not keep up?"""
        return self._paused and self._transport.get_write_buffer_size() > FULL_BYTES

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        self.resume_writing()
        self._end.left()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.done():
                each.set_result(None)

    async def room(self) -> None:
        """Wait while more is written than the other end reads."""
        if self._paused and not self.lost:
            each: asyncio.Future[None] = self._loop.create_future()
            self._waiting.append(each)
            await each

    def send(self, message: Message) -> None:
        """Say something, together with all else that is said in this turn of the loop."""
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(message)

    def close(self) -> None:
        """Say what is to be said, and hang up."""
        self._flush()
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        read = self._read
        read += data
        at = 0
        while len(read) - at >= _SIZE.size:
            end = at + _SIZE.size + _SIZE.unpack_from(read, at)[0]
            if end > len(read):
                break
            for message in DECODER.decode(bytes(read[at + _SIZE.size : end])):
                self._end.take(message)
            at = end
        if at:
            del read[:at]

    def _flush(self) -> None:
        out, self._out = self._out, []
        if self.lost or not out:
            return
        try:
            raw = ENCODER.encode(out)
        except Exception:
            # What cannot be said must not take the rest of this turn with it.
            raw = ENCODER.encode([said for message in out if (said := self._sayable(message)) is not None])
        self._transport.write(_SIZE.pack(len(raw)) + raw)

    def _sayable(self, message: Message) -> Message | None:
        try:
            ENCODER.encode(message)
        except Exception as wrong:
            return self._end.unsaid(message, wrong)
        return message
