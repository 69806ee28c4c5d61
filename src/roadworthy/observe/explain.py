"""Answers for one prediction: who gave it, on what, how sure, how its like fared, and would it say so again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from msgspec import Struct

from roadworthy.core.artifact import Release
from roadworthy.core.errors import RoadworthyError
from roadworthy.core.measure import Measurement
from roadworthy.core.record import Record
from roadworthy.core.spec import Signature
from roadworthy.core.stats import mean, proportion
from roadworthy.core.window import Window
from roadworthy.core.wire import Handler, Request, Tensor
from roadworthy.observe.alerts import DAY
from roadworthy.observe.explanation.attributions import Attribution, table
from roadworthy.observe.explanation.explaining import attribution_of
from roadworthy.observe.explanation.isolation import Isolation, isolation
from roadworthy.observe.explanation.similar import Like, Place, is_null, nearest, place
from roadworthy.observe.watch import ANSWERING
from roadworthy.registry.releases import Registry
from roadworthy.store.state import State


class Replay(Struct, frozen=True):
    """What the same release answers to the same inputs now; `differs` names the outputs that are not the same."""

    outputs: Mapping[str, Any]
    differs: tuple[str, ...]
    error: str | None = None

    @property
    def exact(self) -> bool:
        """Whether the answer is the same to the last bit (NaN being equal to NaN)."""
        return self.error is None and not self.differs


class Explanation(Struct, frozen=True):
    """Everything that is kept about one prediction.

    `record` is the answer that the caller got (release, arm, path, confidence, label, timings), `others` the same
    request on other arms. `places` are those of its inputs in recent traffic, `reference` those in the `known` rows
    that the release was made on. `likes` are the nearest earlier predictions whose outcome is known, `outcome` is the
    mean of their labels. `attribution` says which inputs made the answer, `unexplained` why that could not be had.
    """

    record: Record
    release: Release | None
    others: tuple[Record, ...]
    places: tuple[Place, ...]
    recent: int
    likes: tuple[Like, ...]
    outcome: Measurement
    replay: Replay | None = None
    reference: tuple[Place, ...] = ()
    known: int = 0
    isolation: Isolation | None = None
    attribution: Attribution | None = None
    unexplained: str = ""


def explain(
    state: State,
    registry: Registry,
    id: str,
    handler_of: Callable[[Release], Handler] | None = None,
    recent_days: float = 7.0,
    likes: int = 20,
    most: int = 20_000,
    reference_of: Callable[[Release], Window | None] | None = None,
    attribute: Callable[[Record, Release], Attribution] | None = None,
) -> Explanation:
    """Gather what is known of the prediction `id`; where `handler_of` makes its release's handler, ask it again.

    Recent traffic is what was answered in the `recent_days` before, or in fewer where that were more than `most` rows.
    `reference_of` gives the rows that a release was made on, and `attribute` says which inputs made an answer, where
    that is not kept already. Raises Missing for an id that nobody knows.
    Not for use inside an event loop: await `replay` there.
    """
    answers = state.records.get(id)
    record = next((r for r in answers if r.arm in ANSWERING), answers[0])
    recent = _before(state, record, recent_days, most)
    answered = [row for row in recent if row.error is None]
    window, release = Window.of(answered), _release(registry, record)
    made_on = reference_of(release) if reference_of and release else None
    near = nearest(record, answered, window, likes)
    places, reference = _places(record, window), _places(record, made_on) if made_on is not None else ()
    attribution, unexplained = _attributed(state, record, release, attribute)
    return Explanation(
        record,
        release,
        tuple(r for r in answers if r is not record),
        places,
        window.n,
        tuple(near),
        _outcome([like.record.label for like in near if like.record.label is not None], _decided(record)),
        asyncio.run(replay(record, release.signature, handler_of(release))) if handler_of and release else None,
        reference,
        0 if made_on is None else made_on.n,
        isolation(record, recent, near, reference, places),
        attribution,
        unexplained,
    )


def _places(record: Record, window: Window) -> tuple[Place, ...]:
    return tuple(place(name, value, window.inputs.get(name)) for name, value in record.inputs.items())


def _attributed(
    state: State,
    record: Record,
    release: Release | None,
    attribute: Callable[[Record, Release], Attribution] | None,
) -> tuple[Attribution | None, str]:
    """What is kept of the answer's attribution, else a new one; or the reason why there is none."""
    kept = attribution_of(state, record)
    if kept is not None or attribute is None:
        return kept, ""
    if release is None or record.error is not None:
        return None, "its release is not in the registry" if release is None else "it has no answer"
    try:
        return attribute(record, release), ""
    except RoadworthyError as refused:
        return None, str(refused)


async def replay(record: Record, signature: Signature, handler: Handler) -> Replay:
    """Ask the handler again what the record was asked. A handler that fails is an answer too: `error`."""
    try:
        response = await handler(request_of(record, signature))
    except Exception as wrong:
        return Replay({}, (), f"{type(wrong).__name__}: {wrong}")
    if not isinstance(response.outputs, Mapping):
        return Replay({}, (), "the answer is a stream, which cannot be compared")
    outputs = {name: _row(tensor) for name, tensor in response.outputs.items()}
    # What nobody promised may be there once only: the other model's answer, say, where a draw wanted a comparison.
    both = record.outputs.keys() & outputs.keys()
    names = dict.fromkeys(n for n in (*record.outputs, *outputs) if n in signature.outputs or n in both)
    return Replay(outputs, tuple(n for n in names if not _same(record.outputs.get(n), outputs.get(n))))


