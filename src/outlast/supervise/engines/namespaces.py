"""A process space of its own for a program, so that its process ids are free wherever it is brought back.

Our process there is number 1: it starts the program, or has it brought back, takes in orphans, and ends with the
program's status. With it the kernel ends all that is in there.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

from outlast.supervise.engines.engine import EngineError

_CLONE_NEWNS, _CLONE_NEWPID = 0x00020000, 0x20000000
_MS_REC, _MS_SLAVE = 0x4000, 0x80000
_PR_SET_PDEATHSIG = 1
_FIRST_PID = 300  # below are ours and the engine's
_LIMIT_BYTES = 1 << 20
_PAUSE_S = 0.05  # between two looks for a request

Work = Callable[[dict[str, Any]], dict[str, Any]]


class Space:
    """The space, seen from outside.

    Args:
        serve: does in there what is asked of it: gets the request, returns the answer; the answer's `root` is the
            process whose end is the end of all. Runs in a forked process of one thread.

    Raises:
        EngineError: the kernel does not let us.
    """

    def __init__(self, serve: Work) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        before = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _unshare(_CLONE_NEWPID)
            self.pid = os.fork()
            if self.pid == 0:
                ours.close()
                _be_first(theirs, serve)
            _set_namespace(before)  # what we start later is not in there
        finally:
            os.close(before)
        theirs.close()
        self._socket = ours
        self._status: int | None = None
        answer = self._receive()
        if "error" in answer:
            raise EngineError(str(answer["error"]))

    def ask(self, **request: Any) -> dict[str, Any]:
        """Have something done in there, and wait for the answer.

        Raises:
            EngineError: it could not be done.
        """
        try:
            self._socket.send(json.dumps(request).encode())
        except OSError as e:
            raise EngineError(f"the program has ended: {e.strerror}") from e
        answer = self._receive()
        if "error" in answer:
            raise EngineError(str(answer["error"]))
        return answer

    def poll(self) -> int | None:
        """Return the program's exit status as a shell gives it; None while it runs."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                self._status = code if code >= 0 else 128 - code
        return self._status

    def close(self) -> None:
        """End all that is in there."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self._status = 128 + signal.SIGKILL
        self._socket.close()

    def _receive(self) -> dict[str, Any]:
        try:
            raw = self._socket.recv(_LIMIT_BYTES)
        except ConnectionResetError:
            raw = b""
        if not raw:
            return {"error": "the program has ended"}
        found: dict[str, Any] = json.loads(raw)
        return found


def problem() -> str:
    """Say why no process space can be made here; empty if one can."""
    pid = os.fork()
    if pid == 0:
        try:
            _unshare(_CLONE_NEWPID | _CLONE_NEWNS)
        except EngineError:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    return "" if status == 0 else "a process space of its own needs root (CAP_SYS_ADMIN)"


def _unshare(flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        number = ctypes.get_errno()
        hint = "it needs root (CAP_SYS_ADMIN)" if number == errno.EPERM else ""
        raise EngineError(f"no process space of its own can be made: {os.strerror(number)}", hint=hint)


def _set_namespace(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWPID) != 0:
        number = ctypes.get_errno()
        raise EngineError(f"the way back from the process space is barred: {os.strerror(number)}")


def _be_first(channel: socket.socket, serve: Work) -> None:
    """Be the space's first process until the program has ended. Never returns."""
    status = 1
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), *[ctypes.c_ulong(0)] * 3)
        _unshare(_CLONE_NEWNS)
        if libc.mount(None, b"/", None, ctypes.c_ulong(_MS_REC | _MS_SLAVE), None) != 0:
            raise OSError(ctypes.get_errno(), "mounts cannot be made our own")
        if libc.mount(b"proc", b"/proc", b"proc", ctypes.c_ulong(0), None) != 0:
            raise OSError(ctypes.get_errno(), "/proc cannot be mounted")
        with open("/proc/sys/kernel/ns_last_pid", "w", encoding="ascii") as file:
            file.write(str(_FIRST_PID))
    except (OSError, EngineError) as e:
        _send(channel, {"error": f"no process space of its own can be made: {e}"})
        os._exit(status)
    try:
        _send(channel, {})
        status = _serve(channel, serve)
    finally:
        os._exit(status)


def _serve(channel: socket.socket, serve: Work) -> int:
    """Answer until the program has ended; return its exit status as a shell gives it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    root: int | None = None
    channel.settimeout(0)
    while True:
        signal.sigtimedwait({signal.SIGCHLD}, _PAUSE_S)
        ended = _reap(root)
        if ended is not None:
            return ended
        try:
            raw = channel.recv(_LIMIT_BYTES)
        except BlockingIOError:
            continue
        if not raw:
            return 128 + signal.SIGKILL  # nobody wants us any more
        try:
            answer = serve(json.loads(raw))
        except (EngineError, OSError) as e:
            answer = {"error": str(e)}
        root = answer.get("root", root)
        _send(channel, answer)


def _reap(root: int | None) -> int | None:
    """Take in the dead; return the status of `root` as a shell gives it if it is among them."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return None
        if pid == 0:
            return None
        if pid == root:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _send(channel: socket.socket, answer: dict[str, Any]) -> None:
    channel.setblocking(True)
    channel.send(json.dumps(answer).encode())
    channel.settimeout(0)
