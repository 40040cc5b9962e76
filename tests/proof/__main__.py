"""`make soak`: all cases of all harnesses, then new ones, for as long as it is given.

    python -m proof [--hours H] [--only NAME] [--seed N] [--workers N]
    python -m proof --case 'NAME CASE'      one case again; with * in it all that match, up to the first that breaks
    python -m proof --list                  the harnesses, and how many cases each has

Exit status: 0 all held, 1 something broke (each with the command that reproduces it), 2 a tool is missing.
"""

from __future__ import annotations

import argparse
import fnmatch
import multiprocessing
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count, islice

from tabulate import tabulate

from proof import core

_BATCH = 40
_NAMES = 100  # of an endless harness


def _draw(name: str, seed: int) -> Iterator[list[str]]:
    """Batches of cases: all of a finite harness once, in random order; of an endless one as they are drawn."""
    harness = core.load(name)
    cases = harness.cases()
    if harness.endless:
        while batch := list(islice(cases, _BATCH)):
            yield batch
        return
    every = list(cases)
    random.Random(seed).shuffle(every)
    for at in range(0, len(every), _BATCH):
        yield every[at : at + _BATCH]


def _work(task: tuple[str, list[str]]) -> tuple[str, int, int, list[str]]:
    name, cases = task
    looked, broken = 0, []
    for case in cases:
        try:
            looked += core.run_case(name, case)
        except core.Broken as e:
            broken.append(str(e))
    return name, len(cases), looked, broken


def _tasks(names: list[str], seed: int, end: float) -> Iterator[tuple[str, list[str]]]:
    """Take turns among the harnesses until the time is over, or all are through."""
    sources = {name: _draw(name, seed) for name in names}
    for turn in count():
        if not sources or time.monotonic() > end:
            return
        name = list(sources)[turn % len(sources)]
        batch = next(sources[name], None)
        if batch is None:
            del sources[name]
        else:
            yield name, batch


def _soak(names: list[str], hours: float, seed: int, workers: int) -> int:
    begin = time.monotonic()
    cases, looked, failed = Counter(), Counter(), Counter()
    print(f"seed {seed}, {workers} workers, at most {hours} h; harnesses: {', '.join(names)}", flush=True)
    said = begin
    with multiprocessing.get_context("fork").Pool(workers, maxtasksperchild=50) as pool:
        for name, ran, states, broken in pool.imap_unordered(_work, _tasks(names, seed, begin + hours * 3600)):
            cases[name] += ran
            looked[name] += states
            failed[name] += len(broken)
            for text in broken:
                print(f"BROKEN {text}", flush=True)
            if time.monotonic() - said > 60:
                said = time.monotonic()
                print(f"{(said - begin) / 60:.0f} min: {dict(looked)}, {sum(failed.values())} broken", flush=True)
    rows = [(name, cases[name], looked[name], failed[name]) for name in names]
    print(tabulate(rows, headers=("harness", "cases", "states looked at", "broken"), intfmt=","))
    return 1 if sum(failed.values()) else 0


def _matching(name: str, case: str) -> list[str]:
    """The cases that are meant; those of an endless harness are not looked up."""
    harness = core.load(name)
    if harness.endless:
        return [case]
    every = list(harness.cases())
    return fnmatch.filter(every, case) if "*" in case else [case] if case in every else []


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m proof", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--hours", type=float, default=8.0)
    parser.add_argument("--only", action="append", choices=core.HARNESSES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--case", metavar="'NAME CASE'")
    parser.add_argument("--list", action="store_true", help="the harnesses, and how many cases each has")
    parser.add_argument("--names", action="store_true", help="with --list: the names of the cases")
    args = parser.parse_args()
    names = args.only or list(core.HARNESSES)
    if args.case:
        names = [args.case.split(" ", 1)[0]]
        if names[0] not in core.HARNESSES or " " not in args.case:
            parser.error(f"--case 'NAME CASE', NAME one of {', '.join(core.HARNESSES)}")
    missing = {tool for name in names for tool in core.missing_tools(core.load(name))}
    if missing:
        print(f"missing: {', '.join(sorted(missing))}. To install them: make tools", file=sys.stderr)
        return 2
    if args.list:
        for name in names:
            harness = core.load(name)
            if args.names:
                print(*islice(harness.cases(), _NAMES if harness.endless else None), sep="\n")
            else:
                print(name, "endless" if harness.endless else sum(1 for _ in harness.cases()))
        return 0
    if args.case:
        name, case = args.case.split(" ", 1)
        matching = _matching(name, case)
        if not matching:
            print(
                f"{name} has no case {case}; the names: python -m proof --list --only {name} --names", file=sys.stderr
            )
            return 2
        print(f"{sum(core.run_case(name, one) for one in matching)} states looked at: all held")
        return 0
    return _soak(names, args.hours, args.seed, args.workers)


if __name__ == "__main__":
    raise SystemExit(main())
