"""A supervisor as the program of another one above it: what it reports by spec/process-v1.md."""

from __future__ import annotations

import json
import os
from typing import Self

from outlast.clock import SYSTEM, iso
from outlast.policy.restart import Report
from outlast.supervise.supervisor import CONTROL


class Upward:
    """Writes `program.json` and `progress.json`, if there is somebody above.

    Args:
        control: the control folder; empty: nobody is above.
    """

    def __init__(self, control: str) -> None:
        self._control = control

    @classmethod
    def from_environment(cls, store: str) -> Self:
        """Register with who stands above, as one that hears signals."""
        found = cls(os.environ.get(CONTROL, ""))
        found._write("program.json", {"pid": os.getpid(), "store": store, "notice": "signal"})
        return found

    def progress(self, report: Report | None) -> None:
        """Report a durable commit."""
        if report is not None:
            at = iso(SYSTEM.wall())
            named = {"store": report.store, "attempt": report.attempt, "step": report.step, "done": report.done}
            self._write("progress.json", {**named, "at": at})

    def _write(self, name: str, value: dict[str, object]) -> None:
        if not self._control:
            return
        path = os.path.join(self._control, name)
        try:
            with open(f"{path}.guard", "w", encoding="utf-8") as file:
                json.dump(value, file)
            os.rename(f"{path}.guard", path)
        except OSError:
            self._control = ""  # the folder is gone: nobody listens any more
