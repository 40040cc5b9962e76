"""Real processes that a case starts, sees stop, continues, and ends: each a fork that reports through a pipe."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Self

import storekit
from outlast.errors import OutlastError

Report = Callable[[bytes], None]


class Child:
    """A fork that runs `work(report)`; used in `with`, so that a case that breaks leaves no process behind."""

    def __init__(self, work: Callable[[Report], None]) -> None:
        self._read, write = os.pipe()
        self._over: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._read)
            _live(work, write)
        os.close(write)

    def stops(self) -> bool:
        """Wait until it stops itself (True) or ends (False)."""
        _, status = os.waitpid(self.pid, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            return True
        self._over = status
        return False

    def wake(self) -> None:
        """Let it go on, if it has not ended."""
        if self._over is None:
            os.kill(self.pid, signal.SIGCONT)

    def end(self) -> tuple[int, bytes]:
        """Wait for its end; return its exit status and what it reported."""
        with os.fdopen(os.dup(self._read), "rb") as pipe:
            told = pipe.read()
        status = os.waitpid(self.pid, 0)[1] if self._over is None else self._over
        self._over = status
        assert os.WIFEXITED(status), f"died of a signal: {status}, {told!r}"
        code = os.WEXITSTATUS(status)
        assert code != storekit.BUG, f"not an error of outlast's own: {told.decode()}"
        return code, told

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._read)
        if self._over is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


def _live(work: Callable[[Report], None], write: int) -> None:
    """What the fork does; it does not return."""
    status = storekit.BUG
    try:
        work(lambda text: _tell(write, text))
        status = 0
    except OutlastError as e:
        _tell(write, f"error:{type(e).__name__}: {e}\n".encode())
        status = e.exit_status
    except BaseException:
        _tell(write, f"bug:{traceback.format_exc()}\n".encode())
    finally:
        os._exit(status)


def _tell(write: int, text: bytes) -> None:
    os.write(write, text)
