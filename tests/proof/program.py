"""A user's program in small: a real `outlast.Run` and its loop, in a forked child, with a fault at a storage call.

What it did is told in a file beside the store, a line an event: the oracle lies outside of the store.
"""

from __future__ import annotations

import concurrent.futures
import functools
import hashlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

import outlast
from outlast import capture
from outlast.backends import paths
from outlast.errors import OutlastError
from outlast.run import notice
from outlast.store import Store
from outlast.testing import CountedCalls

STEPS = 5
EVERY = 2  # steps
BUG = 99  # the exit status of a program that failed with an error that is not outlast's own
_ATTEMPTS = 4
Waits = Literal["aloud", "quietly", "no"]
Strike = Callable[[int, str], None]


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a program told: the steps that it did, those known to be safe, and its other lines."""

    steps: tuple[int, ...]
    safe: int
    lines: tuple[str, ...]


class Calls(CountedCalls):
    """Storage calls, numbered over all threads; `strike` is told each number and name before the call is made."""

    def __init__(self, strike: Strike) -> None:
        self._strike_at, self._number, self._lock = strike, 0, threading.Lock()
        super().__init__(hook=self._numbered)

    def _numbered(self, name: str) -> None:
        with self._lock:
            self._number += 1
            number = self._number
        self._strike_at(number, name)


def told_in(folder: Path) -> Told:
    path = folder / "told"
    lines = path.read_text().splitlines() if path.exists() else []
    safe = [int(line.split()[1]) for line in lines if line.startswith("safe")]
    steps = tuple(int(line.split()[1]) for line in lines if line.startswith("step"))
    return Told(steps=steps, safe=max(safe, default=0), lines=tuple(lines))


@functools.cache
def warm_up() -> None:
    """Import here what programs need, so that each one's fault strikes outlast, and not an import."""
    assert outlast.Run
    assert concurrent.futures.ThreadPoolExecutor
    capture.outline(_state(), ())


def _state() -> dict[str, Any]:
    return {"x": np.ones(6000), "frozen": np.arange(9000.0), "seen": [], "t": 0.0}


def tell(folder: Path, line: str) -> None:
    fd = os.open(folder / "told", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, f"{line}\n".encode())
    os.close(fd)


def compute(folder: Path, *, waits: Waits = "aloud", on_error: Literal["stop", "warn"] = "stop") -> None:
    """Do the work: each step depends on all before it.

    Args:
        folder: holds the store; what was done is told there.
        waits: each step lets the save before it end, so that faults strike inside the loop; `aloud` by asking for its
            outcome, `quietly` without.
        on_error: as for the run.
    """
    state = _state()
    with outlast.Run(folder / "store", state, every=EVERY, keep=1, on_error=on_error) as run:
        for step in run.steps(STEPS):
            state["x"] *= 1.5
            state["x"] += step
            state["t"] += 0.5
            state["seen"].append(step)
            tell(folder, f"step {step}")
            run.log(loss=1 / (step + 1))
            if waits == "aloud":
                _wait(run, folder, on_error)
            while waits == "quietly" and run._saver.busy:
                time.sleep(0.001)
        result = f"{hashlib.sha256(state['x'].tobytes()).hexdigest()} {state['t']} {state['seen']}"
    tell(folder, f"safe {STEPS}")
    tell(folder, f"result {result}")


def _wait(run: outlast.Run, folder: Path, on_error: str) -> None:
    try:
        safe = run.wait()
    except OutlastError:
        if on_error == "stop":
            raise
    else:
        if safe:
            tell(folder, f"safe {safe.name.step}")


def forked(folder: Path, work: Callable[[], None], *, strike: Strike | None = None) -> int:
    """Run `work` in a forked child as Python runs a program; return its wait status."""
    warm_up()
    pid = os.fork()
    if pid == 0:
        status = BUG
        try:
            status = _as_program(folder, work, strike)
        finally:
            os._exit(status)  # whatever happens: this process must not go on as its parent
    return os.waitpid(pid, 0)[1]


def _as_program(folder: Path, work: Callable[[], None], strike: Strike | None) -> int:
    os.environ.update(OUTLAST_EVENTS="quiet")
    for number in notice.SIGNALS:  # runs of this process may have left theirs
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    sys.stderr = open(folder / "stderr", "a", buffering=1)  # noqa: SIM115  (until the process ends)
    os.dup2(sys.stderr.fileno(), 2)
    try:
        if strike:
            strike_at(strike)
        work()
    except SystemExit as e:
        return int(e.code or 0)
    except OutlastError as e:
        tell(folder, f"error {type(e).__name__}")
        return e.exit_status
    except BaseException:
        traceback.print_exc()
        return BUG
    return 0


def strike_at(strike: Strike) -> None:
    """Have every store of this process number its calls. For processes of a case's own: it cannot be undone."""
    calls = Calls(strike)
    paths.Syscalls = lambda: calls  # type: ignore[misc, assignment]


def said(folder: Path) -> str:
    """The end of what the programs in this folder printed, for a message."""
    path = folder / "stderr"
    return path.read_text()[-1500:] if path.exists() else ""


def newest(folder: Path) -> int:
    """The step that would be restored now, every checkpoint that counts having been read whole; 0 for none."""
    path = folder / "store"
    if not (path / "outlast.json").exists():
        return 0
    store = Store(path)
    counted = [found for found in store.scan() if found.counts]
    for found in counted:
        manifest, _ = store.read(found)
        with store.source(manifest) as source:
            bad = [damage.what for damage in source.damages()]
        assert not bad, f"{found.name.format()} is visible and damaged: {bad}"
    return counted[0].name.step if counted else 0


def expected() -> str:
    """The result of a program that nothing disturbed."""
    digest = hashlib.sha256(_undisturbed().tobytes()).hexdigest()
    return f"result {digest} {STEPS / 2} {list(range(STEPS))}"


def _undisturbed() -> Any:
    x = _state()["x"]
    for step in range(STEPS):
        x *= 1.5
        x += step
    return x


def _restored(folder: Path) -> bytes:
    """The bytes of `x` in the newest checkpoint."""
    store = Store(folder / "store")
    with store.source(store.manifest(store.checkpoints()[0])) as source:
        return bytes(source.read("x"))


def finish(folder: Path) -> int:
    """Judge what is there, then start the program again until it is done: the result is the undisturbed one.

    Returns how many states were looked at.
    """
    looked = 1
    before = told_in(folder)
    found = newest(folder)
    assert found >= before.safe, f"told that {before.safe} is safe, restores {found}"
    if not any(line.startswith("result") for line in before.lines):
        while forked(folder, lambda: compute(folder)) != 0:
            looked += 1
            assert looked < _ATTEMPTS, f"not done after {_ATTEMPTS} more attempts: {said(folder)}"
    after = told_in(folder)
    done = [line for line in after.lines if line.startswith("result")]
    if not done:  # cut off between the last checkpoint and its own last word
        assert found == STEPS, "ended with 0, and has neither a result nor a last checkpoint"
    assert set(done) <= {expected()}, f"came to {done}, expected {expected()}"
    assert newest(folder) == STEPS, "the last checkpoint is not the last step"
    assert _restored(folder) == _undisturbed().tobytes(), "the last checkpoint holds another state"
    if Store(folder / "store").attempts()[-1].last("ended"):  # else: killed as it was done, and nobody came after it
        left = [path for path in (folder / "store").glob("*/.tmp-*") if path.parent.name != "journal"]
        assert not left, f"left behind {left}"
    return looked + 1
