"""Programs of several ranks, for tests: forked from one process that has imported PyTorch, which takes seconds.

The pytest process itself must not be forked for that: who knows what else it has loaded.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

WAIT_S = 120.0


@dataclass
class Ranks:
    """The processes of one program, each in a session of its own."""

    nursery: Nursery
    pids: list[int]
    outs: list[Path]

    def said(self, rank: int) -> list[dict]:
        """What a rank has printed so far: lines of JSON."""
        lines = self.outs[rank].read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]

    def errors(self) -> str:
        return "\n".join(out.with_suffix(".err").read_text() for out in self.outs)

    def until(self, rank: int, count: int) -> list[dict]:
        """Wait until a rank has said so much."""
        until_s = time.monotonic() + WAIT_S
        while len(self.said(rank)) < count:
            assert time.monotonic() < until_s, f"{self.said(rank)}\n{self.errors()}"
            time.sleep(0.01)
        return self.said(rank)

    def kill(self, rank: int, number: int = signal.SIGKILL) -> None:
        os.kill(self.pids[rank], number)

    def wait(self) -> list[int]:
        """The exit statuses, of signals the negative number. Whoever takes too long hangs: that is an error."""
        statuses = self.nursery.ask({"wait": self.pids, "seconds": WAIT_S})
        if any(status == -signal.SIGALRM for status in statuses):
            raise AssertionError(f"ranks hang: {statuses}\n{self.errors()}")
        return statuses


class Nursery:
    """The process that has imported all that the programs need."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="outlast-ranks-"))
        self._count = 0
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._pipe(self._process.stdout).readline() == "ready\n"

    def start(
        self, program: Path, *argv: object, world: int, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> Ranks:
        """Start a program on so many ranks. They find each other through a file."""
        self._count += 1
        folder = self._folder / str(self._count)
        folder.mkdir()
        outs = [folder / f"{rank}.out" for rank in range(world)]
        for out in outs:
            out.touch()
        order = {
            "program": str(program),
            "argv": [str(one) for one in argv],
            "outs": [str(out) for out in outs],
            "cwd": str(cwd or folder),
            "env": {**(env or {}), "WORLD_SIZE": str(world), "RENDEZVOUS": str(folder / "rendezvous")},
        }
        return Ranks(self, self.ask(order), outs)

    def run(self, program: Path, *argv: object, world: int, env: Mapping[str, str] | None = None) -> list[dict]:
        """Run a program to its end on so many ranks; return what they said. Each must end with 0."""
        ranks = self.start(program, *argv, world=world, env=env)
        assert ranks.wait() == [0] * world, ranks.errors()
        return [one for rank in range(world) for one in ranks.said(rank)]

    def ask(self, order: dict) -> list[int]:
        stdin = self._pipe(self._process.stdin)
        stdin.write(json.dumps(order) + "\n")
        stdin.flush()
        return json.loads(self._pipe(self._process.stdout).readline())

    def close(self) -> None:
        self._process.kill()  # whoever else was forked here may hold the other end open
        self._process.wait()
        self._pipe(self._process.stdin).close()
        self._pipe(self._process.stdout).close()

    def _pipe(self, pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


def _child(order: dict, rank: int) -> None:
    os.setsid()
    out = Path(order["outs"][rank])
    for number, path in ((0, Path("/dev/null")), (1, out), (2, out.with_suffix(".err"))):
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(fd, number)
    os.environ.update(order["env"], RANK=str(rank), LOCAL_RANK=str(rank), LOCAL_WORLD_SIZE=order["env"]["WORLD_SIZE"])
    os.chdir(order["cwd"])
    sys.argv = [order["program"], *order["argv"]]
    sys.path.insert(0, os.path.dirname(order["program"]))
    runpy.run_path(order["program"], run_name="__main__")


def _forked(order: dict, rank: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        _child(order, rank)
        status = 0
    except SystemExit as e:
        status = e.code if isinstance(e.code, int) else int(e.code is not None)
    except BaseException as e:
        try:
            sys.excepthook(type(e), e, e.__traceback__)
        except SystemExit as told:  # a hook's word on the status
            status = told.code if isinstance(told.code, int) else 1
    finally:
        sys.stdout.flush()
        os._exit(status)


def _waited(pids: list[int], seconds: float) -> list[int]:
    until_s = time.monotonic() + seconds
    statuses: dict[int, int] = {}
    while len(statuses) < len(pids):
        for pid in set(pids) - statuses.keys():
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                statuses[pid] = os.waitstatus_to_exitcode(status)
        if time.monotonic() > until_s:
            for pid in set(pids) - statuses.keys():
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                statuses[pid] = -signal.SIGALRM
        time.sleep(0.005)
    return [statuses[pid] for pid in pids]


def main() -> None:
    import torch
    import torch._dynamo
    import torch.distributed.checkpoint.state_dict
    import torch.distributed.fsdp
    from sklearn.datasets import load_digits

    import outlast.capture.adapters.torch
    import outlast.integrations.dcp  # noqa: F401

    load_digits()
    torch.set_num_threads(1)
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            told = _waited(order["wait"], order["seconds"])
        else:
            sys.stdout.flush()
            told = [_forked(order, rank) for rank in range(len(order["outs"]))]
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
