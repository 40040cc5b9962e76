"""`outlast drill -- CMD`: prove that a program restarts."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from outlast.cli import arguments, output
from outlast.errors import UsageError

if TYPE_CHECKING:
    from outlast.drill.director import Drilled
    from outlast.drill.order import Order

_QUICK_S = 55.0
_BAR = "{desc} {n_fmt}/{total_fmt} |{bar:20}| {elapsed}{postfix}"  # runs differ: no guess how long the rest takes
_EPILOG = """\
Each run works in a copy of the current folder (without stores, caches and what --compare names); OUTLAST_STORE and
TMPDIR lead into it. A relative store path just works. Your own files and stores are not touched.

faults: kill, save, notice, damage, again (these five with --quick), step, limit, notice-group, full-disk, node, twice.

exit status: 0 after every fault the result is that of the undisturbed run; 1 it is not; 2 usage, or the program does
not work undisturbed; 4 nothing can be proven: two undisturbed runs differ.

examples:
  outlast drill --quick -- python train.py
  outlast drill --compare 'out/*.csv' --checkpoints 'ckpt/*.npz' -- ./sim.sh
  outlast drill --faults kill,save --kills 20 --seed 3 --junit drill.xml -- python train.py
"""


def add(verbs: arguments.Verbs[argparse.ArgumentParser]) -> None:
    parser = arguments.verb(verbs, "drill", epilog=_EPILOG)
    parser.usage = "outlast drill [options] -- CMD [ARG ...]"
    parser.add_argument("--quick", action="store_true", help="five faults, and none that is not done within a minute")
    parser.add_argument("--faults", metavar="NAMES", help="which, with commas between (default: all; see below)")
    parser.add_argument("--kills", type=int, metavar="N", help="how often kill and save strike (default 3; quick: 2)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="for where the faults strike (default 1)")
    parser.add_argument(
        "--compare", action="append", default=[], metavar="FILES", help="compare these files too, e.g. 'out/*.csv'"
    )
    parser.add_argument("--stdout", action="store_true", help="compare what it prints too")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=0.0,
        metavar="X",
        help="let floating-point numbers differ by so much (default 0)",
    )
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="NAMES",
        help="do not compare what is called so, e.g. '*seconds*'",
    )
    parser.add_argument(
        "--checkpoints",
        action="append",
        default=[],
        metavar="FILES",
        help="the program's own checkpoint files, to damage",
    )
    parser.add_argument("--copy", action="append", metavar="PATHS", help="copy only these for each run")
    parser.add_argument("--link", action="append", default=[], metavar="PATHS", help="link to these instead of copying")
    parser.add_argument(
        "--dir", metavar="DIR", help="where the runs go, and stay (default: a temporary folder, removed)"
    )
    parser.add_argument(
        "--timeout", metavar="TIME", help="a run that takes longer hangs (default: by the undisturbed one)"
    )
    parser.add_argument("--jobs", type=int, metavar="N", help="so many runs at once (default 1; quick: 3 at most)")
    parser.add_argument("--junit", metavar="FILE", help="write JUnit XML for CI too")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="CMD", help="the command and its arguments")


def main(args: argparse.Namespace) -> int:
    from outlast.drill import report
    from outlast.drill.director import drill

    order = _order(args)
    _check_writable(args.junit)
    with _told_to_end(), _progress(len(order.faults) + 2) as tell:
        found = drill(order, tell)
    if args.junit:
        with open(args.junit, "wb") as file:
            file.write(report.junit(found))
    if args.json:
        output.as_json(report.document(found))
    else:
        _print(found)
    return found.verdict.judgement.status


def _order(args: argparse.Namespace) -> Order:
    from outlast.drill.compare import Terms
    from outlast.drill.faults import chosen
    from outlast.drill.order import Order
    from outlast.units import parse_duration

    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        raise UsageError("there is no command to drill", hint="outlast drill [options] -- CMD [ARG ...]")
    for option, number in (("--kills", args.kills), ("--jobs", args.jobs)):
        if number is not None and number < 1:
            raise UsageError(f"{option} {number}: expected 1 or more")
    if not 0 <= args.tolerance < 1:
        raise UsageError(f"--tolerance {args.tolerance}: expected a number from 0 to below 1")
    cpus = len(os.sched_getaffinity(0))
    return Order(
        command=tuple(command),
        folder=os.getcwd(),
        faults=chosen(args.faults, quick=args.quick),
        named=args.faults is not None,
        seed=args.seed,
        kills=args.kills or (2 if args.quick else 3),
        results=tuple(args.compare),
        checkpoints=tuple(args.checkpoints),
        stdout=args.stdout,
        terms=Terms(tolerance=args.tolerance, ignore=tuple(args.ignore)),
        copy=tuple(args.copy) if args.copy else None,
        link=tuple(args.link),
        place=args.dir,
        limit_s=parse_duration(args.timeout) if args.timeout else None,
        budget_s=_QUICK_S if args.quick else None,
        jobs=args.jobs or (min(3, cpus) if args.quick else 1),
    )


def _check_writable(path: str | None) -> None:
    """See to it that what is written at the end can be: that may be hours later."""
    if path and (os.path.isdir(path) or not os.access(os.path.dirname(path) or ".", os.W_OK)):
        raise UsageError(f"--junit {path} cannot be written")


def _print(found: Drilled) -> None:
    from outlast.drill import report

    output.table(report.rows(found), report.HEADERS)
    output.say("")
    for line in report.troubles(found):
        output.say(line)
    if found.verdict.judgement.status == 1:
        output.say("")
    for line in report.verdict(found):
        output.say(line)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[Sequence[str], int], object]]:
    """Show a bar on stderr, with what is under way, if somebody can see it."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda _names, _count: None
        return
    from tqdm import tqdm

    with tqdm(total=total, desc="drill", leave=False, bar_format=_BAR) as bar:

        def tell(names: Sequence[str], count: int) -> None:
            bar.set_postfix_str("; ".join(names), refresh=False)
            bar.update(count)
            bar.refresh()

        yield tell


@contextmanager
def _told_to_end() -> Iterator[None]:
    """Take the notices of a batch system for what Ctrl-C is: all runs are ended, and nothing stays behind."""
    before = {number: signal.signal(number, _end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
