"""The words of a model card: what was measured, and for everything else that it was not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from msgspec import Struct, field

from roadworthy.core.artifact import Release
from roadworthy.core.measure import Measurement, Requirement, Verdict, judge
from roadworthy.core.spec import Application, Field

_OF_PROBABILITIES = ("ece", "calibration", "brier")


class Course(Struct, frozen=True, omit_defaults=True):
    """A rollout that the release went through: when (Unix seconds), how far it came, how it ended and why."""

    started: float
    stage: str
    end: str
    because: str = ""
    ended: float | None = None


class CardFacts(Struct, frozen=True, omit_defaults=True):
    """What a card is written from. `measured` is what was measured beside what the release itself carries.

    `data` and `split` name the rows that it was measured on, `load` are lines of code that load the model.
    """

    release: Release
    application: Application
    data: str = ""
    split: str = ""
    licence: str = ""
    tags: tuple[str, ...] = ()
    measured: tuple[Measurement, ...] = ()
    rollouts: tuple[Course, ...] = ()
    load: tuple[str, ...] = field(default_factory=tuple)

    def known(self) -> tuple[Measurement, ...]:
        """Every number that was measured, once; what was measured beside the release goes before its own."""
        found: dict[tuple[str, str], Measurement] = {}
        for one in (*self.measured, *self.release.measured, *self.release.calibration):
            if one.n and one.value == one.value:
                found.setdefault((one.name, one.where), one)
        return tuple(found.values())


def body(facts: CardFacts) -> str:
    """The card below its front matter: each section is there, whether or not anything is known for it."""
    sections: Sequence[tuple[str, Iterator[str]]] = (
        ("Intended use", _use(facts.application)),
        ("What it takes and gives", _signature(facts.release)),
        ("Measured", _measured(facts, whole=True)),
        ("By slice", _measured(facts, whole=False)),
        ("Calibration", _calibration(facts)),
        ("Requirements", _requirements(facts)),
        ("Known limits", _limits(facts)),
        ("Training", _training(facts.release)),
        ("Lineage", _lineage(facts.release)),
        ("Rollouts", _rollouts(facts.rollouts)),
        ("How to load it", _loading(facts)),
    )
    written = [f"## {title}\n\n" + "\n".join(lines) for title, lines in sections]
    return f"# {facts.release.name}\n\n" + "\n\n".join(written) + "\n"


def title(measured: Measurement) -> str:
    """The metric, and on which slice."""
    return f"{measured.name} on {measured.where}" if measured.where else measured.name


def bounded(measured: Measurement) -> bool:
    """Whether both ends of the interval are known."""
    return abs(measured.low) != float("inf") and abs(measured.high) != float("inf")


def rows_of(measured: Sequence[Measurement]) -> Iterator[str]:
    """A table with a row for each number: value, interval and rows."""
    yield "| metric | value | interval | rows |"
    yield "|---|---|---|---|"
    for m in measured:
        sure = m.conditions.get("confidence", 0.95)
        at = "" if sure == 0.95 else f" ({sure:.4g})"
        interval = f"{m.low:.4g} to {m.high:.4g}{at}" if bounded(m) else "not known"
        unit = "" if m.unit == "1" else f" {m.unit}"
        yield f"| {cell(title(m))} | {m.value:.4g}{unit} | {interval} | {m.n:,} |"


def cell(text: str) -> str:
    """Text that stays within its cell of a table."""
    return " ".join(text.replace("|", "\\|").split())


def _use(asked: Application) -> Iterator[str]:
    yield asked.meaning or "The application does not say what its answer means."
    yield ""
    yield f"- application: {asked.name} ({asked.task})"
    yield f"- answers for it: {asked.owner or 'nobody is named'}"
    if asked.classes:
        yield f"- classes: {', '.join(asked.classes)}"
    yield "- other uses were not measured"


def _signature(release: Release) -> Iterator[str]:
    for what, fields in (("input", release.signature.inputs), ("output", release.signature.outputs)):
        yield f"| {what} | kind | unit | values | may be null | meaning |"
        yield "|---|---|---|---|---|---|"
        for name, one in fields.items():
            cells = (name, _kind(one), one.unit, _range(one), "yes" if one.nullable else "no", one.meaning)
            yield f"| {' | '.join(cell(text) for text in cells)} |"
        yield ""


def _kind(one: Field) -> str:
    return f"{one.kind} x {one.width}" if one.width > 1 else one.kind


def _range(one: Field) -> str:
    if one.values:
        return ", ".join(one.values)
    ends = [f"from {one.low:g}"] if one.low is not None else []
    return " ".join(ends + ([f"to {one.high:g}"] if one.high is not None else []))


def _measured(facts: CardFacts, whole: bool) -> Iterator[str]:
    found = [m for m in facts.known() if bool(m.where) != whole]
    if not found:
        yield "Nothing was measured." if whole else "No slice was measured apart."
        return
    if whole:
        split = f", {facts.split}" if facts.split else ""
        yield f"On {facts.data or 'rows that are not named'}{split}."
        yield "Intervals hold with a confidence of 0.95, or with the one beside them."
        yield ""
    yield from rows_of(found)


def _calibration(facts: CardFacts) -> Iterator[str]:
    stated = {(m.name, m.where) for m in facts.release.calibration}
    found = [m for m in facts.known() if (m.name, m.where) in stated or m.name.startswith(_OF_PROBABILITIES)]
    if not found:
        yield "Not measured: whether its probabilities can be taken at their word is not known."
        return
    yield from rows_of(found)


def _requirements(facts: CardFacts) -> Iterator[str]:
    if not facts.application.requirements:
        yield "The application sets none."
    for asked in facts.application.requirements:
        verdict = _judged(asked, facts.known())
        if verdict is None:
            yield f"- {asked}: not measured"
        else:
            yield f"- {asked}: **{verdict.decision}**, {verdict.because}"


def _judged(asked: Requirement, known: Sequence[Measurement]) -> Verdict | None:
    """The verdict on what was measured where the requirement is set; None where that was not."""
    matching = (m for m in known if (m.name, m.where, m.unit) == (asked.metric, asked.where, asked.unit))
    found = next(matching, None)
    return None if found is None else judge(found, asked)


def _limits(facts: CardFacts) -> Iterator[str]:
    """What breaks a requirement: the application's own, and each slice on which one that is set on all rows breaks."""
    broken = list(_broken(facts))
    yield from (f"- {line}" for line in broken)
    if not broken:
        yield "No requirement is known to be broken, on all rows or on a slice that was measured."
    unseen = [str(asked) for asked in facts.application.requirements if _judged(asked, facts.known()) is None]
    if unseen:
        yield ""
        yield f"Not measured, and so not known to hold: {'; '.join(unseen)}."


