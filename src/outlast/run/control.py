"""The program's side of spec/process-v1.md: the control folder that a supervisor may have given us."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

from outlast.backends import host

_STOP, _SAVE, _LEAVE, _PROGRAM, _PROGRESS = "stop", "save", "leave", "program.json", "progress.json"
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
        self._write(_PROGRAM, {"pid": os.getpid(), "store": store})

    def progress(self, *, store: str, attempt: int, step: int, done: bool, at: str) -> None:
        """Report a durable commit."""
        self._write(_PROGRESS, {"store": store, "attempt": attempt, "step": step, "done": done, "at": at})

    def leave(self, reason: str) -> None:
        """Say that our 85 is final: a person wants the run to stop, so it is not to be started again."""
        self._write(_LEAVE, {"reason": reason})

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
            with open(temporary, "w", encoding="utf-8") as file:
                json.dump(value, file)
            os.replace(temporary, path)
        except OSError:
            return  # the folder went with its supervisor: nobody is there to be told


def from_environment() -> Control | None:
    """Return the control folder of OUTLAST_CONTROL, if there is one."""
    folder, pid = os.environ.get("OUTLAST_CONTROL", ""), os.environ.get("OUTLAST_SUPERVISOR", "")
    if not folder or not os.path.isdir(folder):
        return None
    supervisor = int(pid) if pid.isdecimal() else 0
    return Control(folder=folder, supervisor=supervisor, supervisor_start=host.start_of(supervisor))
