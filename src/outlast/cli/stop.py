"""`outlast stop`: ask a live run to save and leave."""

from __future__ import annotations

import argparse

from outlast.cli import arguments


def add(verbs: arguments.Verbs[argparse.ArgumentParser]) -> None:
    parser = arguments.verb(verbs, "stop")
    arguments.add_store(parser)
    add_wait(parser)


def add_wait(parser: argparse.ArgumentParser) -> None:
    """Add --wait."""
    parser.add_argument("--wait", metavar="TIME", help="wait until it is done, at most so long (e.g. 5min)")


def main(args: argparse.Namespace) -> int:
    from outlast.cli.requests import ask

    return ask(args, "stop")
