"""Races: several processes start at the same instant, each delayed at random calls, with readers during all of it.

`polite:N:SEED`: they ask whether another lives; `rude:N:SEED`: each takes over; `mixed`: some of either.
`prune:N:SEED`: a run that saves often and prunes to one, and readers. `reuse:N:SEED`: it overwrites what it pruned.
`new:N:SEED`: the store is not there yet.

Exactly one of them holds each attempt; the others are told that the store is busy, or that they are fenced. Readers
see whole checkpoints, or that there is none (yet, any more); they call nothing damaged that was removed, and
write nothing.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import storekit
from largekit import Crowd, Reusing, ReusingLeant
from outlast.backends import Syscalls
from outlast.cli.main import main as cli
from outlast.errors import DamageError, NothingError
from outlast.store import Store
from outlast.testing import CountedCalls
from proof import ledger
from proof.children import Child, Report
from proof.core import Harness
from proof.scenarios import seed_two
from storekit import Attempt

_ENDED, _NOTHING, _BUSY = 0, 4, 5
_STEPS = 4
_READ_ONLY = {"open", "close", "read", "list", "stat", "lock"}  # a shared lock on a part: whoever has none reads on
_VERBS = ("ls", "status", "verify", "show", "diff")


def cases() -> Iterator[str]:
    for seed in count(1):
        yield f"polite:{2 + seed % 4}:{seed}"
        yield f"rude:{2 + seed % 3}:{seed}"
        yield f"mixed:{2 + seed % 4}:{seed}"
        yield f"prune:1:{seed}"
        yield f"new:{2 + seed % 4}:{seed}"
        yield f"reuse:{1 + seed % 2}:{seed}"


def delays(seed: int) -> Callable[[str], None]:
    """Sleep up to 2 ms at some calls, up to 10 ms at a few."""
    draw = random.Random(seed)

    def hook(name: str) -> None:
        chance = draw.random()
        if chance < 0.1:
            time.sleep(draw.uniform(0, 0.01 if chance < 0.01 else 0.002))

    return hook


def _writer(
    path: Path, gate: int, seed: int, kit: type[Attempt], *, rude: float, steps: int
) -> Callable[[Report], None]:
    """Wait for the gate to open; claim, restore, save and prune, end. Reports the attempt that it became."""

    draw = random.Random(seed)
    takeover, keep = draw.random() < rude, draw.choice((1, 2))

    def work(report: Report) -> None:
        os.read(gate, 1)
        attempt = kit.begin(path, calls=CountedCalls(hook=delays(seed)), takeover=takeover)
        report(b"attempt %d\n" % attempt.lease.attempt)
        step = attempt.restore() or 0
        for more in range(1, steps + 1):
            name = attempt.save(step + more, frozen=bool(seed % 2))
            report(b"acknowledged %s\n" % name.format().encode())
            attempt.prune(keep)
        attempt.writer.close()
        attempt.lease.end("done")

    return work


def _reader(path: Path, gate: int, over: int, seed: int) -> Callable[[Report], None]:
    """Look at the store in every way until told that it is over."""

    def work(report: Report) -> None:
        _forbid_writing()
        draw = random.Random(-seed)
        os.set_blocking(over, False)
        os.read(gate, 1)
        looks = 0
        while not _is_over(over):
            looks += _look_by_library(path, CountedCalls(hook=delays(seed + looks)))
            _look_by_verb(path, draw.choice(_VERBS))
            looks += 1
        report(b"looks %d\n" % looks)

    return work


def _is_over(over: int) -> bool:
    try:
        return os.read(over, 1) == b""
    except BlockingIOError:
        return False


def _forbid_writing() -> None:
    """In this process every call that changes anything is a mistake."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"a reader wrote: {args}")

    for name in (
        "writev",
        "pwrite",
        "allocate",
        "fsync",
        "link",
        "unlink",
        "rename",
        "mkdir",
        "rmdir",
        "truncate",
        "utime",
    ):
        setattr(Syscalls, name, refuse)


def _look_by_library(path: Path, calls: CountedCalls) -> int:
    """Check all that counts. What is gone meanwhile is gone; all else has to be whole. Returns how many were."""
    try:
        store = Store(path, calls=calls)
    except NothingError:
        return 0
    seen = 0
    for found in store.scan():
        if not found.counts:
            continue
        try:
            storekit.compare(store, store.read(found)[0])
            seen += 1
        except DamageError as e:
            assert not store.is_there(found), f"{found.name.format()} is there, and: {e}"
    store.attempts()
    assert set(calls.counts) <= _READ_ONLY, f"a reader made calls of other kinds: {set(calls.counts) - _READ_ONLY}"
    return seen


