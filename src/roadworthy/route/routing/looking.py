"""A look at the cheap answer: is it good enough to go out, by its confidence, by the router, by a cheap verifier?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from roadworthy.core.charges import FAILED, VERIFIER
from roadworthy.core.rows import asking
from roadworthy.core.wire import Request, Response, Step
from roadworthy.route.answering.member import Member, reason
from roadworthy.route.answering.parted import part_of, tensors_of
from roadworthy.route.routing.contract import AfterRouter


class Look(NamedTuple):
    """What was found of one row; `verified` is the verifier's step, where it was asked."""

    good: bool
    why: str
    verified: Step | None = None


@dataclass(frozen=True)
class After:
    """Looks at an answer: confidence first, the router next, and the verifier about what both let pass.

    The verifier is asked what the model was asked, each output of the answer being an input `answer.<name>` more, and
    answers in its first output the chance that the row is right. One that fails lets nothing pass.
    """

    confidence: float = 0.0
    router: AfterRouter | None = None
    verifier: Member | None = None
    verified: float = 0.5

    async def __call__(self, request: Request, response: Response) -> list[Look]:
        """One look a row."""
        n = request.n
        looks = [self._look(request, response, row, n) for row in range(n)]
        if self.verifier is None:
            return looks
        unsure = [row for row, look in enumerate(looks) if look.good]
        if unsure:
            for row, look in zip(unsure, await self._verify(self.verifier, request, response, unsure), strict=True):
                looks[row] = look
        return looks

    def _look(self, request: Request, response: Response, row: int, n: int) -> Look:
        good = Look(True, "")
        if self.confidence:
            good = self._by_confidence(response.confidence, row)
        if self.router is None or not good.good:
            return good
        one = request if n == 1 else asking(request, [row])
        found = self.router.gain_after(one, response if n == 1 else part_of(response, [row]))
        if found.odd:
            return Look(False, "the answer is unlike what the router was fitted on")
        word = "reaches" if found.gain >= found.threshold else "below"
        return Look(word == "below", f"gain after the answer {found.gain:.4g} {word} {found.threshold:.4g}")

    def _by_confidence(self, sure: Sequence[float] | None, row: int) -> Look:
        if sure is None:
            return Look(False, "no confidence in the answer")
        # Written so that a NaN is not confident.
        if not sure[row] >= self.confidence:
            return Look(False, f"confidence {sure[row]:.4g} below {self.confidence:.4g}")
        return Look(True, f"confidence {sure[row]:.4g} reaches {self.confidence:.4g}")

    async def _verify(self, verifier: Member, request: Request, response: Response, rows: Sequence[int]) -> list[Look]:
        answers = {f"answer.{name}": tensor for name, tensor in tensors_of(response).items()}
        asked = asking(replace(request, inputs={**request.inputs, **answers}), rows)
        found, seconds = await verifier.ask(asked)
        each = seconds / len(rows)
        if isinstance(found, Exception):
            step = Step(VERIFIER, f"{FAILED}{reason(found)}", verifier.said_usd, each)
            return [Look(False, "the verifier failed", step)] * len(rows)
        right = np.asarray(next(iter(tensors_of(found).values())).data, np.float64).reshape(len(rows), -1)[:, -1]
        paid = verifier.costs(found, len(rows))
        return [self._verdict(chance, usd, each) for chance, usd in zip(right.tolist(), paid, strict=True)]

    def _verdict(self, chance: float, usd: float | None, seconds: float) -> Look:
        good = chance >= self.verified
        why = f"verifier {chance:.4g} {'reaches' if good else 'below'} {self.verified:.4g}"
        return Look(good, why, Step(VERIFIER, why, usd, seconds))
