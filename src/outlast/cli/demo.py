"""`outlast demo`: a real training run, killed and resumed before your eyes."""

from __future__ import annotations

import argparse

from outlast.cli import arguments


def add(verbs: arguments.Verbs[argparse.ArgumentParser]) -> None:
    parser = arguments.verb(
        verbs,
        "demo",
        epilog="exit status: 0 bit-identical, 1 not. Takes under a minute. PyTorch if it is there, else NumPy.",
    )
    parser.add_argument("--backend", choices=("torch", "numpy"), help="what trains (default: PyTorch if installed)")
    parser.add_argument("--dir", metavar="DIR", help="where the stores go (default: a temporary folder, removed)")


def main(args: argparse.Namespace) -> int:
    from outlast.demo.show import play

    return play(backend=args.backend, folder=args.dir, as_json=args.json)
