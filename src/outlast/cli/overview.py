"""How all runs below a directory stand, one line each: from a few small reads of their files."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from outlast.cli import output, standing
from outlast.clock import SYSTEM, iso
from outlast.terminal import visible
from outlast.units import format_duration

if TYPE_CHECKING:
    from outlast.backends import Posix, Syscalls
    from outlast.store.glance import Glance

DEPTH = 2
UNREADABLE = "cannot be read"
_DIGITS = re.compile(r"([0-9]+)")


def runs(backend: Posix) -> list[str]:
    """Return the runs below a directory, in the order in which people count."""
    from outlast.store.glance import find_runs

    return sorted(find_runs(backend, depth=DEPTH), key=_natural)


def document(backend: Posix, *, calls: Syscalls | None = None) -> dict[str, Any]:
    """Look at all runs below a directory, and return what can be said of them."""
    from outlast.backends import Posix
    from outlast.store.glance import glance

    found = [_run(name, glance(Posix(f"{backend.root}/{name}", calls=calls), SYSTEM)) for name in runs(backend)]
    states = Counter(one["state"] for one in found)
    return {
        "directory": backend.root,
        "runs": found,
        "totals": {
            "runs": len(found),
            "states": dict(states.most_common()),
            "attempts": sum(one["attempts"] for one in found),
            "steps_lost": sum(one["steps_lost"] for one in found),
            "lost_s": round(sum(one["lost_s"] for one in found), 3),
        },
    }


def _natural(name: str) -> list[tuple[int, str]]:
    """Order by numbers where there are any: `sweep/7` before `sweep/10`."""
    pieces = _DIGITS.split(name)
    return [(int(piece), "") if at % 2 else (0, piece) for at, piece in enumerate(pieces)]


def _run(name: str, seen: Glance) -> dict[str, Any]:
    from outlast.store.progress import outlook

    past, last = seen.history, seen.history.last
    told = standing.state(past, is_done=seen.done, is_saved=seen.progress is not None)
    if seen.problem:
        told = {"state": UNREADABLE, "reason": seen.problem}
    to_come = None if seen.done else outlook(seen.progress, past, now_s=SYSTEM.wall())
    return {
        "run": name,
        **told,
        **standing.ahead(seen.progress, past, to_come),
        "attempts": sum(one.is_run for one in past.attempts),
        "steps_lost": past.steps_lost,
        "lost_s": round(past.lost_s, 3),
        "host": last.host if last else "",
        "job": last.placing.format() if last and last.placing else "",
        "ended": iso(last.ended_s) if last and last.ended_s else None,
        "ending": last.ending.value if last else None,
        "how": last.how if last else "",
    }


# -- for people --------------------------------------------------------------------------------------------


def lines(found: dict[str, Any]) -> list[str]:
    """Return a document as lines for people."""
    headers = ["run", "state", "step", "done", "attempts", "lost", "last save", "expected end", "last ended"]
    table = output.table_lines([_row(one) for one in found["runs"]], headers)
    return [*table, visible(_totals(found["totals"]))]


def _row(one: dict[str, Any]) -> list[Any]:
    where = one["progress"]
    ended = one["reason"] if one["state"] in (UNREADABLE, standing.GAVE_UP) else one["how"]
    return [
        one["run"],
        one["state"],
        where["step"] if where else "-",
        standing.share(where) or "-",
        one["attempts"],
        one["steps_lost"],
        one["saved"]["at"] if one["saved"] else "-",
        one["expected_end"] or (_needed(one["remaining_s"]) if one["remaining_s"] is not None else "-"),
        ended,
    ]


def _needed(remaining_s: float) -> str:
    return f"{format_duration(remaining_s)} needed"


def _totals(totals: dict[str, Any]) -> str:
    states = ", ".join(f"{count} {state}" for state, count in totals["states"].items())
    lost = f"{totals['steps_lost']} steps and {format_duration(totals['lost_s'])}"
    return f"{totals['runs']} runs: {states}; {totals['attempts']} attempts; known to be lost: {lost}"
