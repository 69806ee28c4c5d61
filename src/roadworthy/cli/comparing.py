"""Several models in one project's place: the gap report of each, and all of them side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from roadworthy.cli.flows import Say, handler_in, measure_gap, read, silent
from roadworthy.core.errors import Missing, SpecError, nearest
from roadworthy.core.spec import Spec
from roadworthy.evaluate.answers import answers
from roadworthy.evaluate.reports.compare import Comparison, Difference, compare, paired
from roadworthy.evaluate.reports.report import GapReport
from roadworthy.evaluate.standard import standard_metrics
from roadworthy.evaluate.subject import Effort, Subject, labels_of


def compared(
    spec: Spec, models: Sequence[Path], effort: Effort, say: Say = silent
) -> tuple[dict[str, GapReport], Comparison]:
    """The gap report of each model by its name, and what they amount to. Raises Missing for a file that is absent."""
    specs = {name: with_model(spec, file) for name, file in _named(models).items()}
    reports = {}
    for name, one in specs.items():
        reports[name] = measure_gap(one, effort, partial(_say_of, say, name))
    say("every two of them on the same rows")
    return reports, compare(reports, differences(specs, next(iter(reports.values())).headline, effort))


def _say_of(say: Say, name: str, step: str) -> None:
    say(f"{name}: {step}")


def differences(specs: Mapping[str, Spec], headline: str, effort: Effort) -> tuple[Difference, ...]:
    """Every two models on production's rows, by the headline metric; none where nothing is labelled."""
    spec = next(iter(specs.values()))
    application, production = spec.application, read(spec, "production")
    handlers = {name: handler_in(one) for name, one in specs.items()}
    subject = Subject(next(iter(handlers.values())), application, standard_metrics(application), effort, silent)
    rows = 1 if application.task == "generation" else effort.batch_rows
    given = {name: answers(handler, production, subject.signature, rows) for name, handler in handlers.items()}
    labels = labels_of(production, application)
    return paired(subject.metric(headline), labels, given, effort.rng(), application.task)


def with_model(spec: Spec, file: Path) -> Spec:
    """The project with another model in the place of its own; its claims are those of the card beside it, if any."""
    file = file.resolve()
    if not file.exists():
        beside = [each.name for each in file.parent.iterdir()] if file.parent.is_dir() else []
        raise Missing(f"no model {str(file)!r}{nearest(file.name, beside)}; give the paths of model files")
    own = spec.path(spec.model.file).resolve()
    if file == own:
        return spec
    card = file.with_suffix(".md")
    engine = spec.model.engine if file.suffix == own.suffix else ""
    model = replace(spec.model, file=str(file), engine=engine, card=str(card) if card.exists() else "")
    model = replace(model, members={}, policy=None, policy_file="")
    return replace(spec, model=model, claims=())


def _named(models: Sequence[Path]) -> dict[str, Path]:
    """The models by the shortest names that tell them apart."""
    if len(models) < 2:
        raise SpecError(f"a comparison takes two models or more, got {len(models)}: give the paths of their files")
    for name_of in (lambda file: file.stem, lambda file: file.name, str):
        names = [name_of(file) for file in models]
        if len(set(names)) == len(names):
            return dict(zip(names, models, strict=True))
    raise SpecError(f"a model is named twice among {', '.join(map(str, models))}: name each once")
