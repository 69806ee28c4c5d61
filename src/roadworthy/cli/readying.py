"""Gathers what a project has to show for its readiness: its file, its state, its reports, its tests and its build."""

from __future__ import annotations

import hashlib
import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from sqlalchemy import func, select

from roadworthy.app.keys import KeyFile
from roadworthy.cli.opening import registry_of
from roadworthy.core.artifact import Release
from roadworthy.core.catalog import read_plan
from roadworthy.core.errors import BadData, SpecError, unknown
from roadworthy.core.spec import Spec
from roadworthy.evaluate.reports.report import read_json
from roadworthy.observe.explanation.attributions import Attribution
from roadworthy.observe.profiles import profiled
from roadworthy.readiness.artefacts import Artefacts, GapFacts, Newest, PastRollout
from roadworthy.readiness.infrastructure_checks import QUALITY
from roadworthy.readiness.score import names
from roadworthy.rollout.rollout_state import RolloutState, history
from roadworthy.store.state import State

# Where build servers look for what they should do.
BUILDS = (
    ".github/workflows/*.y*ml", ".gitlab-ci.yml", ".circleci/config.yml", "azure-pipelines.yml", "Jenkinsfile", ".ci/*",
)  # fmt: skip
NEWEST_EXPLAINED = 500


def artefacts_of(spec: Spec, state: State, now: float) -> Artefacts:
    """Everything that the checks look at. Raises SpecError on `readiness: manual:` that names no check or no file."""
    registry, name = registry_of(spec, state), spec.application.name
    releases = registry.list()
    moved = [change for change in registry.history(name, "stable") if change.digest]
    known = {release.digest: release for release in releases}
    stable = known.get(moved[-1].digest or "") if moved else None
    weights, explained = _weights(state)
    return Artefacts(
        spec=spec,
        now=now,
        stable=stable,
        stable_since=moved[-1].at if moved else None,
        releases=tuple(releases),
        promoted=tuple(dict.fromkeys(change.digest or "" for change in moved)),
        rollouts=tuple(past(found) for found in history(state.engine, name)),
        events=_events(state),
        chores=_chores(state),
        tests=_texts(spec.root, ("tests/**/test_*.py", "test_*.py")),
        builds=_texts(spec.root, BUILDS),
        documents=_documents(spec),
        gap=_gap(spec, releases),
        compared=_compared(spec),
        life=(spec.state / "life.json").is_file(),
        records=sum(state.records.counts().values()),
        labels=_labels(state),
        explained=explained,
        weights=weights,
        profile=stable is not None and stable.digest in profiled(state),
        keys=sum(key.state(now) == "valid" for key in KeyFile(spec.state).read()),
        approvals=_count(state, "approvals"),
    )


def past(found: RolloutState) -> PastRollout:
    """What readiness asks of one rollout; its labels are those of the gate that judged the most of them."""
    modes = tuple(dict.fromkeys(stage.mode for stage in found.plan.stages[: found.stage + 1]))
    gates = tuple(read_plan(signal.gate)[0] for signal in found.plan.hierarchy)
    # A verdict is called as its signal is ("quality metric=auc"); the gate stands in the plan.
    judged = [v for v, place in zip(found.verdicts, found.asked, strict=True) if gates[place] in QUALITY]
    labels = max((m.n for v in judged for m in v.evidence), default=0)
    return PastRollout(found.id, found.candidate, found.status, found.started_at, modes, gates, labels)


def _events(state: State) -> dict[str, Newest]:
    table = state.tables["events"]
    chosen = select(table.c.kind, func.count(), func.max(table.c.at)).group_by(table.c.kind)
    with state.engine.execution_options(reading=True).connect() as connection:
        return {kind: Newest(int(count), float(at)) for kind, count, at in connection.execute(chosen)}


def _chores(state: State) -> dict[str, float]:
    table = state.tables["bookmarks"]
    chosen = select(table.c.name, table.c.at).where(table.c.name.startswith("chore:"))
    with state.engine.execution_options(reading=True).connect() as connection:
        return {name.removeprefix("chore:"): float(at) for name, at in connection.execute(chosen)}


