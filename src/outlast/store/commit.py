"""Writing a checkpoint: parts first, the manifest last and exclusively, acknowledged only then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from outlast.backends.base import Spare
from outlast.backends.effort import DEFAULT, IO
from outlast.clock import Clock, iso
from outlast.errors import CaptureError, OutlastError, SpaceError, StorageError, UsageError
from outlast.format import features
from outlast.format import manifest as manifests
from outlast.format.model import Manifest
from outlast.format.names import CheckpointName
from outlast.store import files as taking
from outlast.store.draft import Draft, Share, joined
from outlast.store.files import Again, Staged
from outlast.store.layout import MANIFEST
from outlast.store.lease import Lease
from outlast.store.share import PartWriter
from outlast.version import __version__


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """A checkpoint that is durable and acknowledged."""

    name: CheckpointName
    manifest: Manifest
    manifest_bytes: int
    written_bytes: int
    seconds_s: float


class Writer:
    """Writes the checkpoints of one attempt, one at a time.

    Args:
        lease: the right to write.
        store: the store's id.
        lean: how many later checkpoints may name a part's bytes. Only bytes that this process wrote itself
            are shared, so the first checkpoint of an attempt is always whole.
        io: threads, priority, rate, ways of writing.
    """

    def __init__(self, lease: Lease, clock: Clock, *, store: str, lean: int = 0, io: IO = DEFAULT) -> None:
        self._lease, self._clock, self._store = lease, clock, store
        self._backend = lease.backend
        self._key = lease.trust.key
        self._digest = manifests.digest_for(self._key)
        self.parts = PartWriter(lease.backend, clock, digest=self._digest, lean=lean, io=io)
        self._last: CheckpointName | None = None

    @property
    def digest(self) -> str:
        """Return the kind of the digests of what is written."""
        return self._digest

    @property
    def has_spare(self) -> bool:
        """Say whether the blocks of a pruned part are kept for the next large one."""
        return self.parts.has_spare

    def refuse(self, step: int, error: OutlastError) -> None:
        """Hear that a save cannot begin: nobody else takes part in it."""

    def agrees(self, once_more: bool) -> bool:  # noqa: FBT001  (a fact, not a switch)
        """Return whether a save is tried once more: nobody else is asked."""
        return once_more

    def hurry(self) -> None:
        """Write as fast as the storage takes it from now on: the attempt is about to end."""
        self.parts.hurry()

    def overwrite(self, spare: Spare | None) -> None:
        """Use the blocks of a spare file for the next large part, as `PartWriter.overwrite` does."""
        self.parts.overwrite(spare)

    def close(self) -> None:
        """Remove what was kept for a save that will not come. Raises StorageError."""
        self.parts.close()

    def commit(self, draft: Draft) -> Committed:
        """Write `draft` durably and publish it.

        Raises:
            SpaceError, StorageError: nothing was published; what was there before is as good as it was. After a
                SpaceError no spare is kept any more: there may be room now.
            FencedError: a newer attempt has taken over; what this one published does not count.
        """
        began_s = self._clock.monotonic()
        name = self.begin(draft.step)
        if draft.files is not None:
            return self._commit_files(name, draft, draft.files, began_s)
        with self.clearing(name):
            share = self.parts.write(name, draft)
        committed = self.publish(name, draft, [share], began_s)
        self.parts.keep(name, share, draft.number)
        return committed

    def begin(self, step: int) -> CheckpointName:
        """Begin a checkpoint: make its directory, and return its name.

        Raises:
            StorageError, FencedError: as `commit`.
        """
        self._lease.check()
        return self._make_dir(step)

    def publish(self, name: CheckpointName, draft: Draft, shares: Sequence[Share], began_s: float) -> Committed:
        """Publish a checkpoint that was begun, and acknowledge it.

        Args:
            name: of the checkpoint.
            draft: what it says beside its leaves.
            shares: what each rank has written, in the ranks' order, durable but for the names.
            began_s: when it was begun, by the monotonic clock.

        Raises: as `commit`.
        """
        with self.clearing(name):
            manifest = self._manifest(name, draft, shares)
            manifest_bytes = self._publish(name, manifest)
        written_bytes = sum(share.written_bytes for share in shares)
        return self._acknowledged(name, draft, manifest, (manifest_bytes, written_bytes), began_s)

    def _commit_files(self, name: CheckpointName, draft: Draft, files: Staged | Again, began_s: float) -> Committed:
        with self.clearing(name, files):
            manifest, written_bytes = self._take_files(name, draft, files)
            manifest_bytes = self._publish(name, manifest)
        return self._acknowledged(name, draft, manifest, (manifest_bytes, written_bytes), began_s)

    def _acknowledged(
        self, name: CheckpointName, draft: Draft, manifest: Manifest, new_bytes: tuple[int, int], began_s: float
    ) -> Committed:
        """Say that a checkpoint is safe. `new_bytes`: those of its manifest, and all others that were written."""
        seconds_s = self._clock.monotonic() - began_s
        self._lease.journal.record(
            "saved",
            checkpoint=name.format(),
            step=draft.step,
            done=draft.done,
            bytes=sum(leaf.size_bytes for leaf in manifest.leaves) + sum(file.size_bytes for file in manifest.files),
            written_bytes=sum(new_bytes),
            seconds=round(seconds_s, 6),
        )
        return Committed(
            name=name,
            manifest=manifest,
            manifest_bytes=new_bytes[0],
            written_bytes=sum(new_bytes),
            seconds_s=seconds_s,
        )

    @contextmanager
    def clearing(self, name: CheckpointName, files: Staged | Again | None = None) -> Iterator[None]:
        """Remove what was written of a checkpoint if what follows fails; a program's files go back."""
        try:
            yield
        except FileNotFoundError as e:
            self._lease.check()  # a newer attempt has swept the directory away
            raise StorageError(f"{name.format()} was removed while it was being written: {e}") from e
        except FileExistsError as e:
            raise StorageError(f"{name.format()}: a name in it is taken: {e}") from e
        except (StorageError, UsageError, CaptureError) as e:
            self._clear(name, files if isinstance(e, StorageError) else None)
            if isinstance(e, SpaceError):
                with suppress(StorageError):
                    self.close()  # what is kept for speed may be the room that the next save needs
            raise

    def _make_dir(self, step: int) -> CheckpointName:
        """Make the checkpoint's directory; a step that was saved before gets the next revision."""
        last = self._last
        revision = last.revision + 1 if last and last.step == step else 0
        while True:
            name = CheckpointName(step=step, attempt=self._lease.attempt, revision=revision)
            try:
                self._backend.make_dir(name.format())
            except FileExistsError:
                revision += 1  # of an earlier try that failed
            except FileNotFoundError as e:
                raise StorageError(f"{self._backend.root} is gone: {e}", hint="was the store removed?") from e
            else:
                self._last = name
                return name

    def _manifest(self, name: CheckpointName, draft: Draft, shares: Sequence[Share]) -> Manifest:
        parts, leaves = joined(shares)
        return Manifest(
            store=self._store,
            step=name.step,
            attempt=name.attempt,
            revision=name.revision,
            done=draft.done,
            created=iso(self._clock.wall()),
            chunk_bytes=shares[0].chunk_bytes,
            parts=parts,
            leaves=leaves,
            tree=draft.tree,
            position=draft.position,
            metrics=draft.metrics,
            writer={"outlast": __version__},
            ranks=len(shares),
            digest=self._digest,
            requires=features.used(self._digest, leaves, draft.tree, draft.position),
        )

    def _take_files(self, name: CheckpointName, draft: Draft, files: Staged | Again) -> tuple[Manifest, int]:
        """Take the state of a program that saves files. Returns the manifest, and how many bytes are new."""
        assert not draft.leaves, "files and leaves in one checkpoint"
        digest = files.manifest.digest if isinstance(files, Again) and files.manifest else self._digest
        contents = taking.take(self._backend, name, files, digest)
        manifest = Manifest(
            store=self._store,
            step=name.step,
            attempt=name.attempt,
            revision=name.revision,
            done=draft.done,
            created=iso(self._clock.wall()),
            chunk_bytes=contents.chunk_bytes,
            parts=(),
            leaves=(),
            tree={**draft.tree, **contents.tree},
            position=draft.position,
            metrics=draft.metrics,
            files=contents.files,
            writer={"outlast": __version__},
            digest=digest,
            requires=features.used(digest, ()),
        )
        return manifest, 0 if isinstance(files, Again) else contents.size_bytes

    def _publish(self, name: CheckpointName, manifest: Manifest) -> int:
        """Make all that the manifest names durable, publish it, and make sure that it counts."""
        data = manifests.encode(manifest, self._key)
        self._backend.sync(name.format())
        self._backend.sync("")
        self._lease.check()
        self._backend.create(f"{name.format()}/{MANIFEST}", [data])
        self._backend.sync(name.format())
        for path, size_bytes in named_by(manifest):
            if not path.startswith(f"{name.format()}/"):
                self._check_there(path, size_bytes)
        self._lease.check()
        return len(data)

    def _check_there(self, path: str, size_bytes: int) -> None:
        try:
            with self._backend.open(path) as file:
                if file.size_bytes == size_bytes:
                    return
        except FileNotFoundError:
            pass
        raise StorageError(f"{path}, whose bytes this checkpoint names, was changed by somebody else")

    def _clear(self, name: CheckpointName, files: Staged | Again | None) -> None:
        """Remove what a failed save left; a program's files go back to where they waited.

        What cannot be removed now goes when the next attempt claims.
        """
        path = name.format()
        try:
            self._lease.check()  # a newer attempt may have adopted it: then it is not ours to remove
            left = [entry.name for entry in self._backend.list(path)]
            if MANIFEST in left:
                self._backend.remove(f"{path}/{MANIFEST}")
                self._backend.sync(path)  # before the parts: a power cut must not leave it over missing bytes
            if files is not None:
                taking.give_back(self._backend, name, files)
            for inner in left:
                if inner != MANIFEST:
                    taking.remove_tree(self._backend, f"{path}/{inner}")
            self._backend.remove(path)
        except (StorageError, FileNotFoundError) as e:
            self._note(f"{path} could not be cleared: {e}")

    def _note(self, text: str) -> None:
        try:
            self._lease.journal.record("note", sync=False, text=text)
        except StorageError:
            return  # the save's own error is on its way up and says more


def named_by(manifest: Manifest) -> tuple[tuple[str, int], ...]:
    """Return the paths of all parts and files that a checkpoint names, with their sizes."""
    parts = ((part.path, part.size_bytes) for part in manifest.parts)
    return (*parts, *((file.at, file.size_bytes) for file in manifest.files))
