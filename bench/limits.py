"""What the machine can do: a copy in memory, and the storage as fio drives it.

Without fio a loop of our own stands in for it, and the results say so.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable

from bench.files import forget, read_through

_PIECE_BYTES = 512 << 20
_BLOCK_BYTES = 1 << 20
_FIO_UNIT_BYTES = 8 << 20  # two jobs, one block each at the least
_FIO_LIMIT_S = 300
_REPEATS = 3

_DIRECT = ("--direct=1", "--bs=4M", "--ioengine=psync", "--numjobs=2")
_RING = ("--direct=1", "--bs=1M", "--ioengine=io_uring", "--iodepth=16")
_NEW = ("--rw=write", "--end_fsync=1")


def has_fio() -> bool:
    return shutil.which("fio") is not None


def memcpy_s(size_bytes: int) -> float:
    """Return how long one thread copies so many bytes between touched buffers; of large ones piece by piece."""
    piece_bytes = min(size_bytes, _PIECE_BYTES)
    source, target = _touched(piece_bytes), _touched(piece_bytes)
    return statistics.median(_copied_s(source, target, size_bytes, piece_bytes) for _ in range(_REPEATS))


def _touched(size_bytes: int) -> ctypes.Array[ctypes.c_char]:
    buffer = (ctypes.c_char * size_bytes).from_buffer(mmap.mmap(-1, size_bytes))
    ctypes.memset(buffer, 1, size_bytes)
    return buffer


def _copied_s(source: object, target: object, size_bytes: int, piece_bytes: int) -> float:
    began = time.perf_counter()
    for start in range(0, size_bytes, piece_bytes):
        ctypes.memmove(target, source, min(piece_bytes, size_bytes - start))
    return time.perf_counter() - began


def storage(folder: str, size_bytes: int) -> dict[str, float]:
    """Return how long the storage under `folder` takes for so many bytes, each in its way.

    `write_s`: a new file, buffered, 1 MiB blocks, synced. `best_write_s`: new files, in the better of fio's two ways
    past the cache. `over_write_s`: the same over blocks that are there. `read_s`: cold, buffered. `best_read_s`: cold,
    in the better of the two ways.
    """
    return _by_fio(folder, size_bytes) if has_fio() else _by_hand(folder, size_bytes)


def _by_fio(folder: str, size_bytes: int) -> dict[str, float]:
    whole_bytes = max(1, size_bytes // _FIO_UNIT_BYTES) * _FIO_UNIT_BYTES
    measured: dict[str, float] = {}

    def take(figure: str, *options: str) -> None:
        jobs = 2 if "--numjobs=2" in options else 1
        took_s = _fio(folder, whole_bytes // jobs, options) * size_bytes / whole_bytes
        measured[figure] = min(took_s, measured.get(figure, took_s))

    def afresh(figure: str, *options: str) -> None:
        _clear(folder)
        take(figure, *options)

    afresh("write_s", *_NEW, "--bs=1M", "--ioengine=psync", "--fallocate=none")
    take("read_s", "--rw=read", "--bs=1M", "--ioengine=psync")
    for way in (_DIRECT, _RING):
        afresh("best_write_s", *_NEW, *way)
        take("over_write_s", *_NEW, *way, "--overwrite=1")
        take("best_read_s", "--rw=read", *way)
    _clear(folder)
    return measured


def _fio(folder: str, job_bytes: int, options: tuple[str, ...]) -> float:
    """Run one job file's worth of fio in `folder` and return the seconds its jobs took, without its own start."""
    command = ["fio", "--name=limit", f"--directory={folder}", f"--size={job_bytes}", "--output-format=json", *options]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_FIO_LIMIT_S, cwd=folder).stdout
    jobs = json.loads(said[said.index("{") :])["jobs"]
    return max(job[kind]["runtime"] for job in jobs for kind in ("read", "write")) / 1000 or 0.0005


def _clear(folder: str) -> None:
    for entry in os.listdir(folder):
        os.unlink(os.path.join(folder, entry))


def _by_hand(folder: str, size_bytes: int) -> dict[str, float]:
    path = os.path.join(folder, "limit")
    write_s = _took(lambda: _write(path, size_bytes, os.O_CREAT | os.O_EXCL))
    over_s = _took(lambda: _write(path, size_bytes, 0))
    forget(folder)
    read_s = _took(lambda: read_through(folder))
    os.unlink(path)
    return {
        "write_s": write_s,
        "best_write_s": write_s,
        "over_write_s": over_s,
        "read_s": read_s,
        "best_read_s": read_s,
    }


def _took(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _write(path: str, size_bytes: int, flags: int) -> None:
    block = os.urandom(_BLOCK_BYTES)
    at = os.open(path, os.O_WRONLY | flags, 0o600)
    for start in range(0, size_bytes, _BLOCK_BYTES):
        os.write(at, block[: min(_BLOCK_BYTES, size_bytes - start)])
    os.fsync(at)
    os.close(at)
