"""Printing: a table for people, a JSON document for programs, a progress bar for long work."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from outlast.terminal import visible


def as_json(document: Any) -> None:
    """Print one JSON document."""
    for piece in json.JSONEncoder(indent=2).iterencode(document):
        print(piece, end="")
    print()


def say(text: str) -> None:
    """Print one line. Whatever a store says in it cannot command the terminal."""
    print(visible(text))


def table(rows: Sequence[Sequence[Any]], headers: Sequence[str]) -> None:
    """Print rows under headers."""
    for line in table_lines(rows, headers):
        print(line)


def table_lines(rows: Sequence[Sequence[Any]], headers: Sequence[str]) -> list[str]:
    """Return rows under headers. By hand: importing tabulate would be a third of the time that `outlast ls` takes."""
    lines = [[visible(str(cell)) for cell in row] for row in (headers, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


@contextmanager
def progress(total_bytes: int, what: str) -> Iterator[Callable[[int], object]]:
    """Show a bar on stderr while bytes are worked through, if somebody can see it."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda _: None
        return
    from tqdm import tqdm

    with tqdm(total=total_bytes, unit="B", unit_scale=True, unit_divisor=1024, desc=what, leave=False) as bar:
        yield bar.update
