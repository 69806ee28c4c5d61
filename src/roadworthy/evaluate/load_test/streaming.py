"""Streaming measures answers that come piece by piece: the first token, the first visible one, gaps, speed, lengths."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import ArrayLike, NDArray

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import mean, nothing, proportion
from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.evaluate.binomial import cumulative
from roadworthy.evaluate.load_test.timeline import Timeline

# Tensors of these names are written by the model, and not for its reader.
UNSEEN = frozenset({"reasoning"})
# Tensors of these names tell about an answer, and are no part of it.
COUNTS = frozenset({"prompt_tokens", "completion_tokens", "reasoning_tokens", "finish_reason"})
# What a request may call the number of tokens that it wants.
WANTED = ("max_tokens", "max_completion_tokens")
SHARES = (50, 95, 99)

Count = Callable[[str], int]


class Piece(NamedTuple):
    """A part of an answer: when it came, how many tokens it is, and whether a reader sees anything of it."""

    at: float
    tokens: int
    visible: bool


class Stream(Struct, frozen=True):
    """One answer as it came in. All times are on one clock; `ended` is infinite where the answer failed.

    `due` is NaN where nothing was scheduled. `requested` tokens were asked for at most, `told` is how many the server
    says that it wrote; None where nobody says.
    """

    due: float
    sent: float
    pieces: tuple[Piece, ...] = ()
    ended: float = math.inf
    failure: str = ""
    requested: int | None = None
    told: int | None = None
    counted: bool = False

    @property
    def received(self) -> int:
        """The tokens that came, by our own count; a piece is one token unless a tokenizer counted."""
        return sum(piece.tokens for piece in self.pieces)

    @property
    def tokens(self) -> int:
        """The best count there is: ours by a tokenizer, else the server's, else the pieces."""
        return self.received if self.counted or self.told is None else self.told

    @property
    def first(self) -> float:
        """When the first piece came, be it reasoning; infinite for a failure, or where nothing came."""
        return min((piece.at for piece in self._sound), default=math.inf)

    @property
    def first_visible(self) -> float:
        """When the reader first saw something other than blanks."""
        return min((piece.at for piece in self._sound if piece.visible), default=math.inf)

    @property
    def per_token(self) -> float:
        """Seconds from token to token after the first; NaN where there are fewer than two."""
        if self.failure:
            return math.inf
        return (self.pieces[-1].at - self.first) / (self.tokens - 1) if self.pieces and self.tokens > 1 else math.nan

    @property
    def gaps(self) -> tuple[float, ...]:
        """Seconds between pieces; one infinite gap for a failure."""
        if self.failure:
            return (math.inf,)
        return tuple(later.at - sooner.at for sooner, later in zip(self.pieces, self.pieces[1:], strict=False))

    @property
    def _sound(self) -> tuple[Piece, ...]:
        return () if self.failure else self.pieces


class Tape:
    """Keeps when each piece of each answer came. Calling it is what `Sending.piece` wants, `whole` what `keep` does.

    `count` tells how many tokens a text has; without it a piece counts as one.
    """

    def __init__(self, count: Count | None = None) -> None:
        self.count = count
        self._pieces: dict[int, list[Piece]] = {}
        self._told: dict[int, int] = {}

    @property
    def heard(self) -> bool:
        """Did anything come that is worth measuring as a stream?"""
        return bool(self._pieces)

    def __call__(self, number: int, second: float, tensor: Tensor) -> None:
        """Request `number` got a piece at `second`."""
        if tensor.name not in COUNTS:
            self._pieces.setdefault(number, []).append(Piece(second, self._tokens(tensor), _visible(tensor)))
        elif tensor.name == "completion_tokens":
            self._tell(number, tensor)

    def whole(self, number: int, response: Response) -> None:
        """Request `number` is answered; what did not come as a stream came all at once."""
        if not isinstance(response.outputs, Mapping) or not response.outputs:
            return
        self._tell(number, response.outputs.get("completion_tokens"))
        parts = [tensor for name, tensor in response.outputs.items() if name not in COUNTS]
        told = self._told.get(number) if self.count is None else None
        tokens = sum(map(self._tokens, parts)) if told is None else told
        self._pieces[number] = [Piece(math.nan, tokens, any(map(_visible, parts)))]

    def streams(self, timeline: Timeline, requests: Sequence[Request]) -> list[Stream]:
        """The answers of a run, one for each of its requests in order."""
        return [self._stream(k, timeline, requests[k % len(requests)]) for k in range(timeline.n)]

    def _stream(self, k: int, timeline: Timeline, request: Request) -> Stream:
        failure, done = str(timeline.failure[k]), float(timeline.done[k])
        pieces = tuple(piece._replace(at=done) if math.isnan(piece.at) else piece for piece in self._pieces.get(k, ()))
        ended = math.inf if math.isnan(done) else done
        return Stream(
            float(timeline.due[k]),
            float(timeline.sent[k]),
            pieces,
            ended,
            failure,
            _requested(request),
            self._told.get(k),
            self.count is not None,
        )

    def _tell(self, number: int, tensor: Tensor | None) -> None:
        told = _number(tensor)
        if told is not None:
            self._told[number] = told

    def _tokens(self, tensor: Tensor) -> int:
        return 1 if self.count is None or tensor.datatype != "BYTES" else sum(map(self.count, _texts(tensor)))


