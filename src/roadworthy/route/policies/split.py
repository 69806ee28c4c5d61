"""A share of the callers goes to another release, each caller always to the same one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b

from msgspec.structs import replace

from roadworthy.core.errors import SpecError, unknown
from roadworthy.core.wire import Arm, Handler, Request, Response, Step
from roadworthy.route.base import policy


@policy("split")
@dataclass(frozen=True)
class Split:
    """`share` of the keys goes to `high`, the rest to `low`; a key stays where it is while the share grows.

    The arm follows from a hash of `salt` and the request's key (its id where it has none): no table is kept, any
    replica decides alike. Another salt draws other keys, so that one caller is not the guinea pig of every rollout.
    """

    share: float
    salt: str
    low: Arm = "stable"
    high: Arm = "canary"

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"`share` must be between 0 and 1, got {self.share!r}")

    def __call__(self, handlers: Mapping[str, Handler]) -> Handler:
        """The handler that asks `handlers[low]` or `handlers[high]`. Raises SpecError where one is not given."""
        for name in (self.low, self.high):
            if name not in handlers:
                raise SpecError(unknown("handler to split over", name, handlers))
        return partial(self._ask, handlers[self.low], handlers[self.high])

    def draw(self, request: Request) -> float:
        """Where the request's key stands, uniform in [0, 1); below `share` it goes to `high`."""
        text = f"{self.salt}\0{request.key or request.id}"
        return int.from_bytes(blake2b(text.encode(), digest_size=6).digest()) / 2**48

    def arm(self, request: Request) -> Arm:
        """The arm that answers this request."""
        return self.high if self.draw(request) < self.share else self.low

    async def _ask(self, low: Handler, high: Handler, request: Request) -> Response:
        drawn = self.draw(request)
        up = drawn < self.share
        response = await (high if up else low)(request)
        step = Step("split", f"drew {drawn:.4f}, {'below' if up else 'not below'} the share {self.share:g}")
        # Whoever answered in the arm's place is not the arm.
        arm = response.arm if response.arm == "fallback" else self.high if up else self.low
        return replace(response, arm=arm, path=(step, *response.path))
