"""`outlast VERB ...`: the parser, and errors turned into one message and an exit status."""

from __future__ import annotations

import argparse
import errno
import importlib
import itertools
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from outlast.errors import FAILED, OutlastError, UsageError
from outlast.version import __version__

VERBS = ("run", "status", "ls", "show", "diff", "verify", "prune", "export", "stop", "save", "demo")

EPILOG = """\
exit status: 0 done, 1 failed, 2 usage, 3 damage found, 4 nothing to restore, 5 store busy,
85 saved (run me again), 86 gave up (no progress). STORE defaults to $OUTLAST_STORE."""

_BROKEN_PIPE = 141
_INTERRUPTED = 130
_OUTPUT_ERRORS = (errno.ENOSPC, errno.EIO, errno.EDQUOT)


class _Parser(argparse.ArgumentParser):
    """Raises what is wrong with the arguments, so that it is told as every other error."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"see: {self.prog} --help")


def parser() -> argparse.ArgumentParser:
    """Build the parser of all verbs."""
    top = _Parser(
        prog="outlast",
        description="Checkpoint and restart: a computation outlasts the jobs it runs in.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"outlast {__version__}")
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name in VERBS:
        importlib.import_module(f"outlast.cli.{name}").add(verbs)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    status = 0
    try:
        try:
            args = parser().parse_args(argv)
            status = int(importlib.import_module(f"outlast.cli.{args.verb}").main(args))
        except OutlastError as e:
            status = e.exit_status
            _tell(e, as_json=_wants_json(sys.argv[1:] if argv is None else argv))
        print(end="", flush=True)  # standard output may be closed: sys.stdout is None then
    except BrokenPipeError:
        _give_up_output()  # `outlast ls | head`
        return status or _BROKEN_PIPE
    except KeyboardInterrupt:
        return _INTERRUPTED
    except OSError as e:
        if e.filename is not None or e.errno not in _OUTPUT_ERRORS:
            raise
        _give_up_output()
        print(f"outlast: error: the output cannot be written: {e.strerror}", file=sys.stderr)
        return status or FAILED
    return status


def _wants_json(argv: Sequence[str]) -> bool:
    """Say whether --json stands among the arguments, also if they are wrong; not among those of a command to run."""
    return "--json" in itertools.takewhile(lambda argument: argument != "--", argv)


def _give_up_output() -> None:
    """Have what is still buffered go nowhere, or the interpreter complains as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell(error: OutlastError, *, as_json: bool) -> None:
    print(f"outlast: error: {error}", file=sys.stderr)
    if as_json:
        import json

        document = {"error": error.kind, "message": error.args[0], "hint": error.hint, "status": error.exit_status}
        print(json.dumps(document))


if __name__ == "__main__":
    raise SystemExit(main())
