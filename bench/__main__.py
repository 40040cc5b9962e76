"""`python -m bench`: measures, keeps every figure in a file of JSON, prints the tables, may write them to the docs."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from bench import loops, machine, peers, plan, states, table

RESULTS = Path(__file__).parent / "results"
DOCS = plan.ROOT / "docs" / "reference"
_EVERYTHING = {"states": tuple(states.RECIPES), "loops": loops.NAMES, "peers": peers.NAMES}
_FULL = _EVERYTHING | {"rounds": 5, "scale": 1.0, "repeats": 2, "stretch_s": 5.0}
_QUICK = _FULL | {
    "rounds": 1,
    "scale": 0.03,
    "repeats": 1,
    "stretch_s": 0.5,
    "states": ("S",),
    "loops": ("stencil",),
}


def main() -> None:
    asked = _arguments().parse_args()
    results = json.loads(asked.show.read_text()) if asked.show else _measure(asked)
    text = table.page(results)
    print(text)
    if asked.write:
        _write(text, results)


def _measure(asked: argparse.Namespace) -> dict[str, object]:
    given = {name: getattr(asked, name) for name in _FULL if getattr(asked, name) is not None}
    asked.folder.mkdir(parents=True, exist_ok=True)
    made = plan.Plan(
        **((_QUICK if asked.quick else _FULL) | given),
        folder=str(asked.folder.resolve()),
        limit_s=asked.limit_s,
    )
    plan.check(made)
    head = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": machine.describe(made.folder),
        **{key: getattr(made, key) for key in ("rounds", "scale", "repeats", "stretch_s", "states", "loops", "peers")},
    }
    return _kept(asked.json or RESULTS / time.strftime("%Y%m%d-%H%M%S.json", time.gmtime()), head, made)


def _kept(path: Path, head: dict[str, object], made: plan.Plan) -> dict[str, object]:
    """Measure, and write what there is after each cell: a long run that is broken off was not for nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    results = {**head, "cells": []}
    for cell in plan.cells(made):
        results["cells"].append(cell)
        path.write_text(json.dumps(results, indent=1))
    print(f"figures: {path}", file=sys.stderr)
    return results


def _write(text: str, results: dict[str, object]) -> None:
    from bench import plot

    DOCS.mkdir(parents=True, exist_ok=True)
    (DOCS / "benchmarks.md").write_text(text)
    plot.draw(results, DOCS / "benchmarks.svg")


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, help="how often everything is measured (5)")
    parser.add_argument("--states", nargs="*", help="of " + " ".join(states.RECIPES))
    parser.add_argument("--loops", nargs="*", help="of " + " ".join(loops.NAMES))
    parser.add_argument("--peers", nargs="*", help="of " + " ".join(peers.NAMES))
    parser.add_argument("--scale", type=float, help="of the states' sizes (1)")
    parser.add_argument("--repeats", type=int, help="saves in the steady state of one process (2)")
    parser.add_argument("--stretch-s", type=float, help="seconds that a loop runs without, then with saves (5)")
    parser.add_argument(
        "--limit-s", type=float, default=900, help="seconds after which a peer's process is ended (900)"
    )
    parser.add_argument("--folder", type=Path, default=RESULTS, help="where to save: on the storage to be measured")
    parser.add_argument("--quick", action="store_true", help="few small states, one round: to see that it works")
    parser.add_argument("--json", type=Path, help="where the figures go (bench/results/TIME.json)")
    parser.add_argument("--show", type=Path, metavar="JSON", help="measure nothing: tables of these figures")
    parser.add_argument("--write", action="store_true", help="write docs/reference/benchmarks.md and .svg")
    return parser


if __name__ == "__main__":
    main()
