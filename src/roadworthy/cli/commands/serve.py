"""Serve the stable release over Open Inference V2 and plain JSON, and the candidate of a running rollout."""

from __future__ import annotations

import argparse
from contextlib import nullcontext

from roadworthy.cli.opening import open_spec, project_option, state_option
from roadworthy.cli.outcome import Outcome

EXAMPLE = "roadworthy serve --project examples/flights --port 8080"


def options(parser: argparse.ArgumentParser) -> None:
    """Where to listen, and whose clock to use."""
    project_option(parser)
    parser.add_argument("--host", default=None, help="address to listen on (from the project file)")
    parser.add_argument("--port", type=int, default=None, help="port (from the project file); 0 takes a free one")
    parser.add_argument(
        "--admin-port", type=int, default=0, help="port of the admin listener on 127.0.0.1 (a free one)"
    )
    parser.add_argument("--grpc-port", type=int, default=None, help="speak gRPC too, on this port; 0 takes a free one")
    state_option(parser)
    parser.add_argument(
        "--look-seconds", type=float, default=10.0, help="how often a running rollout's gates are asked (10)"
    )
    parser.add_argument(
        "--no-tend", action="store_true", help="start no `roadworthy tend` beside it: another process tends the records"
    )
    parser.add_argument("--clock", choices=["wall", "request"], default="wall", help="`request` replays the past")


def run(args: argparse.Namespace) -> Outcome:
    """Runs until SIGTERM or ^C, then drains. On a replayed clock whoever replays asks the gates."""
    from roadworthy.app.server import serve
    from roadworthy.cli.beside import tended
    from roadworthy.cli.looking import looking

    spec = open_spec(args)
    host = args.host or spec.serving.host
    port = spec.serving.port if args.port is None else args.port
    state = args.state or spec.state
    live = args.clock == "wall"
    looked = looking(spec, state, args.look_seconds) if live else nullcontext()
    tidied = tended(spec.file, state) if live and not args.no_tend else nullcontext()
    with looked, tidied:
        serve(spec, state, host, port, args.admin_port, args.grpc_port, args.clock)
    return Outcome({"stopped": True}, "stopped")
