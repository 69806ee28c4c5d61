"""One HTTP/1.1 client on `asyncio.Protocol`: its requests are begun, and their answers leave in the same order.

Per request it makes one Call and one slot: no Task, no timer, no framework object. All answers that are ready in one
turn of the loop leave in one write. A client that goes away cancels its work.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import AsyncGenerator
from typing import cast

from roadworthy.app.drive import Driven, drive
from roadworthy.app.exchange import EVENTS, Call, Refused, Reply, written
from roadworthy.app.head import Head
from roadworthy.app.limits import Limits as Limits
from roadworthy.app.limits import Shared as Shared
from roadworthy.app.reader import IDLE, Reader
from roadworthy.app.slot import Slot, refusal
from roadworthy.core.errors import Overloaded, RoadworthyError

# How long a client that has stopped sending may wait before we see whether it is still there; twice this finds out.
PROBE_SECONDS = 0.02

# An event that is none, in a chunk of its own.
_COMMENT = b"3\r\n:\n\n\r\n"


class Connection(asyncio.Protocol):
    """Its methods are called by the transport, the reader, the slots and the server."""

    def __init__(self, shared: Shared) -> None:
        self.lost = False
        self.ending = False  # nothing more is read; what is owed is answered
        self._shared = shared
        self._limits = shared.limits
        self._reader = Reader(self, shared)
        self._slots: deque[Slot] = deque()
        self._since = shared.ticks
        self._feeding = self._marked = False
        self._reading = True
        self._half_closed = False
        self._lingering = False  # all is said, and the client may hang up
        self._streaming = False
        self._pulse = b""  # what may be sent in the middle of the present stream and means nothing
        self._pump: Driven | None = None
        self._blocked: asyncio.Future[None] | None = None  # there while the client does not read

    @property
    def owed(self) -> int:
        """How many answers the client waits for."""
        return len(self._slots)

    @property
    def busy(self) -> bool:
        """Is there something that this connection has still to do without hearing from its client?"""
        return bool(self._slots or self._streaming or self._reader.rest)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._secure = transport.get_extra_info("ssl_object") is not None
        self._shared.connections.add(self)
        if len(self._shared.connections) > self._shared.most:
            self._turn_away()

    def connection_lost(self, error: Exception | None) -> None:
        """Nobody waits any more: end the work, whose record will say so; what is in a batch already runs with it."""
        self.lost = self.ending = True
        self._shared.connections.discard(self)
        self._reader.close()
        self._drop()
        if self._pump is not None:
            self._pump.cancel()
        self._unblock()

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        if self.ending:
            return
        if reader.rest:
            reader.rest += data
            return
        self._feeding = True
        reader.take(data)
        self._feeding = False
        if self._shared.closing and reader.state == IDLE and not reader.rest:
            self.ending = True
        self.flush()
        if len(self._slots) >= self._limits.pipelined:
            self._read(False)

    def eof_received(self) -> bool:
        """A client may stop sending and still wait for its answers."""
        if self._secure:
            return False  # TLS has no half that could stay open
        self._half_closed = True
        if self._reader.state != IDLE:
            self.refuse(Refused(400, "the connection ended before the request did"))
        self.ending = True
        self.flush()
        if not self._slots and not self._streaming:
            return False
        self._shared.loop.call_later(PROBE_SECONDS, self._probe)
        return True

    def pause_writing(self) -> None:
        self._blocked = self._shared.loop.create_future()
        self._since = self._shared.ticks
        self._read(False)

    def resume_writing(self) -> None:
        self._unblock()
        self._since = self._shared.ticks
        self._read(len(self._slots) < self._limits.pipelined and not self._reader.rest)

    def accept(self, head: Head, body: bytes, error: RoadworthyError | None) -> None:
        """A request is here in whole: begin to answer it."""
        if not head.keep:
            self.ending = True
        shared = self._shared
        slot = Slot(self, head, None, len(body))
        self._slots.append(slot)
        shared.in_flight += 1
        shared.held += len(body)
        if error is not None or head.answer is None:
            slot(None, error)
            return
        work = drive(head.answer(Call(head.method, head.path, head.query, head.headers, body)), slot)
        if slot.reply is None:
            slot.work = work

    def proceed(self, head: Head) -> None:
        """Say that the body may come: in order with the answers still owed, or the client takes it for one of those."""
        self._slots.append(Slot(self, head, Reply(100)))

    def refuse(self, error: BaseException) -> None:
        """Tell what is wrong behind what is owed, and end."""
        self._slots.append(Slot(self, Head(), refusal(error)))
        self.ending = True
        if not self._feeding:
            self.flush()

    def answered(self, slot: Slot) -> None:
        """A slot has its answer: have it written with the others of this turn."""
        self._shared.in_flight -= 1
        self._shared.held -= slot.held
        if not self._feeding and not self._marked and not self.lost:
            self._marked = True
            self._shared.mark(self)

    def flush(self) -> None:
        """Write every answer that is ready and next in order."""
        self._marked = False
        if self.lost:
            return
        slots, out = self._slots, []
        stream: tuple[AsyncGenerator[bytes, None], Head] | None = None
        while slots and (reply := slots[0].reply) is not None and not self._streaming:
            head = slots.popleft().head
            if reply.stream is not None:
                self._streaming = True
                self._pulse = _COMMENT if reply.content_type == EVENTS and not head.old else b""
                stream = reply.stream, head
                if head.old:  # it ends with the connection, and what was asked behind it has no place
                    self.ending = True
                    self._drop()
            last = self.ending and not slots
            out.append(written(reply, self._shared.date, last, head.old, head.head_only))
        if out:
            self._since = self._shared.ticks
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))
        if stream is not None:
            pump = drive(self._send(*stream), self._sent)
            self._pump = pump if self._streaming else None
        elif not slots and not self._streaming:
            self._settle()

    def end(self) -> None:
        """Close as soon as what has arrived is answered; a request that is half here may come in whole."""
        if self._reader.state == IDLE and not self._reader.rest:
            self.ending = True
            self.flush()

    def cut(self) -> None:
        """Close now, whatever is owed."""
        self._transport.abort()

    def check(self) -> None:
        """Called each tick: has this client taken too long?"""
        limits = self._limits
        seconds = (self._shared.ticks - self._since) * limits.tick_seconds
        if self._half_closed:
            self._look()
        if self._blocked is not None or (self._lingering and self._transport.get_write_buffer_size()):
            if seconds > limits.write_seconds:
                self._transport.abort()
        elif self._lingering:
            if seconds > limits.linger_seconds:
                self._transport.abort()
        elif self._reader.state != IDLE:
            # What we do not read cannot be late.
            if self._reading and (late := self._reader.late()) is not None:
                self._reader.state = IDLE
                self.refuse(late)
        elif not self.busy:
            idle = limits.crowded_seconds if self._shared.crowded else limits.idle_seconds
            if seconds > idle:
                self._transport.close()

    def _turn_away(self) -> None:
        # Told rather than left in the backlog, where a client knows nothing and a load balancer sees us well. But
        # each that is told stays a while until it has read, so of those too there may only be so many.
        if len(self._shared.connections) > self._shared.most + self._shared.most // 8 + 8:
            self._transport.abort()
        else:
            self.refuse(Overloaded(f"{self._shared.most} clients are connected and no more may be; ask again"))

    async def _send(self, pieces: AsyncGenerator[bytes, None], head: Head) -> None:
        try:
            if not head.head_only:
                async for piece in pieces:
                    if piece and not self.lost:  # an empty chunk would end the body
                        self._transport.write(piece if head.old else b"%x\r\n%b\r\n" % (len(piece), piece))
                    if self._blocked is not None:
                        await self._blocked
                    if self.lost:
                        return
        finally:
            await pieces.aclose()
        if not (head.old or head.head_only or self.lost):
            self._transport.write(b"0\r\n\r\n")

    def _sent(self, _: None, error: BaseException | None) -> None:
        self._streaming, self._pump = False, None
        if self.lost:
            return
        if error is not None:
            # The head is out, so the only honest sign of failure left is a body without its end.
            refusal(error)
            self.cut()
        else:
            self._since = self._shared.ticks
            self._shared.mark(self)

    def _drop(self) -> None:
        """Let go of everything that is owed."""
        while self._slots:
            self._slots.popleft().drop()

    def _settle(self) -> None:
        """Nothing is owed: finish, or go on reading."""
        if self._lingering:
            return
        if self.ending:
            self._finish()
        elif self._reader.rest:
            self._shared.loop.call_soon(self._resume)
        else:
            self._read(self._blocked is None)

    def _resume(self) -> None:
        rest, self._reader.rest = self._reader.rest, b""
        if rest:
            self.data_received(rest)

    def _finish(self) -> None:
        """Say that we are done and wait for the client to hang up: closing on unread bytes would destroy the answer."""
        if self._half_closed or self._secure:
            self._transport.close()  # TLS waits by itself for the client's goodbye
            return
        self._lingering = True
        self._since = self._shared.ticks
        self._transport.write_eof()
        self._read(True)

    def _probe(self) -> None:
        """A client that has closed looks like one that only stopped sending, until it is sent something: see which."""
        if self.lost or not self.busy:
            return
        if self._streaming:
            self._transport.write(self._pulse)
        elif not self._slots[0].head.old:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._shared.loop.call_later(PROBE_SECONDS, self._look)

    def _look(self) -> None:
        if not self.lost:
            peer = self._transport.get_extra_info("socket")
            if peer is not None and peer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._transport.abort()

    def _read(self, on: bool) -> None:
        if on == self._reading or self.lost:
            return
        self._reading = on
        if on:
            self._reader.since = self._shared.ticks
        (self._transport.resume_reading if on else self._transport.pause_reading)()

    def _unblock(self) -> None:
        if self._blocked is not None and not self._blocked.done():
            self._blocked.set_result(None)
        self._blocked = None
