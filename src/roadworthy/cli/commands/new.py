"""Write a commented roadworthy.yaml from a model file and a table with labels."""

from __future__ import annotations

import argparse
from pathlib import Path

from roadworthy.cli.outcome import Outcome
from roadworthy.core.errors import Taken

EXAMPLE = "roadworthy new model.onnx sample.parquet --label late --at departed_at"


def options(parser: argparse.ArgumentParser) -> None:
    """The two files, and which columns are not inputs."""
    parser.add_argument("model", type=Path, help="the model: .onnx, .skops")
    parser.add_argument("table", type=Path, help="a sample of data: .parquet, .csv")
    parser.add_argument("--label", required=True, help="the column that holds the outcome")
    parser.add_argument("--id", default="", help="the column that identifies a row")
    parser.add_argument("--at", default="", help="the column with the time of the request")
    parser.add_argument("--name", default="", help="what to call the application (the folder's name)")
    parser.add_argument("--out", type=Path, default=Path("roadworthy.yaml"), help="where to write (./roadworthy.yaml)")
    parser.add_argument("--force", action="store_true", help="overwrite a project file that is there")


def run(args: argparse.Namespace) -> Outcome:
    """The project file, with every input's kind, range and values as the table shows them."""
    from roadworthy.core.project import read_project
    from roadworthy.data.skeleton import skeleton

    if args.out.exists() and not args.force:
        raise Taken(f"{str(args.out)!r} is there already: pass --force to overwrite it, or --out for another place")
    text = skeleton(
        args.model,
        args.table,
        label=args.label,
        id=args.id,
        at=args.at,
        name=args.name or args.out.resolve().parent.name,
        root=args.out.resolve().parent,
        model_inputs=_model_inputs(args.model),
    )
    args.out.write_text(text, encoding="utf-8")
    spec = read_project(args.out)
    shown = f"wrote {args.out} for {len(spec.application.inputs)} inputs: read it through, then `roadworthy gap`"
    return Outcome({"path": str(args.out), "inputs": list(spec.application.inputs)}, shown)


def _model_inputs(model: Path) -> dict[str, str]:
    """The graph's inputs with their types where the file is ONNX; nothing where only the table can tell.

    A graph that takes one matrix of all columns does not name them.
    """
    if model.suffix != ".onnx":
        return {}
    from roadworthy.serve.engines.onnx import describe

    ports = describe(model)
    return {} if len(ports) == 1 and ports[0].width != 1 else {port.name: port.datatype for port in ports}
