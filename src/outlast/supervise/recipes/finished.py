"""Whether an application has nothing left to do: by what it left, or by how it ended."""

from __future__ import annotations

import re

from outlast.supervise.recipes.recipe import Done
from outlast.supervise.recipes.sets import Fill, paths, tail


def before(done: Done, fill: Fill) -> bool:
    """Say whether it is finished by what lies there. False where only its end could tell."""
    return bool(done.file or done.log) and _lies_there(done, fill)


def after(done: Done, fill: Fill, *, status: int, asked: bool, said: bool) -> bool:
    """Say whether an attempt that has ended has finished it.

    Args:
        done: the test.
        fill: puts values in the place of variables.
        status: with which it ended.
        asked: whether it was asked to stop.
        said: whether its standard output said it.
    """
    if done.output and not said:
        return False
    if done.status and (status != 0 or asked):
        return False
    return _lies_there(done, fill)


def _lies_there(done: Done, fill: Fill) -> bool:
    if done.file and not paths(done.file, fill):
        return False
    return not done.log or _is_in_log(done, fill)


def _is_in_log(done: Done, fill: Fill) -> bool:
    return any(re.search(done.pattern, tail(path), re.MULTILINE) for path in paths(done.log, fill))


def said(done: Done, fill: Fill) -> str:
    """Say what the test looks at."""
    parts = []
    if done.file:
        parts.append(f"{fill(done.file)} {'exists' if paths(done.file, fill) else 'does not exist'}")
    if done.log:
        parts.append(f"{fill(done.log)} {'says' if _is_in_log(done, fill) else 'does not say'} {done.pattern!r}")
    if done.output:
        parts.append(f"its output says {done.output!r} at the end")
    if done.status:
        parts.append("it ends with 0")
    return ", ".join(parts)