def _broken(facts: CardFacts) -> Iterator[str]:
    for asked in facts.application.requirements:
        for m in facts.known():
            same = (m.name, m.unit) == (asked.metric, asked.unit)
            if same and (m.where == asked.where or not asked.where):
                verdict = judge(m, asked)
                if verdict.decision == "fail":
                    yield f"weak on {m.where}: {verdict.because}" if m.where else verdict.because


def _training(release: Release) -> Iterator[str]:
    yield from _listed("data", release.data)
    yield from _listed("features", release.features)
    yield from _listed("setting", {name: str(value) for name, value in release.training.items()})
    yield from _listed("package", release.versions)
    if not (release.data or release.features or release.training or release.versions):
        yield "Not recorded."


def _listed(what: str, values: Mapping[str, str]) -> Iterator[str]:
    yield from (f"- {what} `{name}`: {' '.join(value.split())}" for name, value in values.items())


def _lineage(release: Release) -> Iterator[str]:
    yield f"- release: `{release.digest}`"
    yield f"- made by: {release.made_by or 'not recorded'}"
    yield f"- made at: {_moment(release.made_at) if release.made_at else 'not recorded'}"
    yield f"- code: {f'`{release.code}`' if release.code else 'not recorded'}"
    yield f"- parent: {f'`{release.parent}`' if release.parent else 'none'}"
    if release.note:
        yield f"- note: {' '.join(release.note.split())}"
    for one in release.artifacts:
        runs = f", run by `{one.engine}`" if one.engine else ""
        yield f"- artifact `{one.name}`: `{one.digest}` ({one.bytes:,} bytes{runs})"
    for plan in (*release.preprocessing, *release.wrappers):
        yield f"- wrapped in: `{plan}`"


def _rollouts(courses: Sequence[Course]) -> Iterator[str]:
    if not courses:
        yield "It has been through none that is recorded."
        return
    yield "| started | ended | came to | how it ended | why |"
    yield "|---|---|---|---|---|"
    for one in courses:
        ended = "still running" if one.ended is None else _moment(one.ended)
        cells = (_moment(one.started), ended, one.stage, one.end, one.because)
        yield f"| {' | '.join(cell(text) for text in cells)} |"


def _loading(facts: CardFacts) -> Iterator[str]:
    if facts.load:
        yield "```python"
        yield from facts.load
        yield "```"
        return
    yield "In the folder of its project, `roadworthy serve` answers for it by the Open Inference Protocol:"
    yield ""
    yield "```sh"
    yield f"curl http://127.0.0.1:8080/v2/models/{facts.application.name}/infer -d @request.json"
    yield "```"


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
