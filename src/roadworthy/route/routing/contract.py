"""What a routing policy asks of a fitted router: how much better the dearer model is expected to answer."""

from __future__ import annotations

from typing import Protocol

from roadworthy.core.wire import Request, Response


class Gain(Protocol):
    """What a router expects of one row: the dearer model pays where `gain` reaches `threshold`.

    `strong` and `weak` are the chances that either model answers well. `segment` is the one whose threshold it is, ""
    where all share one. An `odd` row is unlike what the router was fitted on, or `because` says what else makes its
    numbers mean nothing.
    """

    @property
    def strong(self) -> float: ...
    @property
    def weak(self) -> float: ...
    @property
    def gain(self) -> float: ...
    @property
    def threshold(self) -> float: ...
    @property
    def segment(self) -> str: ...
    @property
    def odd(self) -> bool: ...
    @property
    def because(self) -> str: ...


class GainRouter(Protocol):
    """Looks at a request of one row before anybody answers it."""

    def gain(self, request: Request) -> Gain: ...


class AfterRouter(Protocol):
    """Looks at a request of one row once the cheaper model has answered it."""

    def gain_after(self, request: Request, response: Response) -> Gain: ...
