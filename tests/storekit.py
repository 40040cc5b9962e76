"""A store driven without the capture layer: states are a few arrays that follow from the step alone.

Used by the store's own tests and by the crash tests; the oracle (what was acknowledged) lies outside the store.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from outlast.backends import Syscalls
from outlast.backends.effort import DEFAULT, IO
from outlast.clock import SYSTEM, Clock
from outlast.errors import DamageError, OutlastError, StorageError
from outlast.format.model import LeafBytes, Manifest
from outlast.format.names import CheckpointName
from outlast.store import Draft, Lease, Pruner, Store, Writer
from outlast.store.commit import Committed

BUG = 99  # the exit status of a child that failed with an error that is not outlast's own
BANDS, BAND_BYTES = 8, 4096
BIG = 96 * 1024  # above the size from which an unchanged leaf is shared


def content(step: int, *, frozen: bool = True) -> dict[str, bytes]:
    """The state at a step: a leaf that changes, one that does not, an empty one."""
    return {
        "model/w": struct.pack("<q", step) * (BIG // 8),
        "model/frozen": (b"\x5a" if frozen else struct.pack("<B", step % 251)) * BIG,
        "model/empty": b"",
        "t": struct.pack("<d", step / 2),
    }


def bands(step: int) -> dict[str, bytes]:
    """A state for the fast path: one chunk in eight of the band changes in a step, all of `w`, whose length is odd."""
    band = (struct.pack("<q", step - (step - number) % BANDS) for number in range(BANDS))
    return {
        "model/band": b"".join(one * (BAND_BYTES // 8) for one in band),
        "model/w": struct.pack("<q", step) * 640 + b"an end",
        "model/empty": b"",
        "t": struct.pack("<d", step / 2),
    }


def draft(step: int, *, done: bool = False, frozen: bool = True, metrics: dict[str, float] | None = None) -> Draft:
    leaves = [
        LeafBytes(path=path, dtype="uint8", shape=(len(data),), data=memoryview(data))
        for path, data in content(step, frozen=frozen).items()
    ]
    tree = {
        "model": {name: {"$": "array", "leaf": f"model/{name}"} for name in ("w", "frozen", "empty")},
        "t": {"$": "array", "leaf": "t"},
        "step": step,
    }
    return Draft(step=step, tree=tree, leaves=leaves, done=done, metrics=metrics or {})


@dataclass
class Attempt:
    """One attempt with its writer and pruner.

    Attributes:
        lean, io: what its kind gives to the writer.
    """

    lean: ClassVar[int] = 2
    io: ClassVar[IO] = DEFAULT

    store: Store
    lease: Lease
    writer: Writer
    pruner: Pruner

    @classmethod
    def begin(
        cls,
        path: Path,
        *,
        calls: Syscalls | None = None,
        lean: int | None = None,
        takeover: bool = False,
        clock: Clock = SYSTEM,
    ) -> Self:
        store = Store(path, create=True, calls=calls, clock=clock)
        return cls.of(store, store.claim(takeover=takeover), lean=lean)

    @classmethod
    def of(cls, store: Store, lease: Lease, *, lean: int | None = None) -> Self:
        writer = Writer(lease, store.clock, store=store.id, lean=cls.lean if lean is None else lean, io=cls.io)
        return cls(store, lease, writer, Pruner(lease, store=store.id, reuse=cls.io.reuse))

    def commit(self, step: int, **more: object) -> Committed:
        return self.writer.commit(draft(step, **more))

    def save(self, step: int, *, keep: int | None = None, **more: object) -> CheckpointName:
        committed = self.commit(step, **more)
        if keep is not None:
            self.pruner.learn(committed.manifest, committed.manifest_bytes, is_durable=True)
            self.prune(keep)
        return committed.name

    def prune(self, keep: int) -> None:
        counted, _ = self.pruner.look()
        self.pruner.remove([one.name for one in counted[keep:]])
        self.writer.overwrite(self.pruner.spare())

    def restore(self) -> int | None:
        """Restore as a run does: newest first, what is damaged to quarantine."""
        unread = []
        for found in self.store.scan():
            if found.unreadable:
                unread.append(found.name.format())
            if not found.counts:
                continue
            try:
                return compare(self.store, self.store.read(found)[0])
            except DamageError as e:
                self.pruner.quarantine(found.name, str(e))
            except StorageError:
                unread.append(found.name.format())
        if unread:
            self.lease.check()
            raise StorageError(f"{unread[0]} cannot be read")
        return None


def check(store: Store, name: CheckpointName) -> int:
    """Read a checkpoint back whole and compare it with what its step calls for. Returns the step."""
    return compare(store, store.manifest(name))


def compare(store: Store, manifest: Manifest) -> int:
    """As `check`, of a checkpoint whose manifest was read."""
    if manifest.files or not manifest.parts:
        return compare_files(store, manifest)
    with store.source(manifest) as source:
        source.check_parts()
        found = {path: bytes(source.read(path)) for path in source.leaves}
    expected = content(manifest.step), content(manifest.step, frozen=False), bands(manifest.step)
    assert found in expected, f"wrong bytes in step {manifest.step} of attempt {manifest.attempt}"
    return manifest.step


def saved_files(step: int) -> dict[str, bytes]:
    """What a program saves as files at a step: by turns a folder, and a single file."""
    whole = struct.pack("<q", step) * 1500
    if step % 2:
        return {"state": whole}
    return {"w": whole, "in/t": struct.pack("<d", step / 2), "in/deep/zero": b""}


def compare_files(store: Store, manifest: Manifest) -> int:
    """As `compare`, of the state of a program that saves files."""
    with store.source(manifest) as source:
        for damage in source.damages():
            raise DamageError(damage.what, path=damage.path)
    found = {}
    for file in manifest.files:
        with store.backend.open(file.at) as opened:
            data = bytearray(file.size_bytes)
            opened.read_into(memoryview(data), 0)
        found[file.path] = bytes(data)
    assert found == saved_files(manifest.step), f"wrong bytes in step {manifest.step} of attempt {manifest.attempt}"
    assert manifest.tree == {"state": {"folders": [] if manifest.step % 2 else ["none"]}}
    return manifest.step


def newest(path: Path) -> int | None:
    """The step that a reader without any lock would restore, all of it checked; None if there is none."""
    store = Store(path)
    for found in store.scan():
        if found.counts:
            try:
                return check(store, found.name)
            except DamageError:
                continue
    return None


def counted_steps(path: Path) -> list[int]:
    return [name.step for name in Store(path).checkpoints()]


def all_good(path: Path, *, but: Collection[str] = ()) -> None:
    """Every committed checkpoint that counts is whole: no fault may leave a visible manifest over missing bytes.

    `but`: those that were damaged on purpose.
    """
    store = Store(path)
    for found in store.scan():
        if found.counts and found.name.format() not in but:
            check(store, found.name)


def copy(seed: Path, to: Path) -> Path:
    if to.exists():
        shutil.rmtree(to)
    shutil.copytree(seed, to, symlinks=True)
    return to


def in_child(work) -> tuple[int, bytes]:
    """Run `work(report)` in a forked child; return its wait status and what it reported before it ended."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = BUG
        try:
            os.close(read)
            work(lambda text: os.write(write, text))
            status = 0
        except OutlastError as e:
            os.write(write, f"error:{type(e).__name__}\n".encode())
            status = e.exit_status
        except BaseException as e:
            os.write(write, f"bug:{e!r}\n".encode())
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        told = pipe.read()
    return os.waitpid(pid, 0)[1], told