def request_of(record: Record, signature: Signature) -> Request:
    """The request of one row that this record answered."""
    tensors = {}
    for name, value in record.inputs.items():
        data = list(value) if isinstance(value, list | tuple) else [value]
        datatype = signature.inputs[name].datatype if name in signature.inputs else "BYTES"
        tensors[name] = Tensor(name, datatype, (1, len(data)), data)
    # As a shadow: whatever keeps records or spends a budget must not count it as traffic.
    return Request(record.id, tensors, record.at, tags=record.tags, shadow=True)


def _before(state: State, record: Record, days: float, most: int) -> list[Record]:
    """The rows of the days before a record, the stretch being halved until it holds at most so many."""
    while state.records.count(record.at - days * DAY, record.at, None, ANSWERING) > most:
        days /= 2
    rows = state.records.read(record.at - days * DAY, record.at, None, ANSWERING)
    return [row for row in rows if row.id != record.id]


def _release(registry: Registry, record: Record) -> Release | None:
    try:
        return registry.get(record.release)
    except LookupError:
        # The record outlives the registry it was made with, when that was set up anew.
        return None


def _decided(record: Record) -> int | None:
    """The class that was answered, where the answer is a number for each of several classes."""
    answer = next(iter(record.outputs.values()), None)
    return int(np.argmax(answer)) if isinstance(answer, list | tuple) and len(answer) > 2 else None


def _outcome(labels: Sequence[float], decided: int | None) -> Measurement:
    """What became of similar rows: how often the class that this one was answered with, else the mean."""
    if decided is not None:
        hits = sum(label == decided for label in labels)
        return proportion("outcome", hits, len(labels), where=f"the class {decided} that was answered")
    if all(label in (0.0, 1.0) for label in labels):
        return proportion("outcome", int(sum(labels)), len(labels))
    return mean("outcome", labels)


def _row(tensor: Tensor) -> Any:
    data = np.asarray(tensor.data).reshape(-1).tolist()
    return data[0] if len(data) == 1 else data


def _same(before: Any, now: Any) -> bool:
    if isinstance(before, list | tuple) and isinstance(now, list | tuple):
        return len(before) == len(now) and all(map(_same, before, now))
    return bool(before == now) or (is_null(before) and is_null(now))


def explanation_text(explanation: Explanation) -> str:
    """The explanation as a page of plain text, a fact a line."""
    record, release = explanation.record, explanation.release
    lines = [
        f"{record.id} at {_time(record.at)}, answered by {record.arm}",
        f"  release     {_release_told(record, release)}",
        f"  answer      {_pairs(record.outputs)}{_sure(record)}",
        f"  outcome     {_outcome_told(record)}",
        *([f"  error       {record.error}"] if record.error else []),
        *(f"  path        {step.at}: {step.because}" for step in record.path),
        f"  time        {', '.join(f'{name} {1000 * s:.2f} ms' for name, s in record.seconds.items()) or 'not kept'}",
        *(f"  also asked  {other.arm}: {_pairs(other.outputs) or other.error}" for other in explanation.others),
        f"  inputs, among {explanation.recent} recent predictions{_known_told(explanation)}:",
        *_inputs_told(explanation),
        f"  similar     {_likes_told(explanation)}",
        *(
            [f"  others      {explanation.isolation.kind}: {explanation.isolation.because}"]
            if explanation.isolation
            else []
        ),
        *_attribution_told(explanation),
        f"  replay      {_replay_told(explanation.replay)}",
    ]
    return "\n".join(lines)


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(sep=" ", timespec="seconds")


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items()
    )


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _sure(record: Record) -> str:
    return "" if record.confidence is None else f", confidence {record.confidence:.3f}"


def _release_told(record: Record, release: Release | None) -> str:
    if release is None:
        return f"{record.release[:12]} (no longer in the registry)"
    data = ", ".join(f"{name} {digest[:12]}" for name, digest in release.data.items())
    made = f"made {_time(release.made_at)} by {release.made_by or '?'}"
    return f"{release.name} {record.release[:12]}, {made}; data: {data or '?'}"


def _outcome_told(record: Record) -> str:
    if record.label is None:
        return "not known yet"
    return f"{record.label:g}" + (f", known since {_time(record.label_at)}" if record.label_at is not None else "")


def _known_told(explanation: Explanation) -> str:
    return f" (and {explanation.known} that the release was made on)" if explanation.reference else ""


def _inputs_told(explanation: Explanation) -> list[str]:
    before = {each.input: f" ({_place_told(each)})" for each in explanation.reference}
    return [
        f"    {each.input:<20} {_short(each.value):<14} {_place_told(each)}{before.get(each.input, '')}"
        for each in explanation.places
    ]


def _attribution_told(explanation: Explanation) -> list[str]:
    found = explanation.attribution
    if found is None:
        return [f"  because     not explained: {explanation.unexplained}"] if explanation.unexplained else []
    return [f"  because     by {found.method} against {found.rows} rows:", *(f"    {line}" for line in table(found))]


def _place_told(each: Place) -> str:
    if not each.place.n:
        return "nothing to compare with"
    if each.kind == "percentile":
        return f"above {each.place.value:.1%}"
    return f"{each.place.value:.1%} have it"


def _likes_told(explanation: Explanation) -> str:
    if not explanation.likes:
        return "no earlier prediction whose outcome is known"
    first = explanation.likes[0]
    near = f"nearest {first.record.id} ({_pairs(first.record.outputs)}, became {first.record.label:g})"
    return f"{len(explanation.likes)} earlier ones: {explanation.outcome}; {near}"


def _replay_told(replay: Replay | None) -> str:
    if replay is None:
        return "not asked for"
    if replay.exact:
        return "the same release gives the same answer"
    return replay.error or f"differs in {', '.join(replay.differs)}: now {_pairs(replay.outputs)}"
