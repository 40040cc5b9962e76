"""`outlast save`: ask a live run to save now and go on."""

from __future__ import annotations

import argparse

from outlast.cli import arguments
from outlast.cli.stop import add_wait


def add(verbs: arguments.Verbs[argparse.ArgumentParser]) -> None:
    parser = arguments.verb(verbs, "save")
    arguments.add_store(parser)
    add_wait(parser)


def main(args: argparse.Namespace) -> int:
    from outlast.cli.requests import ask

    return ask(args, "save")
