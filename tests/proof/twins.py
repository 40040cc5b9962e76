"""Twin mounts: one folder, seen through two FUSE mounts that keep names, attributes and misses for a while.

`WHAT:SCENARIO:SECONDS:SEED`: a writer on the one mount stops at two of its calls (drawn from the seed). At the first,
    the other mount looks at all, which fills its caches; at the second, WHAT happens there: `read`, or a `takeover`
    that restores, saves and prunes. Then the writer goes on.

    python -m proof.twins FOLDER MOUNT SECONDS      serves one mount, in the foreground
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

from outlast.errors import NothingError, StorageError
from outlast.store import Store
from outlast.testing import CountedCalls, FakeClock
from proof import ledger
from proof.children import Child, Report
from proof.core import Harness
from proof.scenarios import SCENARIOS, calls_of, prepared
from storekit import Attempt

_SCENARIOS = ("later-save", "keep-1", "keep-3", "prune", "same-step", "last-save")
_ENDED, _BUSY = 0, 5
_LOOKS = 20
_STANDS_STILL = ("not visible yet", "stale", "cannot be listed")


def needs() -> str | None:
    """Say what is missing here to mount."""
    return None if os.access("/dev/fuse", os.R_OK | os.W_OK) else "a usable /dev/fuse"


def cases() -> Iterator[str]:
    for seed in count(1):
        what = ("takeover", "read")[seed % 3 == 0]
        yield f"{what}:{_SCENARIOS[seed % len(_SCENARIOS)]}:{(0, 1, 5)[seed // 2 % 3]}:{seed}"


@contextlib.contextmanager
def _mounted(folder: Path, at: Path, seconds: str) -> Iterator[None]:
    at.mkdir()
    command = [sys.executable, "-m", "proof.twins", str(folder), str(at), seconds]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(command, env=env) as server:
        try:
            for _ in range(3000):
                if os.path.ismount(at) or server.poll() is not None:
                    break
                time.sleep(0.01)
            assert os.path.ismount(at), f"could not mount: {server.poll()}"
            yield
        finally:
            subprocess.run(["fusermount3", "-u", "-z", str(at)], check=False)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(10)  # unmounted, it ends by itself
            server.terminate()


def _stopping(path: Path, name: str, stops: tuple[int, int]) -> Child:
    calls = CountedCalls()

    def hook(_: str) -> None:
        if len(calls.log) in stops:
            os.kill(os.getpid(), signal.SIGSTOP)

    def work(report: Report) -> None:
        calls.hook = hook
        SCENARIOS[name].act(path, calls, report)

    return Child(work)


def run(case: str, folder: Path) -> int:
    what, name, seconds, seed = case.split(":")
    real = folder / "real"
    real.mkdir()
    path = prepared(name, real)
    stops = sorted(random.Random(int(seed)).sample(range(1, len(calls_of(name)) + 1), 2))
    with (
        _mounted(real, folder / "one", seconds),
        _mounted(real, folder / "two", seconds),
        _stopping(folder / "one" / "store", name, (stops[0], stops[1])) as writer,
    ):
        _check_stale(folder, float(seconds))
        other = folder / "two" / "store"
        assert writer.stops(), "it ended before it could be stopped"
        _read(other)
        writer.wake()
        assert writer.stops(), "it ended before it could be stopped a second time"
        known = ledger.check(path)
        _read(other)
        taker = _take_over(other) if what == "takeover" else None
        writer.wake()
        code, told = writer.end()
        # What the taker removed while the writer had it open is denied to that one (on NFS: ESTALE): loud, and no more.
        is_denied = taker is not None and b"error:StorageError" in told
        assert code in ((_ENDED, _BUSY) if taker else (_ENDED,)) or is_denied, f"ended with {code}: {told.decode()}"
        newest = ledger.check(path)
        assert known is None or (newest is not None and newest >= known), f"{known.format()} is gone, now {newest}"
        if taker:
            _go_on(other, taker)
        _read(other)
    ledger.check(path)
    return 3


def _check_stale(folder: Path, seconds_s: float) -> None:
    """Check that the second mount keeps what it did not find for so long, and not at all if it should not."""
    for number in range(_LOOKS):
        name = f"probe-{number}"
        began_s = time.monotonic()
        assert not (folder / "two" / name).exists()
        (folder / "one" / name).touch()
        is_seen = (folder / "two" / name).exists()
        if not seconds_s or time.monotonic() - began_s < seconds_s:  # else it may have forgotten in time
            assert is_seen is (seconds_s == 0), "this mount keeps other than it was told"
            return
    raise AssertionError(f"{_LOOKS} times two looks took longer than {seconds_s} s")


def _read(path: Path) -> None:
    """What counts is whole, or cannot be read at the moment, or is gone."""
    store = Store(path)
    ledger.read(store)
    store.attempts()
    store.live()
    with contextlib.suppress(NothingError):
        store.find("999")  # a look that misses


def _take_over(path: Path) -> Attempt:
    taker = Attempt.begin(path, takeover=True, clock=FakeClock())
    step = taker.restore() or 0
    taker.save(step + 1, frozen=False)
    _prune(taker)
    return taker


def _prune(taker: Attempt) -> None:
    try:
        taker.prune(1)
    except StorageError as e:
        assert any(text in str(e) for text in _STANDS_STILL), e


def _go_on(path: Path, taker: Attempt) -> None:
    if max(log.attempt for log in Store(path).attempts()) > taker.lease.attempt:
        taker = Attempt.begin(path, takeover=True, clock=FakeClock())
    step = (taker.restore() or 0) + 1
    taker.save(step, frozen=False)
    _prune(taker)
    taker.lease.end("done")
    after = Attempt.begin(path)
    assert after.restore() == step, "the next attempt restores something else"
    after.lease.end("done")


HARNESS = Harness(cases=cases, run=run, sample=8, endless=True, tools=("fusermount3",), needs=needs)


def _serve(folder: str, at: str, seconds: str) -> None:
    import mfusepy as fuse

    class Through(fuse.Operations):
        """Every call to the folder, as it is."""

        use_ns = True

        def _at(self, path: str) -> str:
            return folder + path

        def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
            about = os.lstat(self._at(path))
            told = {
                key: getattr(about, key) for key in ("st_mode", "st_ino", "st_nlink", "st_uid", "st_gid", "st_size")
            }
            times = {f"st_{k}time": getattr(about, f"st_{k}time_ns") for k in "amc"}
            return told | times

        def readdir(self, path: str, fh: int) -> list[str]:
            return [".", "..", *os.listdir(self._at(path))]

        def create(self, path: str, mode: int, fi: object = None) -> int:
            return os.open(self._at(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

        def open(self, path: str, flags: int) -> int:
            return os.open(self._at(path), flags & ~os.O_APPEND)

        def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
            return os.pread(fh, size, offset)

        def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
            return os.pwrite(fh, data, offset)

        def truncate(self, path: str, length: int, fh: int | None = None) -> int:
            os.truncate(self._at(path), length)
            return 0

        def release(self, path: str, fh: int) -> int:
            os.close(fh)
            return 0

        def fsync(self, path: str, datasync: int, fh: int) -> int:
            os.fsync(fh)
            return 0

        def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
            return 0

        def rename(self, old: str, new: str) -> int:
            os.rename(self._at(old), self._at(new))
            return 0

        def link(self, target: str, source: str) -> int:
            os.link(self._at(source), self._at(target))
            return 0

        def unlink(self, path: str) -> int:
            os.unlink(self._at(path))
            return 0

        def mkdir(self, path: str, mode: int) -> int:
            os.mkdir(self._at(path), mode)
            return 0

        def rmdir(self, path: str) -> int:
            os.rmdir(self._at(path))
            return 0

        def statfs(self, path: str) -> dict[str, int]:
            found = os.statvfs(folder)
            return {key: getattr(found, key) for key in dir(found) if key.startswith("f_") and key != "f_fsid"}

        def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
            os.utime(self._at(path), ns=times)
            return 0

    kept = {key: float(seconds) for key in ("attr_timeout", "entry_timeout", "negative_timeout", "ac_attr_timeout")}
    fuse.FUSE(Through(), at, foreground=True, nothreads=True, **kept)


if __name__ == "__main__":
    _serve(*sys.argv[1:4])
