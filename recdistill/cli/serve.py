"""`recdistill serve FOLDER`: an artifact behind HTTP, replaced while it runs."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

HELP = "answer over HTTP from an artifact (without torch)"
TOKEN = "RECDISTILL_TOKEN"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="an artifact; a new one in its place is taken up at once")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1; 0.0.0.0: all)")
    parser.add_argument("--port", type=int, default=8000, help="port (default 8000; 0: any that is free)")
    parser.add_argument("--workers", type=int, default=1, help="processes that answer (default 1; one for each core)")
    parser.add_argument("--state", metavar="DIR", help="where generations and events are kept (default FOLDER.serving)")
    parser.add_argument("--max-body", type=int, metavar="BYTES", help="largest body of a request (default 4 MiB)")
    parser.add_argument("--max-batch", type=int, metavar="N", help="most people or events in a request (default 1024)")
    parser.add_argument("--max-k", type=int, metavar="N", help="most items in an answer (default 1000)")
    parser.add_argument("--max-ids", type=int, metavar="N", help="longest history, exclude or only (default 10000)")
    parser.add_argument("--max-running", type=int, metavar="N", help="most requests of a worker at once (default 512)")
    parser.add_argument("--rate", type=float, metavar="N", help="requests a second of an address to a worker (any)")
    parser.add_argument("--timeout", type=float, metavar="S", help="seconds for a request or an answer (default 10)")
    parser.add_argument("--grace", type=float, default=10.0, metavar="S", help="seconds to finish in (default 10)")
    parser.add_argument(
        "--token-env", default=TOKEN, metavar="NAME", help=f"variable that holds the Bearer token (default {TOKEN})"
    )
    parser.add_argument("--access-log", action="store_true", help="log every request")


def main(options: argparse.Namespace) -> int:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # a worker is one core's worth; --workers adds more
        os.environ.setdefault(name, "1")
    from recdistill.errors import ConfigError
    from recdistill.serving.generation_store import state_of

    if not hasattr(os, "fork"):
        raise ConfigError("serve needs os.fork, which this system has not. Use WSL or a container.")
    try:
        from recdistill.serving.http import logs, workers
        from recdistill.serving.http.settings import Limits, Settings
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("recdistill"):
            raise
        raise ConfigError(f"serve needs {error.name}. Install it: pip install 'recdistill[serve]'.") from None
    asked = ("max_body", "max_batch", "max_k", "max_ids", "max_running", "rate", "timeout")
    limits = Limits(**{name: value for name in asked if (value := getattr(options, name)) is not None})
    folder = Path(options.folder)
    state = Path(options.state) if options.state else state_of(folder)
    if not folder.is_dir() and not state.is_dir():  # with a state an older generation may go on
        raise ConfigError(f"{folder}: no such folder. Give an artifact, for instance runs/demo/artifacts/student.")
    logs.to_stderr()
    workers.serve(
        Settings(
            folder=folder,
            state=state,
            host=options.host,
            port=options.port,
            workers=options.workers,
            token=_token(options.token_env),
            access_log=options.access_log,
            grace=options.grace,
            limits=limits,
        )
    )
    return 0


def _token(name: str) -> str | None:
    """None where the variable is not set, unless another than the default was named."""
    from recdistill.errors import ConfigError

    token = os.environ.get(name)
    if token is None and name != TOKEN:
        raise ConfigError(f"--token-env {name}: no such variable. Set it, or leave the option out.")
    return token
