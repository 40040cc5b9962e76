"""The last lines that a command printed before it ended: read where the batch system put them, never copied."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from outlast.format.jobs import MAX_CHARS, MAX_TAIL

_LOOK_BYTES = 16 << 10
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO must not hang us


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """What one start of the command printed.

    Attributes:
        path: the file that it went to.
        begin, end: from which byte to which.
    """

    path: str
    begin: int
    end: int


def last_lines(printed: Printed) -> tuple[str, ...]:
    """Return the last lines; none if the file is not what it was. Of a line that was written over, what was left."""
    begin = max(printed.begin, printed.end - _LOOK_BYTES)
    try:
        descriptor = os.open(printed.path, _READ)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_size < printed.end:
                return ()
            data = os.pread(descriptor, printed.end - begin, begin)
        finally:
            os.close(descriptor)
    except (OSError, ValueError):
        return ()
    lines = data.decode(errors="replace").split("\n")
    if begin > printed.begin:
        del lines[0]
    shown = [line.rstrip().rpartition("\r")[2] for line in lines]
    return tuple(line[:MAX_CHARS] for line in shown if line)[-MAX_TAIL:]
