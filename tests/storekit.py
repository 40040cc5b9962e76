"""A store driven without the capture layer: states are a few arrays that follow from the step alone.

Used by the store's own tests and by the crash tests; the oracle (what was acknowledged) lies outside the store.
"""

from __future__ import annotations

import os
import shutil
import struct
from dataclasses import dataclass
from pathlib import Path

from outlast.backends import Syscalls
from outlast.errors import DamageError, OutlastError
from outlast.format.model import LeafBytes
from outlast.format.names import CheckpointName
from outlast.store import Draft, Lease, Pruner, Store, Writer

BIG = 96 * 1024  # above the size from which an unchanged leaf is shared


def content(step: int, *, frozen: bool = True) -> dict[str, bytes]:
    """The state at a step: a leaf that changes, one that does not, an empty one."""
    return {
        "model/w": struct.pack("<q", step) * (BIG // 8),
        "model/frozen": (b"\x5a" if frozen else struct.pack("<B", step % 251)) * BIG,
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
    """One attempt with its writer and pruner."""

    store: Store
    lease: Lease
    writer: Writer
    pruner: Pruner

    @classmethod
    def begin(cls, path: Path, *, calls: Syscalls | None = None, lean: int = 2, takeover: bool = False) -> Attempt:
        store = Store(path, create=True, calls=calls)
        lease = store.claim(takeover=takeover)
        writer = Writer(lease, store.clock, store=store.id, lean=lean)
        return cls(store, lease, writer, Pruner(lease, store=store.id))

    def save(self, step: int, *, keep: int | None = None, **more: object) -> CheckpointName:
        committed = self.writer.commit(draft(step, **more))
        if keep is not None:
            self.pruner.learn(committed.manifest, committed.manifest_bytes)
            self.prune(keep)
        return committed.name

    def prune(self, keep: int) -> None:
        counted, _ = self.pruner.look()
        self.pruner.remove([one.name for one in counted[keep:]])

    def restore(self) -> int | None:
        """Restore as a run does: newest first, what is damaged to quarantine."""
        for found in self.store.scan():
            if not found.counts:
                continue
            try:
                return check(self.store, found.name)
            except DamageError as e:
                self.pruner.quarantine(found.name, str(e))
        return None


def check(store: Store, name: CheckpointName) -> int:
    """Read a checkpoint back whole and compare it with what its step calls for. Returns the step."""
    manifest = store.manifest(name)
    with store.source(manifest) as source:
        source.check_parts()
        found = {path: bytes(source.read(path)) for path in source.leaves}
    assert found in (content(manifest.step), content(manifest.step, frozen=False)), f"wrong bytes in {name.format()}"
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


def all_good(path: Path) -> None:
    """Every committed checkpoint that counts is whole: no fault may leave a visible manifest over missing bytes."""
    store = Store(path)
    for found in store.scan():
        if found.counts:
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
        status = 99
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
