"""A process that has imported PyTorch, and forks for each attempt of a twin: importing takes longer than the programs.

The recorder is started in the fork as `sitecustomize` would start it. Run as a script it serves: it
reads a request a line (script, folder, environment, output) and answers with the attempt's process id; its status comes
into a file.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import runpy
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path


class Attempt:
    """An attempt in the nursery, as a `Popen` would be."""

    def __init__(self, pid: int, status: Path) -> None:
        self.pid, self._status = pid, status

    def poll(self) -> int | None:
        return int(self._status.read_text()) if self._status.exists() else None

    def wait(self, timeout: float) -> int:
        until = time.monotonic() + timeout
        while (status := self.poll()) is None:
            assert time.monotonic() < until, "it never ended"
            time.sleep(0.005)
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@functools.cache
def _nursery() -> subprocess.Popen[str]:
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    nursery = subprocess.Popen([sys.executable, __file__], stdin=-1, stdout=-1, text=True, env=env)
    atexit.register(_end, nursery)
    return nursery


def _end(nursery: subprocess.Popen[str]) -> None:
    nursery.kill()
    nursery.communicate()


def start(script: str, folder: Path, env: dict[str, str], out: Path) -> Attempt:
    """Start an attempt that writes to `out`."""
    nursery, status = _nursery(), out.with_suffix(".status")
    status.unlink(missing_ok=True)
    request = {"script": script, "folder": str(folder), "env": env, "out": str(out), "status": str(status)}
    nursery.stdin.write(json.dumps(request) + "\n")
    nursery.stdin.flush()
    return Attempt(int(nursery.stdout.readline()), status)


def _serve() -> None:
    import torch._dynamo  # what the first update imports

    from outlast.capture.snapshots import KINDS

    assert torch
    sys.path.pop(0)  # the tests' folder
    KINDS.refresh()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        if os.fork() == 0:
            _keep(json.loads(line))


def _keep(request: dict) -> None:
    """Fork the attempt, and leave its status where it is looked for."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        _run(request)
    os.write(1, f"{pid}\n".encode())
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    path = Path(request["status"])
    path.with_suffix(".new").write_text(str(status))
    path.with_suffix(".new").rename(path)
    os._exit(0)


def _run(request: dict) -> None:
    os.setsid()
    out = os.open(request["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number in (1, 2):
        os.dup2(out, number)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["env"])
    status = 0
    try:
        runpy.run_path(os.path.join(request["env"]["PYTHONPATH"].split(os.pathsep)[0], "sitecustomize.py"))
        runpy.run_path(request["script"], run_name="__main__")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    _serve()