def _weights(state: State) -> tuple[dict[str, float], int]:
    """The share of each input in the newest explained answers, and how many answers are explained."""
    table = state.tables["explanations"]
    chosen = select(table.c.body).order_by(table.c.at.desc()).limit(NEWEST_EXPLAINED)
    with state.engine.execution_options(reading=True).connect() as connection:
        bodies = connection.execute(chosen).scalars().all()
    total: defaultdict[str, float] = defaultdict(float)
    for body in bodies:
        for part in msgspec.msgpack.decode(body, type=Attribution).parts:
            total[part.where] += abs(part.value)
    whole = sum(total.values())
    return {name: value / whole for name, value in total.items()} if whole else {}, _count(state, "explanations")


def _count(state: State, table: str) -> int:
    with state.engine.execution_options(reading=True).connect() as connection:
        return int(connection.execute(select(func.count()).select_from(state.tables[table])).scalar_one())


def _labels(state: State) -> int:
    with state.records.connection() as connection:
        return int(connection.execute("SELECT count(*) FROM labels").fetchone()[0])


def _gap(spec: Spec, releases: Sequence[Release]) -> GapFacts | None:
    """What the newest gap report says of the project's model, and which release that is."""
    file = spec.state / "gap.json"
    if not file.is_file():
        return None
    try:
        report = read_json(file.read_bytes())
    except msgspec.DecodeError as wrong:
        raise BadData(f"{str(file)!r} is no gap report: {wrong}; run `roadworthy gap` again") from wrong
    edges = report.edges
    return GapFacts(
        at=report.made_at,
        release=of_project(spec, releases),
        decision=report.decision,
        claims=len(report.reproductions),
        reproduced=sum(r.outcome == "reproduced" for r in report.reproductions),
        slices=len(report.slices),
        corruptions=len(report.spoilt),
        edges=sum(edges.outcomes.values()) if edges else 0,
        edges_failed=len(edges.wrong) if edges else 0,
        measured=tuple(m.name for m in report.production),
    )


def of_project(spec: Spec, releases: Sequence[Release]) -> str:
    """The release that the project's own model files are in; "" for none."""
    named = [spec.model.file, *(member.file for member in spec.model.members.values())]
    files = [spec.path(file) for file in named if file]
    if not files or not all(file.is_file() for file in files):
        return ""
    digests = {_digest(file) for file in files}
    return next((r.digest for r in releases if digests <= {a.digest for a in r.artifacts}), "")


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _compared(spec: Spec) -> int:
    folder = spec.state / "compare"
    return sum(file.name != "compare.json" for file in folder.glob("*.json")) if folder.is_dir() else 0


def _documents(spec: Spec) -> dict[str, str]:
    known = names()
    for name, document in spec.readiness.manual.items():
        if name not in known:
            raise SpecError(f"`readiness: manual:` {unknown('check', name, known)}")
        if not spec.path(document).is_file():
            raise SpecError(f"`readiness: manual: {name}:` names {document!r}, and there is no such file: write it")
    return dict(spec.readiness.manual)


def _texts(root: Path, patterns: tuple[str, ...]) -> dict[str, str]:
    """The files of these patterns in the project, and in the repository around it."""
    found = itertools.chain.from_iterable(_matching(folder, patterns) for folder in _folders(root))
    return {str(file): file.read_text(encoding="utf-8", errors="replace") for file in found}


def _matching(folder: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    for pattern in patterns:
        yield from (file for file in sorted(folder.glob(pattern)) if file.is_file())


def _folders(root: Path) -> list[Path]:
    """The project's folder and, where it is part of one, the top of its git repository."""
    whole = root.resolve()
    top = next((folder for folder in (whole, *whole.parents) if (folder / ".git").exists()), whole)
    return list(dict.fromkeys((whole, top)))
