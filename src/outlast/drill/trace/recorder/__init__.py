"""The recorder: runs inside the drilled program, under the name `_outlast_trace`, on the standard library alone.

It looks and never touches: it draws no random number, changes no value, and a probe that fails tells so in the trace
and lets the program go on. What it cannot hide: a few microseconds at each of the calls that it listens to, and the
time to digest the program's variables at each step.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Mapping
from typing import Any

from . import arrays, builtin, files, saves, torches, within
from .core import Recorder
from .imports import Listen, when_imported
from .log import Log

_recorder: Recorder | None = None


def start(path: str) -> None:
    """Begin to record into the file at `path`."""
    global _recorder  # noqa: PLW0603  (one process, one recorder)
    log = Log(path)
    recorder = _recorder = Recorder(log)
    log.tell("begin", argv=list(getattr(sys, "orig_argv", []))[:20], ppid=os.getppid(), rank=_rank())
    files.listen(recorder)
    builtin.listen(recorder)
    listeners: dict[str, list[Listen]] = {}
    for module in (files, saves, arrays, torches, within):
        listeners |= module.LISTENERS
    when_imported({name: [(recorder, listen) for listen in listens] for name, listens in listeners.items()})
    atexit.register(recorder.end)


def _rank() -> int:
    """Return which of several processes this is, as launchers say; 0 if none does."""
    names = ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID")
    said = next((os.environ[name] for name in names if name in os.environ), "0")
    return int(said) if said.isdigit() else 0


def note(step: int, values: Mapping[str, Any]) -> None:
    """Hear of a completed step from the program itself."""
    if _recorder is not None:
        _recorder.note(step, values)
