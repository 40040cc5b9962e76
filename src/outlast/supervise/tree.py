"""A process and all that it starts: started so that it does not outlive us, ended so that nothing is left."""

from __future__ import annotations

import errno
import itertools
import math
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, TypeAlias

from outlast.clock import SYSTEM
from outlast.supervise import processes

TERM_S = 5.0
KILL_S = 10.0
_LOOK_AGAIN_S = 1.0
_ERRNO_BYTES = 16
_MOST_DESCRIPTORS = 128
_LAUNCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "launch.py")

Stream: TypeAlias = "int | IO[bytes] | None"
Wait: TypeAlias = Callable[[Sequence[int], float], bool]
"""Waits until one of these descriptors is ready or the seconds are over; True means: no more patience."""


def start(
    command: Sequence[str | bytes],
    env: Mapping[str, str] | None = None,
    *,
    stdin: Stream = None,
    stdout: Stream = None,
    stderr: Stream = None,
    cwd: str | None = None,
) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own; it gets SIGTERM when we die, however we die.

    Arguments arrive byte for byte; open inheritable descriptors are passed on. The command counts the *thread*
    that calls this as its parent (prctl(2), PR_SET_PDEATHSIG): call it from one that lasts.

    Args:
        command: the program, looked up in the PATH of `env`, and its arguments.
        env: its whole environment; None passes on ours.
        stdin: as for `subprocess.Popen`; None passes on ours.
        stdout: likewise.
        stderr: likewise.
        cwd: its working directory; None passes on ours.

    Raises:
        StartError: it was not found, or cannot be executed.
    """
    heard, report = os.pipe()
    try:
        launcher = [sys.executable, "-I", "-S", "-X", "utf8", _LAUNCH, str(os.getpid()), str(report)]
        process = subprocess.Popen(  # noqa: S603  (the command is the user's)
            [*launcher, *command],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd,
            env=environment() if env is None else env,
            pass_fds=(report, *_inheritable()),
            start_new_session=True,
        )
    except BaseException:
        os.close(heard)
        raise
    finally:
        os.close(report)
    with os.fdopen(heard, "rb") as file:
        failure = file.read(_ERRNO_BYTES)
    if failure:
        process.communicate()
        raise StartError(int(failure), os.fsdecode(command[0]))
    return process


def environment() -> dict[str, str]:
    """Return our environment, without the LC_CTYPE that Python's start adds under the C locale (PEP 538)."""
    env = dict(os.environ)
    with suppress(OSError), open("/proc/self/environ", "rb") as file:
        if env.get("LC_CTYPE") == "C.UTF-8" and b"\0LC_CTYPE=" not in b"\0" + file.read():
            del env["LC_CTYPE"]
    return env


