"""The program's side of spec/process-v1.md: the control folder that a supervisor may have given us."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from outlast.backends import host
from outlast.errors import PREEMPTED

_STOP, _SAVE, _LEAVE, _PROGRAM, _PROGRESS = "stop", "save", "leave", "program.json", "progress.json"
_DEADLINE, _LEFT = "deadline", "left"
_LIMIT_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A control folder. Node-local and short-lived: written whole by rename, not synced.

    Args:
        folder: its path.
        supervisor: the process id of who gave it to us; 0 if it does not say.
        supervisor_start: when that process began; empty if it cannot be seen from here (a container).
    """

    folder: str
    supervisor: int = 0
    supervisor_start: str = ""

    def is_orphaned(self) -> bool:
        """Say whether the supervisor is gone: nobody will pass on a notice any more, nor start us again."""
        return bool(self.supervisor_start) and host.start_of(self.supervisor) != self.supervisor_start

    def register(self, store: str) -> None:
        """Say which process takes part, and on which store."""
        with suppress(OSError):  # of a start before, by a launcher that has started us again
            os.unlink(os.path.join(self.folder, _LEFT))
        self._write(_PROGRAM, {"pid": os.getpid(), "store": store})

    def progress(self, *, store: str, attempt: int, step: int, done: bool, at: str) -> None:
        """Report a durable commit."""
        self._write(_PROGRESS, {"store": store, "attempt": attempt, "step": step, "done": done, "at": at})

    def leave(self, reason: str) -> None:
        """Say that our 85 is final: a person wants the run to stop, so it is not to be started again."""
        self._write(_LEAVE, {"reason": reason})

    def left(self) -> None:
        """Say that we have saved and leave with 85: a launcher of ranks may end with another status."""
        self._write(_LEFT, {"status": PREEMPTED})

    def stop_reason(self) -> str | None:
        """Return why the supervisor wants us to leave; None if it does not."""
        try:
            with open(os.path.join(self.folder, _STOP), "rb") as file:
                told = json.loads(file.read(_LIMIT_BYTES) or b"{}")
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return "stop"  # the file is there: that is the request
        return str(told.get("reason", "stop")) if isinstance(told, dict) else "stop"

    def moved_deadline(self) -> tuple[float | None] | None:
        """Return the deadline that holds since the attempt began, None in it for none; None if it has not moved."""
        try:
            with open(os.path.join(self.folder, _DEADLINE), "rb") as file:
                told = json.loads(file.read(_LIMIT_BYTES))
            deadline = told["deadline"]
            return (None if deadline is None else float(deadline),)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def take_save(self) -> bool:
        """Say whether a save was asked for, and take the request away."""
        try:
            os.unlink(os.path.join(self.folder, _SAVE))
        except OSError:
            return False
        return True

    def _write(self, name: str, value: dict[str, Any]) -> None:
        path = os.path.join(self.folder, name)
        temporary = f"{path}.{os.getpid()}"
        try:
            with open(temporary, "w", encoding="utf-8", opener=_private) as file:
                json.dump(value, file)
            os.replace(temporary, path)
        except OSError:
            return  # the folder went with its supervisor: nobody is there to be told


def _private(path: str, flags: int) -> int:
    """Open a file that nobody else may read, whatever the umask."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def from_environment() -> Control | None:
    """Return the control folder of OUTLAST_CONTROL, if there is one."""
    folder, pid = os.environ.get("OUTLAST_CONTROL", ""), os.environ.get("OUTLAST_SUPERVISOR", "")
    if not folder or not os.path.isdir(folder):
        return None
    supervisor = int(pid) if pid.isdecimal() else 0
    return Control(folder=folder, supervisor=supervisor, supervisor_start=host.start_of(supervisor))
