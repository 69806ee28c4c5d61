"""Text health: does a model begin to loop, repeat itself, break off, refuse or write broken characters?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from roadworthy.core.measure import Verdict
from roadworthy.core.window import Window
from roadworthy.observe.base import detector
from roadworthy.observe.texts.text_health import TextBaseline, judged
from roadworthy.observe.texts.text_measures import measured

if TYPE_CHECKING:
    from numpy.typing import NDArray


@detector("text_health")
@dataclass(frozen=True)
class TextHealth:
    """Alarms when loops, repetition, broken signs, refusals or cut texts become more frequent.

    `column` names an input or an output; every output of text where it is empty. `alpha` is shared by all faults and
    columns. Outputs `finish_reason` and `log_probability` are looked at where there are such: without the latter,
    gibberish and words in a false order go unseen. Of more than `most_rows` an even sample is read.
    """

    column: str = ""
    alpha: float = 0.01
    least_rise: float = 0.01
    least_rows: int = 100
    most_rows: int = 5000

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ValueError(f"`alpha` must be between 0 and 1, got {self.alpha!r}")

    @classmethod
    def example(cls) -> TextHealth:
        """For the laws, whose world has text in its inputs only."""
        return cls("carrier")

    def __call__(self, reference: Window, current: Window) -> Verdict:
        columns = self._columns(reference, current)
        if not columns:
            wanted = f"no column of text named {self.column!r}" if self.column else "no output is text"
            return Verdict("wait", wanted, "text_health")
        alpha = self.alpha / len(columns)
        verdicts = [self._judge(reference, current, name, alpha) for name in columns]
        order = {"fail": 0, "wait": 1, "pass": 2}
        verdicts.sort(key=lambda verdict: order[verdict.decision])
        because = "; ".join(v.because for v in verdicts if v.decision == verdicts[0].decision) + _new(
            reference, current
        )
        evidence = tuple(one for verdict in verdicts for one in verdict.evidence)
        return Verdict(verdicts[0].decision, because, "text_health", evidence)

    def _columns(self, reference: Window, current: Window) -> list[str]:
        names = [self.column] if self.column else [name for name in current.outputs if name != "finish_reason"]
        both = (_find(reference, name) is not None and _find(current, name) is not None for name in names)
        return [name for name, there in zip(names, both, strict=True) if there]

    def _judge(self, reference: Window, current: Window, name: str, alpha: float) -> Verdict:
        before, now = self._measured(reference, name), self._measured(current, name)
        # One in a hundred, whatever the alarm's own alpha: a threshold further out has too few texts behind it.
        baseline = TextBaseline.fit(before, 0.01)
        return judged(baseline, now, name, alpha, self.least_rise, self.least_rows)

    def _measured(self, window: Window, name: str) -> list[dict[str, float]]:
        texts = _find(window, name)
        if texts is None or not len(texts):
            return []
        rows = np.unique(np.linspace(0, len(texts) - 1, min(len(texts), self.most_rows)).astype(int))
        ends, sure = window.outputs.get("finish_reason"), window.outputs.get("log_probability")
        return [
            measured(
                texts[row],
                None if ends is None else str(ends[row]),
                None if sure is None else float(sure[row]),
            )
            for row in rows
        ]


def _new(reference: Window, current: Window) -> str:
    """What came up since, which has nothing to be compared with."""
    known, now = {**reference.inputs, **reference.outputs}, {**current.inputs, **current.outputs}
    names = [name for name in now if name not in known]
    return f"; new, and not looked at: {', '.join(names)}" if names else ""


def _find(window: Window, name: str) -> NDArray[Any] | None:
    """The column if it is text: of outputs first, as that is what a model writes."""
    found = window.outputs.get(name, window.inputs.get(name))
    return found if found is not None and found.dtype == object else None