def _inheritable() -> tuple[int, ...]:
    """Return the descriptors above stderr that were left open for a child: <(...) of a shell, make's job server."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the one that listed them
            if int(name) > 2 and os.get_inheritable(int(name)):  # noqa: PLR2004  (stderr)
                found.append(int(name))
    return tuple(found)


def end_tree(pid: int, *, term_s: float = TERM_S, kill_s: float = KILL_S) -> tuple[int, ...]:
    """End a process, its descendants and their sessions: SIGTERM, a pause, SIGKILL until none is left.

    A daemon that forked twice and made itself a session of its own is found only while its parents live, or if we
    take in orphans; `supervise` does.

    Args:
        pid: its root; reaping it is up to the caller.
        term_s: the pause; 0 kills at once.
        kill_s: give up on what SIGKILL has not ended by then (a process in a dead file system).

    Returns:
        The pids that are still there: normally none.
    """
    return end(_Kin(pid), term_s=term_s, kill_s=kill_s)


class StartError(OSError):
    """A command cannot be executed.

    Attributes:
        is_missing: it, or its interpreter, was not found.
    """

    def __init__(self, number: int, command: str) -> None:
        super().__init__(number, os.strerror(number), command)
        self.is_missing = number in (errno.ENOENT, errno.ENOTDIR)

    def __str__(self) -> str:
        command = ascii(self.filename)
        if self.is_missing and os.path.exists(self.filename):
            return f"cannot run {command}: the interpreter named in its first line was not found"
        if self.is_missing:
            return f"cannot run {command}: not found{'' if '/' in self.filename else ' in PATH'}"
        if self.errno == errno.ENOEXEC:
            return f"cannot run {command}: neither a program nor a script with a #! line"
        if os.path.isdir(self.filename):
            return f"cannot run {command}: it is a directory"
        return f"cannot run {command}: {self.strerror}"


class _Kin:
    """Finds a tree again and again, while it changes and its root goes."""

    __slots__ = ("_known", "_own_session")

    def __init__(self, pid: int) -> None:
        root = processes.look(pid)
        self._own_session = os.getsid(0)
        self._known = {root} if root else set()

    def __call__(self) -> set[int]:
        now = processes.table()
        self._known = {p for p in self._known if (q := now.get(p.pid)) is None or q.started == p.started}
        pids = {process.pid for process in self._known}
        leaders = {p.pid for p in self._known if p.session == p.pid} - {self._own_session}
        pids |= processes.in_sessions(now, leaders)
        pids |= processes.below(now, pids)
        pids -= {os.getpid()}
        self._known |= {now[pid] for pid in pids if pid in now}
        return {pid for pid in pids if pid in now and now[pid].alive}


def end(
    find: Callable[[], Collection[int]],
    *,
    term_s: float,
    kill_s: float = KILL_S,
    wait: Wait | None = None,
) -> tuple[int, ...]:
    """End all processes that `find` finds: SIGTERM once to each, and after `term_s` SIGKILL until none is left.

    Returns:
        The pids that are still there after `kill_s` of killing.
    """
    patience = wait or _wait
    told: set[int] = set()
    until_s = SYSTEM.monotonic() + term_s
    while (left_s := until_s - SYSTEM.monotonic()) > 0 and (alive := find()):
        _send(set(alive) - told, signal.SIGTERM, signal.SIGCONT)
        told.update(alive)
        if _await_any(alive, left_s, patience):
            break
    until_s = SYSTEM.monotonic() + kill_s
    while alive := find():
        if SYSTEM.monotonic() >= until_s:
            return tuple(sorted(alive))
        kill(alive)
        _await_any(alive, _LOOK_AGAIN_S, _wait)
    return ()


def kill(pids: Collection[int]) -> bool:
    """Kill processes, all at once: no shell sees its child die, and goes on. Returns whether there was any."""
    _send(pids, signal.SIGSTOP)
    killed = [send(pid, signal.SIGKILL) for pid in pids]
    return any(killed)


def send(pid: int, number: int) -> bool:
    """Signal one process; False if it is gone or not ours to signal."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _send(pids: Iterable[int], *numbers: int) -> None:
    for pid in pids:
        for number in numbers:
            send(pid, number)


def _await_any(pids: Iterable[int], timeout_s: float, wait: Wait) -> bool:
    """Wait until one of these processes ends."""
    with opened(pids) as descriptors:
        return wait(descriptors, timeout_s) if descriptors else False


@contextmanager
def opened(pids: Iterable[int]) -> Iterator[list[int]]:
    """Hold a descriptor for each process that exists (of many, for some); it becomes readable when the process ends."""
    descriptors: list[int] = []
    try:
        for pid in itertools.islice(pids, _MOST_DESCRIPTORS):
            with suppress(ProcessLookupError):
                descriptors.append(os.pidfd_open(pid))
        yield descriptors
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def poll(descriptors: Iterable[int], timeout_s: float) -> list[int]:
    """Wait until some of these descriptors are readable, and return those; none when the time is over."""
    poller = select.poll()
    for descriptor in descriptors:
        poller.register(descriptor, select.POLLIN)
    timeout_ms = None if timeout_s == math.inf else math.ceil(min(max(0.0, timeout_s), 3600.0) * 1000)
    return [descriptor for descriptor, _ in poller.poll(timeout_ms)]


def _wait(descriptors: Sequence[int], timeout_s: float) -> bool:
    poll(descriptors, timeout_s)
    return False