def _look_by_verb(path: Path, verb: str) -> None:
    """A verb ends with 0, or says that there is nothing where nothing has been saved yet; it tells of no damage."""
    before = _has_checkpoint(path)
    said, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(told):
        code = cli([verb, "--json", *(["--store"] if verb == "diff" else []), str(path)])
    text = f"{verb}: {code}: {said.getvalue()[-600:]} {told.getvalue()[-300:]}"
    # `diff` compares two: both may have been replaced, or there may be one.
    assert code == _ENDED or (code == _NOTHING and (verb == "diff" or not before)), text
    if code == _ENDED:
        document = json.loads(said.getvalue())
        rows = document["checkpoints"] if verb == "ls" else [document.get("newest") or {}]
        assert not [row for row in rows if row.get("problem")], text


def _has_checkpoint(path: Path) -> bool:
    """Whether there was a checkpoint that counts; then there is always one."""
    try:
        return bool(Store(path).checkpoints())
    except NothingError:
        return False


def run(case: str, folder: Path) -> int:
    kind, number, text = case.split(":")
    seed, path = int(text), folder / "store"
    if kind != "new":
        seed_two(path)
    gate, opened = os.pipe()
    over, ended = os.pipe()
    rude = {"rude": 1.0, "mixed": 0.5}.get(kind, 0.0)
    steps = 12 if kind in ("prune", "reuse") else _STEPS
    kits = (Reusing, ReusingLeant, Crowd) if kind == "reuse" else (Attempt,)
    works = [
        _writer(path, gate, seed * 100 + i, kits[(seed + i) % len(kits)], rude=rude, steps=steps)
        for i in range(int(number))
    ]
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(_child(_reader(path, gate, over, seed), closes=(opened, ended)))
        writers = [stack.enter_context(_child(work, closes=(opened, ended))) for work in works]
        os.close(opened)
        ends = [writer.end() for writer in writers]
        os.close(ended)
        code, told = reader.end()
        os.close(gate)
        os.close(over)
    assert code == 0, f"the reader ended with {code}: {told.decode()}"
    _check(path, ends, rude=rude)
    _check_readers_touch_nothing(path)
    return 1 + int(told.split()[-1])


def _child(work: Callable[[Report], None], *, closes: tuple[int, ...]) -> Child:
    """A child that holds no end of the pipes that are to tell it something by being closed."""

    def begin(report: Report) -> None:
        for fd in closes:
            os.close(fd)
        work(report)

    return Child(begin)


def _check(path: Path, ends: list[tuple[int, bytes]], *, rude: float) -> None:
    """One holder of each attempt, all others told; what the last one acknowledged restores."""
    lines = [line.split() for _, told in ends for line in told.splitlines()]
    attempts = [int(line[1]) for line in lines if line[0] == b"attempt"]
    assert attempts, f"nobody got it: {ends}"
    assert len(set(attempts)) == len(attempts), f"claimed twice: {attempts}"
    codes = [code for code, _ in ends]
    assert set(codes) <= {_ENDED, _BUSY}, f"ended with {ends}"
    assert codes.count(_ENDED) >= 1, f"nobody could end: {ends}"
    newest = ledger.check(path)
    acknowledged = {line[1].decode() for line in lines if line[0] == b"acknowledged"}
    assert newest is not None, "nothing restores"
    assert newest.format() in acknowledged, f"{newest.format()} restores, acknowledged were {acknowledged}"
    last = max(log.attempt for log in Store(path).attempts())
    assert newest.attempt == last, f"attempt {last} ended well, the newest is {newest.format()}"
    again = Attempt.begin(path)
    assert again.restore() == newest.step, "the next attempt restores something else"
    again.lease.end("done")


def _check_readers_touch_nothing(path: Path) -> None:
    """At rest, a look in every way changes no byte and no time stamp."""
    before = _image(path)
    for verb in _VERBS:
        _look_by_verb(path, verb)
    _look_by_library(path, CountedCalls())
    assert _image(path) == before, "a reader changed the store"


def _image(path: Path) -> dict[str, tuple[int, int, bytes]]:
    every = [path, *sorted(path.rglob("*"))]
    return {str(p): (p.stat().st_mtime_ns, p.stat().st_mode, p.read_bytes() if p.is_file() else b"") for p in every}


HARNESS = Harness(cases=cases, run=run, sample=24, endless=True)
