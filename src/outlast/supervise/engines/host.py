"""Holds a program under an engine, and takes part in the protocol for it: saves when asked, leaves when told to."""

from __future__ import annotations

import json
import math
import os
import platform
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, BinaryIO

from outlast.clock import SYSTEM
from outlast.errors import DONE, FAILED, PREEMPTED, UsageError
from outlast.supervise.engines import registry
from outlast.supervise.engines.engine import Engine, EngineError, Session
from outlast.version import __version__

CONTROL, STORE = "OUTLAST_CONTROL", "OUTLAST_STORE"
SAVE, RESTORE, STEP = "OUTLAST_SAVE", "OUTLAST_RESTORE", "OUTLAST_STEP"
_ABOUT = "engine.json"
_IMAGE = "image"
_STREAMS = ("engine.out", "engine.err")  # in the store's jobs/: what is brought back finds them where they were
_JOBS = "jobs"
_PAUSE_S = 0.1
_LOOKS = 10
_AGAIN_S, _MOST_AGAIN_S = 1.0, 300.0
_OURS = "OUTLAST_"


class Host:
    """One attempt of a program under an engine.

    Args:
        engine: which.
        command: the program and its arguments, for a first start.

    Raises:
        UsageError: there is no supervisor that keeps files.
    """

    def __init__(self, engine: Engine, command: Sequence[str]) -> None:
        missing = [name for name in (CONTROL, STORE, SAVE) if not os.environ.get(name)]
        if missing:
            hint = f"outlast run --engine {engine.name} --store STORE -- CMD"
            raise UsageError("an engine's images need a store", hint=hint)
        self._engine, self._command = engine, command
        self._control, self._save = os.environ[CONTROL], os.environ[SAVE]
        self._restored = os.environ.get(RESTORE)
        self._step = int(os.environ.get(STEP, "0"))
        jobs = os.path.join(os.path.realpath(os.environ[STORE]), _JOBS)
        os.makedirs(jobs, mode=0o700, exist_ok=True)
        self._paths = [os.path.join(jobs, name) for name in _STREAMS]
        self._trouble = ""
        self._owed_s, self._wait_s = math.inf, _AGAIN_S
        for name in [name for name in os.environ if name.startswith(_OURS)]:
            del os.environ[name]  # the program takes no part: its image would remember another attempt's

    def run(self) -> int:
        """See the program through; return the exit status."""
        if self._restored is None and shutil.which(self._command[0]) is None:
            is_there = os.path.exists(self._command[0])
            _say(f"error: {self._command[0]}: {'it cannot be executed' if is_there else 'it was not found'}")
            return 126 if is_there else 127
        os.mkdir(self._save, 0o700)
        with tempfile.TemporaryDirectory(prefix="engine-", dir=self._control) as work:
            session, pumps = self._begin(work)
            try:
                return self._watch(session, pumps)
            finally:
                session.close()
                for pump in pumps:
                    pump.close()

    def _begin(self, work: str) -> tuple[Session, list[_Pump]]:
        begin: Mapping[str, int] = {}
        if self._restored is None:
            for path in self._paths:
                with open(path, "wb", opener=_private):
                    pass
            session = self._engine.start(self._command, streams=(self._paths[0], self._paths[1]), work=work)
        else:
            self._check(self._restored)
            image = os.path.join(self._restored, _IMAGE)
            begin = self._engine.lengths(image)
            session = self._engine.restore(image, work=work)
        return session, [_Pump(path, number, begin.get(path, 0)) for number, path in enumerate(self._paths, 1)]

    def _check(self, folder: str) -> None:
        """Compare what an image says of itself with what is here."""
        try:
            with open(os.path.join(folder, _ABOUT), encoding="utf-8") as file:
                about: dict[str, Any] = json.load(file)
            engine, kernel = str(about["engine"]), str(about["kernel"])
        except (OSError, ValueError, KeyError, TypeError) as e:
            hint = "this store is not that of a program under an engine"
            raise UsageError(f"the checkpoint does not say which engine made it: {e}", hint=hint) from e
        if engine != self._engine.name:
            raise UsageError(f"the checkpoint was made by {engine}", hint=f"outlast run --engine {engine} ...")
        if kernel != platform.release():
            _say(f"warning: saved under Linux {kernel}, brought back under {platform.release()}")

    def _watch(self, session: Session, pumps: Sequence[_Pump]) -> int:
        while (status := session.poll()) is None:
            if self._is_there("stop"):
                return self._leave(session, pumps)
            if self._is_there("save") or self._is_owed():
                with suppress(OSError):
                    os.unlink(os.path.join(self._control, "save"))
                self._save_or_owe(session)
            for pump in pumps:
                pump.move()
            signal.sigtimedwait({signal.SIGCHLD}, _PAUSE_S)
        return self._ended(status, pumps)

    def _ended(self, status: int, pumps: Sequence[_Pump]) -> int:
        for pump in pumps:
            pump.move()
        if status == DONE:
            with open(os.path.join(self._control, "done"), "w", encoding="utf-8"):
                pass
        return status

    def _leave(self, session: Session, pumps: Sequence[_Pump]) -> int:
        if self._take(session, goes_on=False):
            for pump in pumps:
                pump.move()
            return PREEMPTED
        for _ in range(_LOOKS):  # it may have ended by itself while it was to be frozen
            if (status := session.poll()) is not None:
                return self._ended(status, pumps)
            signal.sigtimedwait({signal.SIGCHLD}, _PAUSE_S)
        return FAILED

    def _save_or_owe(self, session: Session) -> None:
        """Save; what fails is tried again by ourselves, ever more rarely: the supervisor asks only once."""
        if self._take(session, goes_on=True):
            self._owed_s, self._wait_s = math.inf, _AGAIN_S
        else:
            self._owed_s = SYSTEM.monotonic() + self._wait_s
            self._wait_s = min(2 * self._wait_s, _MOST_AGAIN_S)

    def _is_owed(self) -> bool:
        return SYSTEM.monotonic() >= self._owed_s

    def _take(self, session: Session, *, goes_on: bool) -> bool:
        """Make an image and hand it in. What fails is said, once; the program goes on."""
        draft = os.path.join(self._save, ".new")
        shutil.rmtree(draft, ignore_errors=True)
        image = os.path.join(draft, _IMAGE)
        os.makedirs(image, mode=0o700)
        try:
            session.dump(image, goes_on=goes_on)
        except EngineError as e:
            if session.poll() is None and str(e) != self._trouble:
                _say(f"warning: no image could be made: {e}")
            self._trouble = str(e)
            shutil.rmtree(draft, ignore_errors=True)
            return False
        about = {"engine": self._engine.name, "kernel": platform.release(), "outlast": __version__}
        with open(os.path.join(draft, _ABOUT), "w", encoding="utf-8") as file:
            json.dump(about, file)
        self._step += 1
        os.rename(draft, os.path.join(self._save, str(self._step)))
        self._trouble = ""
        return True

    def _is_there(self, name: str) -> bool:
        return os.path.lexists(os.path.join(self._control, name))


class _Pump:
    """Passes on what a program writes: it writes to a file, so that it finds it again."""

    def __init__(self, path: str, descriptor: int, begin: int) -> None:
        self._file: BinaryIO = open(path, "rb", buffering=0)  # noqa: SIM115  (closed by `close`)
        self._file.seek(begin)
        self._descriptor = descriptor

    def move(self) -> None:
        while data := self._file.read(1 << 16):
            while data:
                data = data[os.write(self._descriptor, data) :]

    def close(self) -> None:
        self._file.close()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _say(text: str) -> None:
    sys.stderr.write(f"outlast: {text}\n")
    sys.stderr.flush()


def main(name: str, command: Sequence[str]) -> int:
    """Run a command under the engine of this name. Raises OutlastError."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    engine = registry.named(name)
    standing = engine.look()
    if standing.problem:
        raise UsageError(f"the engine {name} cannot be used here: {standing.problem}", hint=standing.remedy)
    return Host(engine, command).run()
