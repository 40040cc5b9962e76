"""`outlast status`: progress, attempts and how they ended, last save, work lost. From files alone."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from outlast.cli import arguments, output

if TYPE_CHECKING:
    from outlast.store import Store

_EVERY = "5s"
_EPILOG = """\
STORE may be a directory with runs in it, down to two levels (a sweep, a job array): then each is one line.
How an attempt ended is told from its journal and, where `outlast run` supervised it, the record of its job.

examples:
  outlast status ckpts/net              one run
  outlast status sweep                  all runs below it
  outlast status sweep --watch 30s      look again every 30 s, until all are done
"""


def add(verbs: arguments.Verbs[argparse.ArgumentParser]) -> None:
    parser = arguments.verb(verbs, "status", epilog=_EPILOG)
    arguments.add_store(parser)
    parser.add_argument(
        "--watch",
        nargs="?",
        const=_EVERY,
        metavar="TIME",
        help=f"look again every TIME (default {_EVERY}), until all is done or you press Ctrl-C",
    )


def main(args: argparse.Namespace) -> int:
    every_s = _every_s(args)
    look = _Look(args)
    if every_s is not None:
        from outlast.cli.watching import watch

        watch(look, _lines, _is_over, every_s=every_s, as_json=args.json)
        return 0
    found = look()
    if args.json:
        output.as_json(found)
        return 0
    for line in _lines(found):
        print(line)
    return 0


def _every_s(args: argparse.Namespace) -> float | None:
    """Return how often to look again. What stands behind --watch and is no time is the store."""
    from outlast.errors import UsageError
    from outlast.units import parse_duration

    if args.watch is None:
        return None
    try:
        every_s = parse_duration(args.watch)
    except UsageError:
        if args.store is not None:
            raise
        args.store, every_s = args.watch, parse_duration(_EVERY)
    if every_s <= 0:
        raise UsageError(f"--watch {args.watch}: expected a time above zero")
    return every_s


class _Look:
    """Looks at what was named: a run, or all runs below a directory. It may become the one or the other meanwhile."""

    def __init__(self, args: argparse.Namespace) -> None:
        from outlast.backends import Posix

        self._args = args
        self._backend = Posix(arguments.store_path(args))
        self._store: Store | None = None

    def __call__(self) -> dict[str, Any]:
        from outlast.cli import overview, standing
        from outlast.store.glance import is_for_jobs_alone, is_run

        backend = self._backend
        if self._store is None and backend.exists():
            if not is_run(backend) and overview.runs(backend):
                return overview.document(backend)
            if is_for_jobs_alone(backend):
                return standing.not_begun(backend.root)
        self._store = self._store or arguments.open_store(self._args)
        return standing.document(self._store)


def _lines(found: dict[str, Any]) -> list[str]:
    from outlast.cli import overview, standing

    return overview.lines(found) if "runs" in found else standing.lines(found)


def _is_over(found: dict[str, Any]) -> bool:
    from outlast.cli import standing

    return all(one["state"] in (standing.DONE, standing.GAVE_UP) for one in found.get("runs", [found]))
