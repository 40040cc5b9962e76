"""Programs that change their state in every way, saved on the fast path: what restores is the state of that step.

`SEED`: arrays are changed in place, byte by byte or whole, exchanged for others, reshaped, left alone, over steps that
are saved, not saved, or saved in vain: what a save takes from the one before (kept memory, comparisons, shared chunks,
overwritten blocks) is only ever what is so. The run breaks off and goes on, with other options. The oracle is a copy
of the state at each step.
"""

from __future__ import annotations

import errno
import itertools
import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import outlast
import storekit
from outlast.backends import Syscalls, writing
from outlast.capture import copying
from outlast.errors import StorageError
from outlast.format import chunks
from outlast.store import Store, share
from proof.core import Harness
from proof.scenarios import Report

_STEPS, _RUNS = 8, 3
_PIECE_BYTES, _CHUNK_BYTES = 64 << 10, 128 << 10
_SIZES = (1, 700, _PIECE_BYTES, _CHUNK_BYTES, 3 * _CHUNK_BYTES + 1, 9 * _CHUNK_BYTES - 5)
_STRUCK = ("pwrite", "fsync", "link", "allocate", "rename")

State = dict[str, Any]
Oracle = dict[int, dict[str, bytes]]


class _Broke(Exception):
    """The program fails."""


def cases() -> Iterator[str]:
    return map(str, itertools.count(1))


def run(case: str, folder: Path) -> int:
    def work(report: Report) -> None:
        os.dup2(os.open(folder / "said", os.O_WRONLY | os.O_CREAT), 2)
        with _small():
            report(b"%d" % _lives(random.Random(case), folder / "store"))

    status, told = storekit.in_child(work)
    assert status == 0, f"{told.decode()}\n{(folder / 'said').read_text()[-1000:]}"
    return int(told)


@contextmanager
def _small() -> Iterator[None]:
    with ExitStack() as stack:
        for module, name, value in (
            (copying, "PIECE_BYTES", _PIECE_BYTES),
            (chunks, "CHUNK_BYTES", _CHUNK_BYTES),
            (writing, "PIECE_BYTES", _CHUNK_BYTES),
            (share, "LARGE_FROM_BYTES", writing.BLOCK_BYTES),
        ):
            stack.enter_context(mock.patch.object(module, name, value))
        yield


def _lives(draw: random.Random, path: Path) -> int:
    """Run the program until it has broken off a few times; return how many checkpoints were looked at."""
    oracle: Oracle = {}
    looked = 0
    for life in range(1, _RUNS + 1):
        state = _fresh(draw)
        # Loud is right; what is there afterwards is looked at.
        with mock.patch.multiple(Syscalls, **_striking(draw)), suppress(_Broke, StorageError):
            looked += _live(draw, path, state, oracle, until=life * _STEPS)
        if (path / "outlast.json").exists():
            looked += _check(path, oracle)
    return looked


def _fresh(draw: random.Random) -> State:
    """What a program begins with: of the shapes that it had, for those are what is restored into."""
    rng = np.random.default_rng(draw.randrange(1 << 30))
    return {f"x{n}": rng.integers(0, 256, size, dtype=np.uint8) for n, size in enumerate(_SIZES)}


def _live(draw: random.Random, path: Path, state: State, oracle: Oracle, *, until: int) -> int:
    io = outlast.IO(threads=draw.choice((1, 2, 4)), reuse=draw.random() < 0.7, direct=draw.random() < 0.8)
    looked = 0
    with outlast.Run(
        path,
        state,
        every=draw.choice((1, 1, 2)),
        keep=draw.choice((1, 2, 3)),
        on_error="warn",
        takeover=True,  # where the end of the attempt before could not be recorded
        snapshot=draw.choice(("copy", "fork")),
        io=io,
    ) as live:
        if live.restored is not None:
            assert _bytes(state) == oracle[live.step], f"restored something else than step {live.step} was"
        for step in live.steps(until):
            _change(draw, state)
            oracle[step + 1] = _bytes(state)
            if draw.random() < 0.3:
                live.wait()
                looked += _check(path, oracle)
            if step + 1 < until and draw.random() < 0.05:
                raise _Broke
        if until < _RUNS * _STEPS:
            live.save()
            live.wait()
            raise _Broke  # a run that is through would not go on
    return looked


def _change(draw: random.Random, state: State) -> None:
    for name, array in list(state.items()):
        way = draw.random()
        if way < 0.4:
            at = draw.randrange(array.size)
            array.reshape(-1)[at : at + draw.choice((1, 100, 70_000))] ^= draw.randrange(1, 256)
        elif way < 0.5:
            np.add(array, 1, out=array)
        elif way < 0.6:
            state[name] = array.copy()  # the same, elsewhere
        elif way < 0.65:
            state[name] = array.copy() ^ 1
        elif way < 0.7:
            names = draw.choice(list(state))
            if state[names].size == array.size:
                state[name], state[names] = state[names], array


def _bytes(state: State) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in state.items()}


def _check(path: Path, oracle: Oracle) -> int:
    """Compare every checkpoint with what its step was."""
    store = Store(path)
    names = store.checkpoints()
    for name in names:
        with store.source(store.manifest(name)) as source:
            source.check_parts()
            found = {leaf: bytes(source.read(leaf)) for leaf in source.leaves}
        wrong = [leaf for leaf, data in oracle[name.step].items() if found.get(leaf) != data]
        assert not wrong, f"{name.format()}: {wrong} are not what they were"
    return len(names)


def _striking(draw: random.Random) -> dict[str, Callable[..., Any]]:
    """Storage calls that fail now and then, in bursts."""
    seed = draw.randrange(1 << 30)
    chance, lock = draw.choice((0.0, 0.0, 0.01, 0.05)), threading.Lock()
    dice = random.Random(seed)

    def struck(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: Syscalls, *args: Any, **more: Any) -> Any:
            with lock:
                is_hit = dice.random() < chance
            if is_hit:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return real(self, *args, **more)

        return call

    return {name: struck(getattr(Syscalls, name)) for name in _STRUCK}


HARNESS = Harness(cases=cases, run=run, sample=12, endless=True)
