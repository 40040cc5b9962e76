"""What the probes share: the log, what is known of the program so far, and the faults that were asked for."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from types import FrameType
from typing import Any

from . import generators
from .leaves import Found
from .log import Log
from .variables import variables


class Recorder:
    """Tells events.

    Attributes:
        log: where to.
        batches: digests of the batches that were handed out since the last step.
        run: the outlast Run that is open, if any.
    """

    def __init__(self, log: Log) -> None:
        self.log = log
        self.batches: list[str] = []
        self.run: Any = None
        self._within = threading.local()
        self._failed: set[str] = set()
        self._known: set[str] = set()
        self._counts = {"op": 0, "save": 0}
        what, _, number = os.environ.get("OUTLAST_TRACE_KILL", "").partition(":")
        is_due = number.isdigit() and not log.told("kill")
        self._fault = (what, int(number)) if is_due else ("", 0)

    # -- listening without being heard -----------------------------------------------------------------------

    @property
    def is_deaf(self) -> bool:
        """Whether what happens now is our own doing, or another process's."""
        return getattr(self._within, "depth", 0) > 0 or self.log.is_silent

    @contextmanager
    def probing(self, what: str) -> Iterator[None]:
        """Look at something: what we do meanwhile is not told, what goes wrong is, and never reaches the program."""
        self._within.depth = getattr(self._within, "depth", 0) + 1
        try:
            yield
        except Exception as e:  # noqa: BLE001  (whatever the user's objects do when looked at; it is said)
            if what not in self._failed:
                self._failed.add(what)
                self.log.tell("problem", text=f"{what}: {type(e).__name__}: {e}"[:500])
        finally:
            self._within.depth -= 1

    @contextmanager
    def saving(self) -> Iterator[bool]:
        """Do what a library does when it saves or loads; say whether this is the outermost of such calls.

        Files are told all the same.
        """
        was = getattr(self._within, "saving", False)
        self._within.saving = True
        try:
            yield not was
        finally:
            self._within.saving = was

    def around(self, owner: Any, name: str, after: Callable[..., None]) -> None:
        """Have `after(result, *args, **kwargs)` called after each call of a function, as seen from the program."""
        real = getattr(owner, name)

        @wraps(real)
        def call(*args: Any, **kwargs: Any) -> Any:
            result = real(*args, **kwargs)
            if not self.is_deaf:
                with self.probing(f"after {name}"):
                    after(result, *args, **kwargs)
            return result

        setattr(owner, name, call)

    # -- steps -----------------------------------------------------------------------------------------------

    def note(self, step: int, values: Mapping[str, Any]) -> None:
        """Tell a step that the program names, with values that it gives."""
        with self.probing("note"):
            found = self.look(sys._getframe())  # noqa: SLF001
            for name, value in values.items():
                found.add(name, value)
            self.step(int(step), "note", found)

    def look(self, frame: FrameType | None) -> Found:
        """Return what the program holds: its variables, seen from a frame, and the global generators."""
        found = Found()
        for name, value in variables(frame).items():
            found.add(name, value)
        return found

    def step(self, number: int, by: str, found: Found, **more: Any) -> None:
        """Tell that a step is complete."""
        for name, text in generators.states().items():
            found.put(f"rng:{name}", "rng", text)
        self.kinds(found)
        batches, self.batches = self.batches, []
        self.log.tell("step", step=number, by=by, leaves=found.leaves, batches=batches, **more)
        if self._fault == ("step", number):
            self.kill(f"step {number}")

    def kinds(self, found: Found) -> None:
        """Tell the kinds of leaves that were not told before."""
        new = {path: kind for path, kind in found.kinds.items() if path not in self._known}
        if new:
            self._known |= new.keys()
            self.log.tell("kinds", kinds=new)

    def end(self) -> None:
        """Tell that the program has come to its end by itself."""
        self.log.tell("end")

    # -- faults ----------------------------------------------------------------------------------------------

    def is_due(self, what: str) -> bool:
        """Count an operation or a save; say whether the fault that was asked for is due at it."""
        self._counts[what] += 1
        return self._fault == (what, self._counts[what])

    def kill(self, op: str) -> None:
        """End this process as the kernel would."""
        self.log.tell("kill", op=op)
        os.kill(self.log.pid, signal.SIGKILL)
