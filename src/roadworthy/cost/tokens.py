"""What tokens cost: by an endpoint's price list, or by the hour of a machine of one's own that makes them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import Struct

from roadworthy.core.errors import BadData, SpecError
from roadworthy.core.measure import Measurement
from roadworthy.core.stats import mean, nothing, z_of
from roadworthy.cost.prices import usd_per_1k

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


class TokenPrices(Struct, frozen=True, forbid_unknown_fields=True):
    """An endpoint's prices in US dollars per million tokens; input that it has cached may be cheaper.

    What is not said of cached input costs as much as other input.
    """

    input_usd: float
    output_usd: float
    cached_usd: float | None = None

    def __post_init__(self) -> None:
        for name in ("input_usd", "output_usd", "cached_usd"):
            price = getattr(self, name)
            if price is not None and not (math.isfinite(price) and price >= 0):
                raise SpecError(f"`{name}` must be 0 or more dollars per million tokens, got {price!r}")

    def usd(
        self, input_tokens: ArrayLike, output_tokens: ArrayLike, cached_tokens: ArrayLike = 0
    ) -> NDArray[np.float64]:
        """What each request costs (n,); `cached_tokens` are those of the input that were cached. Raises BadData."""
        import numpy as np

        asked, made, cached = np.broadcast_arrays(
            *(np.asarray(tokens, dtype=np.float64) for tokens in (input_tokens, output_tokens, cached_tokens))
        )
        if (asked < 0).any() or (made < 0).any() or (cached < 0).any() or (cached > asked).any():
            raise BadData("tokens must be 0 or more in every request, and those cached no more than those of the input")
        price = self.input_usd if self.cached_usd is None else self.cached_usd
        return np.asarray(((asked - cached) * self.input_usd + cached * price + made * self.output_usd) / 1e6)


def usd_per_1k_requests(
    prices: TokenPrices, input_tokens: ArrayLike, output_tokens: ArrayLike, cached_tokens: ArrayLike = 0
) -> Measurement:
    """US dollars per 1,000 requests such as these, with the interval that their lengths give."""
    return mean("usd_per_1k", 1000 * prices.usd(input_tokens, output_tokens, cached_tokens), unit="usd")


def usd_per_1k_tokens(
    prices: TokenPrices, input_tokens: ArrayLike, output_tokens: ArrayLike, cached_tokens: ArrayLike = 0
) -> Measurement:
    """US dollars per 1,000 tokens that came out, the input paid for: a ratio, with the interval of its linearisation.

    The delta method on the ratio of two means (Cochran 1977, section 6.4).
    """
    import numpy as np

    usd = prices.usd(input_tokens, output_tokens, cached_tokens)
    made = np.broadcast_to(np.asarray(output_tokens, dtype=np.float64), usd.shape)
    n, total = len(usd), float(made.sum())
    if not total > 0:
        return nothing("usd_per_1k_tokens", "usd")
    ratio = float(usd.sum()) / total
    rest = usd - ratio * made
    half = z_of(0.95) * math.sqrt(n * float(rest.var(ddof=1))) / total if n > 1 else math.inf
    low = max(0.0, ratio - half)
    shape = {"input_tokens_per_output_token": float(np.sum(np.broadcast_to(input_tokens, usd.shape))) / total}
    return Measurement("usd_per_1k_tokens", 1000 * ratio, n, 1000 * low, 1000 * (ratio + half), "usd", "", shape)


def usd_per_1k_own_tokens(usd_per_hour: float, tokens_per_second: Measurement, utilisation: float) -> Measurement:
    """US dollars per 1,000 tokens out of a machine of one's own, from its token goodput at the SLO."""
    price = usd_per_1k(usd_per_hour, tokens_per_second, utilisation)
    name = "usd_per_1k_tokens"
    return Measurement(name, price.value, price.n, price.low, price.high, "usd", price.where, price.conditions)
