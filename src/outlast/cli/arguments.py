"""Arguments that several verbs share, and the store that they mean."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from outlast.cli.verbs import VERBS
from outlast.errors import UsageError
from outlast.terminal import visible

if TYPE_CHECKING:
    from outlast.store import Store

Verbs = argparse._SubParsersAction  # noqa: SLF001  (argparse offers no public name for it)


def verb(verbs: Verbs[argparse.ArgumentParser], name: str, *, epilog: str = "") -> argparse.ArgumentParser:
    """Add a verb with its line of help and `--json`."""
    help_text = VERBS[name]
    parser = verbs.add_parser(
        name,
        help=help_text,
        description=help_text[0].upper() + help_text[1:] + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    return parser


def add_store(parser: argparse.ArgumentParser, *, optional_after: bool = False) -> None:
    """Add the STORE argument; an option where another positional argument follows."""
    if optional_after:
        parser.add_argument("--store", metavar="STORE", help="the run's store (default: $OUTLAST_STORE)")
    else:
        parser.add_argument("store", metavar="STORE", nargs="?", help="the run's store (default: $OUTLAST_STORE)")


def store_path(args: argparse.Namespace) -> str:
    """Return the store that was named. Raises UsageError if none was."""
    path = args.store or os.environ.get("OUTLAST_STORE", "")
    if not path:
        raise UsageError("no store was named", hint="give STORE, or set OUTLAST_STORE")
    return str(path)


def open_store(args: argparse.Namespace) -> Store:
    """Open the store that was named, for reading; what is wrong with it short of failing goes to stderr."""
    import sys

    from outlast.store import Store

    store = Store(store_path(args))
    for warning in store.warnings:
        if "does not outlive" not in warning:  # said when the run starts; here it would repeat itself
            print(f"outlast: warning: {visible(warning)}", file=sys.stderr)
    return store
