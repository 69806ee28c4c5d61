"""Hand a release to others: `mlflow` writes it into MLflow, `card` a model card, `croissant` a card of the tables."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from roadworthy.cli.opening import existing_state, open_spec, project_option, registry_of, release_named, state_option
from roadworthy.cli.outcome import Outcome
from roadworthy.core.errors import BadRequest

if TYPE_CHECKING:
    from roadworthy.core.spec import Spec

EXAMPLE = "roadworthy export card MODEL_CARD.md --project examples/flights"


def options(parser: argparse.ArgumentParser) -> None:
    """In which form, where to, and which release."""
    project_option(parser)
    state_option(parser)
    parser.add_argument("form", choices=["mlflow", "card", "croissant"])
    parser.add_argument("file", nargs="?", type=Path, help="the card's file")
    parser.add_argument("--release", default="", metavar="DIGEST", help="which release (what is stable now)")
    parser.add_argument("--licence", default="", help="the licence of the model or the data, as `apache-2.0`")
    parser.add_argument("--mlflow", default="", metavar="URI", help="the tracking server (MLFLOW_TRACKING_URI)")
    parser.add_argument("--name", default="", help="the registered name in MLflow (the application's)")
    parser.add_argument("--experiment", default="", help="the experiment in MLflow (the application's name)")
    parser.add_argument("--alias", default="", help="an alias to set in MLflow")


def run(args: argparse.Namespace) -> Outcome:
    """What was written where; exporting the same again changes nothing."""
    spec = open_spec(args, check_files=False)
    if args.form == "croissant":
        return _croissant(args, spec)
    with existing_state(spec, args.state) as state:
        registry = registry_of(spec, state)
        release = release_named(registry, spec, args.release)
        from roadworthy.cli.exchanging import card_facts

        facts = card_facts(spec, state, release, args.licence)
        if args.form == "card":
            from roadworthy.registry.exchange.cards import write_model_card

            checked = write_model_card(_file(args), facts)
            return _written(args, checked, "huggingface_hub")
        from roadworthy.cli.exchanging import unpacked
        from roadworthy.registry.exchange.cards import model_card
        from roadworthy.registry.exchange.mlflow_export import export_release, told
        from roadworthy.registry.exchange.mlflow_server import Server

        name = args.name or spec.application.name
        done = export_release(
            release,
            registry.files(release),
            Server(args.mlflow),
            unpacked,
            name=name,
            experiment=args.experiment or name,
            alias=args.alias,
            texts={"README.md": model_card(facts)},
        )
        return Outcome(done, "\n".join(told(done)))


def _croissant(args: argparse.Namespace, spec: Spec) -> Outcome:
    from roadworthy.registry.exchange.croissant import write_data_card

    return _written(args, write_data_card(spec, _file(args), licence=args.licence), "mlcroissant")


def _written(args: argparse.Namespace, checked: bool, library: str) -> Outcome:
    told = f"checked by {library}" if checked else f"not checked: {library} is not installed (roadworthy[cards])"
    return Outcome({"file": str(args.file), "checked": checked}, f"{args.file}: {told}")


def _file(args: argparse.Namespace) -> Path:
    if args.file is None:
        raise BadRequest(f"where to? `roadworthy export {args.form} FILE`")
    return Path(args.file)
