"""A real `outlast run` around the client that is tried: started, watched by its events, signalled, killed."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from outlast.clock import SYSTEM
from outlast.store import Store

BOUND_S = 60.0  # so long nothing takes; a client that does has failed
_POLL_S = 0.01


class Failed(Exception):  # noqa: N818  (what happened, not what is wrong with us)
    """The client does not keep the protocol."""


class Unfit(Exception):  # noqa: N818
    """The client cannot be judged: it is too quick, or does not run at all."""


class Supervised:
    """One `outlast run`."""

    def __init__(self, command: Sequence[str], store: Path, cwd: Path, options: Sequence[str]) -> None:
        argv = [sys.executable, "-P", "-m", "outlast.cli.main", "run", "--json", "--store", str(store), *options, "--"]
        env = {name: value for name, value in os.environ.items() if not name.startswith("OUTLAST_")}
        env["PYTHONPATH"] = os.pathsep.join([*filter(None, sys.path)])
        self.process = subprocess.Popen(  # noqa: S603  (the command is the user's)
            [*argv, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=env,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self.output: list[str] = []
        self._events: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._hear, self._collect)]
        for reader in self._readers:
            reader.start()

    def until(self, event: str, **fields: Any) -> dict[str, Any]:
        """Wait for an event with these fields, and return it."""
        until_s = SYSTEM.monotonic() + BOUND_S
        while True:
            try:
                found = self._events.get(timeout=max(0.0, until_s - SYSTEM.monotonic()))
            except queue.Empty:
                raise Failed(f"no event {event!r} came within {BOUND_S:.0f} s") from None
            if found is None:
                raise Failed(f"it ended (status {self.process.wait()}) before the event {event!r}")
            if found["event"] == event and all(found.get(name) == value for name, value in fields.items()):
                return found

    def status(self) -> int:
        """Wait for the end, and return the exit status."""
        try:
            self.process.wait(BOUND_S)
        except subprocess.TimeoutExpired:
            raise Failed(f"it did not end within {BOUND_S:.0f} s") from None
        for reader in self._readers:
            reader.join(BOUND_S)
        return self.process.returncode

    def rest(self) -> list[dict[str, Any]]:
        """Return the events that were not waited for, after the end."""
        self.status()
        found = []
        while (event := self._events.get()) is not None:
            found.append(event)
        return found

    def tell(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """End the supervisor and what it started, without a word."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGSTOP)  # so that it starts nothing meanwhile
            for pid in (*_below(self.process.pid), self.process.pid):
                _signal(pid, signal.SIGKILL)
        self.process.wait()

    def _hear(self) -> None:
        stream = self.process.stderr
        assert stream
        with stream:
            for raw in stream:
                line = raw.decode(errors="replace").rstrip("\n")
                self.lines.append(line)
                try:
                    found = json.loads(line)
                except ValueError:
                    continue
                if isinstance(found, dict) and "event" in found:
                    self._events.put(found)
        self._events.put(None)

    def _collect(self) -> None:
        stream = self.process.stdout
        assert stream
        with stream:
            self.output += [raw.decode(errors="replace").rstrip("\n") for raw in stream]


class Rig:
    """Where a client is tried.

    Args:
        command: the client.
        folder: for stores.
        kills: how often it is killed while it writes.

    Attributes:
        store: the one of the case that runs.
        result: what the undisturbed client printed last; None before that is known.
    """

    def __init__(self, command: Sequence[str], folder: Path, *, kills: int) -> None:
        self.command, self.kills = list(command), kills
        self.result: str | None = None
        self.store = folder
        self._folder, self._running = folder, list[Supervised]()
        self._cwd = Path.cwd()

    def use(self, name: str) -> None:
        """Take a store of that name, new or not: in a path that is meant to be a nuisance."""
        self.store = self._folder / "it's a folder; with  spaces & ü" / name

    def fresh(self, name: str) -> None:
        """Take a new store."""
        self.use(name)
        shutil.rmtree(self.store, ignore_errors=True)

    def start(self, *options: str) -> Supervised:
        """Supervise the client; nobody asks for saves unless told to."""
        found = Supervised(self.command, self.store, self._cwd, ["--every", "1h", *options])
        self._running.append(found)
        return found

    def ask(self, kind: str) -> None:
        """Leave a request in the store, as `outlast save` and `outlast stop` do."""
        Store(self.store).request(kind, f"conformance: {kind}")

    def finish(self) -> str:
        """Let the client run to its end; return what it printed last."""
        run = self.start()
        if run.status() != 0:
            raise Failed(f"it ended with status {run.process.returncode}, expected 0")
        return run.output[-1] if run.output else ""

    def heard(self) -> list[str]:
        """Return the last lines that the last supervisor and its client wrote to standard error."""
        return self._running[-1].lines[-15:] if self._running else []

    def stop(self) -> None:
        """End what runs."""
        for one in self._running:
            one.kill()


def environment(pid: int) -> dict[str, str]:
    """Return the environment that a process was started with. Raises Unfit if it has ended.

    While it executes its program there is none to be seen, for an instant: then it is looked for again.
    """
    until_s = SYSTEM.monotonic() + BOUND_S
    while True:
        try:
            raw = Path(f"/proc/{pid}/environ").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            raise Unfit("it had ended before it could be asked for anything: let it take some seconds") from None
        pairs = (entry.partition(b"=") for entry in raw.split(b"\0"))
        found = {os.fsdecode(name): os.fsdecode(value) for name, is_pair, value in pairs if is_pair}
        if "OUTLAST_SAVE" in found:
            return found
        if SYSTEM.monotonic() > until_s:
            raise Unfit("its environment cannot be read: has it ended?")
        SYSTEM.sleep(_POLL_S)


def kill(pid: int) -> None:
    """End a command and what it started, without a word."""
    for one in (*_below(pid), pid):
        _signal(one, signal.SIGKILL)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _below(pid: int) -> list[int]:
    from outlast.supervise import processes

    return sorted(processes.below(processes.table(), {pid}))
