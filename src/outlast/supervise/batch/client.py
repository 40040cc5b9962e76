"""Asking a batch system by its commands: with a limit of time, in a plain language, and without a terminal."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from outlast.supervise.batch.system import Unreachable

_LIMIT_BYTES = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command said. `said` is the first line of what it complained of, for messages."""

    status: int
    text: str
    said: str = ""


Ask: TypeAlias = Callable[[Sequence[str]], Answer]
"""Runs a command of the batch system. Raises Unreachable if it is not there, or takes too long."""


def asker(settings: Mapping[str, str] | None, limit_s: float = 10.0) -> Ask:
    """Return what asks.

    Args:
        settings: environment variables that make the answers readable, whatever the user has set. None: nothing is
            set, not even the language: for a new job, which takes the environment along.
        limit_s: no answer after that is none.
    """

    def ask(command: Sequence[str]) -> Answer:
        program = shutil.which(command[0])
        if program is None:
            raise Unreachable(f"{command[0]} was not found")
        try:
            done = subprocess.run(  # noqa: S603  (a fixed command of the batch system; its arguments are our own)
                [program, *command[1:]],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=limit_s,
                check=False,
                env=None if settings is None else {**os.environ, "LC_ALL": "C", **settings},
            )
        except subprocess.TimeoutExpired:
            raise Unreachable(f"{command[0]} did not answer within {limit_s:g} s") from None
        except OSError as e:
            raise Unreachable(f"{command[0]} cannot be run: {e.strerror}") from e
        complaint = done.stderr[:_LIMIT_BYTES].decode(errors="replace").strip()
        text = done.stdout[:_LIMIT_BYTES].decode(errors="replace")
        return Answer(status=done.returncode, text=text, said=complaint.split("\n", 1)[0])

    return ask
