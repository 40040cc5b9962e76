"""`outlast VERB ...`: the parser, and errors turned into one message and an exit status."""

from __future__ import annotations

import argparse
import errno
import importlib
import itertools
import os
import sys
from collections.abc import Collection, Sequence
from typing import NoReturn

from outlast.cli import arguments
from outlast.cli.verbs import VERBS
from outlast.errors import FAILED, OutlastError, UsageError
from outlast.terminal import visible
from outlast.version import __version__

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


def parser(wanted: Collection[str] = tuple(VERBS)) -> argparse.ArgumentParser:
    """Build the parser of some verbs; their modules are imported."""
    top, verbs = _top()
    for name in wanted:
        importlib.import_module(f"outlast.cli.{name}").add(verbs)
    return top


def _top() -> tuple[_Parser, arguments.Verbs[_Parser]]:
    """Return a parser without any verb, and what verbs are added to."""
    top = _Parser(
        prog="outlast",
        description="Checkpoint and restart: a computation outlasts the jobs it runs in.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"outlast {__version__}")
    return top, top.add_subparsers(dest="verb", metavar="VERB", prog=top.prog, required=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    status = 0
    try:
        try:
            args = parse(sys.argv[1:] if argv is None else argv)
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


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments; a verb that passes foreign options on takes them out first."""
    verb = argv[0] if argv else ""
    if verb not in VERBS:
        return _without_verb(argv)
    split = getattr(importlib.import_module(f"outlast.cli.{verb}"), "split", None)
    if split is None:
        return parser([verb]).parse_args(argv)
    ours, foreign = split(argv[1:])
    return argparse.Namespace(**{**vars(parser([verb]).parse_args([verb, *ours])), **foreign})


def _without_verb(argv: Sequence[str]) -> argparse.Namespace:
    """Answer `--help` and `--version`, or say what is wrong: for that no verb is imported."""
    top, verbs = _top()
    for name, line in VERBS.items():
        verbs.add_parser(name, help=line)
    return top.parse_args(argv)


def _wants_json(argv: Sequence[str]) -> bool:
    """Say whether --json stands among the arguments, also if they are wrong; not among those of a command to run."""
    return "--json" in itertools.takewhile(lambda argument: argument != "--", argv)


def _give_up_output() -> None:
    """Have what is still buffered go nowhere, or the interpreter complains as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell(error: OutlastError, *, as_json: bool) -> None:
    first, *more = map(visible, error.hint.split("\n"))
    hint = "".join([f"\n  -> {first}" if first else "", *(f"\n     {line}" for line in more)])
    print(f"outlast: error: {visible(error.args[0])}{hint}", file=sys.stderr)
    if as_json:
        import json

        document = {"error": error.kind, "message": error.args[0], "hint": error.hint, "status": error.exit_status}
        print(json.dumps(document))


if __name__ == "__main__":
    raise SystemExit(main())
