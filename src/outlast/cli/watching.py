"""Looking again and again: at a terminal in place, elsewhere one look after the other."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from typing import Any

from outlast.clock import SYSTEM

_UP = "\x1b[{}F"  # to the beginning of the line so many above
_CLEAR = "\x1b[J"  # to the end of the screen


def watch(
    look: Callable[[], dict[str, Any]],
    lines: Callable[[dict[str, Any]], list[str]],
    is_over: Callable[[dict[str, Any]], bool],
    *,
    every_s: float,
    as_json: bool,
) -> None:
    """Print what a look shows, until there is nothing more to come or somebody interrupts.

    Args:
        look: returns a document.
        lines: makes lines of it.
        is_over: says whether another look could show anything else.
        every_s: from one look to the next.
        as_json: print the documents themselves, one a line.
    """
    height = 0
    in_place = sys.stdout is not None and sys.stdout.isatty() and not as_json
    try:
        while True:
            found = look()
            if as_json:
                print(json.dumps(found), flush=True)
            else:
                height = _show(lines(found), height) if in_place else _append(lines(found), is_first=not height)
            if is_over(found):
                return
            SYSTEM.sleep(every_s)
    except KeyboardInterrupt:
        if in_place:
            print(flush=True)


def _show(lines: list[str], height: int) -> int:
    """Print over what was shown before; return how many lines it has now. What does not fit is cut off."""
    size = shutil.get_terminal_size()
    shown = [line[: size.columns - 1] for line in lines[: max(1, size.lines - 1)]]
    print((_UP.format(height) if height else "") + _CLEAR + "\n".join(shown), flush=True)
    return len(shown)


def _append(lines: list[str], *, is_first: bool) -> int:
    print("\n".join(lines if is_first else ["", *lines]), flush=True)
    return 1
