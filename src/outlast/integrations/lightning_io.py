"""The files that Lightning's `ModelCheckpoint` writes, durable and with digests: each is a small store of ours.

    trainer = Trainer(plugins=[StoreCheckpointIO()], callbacks=[ModelCheckpoint(...)])

A path that was a file is a folder then. `fit(ckpt_path=...)` reads it, and `load` for all else; nothing is unpickled,
so hyper-parameters that are objects of one's own classes are refused when they are saved.
"""

from __future__ import annotations

import os
import shutil
from typing import Any

from lightning.pytorch.plugins import CheckpointIO

from outlast import capture
from outlast.capture.pool import Pool
from outlast.errors import DamageError, NothingError
from outlast.integrations.held import Held
from outlast.store import Draft, Found, Pruner, Store, Writer

_NAME = "checkpoint"


class StoreCheckpointIO(CheckpointIO):
    """Saves each checkpoint into a store of its own at its path. One saved there again takes its place at once."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Save; it is durable on return.

        Raises:
            CaptureError: something in the checkpoint is no plain value. It names the path.
            BusyError: another process saves there.
            StorageError: the storage refused.
        """
        del storage_options
        held = Held(lambda: checkpoint)
        held.begin()
        taken = capture.snapshot({_NAME: held}, Pool()).finished()
        store = Store(os.fspath(path), create=True)
        lease = store.claim()
        outcome = "failed"
        writer = Writer(lease, store.clock, store=store.id)
        try:
            step = int(checkpoint.get("global_step", 0))
            committed = writer.commit(Draft(step=step, tree=taken.tree, leaves=taken.leaves, done=True))
            outcome = "done"
            pruner = Pruner(lease, store=store.id)
            pruner.learn(committed.manifest, committed.manifest_bytes, is_durable=True)
            pruner.remove([found.name for found in store.scan() if found.counts])  # the newest stays
        finally:
            writer.close()
            lease.end(outcome)

    def load_checkpoint(self, path: Any, *_: Any, **__: Any) -> dict[str, Any]:
        """Return what was saved at a path: see `load`."""
        return load(path)

    def remove_checkpoint(self, path: Any) -> None:
        """Remove what was saved at a path, if it is there."""
        shutil.rmtree(os.fspath(path), ignore_errors=True)


def load(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return a checkpoint as the dict that Lightning saved, its tensors on the CPU. Every byte is checked.

    Raises:
        NothingError: there is none.
        DamageError: it is damaged.
    """
    store = Store(os.fspath(path))
    problem: DamageError | None = None
    for found in store.scan():
        if found.counts:
            try:
                return _read(store, found)
            except DamageError as e:
                problem = problem or e
    raise problem or NothingError(f"there is no checkpoint in {store.path}")


def _read(store: Store, found: Found) -> dict[str, Any]:
    held = Held(dict)
    manifest, _ = store.read(found)
    with store.source(manifest) as source:
        source.check_parts()
        capture.restore({_NAME: held}, manifest.tree, source.leaves, source)
    return held.take()
