"""A fault that no offline test and no shadow can show: a downstream service that only live requests call."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from roadworthy.core.wire import Handler, Request, Response


@dataclass(frozen=True)
class Flaky:
    """Tells a notification service about every live answer; the call fails for `rate` of the requests.

    A shadow must not notify anyone, so it skips the call and never meets the fault. Which requests fail follows from
    `seed` and the request's id: a retry fails again, as it does when the service rejects that message.
    """

    rate: float = 0.03
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise ValueError(f"`rate` must be between 0 and 1, got {self.rate!r}")

    def __call__(self, inner: Handler) -> Handler:
        async def answer(request: Request) -> Response:
            response = await inner(request)
            if not request.shadow:
                self.notify(request.id)
            return response

        return answer

    def notify(self, request_id: str) -> None:
        """Raises ConnectionError for the share `rate` of all ids."""
        drawn = hashlib.blake2b(f"{self.seed}:{request_id}".encode(), digest_size=8).digest()
        if int.from_bytes(drawn) < self.rate * 2**64:
            raise ConnectionError(f"the notification service refused {request_id!r}")
