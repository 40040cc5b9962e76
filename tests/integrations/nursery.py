"""A process that has imported a framework and forks each attempt of a program: the imports are paid for once.

`Nursery(module)` starts it; `attempt` runs the module's `main(**arguments)` in a fork and says how that ended.
`python -m integrations.nursery MODULE` is the process itself. It imports and forks, and never computes: what torch
starts with its first operation would not survive a fork.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

_TESTS = Path(__file__).resolve().parents[1]


class Nursery:
    """Forks attempts of one program."""

    def __init__(self, module: str) -> None:
        paths = [str(_TESTS.parent / "src"), str(_TESTS), os.environ.get("PYTHONPATH", "")]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "integrations.nursery", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("OUTLAST_")},
                "PYTHONPATH": os.pathsep.join(paths),
                "OMP_NUM_THREADS": "1",
                "TOKENIZERS_PARALLELISM": "false",
                "HF_HUB_OFFLINE": "1",
            },
        )

    def attempt(self, log: Path, **arguments: Any) -> int:
        """Run one attempt; its output is appended to `log`. Return its status, or minus the signal that ended it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"log": str(log), "arguments": arguments}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the nursery has ended"
        return int(answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()  # whoever else was forked here may hold the other end open
        self._process.wait()  # not for the end of its output, which others might hold open
        self._process.stdin.close()
        self._process.stdout.close()


def main(name: str) -> None:
    """Import the program, then fork an attempt for each line of standard input."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # standard output is for answers
    program = importlib.import_module(name)
    if "torch" in sys.modules:
        importlib.import_module("torch._dynamo")  # an optimizer's first step would, in each attempt
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if not child:
            os.close(out.fileno())  # whoever outlives the attempt must not hold it
            _attempt(program, order)
        _, status = os.waitpid(child, 0)
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # what it has left behind
        print(os.waitstatus_to_exitcode(status), file=out, flush=True)


def _attempt(program: Any, order: dict[str, Any]) -> None:
    """Run the program as if it were a process of its own."""
    os.setsid()
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    status = 1
    try:
        program.main(**order["arguments"])
        status = 0
    except SystemExit as e:
        status = e.code if isinstance(e.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1])
