"""Asks the application to save, or to save and leave, by the means that it has."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence

from outlast.errors import UsageError
from outlast.supervise import processes, tree
from outlast.supervise.recipes.recipe import Ask, Limit, Recipe
from outlast.supervise.recipes.sets import Fill, paths
from outlast.supervise.recipes.words import Words, is_program

_PASSING, _PASSED_ON = "srun", ("USR1", "USR2")  # spec/process-v1.md, PR-27
_LINE_BYTES = 4096
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}


def ask(how: Ask, recipe: Recipe, words: Words, pid: int, fill: Fill) -> str:
    """Ask for something; return what was done, for people. Empty if there was no way.

    Args:
        how: the way.
        recipe: of the application.
        words: its command.
        pid: of the process that we started.
        fill: puts values in the place of variables.
    """
    if how.how == "file":
        path = fill(how.file)
        try:
            _make(path, fill(how.content))
        except OSError as e:
            sys.stderr.write(f"outlast: warning: {path} cannot be made: {e.strerror}\n")
            return ""
        return f"made {path}"
    if how.how == "signal":
        pids = list(_targets(recipe, words, pid, how.signal))
        sent = [one for one in pids if tree.send(one, signal.Signals[f"SIG{how.signal}"])]
        return f"sent SIG{how.signal} to {', '.join(map(str, sent))}" if sent else ""
    return ""


def _make(path: str, content: str) -> None:
    """Make a file that the application looks for: whole when it is seen, and new again if it lies there."""
    draft = f"{path}.outlast-new"
    with open(draft, "w", encoding="utf-8") as file:
        file.write(content)
    os.rename(draft, path)


def _targets(recipe: Recipe, words: Words, pid: int, name: str) -> Iterator[int]:
    """Yield the application's own processes; never a launcher's: some end all ranks at the first signal.

    But `srun`, below which none are, passes on some signals to all of them, on whatever nodes.
    """
    now = processes.table()
    alive = [one for one in sorted({pid} | processes.below(now, [pid])) if one in now and now[one].alive]
    command = {one: _command(one) for one in alive}
    found = [one for one in alive if is_program(recipe, command[one][0]) or _is_script(recipe, one, command[one])]
    if found:
        yield from found
    elif words.launcher == _PASSING and name in _PASSED_ON:
        yield from (one for one in alive if os.path.basename(command[one][0]) == _PASSING)
    elif not words.launcher and pid in alive:
        yield pid


def _command(pid: int) -> list[str]:
    """Return a process's command line; its first word is there always, and may be empty."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return [os.fsdecode(part) for part in file.read().split(b"\0")]
    except OSError:
        return [""]


def _is_script(recipe: Recipe, pid: int, command: Sequence[str]) -> bool:
    """Say whether a process is the interpreter of the application's script, and no launcher or `time` before it."""
    if len(command) < 2 or command[1].startswith("-") or not is_program(recipe, command[1]):  # noqa: PLR2004  (a script)
        return False
    place = "root" if os.path.isabs(command[1]) else "cwd"
    try:
        with open(f"/proc/{pid}/{place}/{command[1]}", "rb") as file:
            line = os.fsdecode(file.readline(_LINE_BYTES))
    except OSError:
        return False
    known = {os.path.basename(word) for word in line.removeprefix("#!").split()}
    return line.startswith("#!") and os.path.basename(command[0]) in known


def clean(patterns: Sequence[str], fill: Fill) -> list[str]:
    """Remove what would end the next start; return what was there. Raises UsageError if it cannot be removed."""
    gone = []
    for pattern in patterns:
        for path in paths(pattern, fill, hidden=True):
            try:
                os.unlink(path)
            except FileNotFoundError:
                continue
            except OSError as e:
                raise UsageError(f"{path} would end the next start, and cannot be removed: {e.strerror}") from e
            gone.append(path)
    return gone


def limited(limit: Limit, left_s: float) -> tuple[str, ...]:
    """Return the arguments of a time limit."""
    seconds_s = max(1.0, left_s / limit.fraction)
    if limit.unit == "h:m:s":
        whole = int(seconds_s)
        text = f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
    else:
        text = f"{seconds_s / _SECONDS[limit.unit]:.6f}".rstrip("0").rstrip(".")
    return tuple(one.replace("{limit}", text) for one in limit.arguments)
