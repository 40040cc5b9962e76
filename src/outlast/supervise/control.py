"""The supervisor's side of spec/process-v1.md: one private, node-local folder for each attempt."""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
        temporary = os.path.join(self.folder, ".stop")
        with open(temporary, "x", encoding="utf-8") as file:
            json.dump({"reason": reason}, file)
        os.replace(temporary, os.path.join(self.folder, "stop"))

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


def _place() -> str:
    """Return the folder for folders: on this node, and ours. Batch systems pass on a runtime dir of another node."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime) and os.path.isdir(runtime) and os.access(runtime, os.W_OK | os.X_OK):
        return runtime
    return tempfile.gettempdir()
