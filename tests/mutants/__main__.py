"""Shows one planted bug: its diff, and how the tests that must catch it go red.

    python -m mutants            the table
    python -m mutants NAME ...   these
    python -m mutants --all      all, without their diffs; those that survive are named

Exit status: 0 caught, 1 survived.
"""

from __future__ import annotations

import argparse
import difflib
import sys

from tabulate import tabulate

from mutants.bench import ROOT, Bench
from mutants.mutant import Mutant, texts
from mutants.planted import BY_NAME, MUTANTS
from proof.core import folder


def _diff(mutant: Mutant) -> str:
    def read(file: str) -> str:
        return (ROOT / "src" / "outlast" / file).read_text()

    return "".join(
        line
        for file, text in texts(mutant, read).items()
        for line in difflib.unified_diff(read(file).splitlines(True), text.splitlines(True), file, f"{file} (planted)")
    )


def _survivals(bench: Bench, mutant: Mutant, *, quiet: bool) -> list[str]:
    """Run what must go red; return what does not."""
    found = []
    with bench.planted(mutant):
        for what in (*mutant.red, *mutant.proof):
            is_test = what in mutant.red
            outcome = bench.test([what]) if is_test else bench.prove(what)
            if not (outcome.is_red(what) if is_test else outcome.is_broken()):
                found.append(what)
            if not quiet:
                print(f"$ {what}: status {outcome.status}\n{outcome.output}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m mutants", description=__doc__.split("\n", 1)[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--all", action="store_true")
    args = parser.parse_args()
    unknown = [name for name in args.names if name not in BY_NAME]
    if unknown:
        parser.error(f"no bug {unknown[0]}: python -m mutants lists them")
    if not args.names and not args.all:
        print(tabulate([(one.name, one.file, one.why) for one in MUTANTS], headers=("name", "file", "why")))
        return 0
    survived = 0
    with folder() as work:
        bench = Bench(work)
        for mutant in MUTANTS if args.all else [BY_NAME[name] for name in args.names]:
            if not args.all:
                print(f"{mutant.name}: {mutant.why}\n\n{_diff(mutant)}")
            for what in _survivals(bench, mutant, quiet=args.all):
                survived += 1
                print(f"SURVIVED {mutant.name}: {what}", flush=True)
    print(f"{survived} survived" if survived else "caught", file=sys.stderr)
    return 1 if survived else 0


if __name__ == "__main__":
    raise SystemExit(main())
