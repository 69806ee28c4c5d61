"""A RetryBudget lets our own retries be at most a share of the first attempts, so that failures do not multiply."""

from __future__ import annotations


class RetryBudget:
    """A token bucket: every first attempt pays in `share` of a token, every retry takes one out.

    It starts full with `most` tokens, which is also the longest run of retries without first attempts in between.
    Over any stretch of time retries are at most `share` of the attempts, plus `most`. After Finagle's RetryBudget
    and gRPC's A6 (`tokenRatio` 0.1), in whose rule tokens are paid in by successes alone; ours are, too.
    """

    __slots__ = ("_tokens", "most", "refused", "share", "spent")

    def __init__(self, share: float = 0.1, most: float = 10.0) -> None:
        if not 0 < share <= 1 or most < 1:
            raise ValueError(f"`share` must be in (0, 1] and `most` at least 1, got {share!r} and {most!r}")
        self.share, self.most = share, most
        self.spent = self.refused = 0
        self._tokens = float(most)

    def __repr__(self) -> str:
        return f"RetryBudget(share={self.share}, most={self.most}, tokens={self._tokens:.1f})"

    def earn(self, successes: int = 1) -> None:
        """So many first attempts went well."""
        if self._tokens < self.most:
            self._tokens = min(self.most, self._tokens + self.share * successes)

    def spend(self, retries: int = 1) -> bool:
        """Take out `retries` tokens; False, and nothing taken, where there are not as many."""
        if retries > self._tokens:
            self.refused += retries
            return False
        self._tokens -= retries
        self.spent += retries
        return True
