"""The supervisor's side of spec/process-v1.md: one private, node-local folder for each attempt."""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from outlast.errors import PREEMPTED
from outlast.policy.restart import Report

_LIMIT_BYTES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The process that takes part in the protocol.

    Attributes:
        hears_signals: it saves on SIGTERM; False for one that only looks at the `stop` file.
    """

    pid: int
    hears_signals: bool = True


class Control:
    """The folder of one attempt. The program reads and writes it too: what stands in it is checked.

    Raises:
        OSError: it cannot be made.
    """

    __slots__ = ("folder",)

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="outlast-", dir=_place())

    def remove(self) -> None:
        """Take it away. What cannot be removed stays: it holds nothing that is of worth."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask_to_stop(self, reason: str) -> None:
        """Leave the `stop` file, whole. Raises OSError if the folder is gone or full."""
        self._write("stop", {"reason": reason})

    def ask_to_save(self, reason: str) -> None:
        """Leave the `save` file, which the program takes away. Raises as `ask_to_stop`."""
        self._write("save", {"reason": reason})

    def has_heard(self) -> bool:
        """Say whether no request to save waits."""
        return not os.path.lexists(os.path.join(self.folder, "save"))

    def leave(self, reason: str) -> None:
        """Note that the run is not to be started again after this attempt. Raises as `ask_to_stop`."""
        self._write("leave", {"reason": reason})

    def is_done(self) -> bool:
        """Say whether a program that saves files has nothing more to do."""
        return os.path.lexists(os.path.join(self.folder, "done"))

    def tell_deadline(self, deadline: float | None) -> None:
        """Leave the deadline, which has moved since the program was started. Raises as `ask_to_stop`."""
        self._write("deadline", {"deadline": deadline})

    def program(self) -> Program | None:
        """Return the registered program; None if there is none, or what it wrote makes no sense."""
        found = self._read("program.json")
        pid = found.get("pid")
        if type(pid) is not int or pid <= 1:
            return None
        return Program(pid=pid, hears_signals=found.get("notice", "signal") != "file")

    def progress(self) -> Report | None:
        """Return the last commit that the program reported; None if it reported none that makes sense."""
        found = self._read("progress.json")
        store, attempt, step = found.get("store", ""), found.get("attempt", 0), found.get("step")
        if type(store) is not str or type(attempt) is not int or type(step) is not int:
            return None
        return Report(store=store, attempt=attempt, step=step, done=found.get("done") is True)

    def is_leaving_for_good(self) -> bool:
        """Say whether the program asked not to be started again."""
        return os.path.lexists(os.path.join(self.folder, "leave"))

    def has_left(self) -> bool:
        """Say whether the program has said that it leaves with 85, whatever its launcher makes of it."""
        return self._read("left").get("status") == PREEMPTED

    def _write(self, name: str, value: Mapping[str, Any]) -> None:
        temporary = os.path.join(self.folder, f".{name}.{threading.get_ident()}")
        with open(temporary, "x", encoding="utf-8", opener=_private) as file:
            json.dump(value, file)
        os.replace(temporary, os.path.join(self.folder, name))

    def _read(self, name: str) -> Mapping[str, Any]:
        """Return an object that the program wrote; an empty one if it did not, or not properly."""
        try:
            descriptor = os.open(os.path.join(self.folder, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with open(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    return {}
                raw = file.read(_LIMIT_BYTES)
            found = json.loads(raw)
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


def _private(path: str, flags: int) -> int:
    """Open a file that nobody else may read, whatever the umask."""
    return os.open(path, flags, 0o600)


def _place() -> str:
    """Return the folder for folders: on this node, and ours. Batch systems pass on a runtime dir of another node.

    `su` passes on one of another user, who could put something else in the place of what we make there.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return runtime if os.path.isabs(runtime) and _is_ours(runtime) else tempfile.gettempdir()


def _is_ours(folder: str) -> bool:
    try:
        about = os.stat(folder)
    except OSError:
        return False
    is_alone = about.st_uid == os.geteuid() and not about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return is_alone and stat.S_ISDIR(about.st_mode) and os.access(folder, os.W_OK | os.X_OK)
