"""`recdistill VERB …`: reads the verb, turns every foreseeable failure into one line and exit code 2."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from recdistill import __version__
from recdistill.cli import (
    compare,
    compress,
    data,
    demo,
    diagnose,
    doctor,
    events,
    explain,
    frontier,
    index,
    recommend,
    report,
    run,
    serve,
    tune,
)
from recdistill.errors import RecdistillError
from recdistill.registry import did_you_mean, nearest

# Threads that wait spin by default; where other processes want the cores too, training then takes ten times as long.
# Read when torch is first loaded, which is later. A value that is set already stays.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

VERBS = (
    demo,
    run,
    compress,
    frontier,
    tune,
    compare,
    data,
    report,
    diagnose,
    explain,
    recommend,
    index,
    serve,
    doctor,
    events,
)


class _Terminated(KeyboardInterrupt):
    """Told to stop by SIGTERM."""


class _Parser(argparse.ArgumentParser):
    """argparse whose refusals take one line, each by the verb that it is about."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        options, rest = super().parse_known_args(args, namespace)
        if rest:
            named = next((word.partition("=")[0] for word in rest if word.startswith("--")), "")
            cure = did_you_mean(named, [one for one in self._option_string_actions if one.startswith("--")])
            self.error(f"unrecognized arguments: {' '.join(rest)}. {cure}".rstrip(". "))
        return options, rest

    def error(self, message: str) -> NoReturn:
        end = "" if message.endswith("?") else "."
        self.exit(2, f"{self.prog}: error: {message}{end} See {self.prog} --help\n")


def build_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="recdistill", description="Distil a large recommender into a compact student.")
    parser.add_argument("--version", action="version", version=f"recdistill {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=_Parser)
    for verb in VERBS:
        name = verb.__name__.rpartition(".")[2]
        child = verbs.add_parser(name, help=verb.HELP, description=verb.HELP)
        child.add_argument("--debug", action="store_true", help="show the traceback of an error")
        verb.add_arguments(child)
        child.set_defaults(main=verb.main)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if line := _unknown(words):
        print(line, file=sys.stderr)
        return 2
    options = build_parser().parse_args(words)
    try:
        with _orderly_end(options.verb):
            return options.main(options) or 0
    except RecdistillError as error:
        return _refuse(options, error, str(error))
    except MemoryError as error:
        return _refuse(options, error, "out of memory; give a smaller --memory, or a smaller teacher.dim with --set")
    except BrokenPipeError:  # whoever read the output has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        return _refuse(
            options, error, f"{error.filename or 'the disk'}: {error.strerror}; free space or choose another folder"
        )
    except KeyboardInterrupt as error:
        _refuse(options, error, "stopped; the same command goes on from what is done")
        return 128 + (signal.SIGTERM if isinstance(error, _Terminated) else signal.SIGINT)


@contextmanager
def _orderly_end(verb: str) -> Iterator[None]:
    """SIGTERM, as a scheduler sends it, ends a verb as Ctrl-C does; `serve` has its own way."""
    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if verb == "serve" or not ours:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise _Terminated


def _unknown(words: Sequence[str]) -> str:
    """The line that refuses a verb, or the verb under a verb, that does not exist; empty where all is well."""
    verbs = {verb.__name__.rpartition(".")[2]: verb for verb in VERBS}
    if not words or words[0].startswith("-"):
        return ""
    if words[0] not in verbs:
        return f"recdistill: error: no verb {words[0]!r}. {nearest(words[0], verbs)}"
    below = getattr(verbs[words[0]], "SUB_VERBS", {})
    if not below or (len(words) > 1 and (words[1] in below or words[1].startswith("-"))):
        return ""
    if len(words) == 1:
        return f"recdistill {words[0]}: error: say what to do: {', '.join(below)}. See recdistill {words[0]} --help"
    return f"recdistill {words[0]}: error: no verb {words[1]!r}. {nearest(words[1], below)}"


def _refuse(options: argparse.Namespace, error: BaseException, line: str) -> int:
    if options.debug:
        raise error
    print(f"recdistill {options.verb}: error: {' '.join(line.split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