def measure(streams: Sequence[Stream], seconds: float) -> tuple[Measurement, ...]:
    """What `seconds` of streams come to: percentiles of latency, gaps and speed, lengths, counts and failures.

    Latencies run from the scheduled time (`..._ms`) where there was a schedule, and from the sending
    (`..._from_send_ms`): only the first pay for a generator or a queue that held requests back. A failed answer is
    infinitely late in all of them, and so is visible text that never came.
    """
    sent = [stream.due if math.isnan(stream.sent) else stream.sent for stream in streams]
    found = [*_latencies(streams, sent, "_from_send", "sending")]
    if streams and not any(math.isnan(stream.due) for stream in streams):
        found = [*_latencies(streams, [stream.due for stream in streams], "", "scheduled time"), *found]
    gaps = [gap for stream in streams for gap in stream.gaps]
    per_token = [stream.per_token for stream in streams if not math.isnan(stream.per_token)]
    for share in SHARES:
        found.append(order_statistic(f"itl_p{share}_ms", 1000 * np.array(gaps), share / 100, "ms", len(streams)))
        found.append(order_statistic(f"tpot_p{share}_ms", 1000 * np.array(per_token), share / 100, "ms"))
    return (*found, *_speeds(streams, seconds), *_lengths(streams))


def order_statistic(
    name: str, values: NDArray[np.float64], share: float, unit: str, independent: int | None = None
) -> Measurement:
    """A quantile with its order-statistic interval (exact binomial), unbounded where too few values bound it.

    Where values come in clusters (the gaps of one stream are alike) only `independent` of them bound it.
    """
    n = len(values)
    if not n:
        return nothing(name, unit)
    ordered, sure = np.sort(values), min(n, independent or n)
    upto = cumulative(sure, share)
    low = int(np.searchsorted(upto, 0.025, "right")) / sure
    high = (int(np.searchsorted(upto, 0.975, "left")) + 1) / sure
    return Measurement(
        name,
        _at(ordered, share),
        n,
        _at(ordered, low) if low > 0 else 0.0,
        _at(ordered, high) if high <= 1 else math.inf,
        unit,
    )


def _at(ordered: NDArray[np.float64], share: float) -> float:
    return float(ordered[max(0, math.ceil(share * len(ordered) - 1e-9) - 1)])


def _latencies(streams: Sequence[Stream], since: Sequence[float], suffix: str, origin: str) -> Iterable[Measurement]:
    for name, times in (
        ("ttft", [stream.first for stream in streams]),
        ("ttfvt", [stream.first_visible for stream in streams]),
        ("e2e", [stream.ended for stream in streams]),
    ):
        late = 1000 * (np.array(times) - np.array(since))
        for share in SHARES:
            found = order_statistic(f"{name}_p{share}{suffix}_ms", late, share / 100, "ms")
            yield replace(found, conditions={"from": origin})


def _speeds(streams: Sequence[Stream], seconds: float) -> Iterable[Measurement]:
    """Tokens a second: of all together, and of one stream (the middle one, and the slowest in twenty)."""
    tokens = [0 if stream.failure else stream.tokens for stream in streams]
    if streams:
        # How many requests came is chance too: the spread is that of a compound Poisson sum.
        rate, half = sum(tokens) / seconds, 1.96 * math.hypot(*tokens) / seconds
        yield Measurement("output_tokens_per_s", rate, len(streams), max(0.0, rate - half), rate + half, "tokens/s")
    else:
        yield nothing("output_tokens_per_s", "tokens/s")
    own = [n / (s.ended - s.sent) if s.ended > s.sent else 0.0 for n, s in zip(tokens, streams, strict=True)]
    for share in (50, 5):
        yield order_statistic(f"stream_tokens_per_s_p{share}", np.array(own), share / 100, "tokens/s")


def _lengths(streams: Sequence[Stream]) -> Iterable[Measurement]:
    whole = [stream for stream in streams if not stream.failure]
    asked = [stream.tokens / stream.requested for stream in whole if stream.requested]
    yield mean("received_of_requested", asked)
    both = [stream for stream in whole if stream.told is not None and (stream.counted or len(stream.pieces) > 1)]
    ratios: ArrayLike = [stream.told / stream.received for stream in both if stream.told and stream.received]
    yield mean("server_of_client_tokens", ratios)
    yield proportion("token_counts_differ", sum(stream.told != stream.received for stream in both), len(both))
    silent = sum(math.isinf(stream.first_visible) for stream in whole)
    yield proportion("nothing_visible", silent, len(whole))
    yield proportion("stream_failures", len(streams) - len(whole), len(streams))


def _requested(request: Request) -> int | None:
    for name in WANTED:
        if name in request.inputs:
            return _number(request.inputs[name])
        if isinstance(request.parameters.get(name), int):
            return int(request.parameters[name])
    return None


def _number(tensor: Tensor | None) -> int | None:
    """The sum of a column of counts, None where there is none."""
    if tensor is None:
        return None
    counts: list[Any] = [value for value in tensor.data if value is not None and value == value]
    return int(sum(counts)) if counts else None


def _visible(tensor: Tensor) -> bool:
    if tensor.name in UNSEEN:
        return False
    return tensor.datatype != "BYTES" or any(not text.isspace() and text != "" for text in _texts(tensor))


def _texts(tensor: Tensor) -> list[str]:
    return ["" if value is None else str(value) for value in tensor.data]
