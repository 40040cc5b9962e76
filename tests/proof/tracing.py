"""Processes under strace from a chosen moment on: what the kernel saw of an act, and faults that it injects.

strace is attached when all is imported and the act is about to begin, so that its counts begin with the act.
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from outlast.errors import OutlastError
from proof.scenarios import Report
from storekit import BUG

_PR_SET_PTRACER = 0x59616D61  # strace is no ancestor of ours: where Yama restricts tracing it must be let in
_ANYONE = ctypes.c_ulong(-1)
_CALL = re.compile(r"(?:\d+ +)?(\w+)\((.*)$")
_TURNS = 30_000


@dataclass(frozen=True, kw_only=True)
class Call:
    """A line of the trace: a call by the kernel's name, with its arguments, descriptors shown with their paths."""

    name: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Traced:
    """How the act ended (its wait status), what it reported, and the calls that were traced."""

    status: int
    told: bytes
    calls: list[Call]


def traced(work: Callable[[Report], None], folder: Path, *options: str) -> Traced:
    """Run `work` in a forked child with strace attached."""
    go_read, go = os.pipe()
    told_read, told_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(told_read)
        os.close(go)
        _child(work, go_read, told_write)
    os.close(go_read)
    os.close(told_write)
    log = folder / "trace"
    at_rest = _await_rest(pid, go_read)
    command = ["strace", "-f", "-y", "-qq", "-s", "0", "-o", str(log), "-p", str(pid), *options]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        _await_tracer(pid, tracer, at_rest)
        os.write(go, b"go")
    finally:
        os.close(go)  # without having said go: the child leaves
        with os.fdopen(told_read, "rb") as pipe:
            told = pipe.read()
        status = os.waitpid(pid, 0)[1]
        tracer.communicate(timeout=60)
    return Traced(status=status, told=told, calls=_parsed(log))


def _child(work: Callable[[Report], None], go: int, told: int) -> None:
    status = BUG
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANYONE, 0, 0, 0)
        if os.read(go, 2) == b"go":
            work(lambda text: os.write(told, text))
            status = 0
    except OutlastError as e:
        status = e.exit_status
    except BaseException as e:
        os.write(told, f"bug:{e!r}\n".encode())
    finally:
        os._exit(status)


def _await_rest(pid: int, descriptor: int) -> int:
    """Wait until the child sleeps, waiting for its word; return how often it has gone to sleep."""
    for _ in range(_TURNS):
        if Path(f"/proc/{pid}/syscall").read_text().split()[1:2] == [hex(descriptor)]:
            return int(_status(pid)["voluntary_ctxt_switches"])
        time.sleep(0.002)
    raise RuntimeError("the child does not wait for its word")


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _await_tracer(pid: int, tracer: subprocess.Popen, at_rest: int) -> None:
    """Wait until strace follows the child: it interrupts it some time after it is named as its tracer."""
    for _ in range(_TURNS):
        if tracer.poll() is not None:
            _, said = tracer.communicate()
            raise RuntimeError(f"strace: {said.decode()}")
        with suppress(FileNotFoundError):
            about = _status(pid)
            is_named, slept = about["TracerPid"] == str(tracer.pid), int(about["voluntary_ctxt_switches"])
            if is_named and slept > at_rest and about["State"].startswith("S"):
                return
        time.sleep(0.002)
    raise RuntimeError("strace did not attach")


def _parsed(log: Path) -> list[Call]:
    found = []
    for line in log.read_text().splitlines():
        match = _CALL.match(line)
        if match:
            found.append(Call(name=match[1], text=match[2]))
    return found
