"""Figures of one peer, taken in a process that does nothing else: seconds and bytes, of which `ratios` makes ratios."""

from __future__ import annotations

import mmap
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np

from bench import loops, peers, states
from bench.files import Listing, cached_share, forget, listing, new_files, read_through, sync_new, written_bytes
from bench.limits import memcpy_s, storage
from bench.memory import peak, resident_bytes
from bench.peers.peer import Peer

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What one process measures.

    Attributes:
        kind: a function of `KINDS`.
        state: a state's name, or a loop's.
        peer: who saves; empty for limits.
        folder: where; empty at first, but for a restore: there it holds what a save left.
        scale: of the state's size, 1 is full.
        repeats: how many saves the medians are over; of a loop, how many pairs of stretches.
        stretch_s: how long one stretch of a loop takes.
    """

    kind: str
    state: str
    peer: str
    folder: str
    scale: float
    repeats: int
    stretch_s: float


# -- saving ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Save:
    """One save: when the loop could go on, when all was durable, when the peer was done with all its work."""

    stall_s: float
    durable_s: float
    done_s: float
    written_bytes: int
    files: int


def _save(peer: Peer) -> _Save:
    before = listing(peer.folder)
    began = time.perf_counter()
    wait = peer.save()
    stall_s = time.perf_counter() - began
    durable_s = _until_durable(peer, wait, before)
    done_s = time.perf_counter() - began
    after = listing(peer.folder)
    peer.prune()
    return _Save(
        stall_s=stall_s,
        durable_s=done_s if durable_s is None else min(done_s, stall_s + durable_s),
        done_s=done_s,
        written_bytes=written_bytes(before, after),
        files=new_files(before, after),
    )


def _until_durable(peer: Peer, wait: Callable[[], float | None], before: Listing) -> float | None:
    durable_s = wait()
    if not peer.syncs:
        sync_new(peer.folder, before)
    return durable_s


def saves(job: Job) -> Figures:
    """Save until steady, then `repeats` times for the medians, then once while the state changes, for the memory.

    Where only a part changes, whole saves follow, to compare with, and a last one as those before.
    """
    state = states.build(job.state, job.scale)
    peer = peers.find(job.peer)(state, job.folder)
    peer.begin()
    base_bytes = resident_bytes()
    for _ in range(peer.warm_ups):
        _changed_save(state.change, peer)
    steady = [_changed_save(state.change, peer) for _ in range(job.repeats)]
    extra_bytes = _memory_of_save(state, peer) - base_bytes
    full = steady
    if state.changing_bytes < state.size_bytes:
        _changed_save(state.change_all, peer)  # memory for the rest of the state may be new to the peer
        full = [_changed_save(state.change_all, peer) for _ in range(job.repeats)]
    _changed_save(state.change, peer)
    peer.end()
    return {
        **{figure: statistics.median(getattr(one, figure) for one in steady) for figure in _Save.__slots__},
        "full_durable_s": statistics.median(one.durable_s for one in full),
        "extra_bytes": max(0, extra_bytes),
        "state_bytes": state.size_bytes,
        "changing_bytes": state.changing_bytes,
        "leaves": len(state.arrays),
        "memcpy_s": memcpy_s(state.size_bytes),
        "digest": state.digest(),
        "versions": _versions(peer),
    }


def _changed_save(change: Callable[[], Iterable[str]], peer: Peer) -> _Save:
    peer.refresh(change())
    return _save(peer)


def _memory_of_save(state: states.State, peer: Peer) -> int:
    """Save while the state changes once, as in a loop; return the peak of all memory."""
    peer.refresh(state.change())
    before = listing(peer.folder)
    with peak() as seen:
        wait = peer.save()
        peer.refresh(state.change())
        _until_durable(peer, wait, before)
    return seen.total_bytes


def _versions(peer: Peer) -> dict[str, str]:
    found = {}
    for name in peer.needs:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


# -- restoring ---------------------------------------------------------------------------------------------------


def restores(job: Job) -> Figures:
    """Restore what the save before left, cold and warm, each into a state of other contents. Checks what came."""
    state = states.blank(job.state, job.scale)
    peer = peers.find(job.peer)(state, job.folder)
    forget(job.folder)
    cached = cached_share(job.folder)
    cold_s, digest = _restored(peer)
    for array in state.arrays.values():
        array.fill(-1)
    read_through(job.folder)
    warm_s, warm_digest = _restored(peer)
    return {
        "cold_s": cold_s,
        "warm_s": warm_s,
        "cached_share": cached,
        "in_place": peer.in_place,
        "memcpy_s": memcpy_s(state.size_bytes),
        "digest": digest,
        "warm_digest": warm_digest,
    }


def _touch(arrays: Mapping[str, Any]) -> None:
    """Read a byte of each page: a file that is only mapped has not been restored yet."""
    for array in arrays.values():
        np.asarray(array).reshape(-1).view(np.uint8)[:: mmap.PAGESIZE].max(initial=0)


def _restored(peer: Peer) -> tuple[float, str]:
    began = time.perf_counter()
    arrays = peer.restore()
    if peer.is_lazy:
        _touch(arrays)
    took_s = time.perf_counter() - began
    digest = states.digest({name: np.asarray(arrays[name]) for name in peer.state.arrays})
    peer.end()
    return took_s, digest


# -- a loop that saves all the time --------------------------------------------------------------------------------


def slowdown(job: Job) -> Figures:
    """Run stretches of the loop without and with saves back to back, in turn."""
    loop = loops.make(job.state, job.scale)
    peer = peers.find(job.peer)(loop.state, job.folder)
    if peer.leaves_out and peer.has_own_arrays:
        raise ImportError("holds arrays of its own, which these loops do not change: it would save nothing")
    peer.begin()
    plain, saving, count = [], [], 0
    with ThreadPoolExecutor(1) as waiter:
        _stretch(loop, job.stretch_s, _BackToBack(peer, waiter))  # to the steady state
        for _ in range(job.repeats):
            plain += _stretch(loop, job.stretch_s, None)
            back_to_back = _BackToBack(peer, waiter)
            saving += _stretch(loop, job.stretch_s, back_to_back)
            count += back_to_back.count
    peer.end()
    plain_s, saving_s = statistics.mean(plain), statistics.mean(saving)
    return {
        "step_s": plain_s,
        "slowdown": saving_s / plain_s - 1,
        "saves": count,
        "lost_s": (saving_s - plain_s) * len(saving) / count,
        "memcpy_s": memcpy_s(loop.state.size_bytes),
        "state_bytes": loop.state.size_bytes,
    }


class _BackToBack:
    """Begins a save at each boundary at which the one before is durable."""

    def __init__(self, peer: Peer, waiter: ThreadPoolExecutor) -> None:
        self._peer, self._waiter = peer, waiter
        self._pending: Future[None] | None = None
        self.count = 0

    def boundary(self) -> None:
        if self._pending is None or self._pending.done():
            self.finish()
            before = listing(self._peer.folder)
            wait = self._peer.save()
            self._pending = self._waiter.submit(self._end, wait, before)
            self.count += 1

    def finish(self) -> None:
        if self._pending is not None:
            self._pending.result()

    def _end(self, wait: Callable[[], float | None], before: Listing) -> None:
        _until_durable(self._peer, wait, before)
        self._peer.prune()


def _stretch(loop: loops.Loop, stretch_s: float, saver: _BackToBack | None) -> list[float]:
    """Run the loop for so long and return what each pass took, with its boundary."""
    took: list[float] = []
    ends = time.perf_counter() + stretch_s
    while (began := time.perf_counter()) < ends or not took:
        loop.step()
        if saver:
            saver.boundary()
        took.append(time.perf_counter() - began)
    if saver:
        saver.finish()
    return took


# -- the machine, and the boundary ---------------------------------------------------------------------------------


def limits(job: Job) -> Figures:
    """Measure what the machine can do with as many bytes as the state has."""
    size_bytes = sum(
        int(np.prod(shape)) * np.dtype(states.RECIPES[job.state].dtype).itemsize
        for shape in states.RECIPES[job.state].shapes(job.scale).values()
    )
    return {"state_bytes": size_bytes, "memcpy_s": memcpy_s(size_bytes), **storage(job.folder, size_bytes)}


_PASSES = 40_000
_TRIES = 5


def boundary(job: Job) -> Figures:
    """Measure a pass through a run's loop in which nothing is due, beyond what Python's loop takes: best of five."""
    import outlast

    with outlast.Run(job.folder, {"u": np.zeros(8)}, every=10**9) as run:
        plain_s = min(_looped_s(range(_PASSES)) for _ in range(_TRIES))
        loop_s = min(_looped_s(run.range(_PASSES, f"try {number}")) for number in range(_TRIES))
        due_s = min(_looped_s(run.due() for _ in range(_PASSES)) for _ in range(_TRIES))
    return {"loop_boundary_s": (loop_s - plain_s) / _PASSES, "due_s": (due_s - plain_s) / _PASSES}


def _looped_s(passes: Iterable[object]) -> float:
    began = time.perf_counter()
    for _ in passes:
        pass
    return time.perf_counter() - began


KINDS: dict[str, Callable[[Job], Figures]] = {
    "save": saves,
    "restore": restores,
    "loop": slowdown,
    "limits": limits,
    "boundary": boundary,
}
