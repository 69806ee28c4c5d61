"""A share of the callers goes to another release, each caller always to the same one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from hashlib import blake2b

from msgspec.structs import replace

from roadworthy.core.errors import SpecError, unknown
from roadworthy.core.wire import Arm, Handler, Request, Response, Step
from roadworthy.route.base import policy


@policy("split")
@dataclass(frozen=True)
class Split:
    """`share` of the keys goes to `high`, the rest to `low`; a key stays where it is while the share grows.

    A request's key is the value of its tag `key`, where it has one, else its own key, else its id. The arm follows from
    a hash of `salt` and the key: no table is kept, any replica decides alike. Another salt draws other keys, so that
    one caller is not the guinea pig of every rollout. Requests without the tag and value in `where` ("origin=LGA") take
    no part: stable answers them, and their path does not mention the split.
    """

    share: float
    salt: str
    low: Arm = "stable"
    high: Arm = "canary"
    where: str = ""
    key: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"`share` must be between 0 and 1, got {self.share!r}")
        if self.where and "=" not in self.where:
            raise ValueError(f"`where` names a tag and its value, as `origin=LGA`; got {self.where!r}")

    def __call__(self, handlers: Mapping[str, Handler]) -> Handler:
        """The handler that asks one of `handlers`. Raises SpecError where one is not given."""
        for name in {self.low, self.high, "stable"} if self.where else (self.low, self.high):
            if name not in handlers:
                raise SpecError(unknown("handler to split over", name, handlers))
        split = partial(self._ask, handlers[self.low], handlers[self.high])
        return partial(self._ask_some, handlers["stable"], split) if self.where else split

    def draw(self, request: Request) -> float:
        """Where the request's key stands, uniform in [0, 1); below `share` it goes to `high`."""
        key = (request.tags.get(self.key) if self.key else "") or request.key or request.id
        return int.from_bytes(blake2b(f"{self.salt}\0{key}".encode(), digest_size=6).digest()) / 2**48

    def takes(self, request: Request) -> bool:
        """Does the request take part at all?"""
        if not self.where:
            return True
        tag, value = self._only
        return request.tags.get(tag) == value

    def arm(self, request: Request) -> Arm:
        """The arm that answers this request."""
        if not self.takes(request):
            return "stable"
        return self.high if self.draw(request) < self.share else self.low

    def chooses(self, request: Request) -> bool:
        """Would the request go to `high`? This is how a shadow takes its share of the same callers."""
        return self.takes(request) and self.draw(request) < self.share

    @cached_property
    def _only(self) -> tuple[str, str]:
        tag, _, value = self.where.partition("=")
        return tag.strip(), value.strip()

    async def _ask_some(self, stable: Handler, split: Handler, request: Request) -> Response:
        return await (split if self.takes(request) else stable)(request)

    async def _ask(self, low: Handler, high: Handler, request: Request) -> Response:
        drawn = self.draw(request)
        up = drawn < self.share
        response = await (high if up else low)(request)
        step = Step("split", f"drew {drawn:.4f}, {'below' if up else 'not below'} the share {self.share:g}")
        # Whoever answered in the arm's place is not the arm.
        arm = response.arm if response.arm == "fallback" else self.high if up else self.low
        return replace(response, arm=arm, path=(step, *response.path))
