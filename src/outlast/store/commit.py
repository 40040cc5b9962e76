"""Writing a checkpoint: parts first, the manifest last and exclusively, acknowledged only then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from outlast.clock import Clock, iso
from outlast.errors import StorageError
from outlast.format import manifest as manifests
from outlast.format import safetensors
from outlast.format.digest import chunk_digests, hexdigest
from outlast.format.model import Extent, Leaf, LeafBytes, Manifest, Node, Part
from outlast.format.names import CheckpointName
from outlast.store.layout import MANIFEST, part_name
from outlast.store.lease import Lease
from outlast.version import __version__

CHUNK_BYTES = 1 << 20
_SHARED_FROM_BYTES = 64 << 10  # smaller leaves are written anew: one contiguous range is worth more


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """All that a checkpoint says, before it has a name and a place."""

    step: int
    tree: dict[str, Node]
    leaves: Sequence[LeafBytes]
    position: Node = None
    metrics: dict[str, float] = field(default_factory=dict)
    done: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """A checkpoint that is durable and acknowledged."""

    name: CheckpointName
    manifest: Manifest
    manifest_bytes: int
    written_bytes: int
    seconds_s: float


@dataclass(frozen=True, slots=True)
class _Written:
    """A leaf that this process wrote, whose bytes a later checkpoint may name."""

    leaf: Leaf
    parts: tuple[Part, ...]


_Shareable = dict[tuple[str, tuple[int, ...] | None], _Written]


class Writer:
    """Writes the checkpoints of one attempt, one at a time.

    Args:
        lease: the right to write.
        store: the store's id.
        lean: how many later checkpoints may name a part's bytes. Only bytes that this process wrote itself
            are shared, so the first checkpoint of an attempt is always whole.
    """

    def __init__(self, lease: Lease, clock: Clock, *, store: str, lean: int = 0) -> None:
        self._lease, self._clock, self._store, self._lean = lease, clock, store, lean
        self._backend = lease.backend
        self._written: _Shareable = {}
        self._age: dict[str, int] = {}
        self._last: CheckpointName | None = None

    def commit(self, draft: Draft) -> Committed:
        """Write `draft` durably and publish it.

        Raises:
            SpaceError, StorageError: nothing was published; what was there before is as good as it was.
            FencedError: a newer attempt has taken over; what this one published does not count.
        """
        began = self._clock.monotonic()
        self._lease.check()
        name = self._make_dir(draft.step)
        try:
            manifest, part_bytes = self._write_part(name, draft)
            manifest_bytes = self._publish(name, manifest)
        except FileNotFoundError as e:
            self._lease.check()  # a newer attempt has swept the directory away
            raise StorageError(f"{name.format()} was removed while it was being written: {e}") from e
        except FileExistsError as e:
            raise StorageError(f"{name.format()}: a name in it is taken: {e}") from e
        except StorageError:
            self._clear(name)
            raise
        seconds_s = self._clock.monotonic() - began
        self._lease.journal.record(
            "saved",
            checkpoint=name.format(),
            step=draft.step,
            done=draft.done,
            bytes=sum(leaf.size_bytes for leaf in manifest.leaves),
            written_bytes=part_bytes + manifest_bytes,
            seconds=round(seconds_s, 6),
        )
        self._written, self._age = self._remembered(name, manifest)
        return Committed(
            name=name,
            manifest=manifest,
            manifest_bytes=manifest_bytes,
            written_bytes=part_bytes + manifest_bytes,
            seconds_s=seconds_s,
        )

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

    def _write_part(self, name: CheckpointName, draft: Draft) -> tuple[Manifest, int]:
        shareable, self._written = self._written, {}  # should this save fail, the next one is whole
        digests = [chunk_digests(leaf.data, CHUNK_BYTES) for leaf in draft.leaves]
        shared = [self._shared(leaf, chunks, shareable) for leaf, chunks in zip(draft.leaves, digests, strict=True)]
        fresh = [leaf for leaf, old in zip(draft.leaves, shared, strict=True) if old is None]
        parts: list[Part] = []
        offsets: dict[int, int] = {}
        written_bytes = 0
        if fresh or not draft.leaves:
            header, at = safetensors.header(
                [(safetensors_name(leaf), leaf.dtype, leaf.shape, leaf.data.nbytes) for leaf in fresh],
                {"format": "outlast", "checkpoint": name.format()},
            )
            offsets = {id(leaf): offset for leaf, offset in zip(fresh, at, strict=True)}
            path = f"{name.format()}/{part_name(0)}"
            written_bytes = self._backend.create(path, [header, *(leaf.data for leaf in fresh)])
            digest = hexdigest(header)
            parts.append(
                Part(path=path, rank=0, size_bytes=written_bytes, header_bytes=len(header), header_digest=digest)
            )
        leaves = [
            _leaf(leaf, chunks, offsets[id(leaf)]) if old is None else _named(old, parts)
            for leaf, chunks, old in zip(draft.leaves, digests, shared, strict=True)
        ]
        manifest = Manifest(
            store=self._store,
            step=name.step,
            attempt=name.attempt,
            revision=name.revision,
            done=draft.done,
            created=iso(self._clock.wall()),
            chunk_bytes=CHUNK_BYTES,
            parts=tuple(parts),
            leaves=tuple(leaves),
            tree=draft.tree,
            position=draft.position,
            metrics=draft.metrics,
            writer={"outlast": __version__},
        )
        return manifest, written_bytes

    def _publish(self, name: CheckpointName, manifest: Manifest) -> int:
        """Make all that the manifest names durable, publish it, and make sure that it counts."""
        data = manifests.encode(manifest)
        self._backend.sync(name.format())
        self._backend.sync("")
        self._lease.check()
        self._backend.create(f"{name.format()}/{MANIFEST}", [data])
        self._backend.sync(name.format())
        for part in manifest.parts:
            if not part.path.startswith(f"{name.format()}/"):
                self._check_there(part)
        self._lease.check()
        return len(data)

    def _check_there(self, part: Part) -> None:
        try:
            with self._backend.open(part.path) as file:
                if file.size_bytes == part.size_bytes:
                    return
        except FileNotFoundError:
            pass
        raise StorageError(f"{part.path}, whose bytes this checkpoint names, was changed by somebody else")

    def _clear(self, name: CheckpointName) -> None:
        """Remove what a failed save left. What cannot be removed now goes when the next attempt claims."""
        path = name.format()
        try:
            self._lease.check()  # a newer attempt may have adopted it: then it is not ours to remove
            left = [entry.name for entry in self._backend.list(path)]
            if MANIFEST in left:
                self._backend.remove(f"{path}/{MANIFEST}")
                self._backend.sync(path)  # before the parts: a power cut must not leave it over missing bytes
            for inner in left:
                if inner != MANIFEST:
                    self._backend.remove(f"{path}/{inner}")
            self._backend.remove(path)
        except (StorageError, FileNotFoundError) as e:
            self._note(f"{path} could not be cleared: {e}")

    def _note(self, text: str) -> None:
        try:
            self._lease.journal.record("note", sync=False, text=text)
        except StorageError:
            return  # the save's own error is on its way up and says more

    def _shared(self, leaf: LeafBytes, chunks: tuple[str, ...], shareable: _Shareable) -> _Written | None:
        """Return the earlier leaf whose stored bytes are these, if they may be named."""
        old = shareable.get((leaf.path, leaf.offset))
        if old is None or leaf.data.nbytes < _SHARED_FROM_BYTES:
            return None
        same = (old.leaf.chunks, old.leaf.dtype, old.leaf.shape) == (chunks, leaf.dtype, leaf.shape)
        young = all(self._age.get(part.path, self._lean) < self._lean for part in old.parts)
        return old if same and young else None

    def _remembered(self, name: CheckpointName, manifest: Manifest) -> tuple[_Shareable, dict[str, int]]:
        """Return what the next checkpoint may share, and how many lean on each part."""
        written: _Shareable = {
            (leaf.path, leaf.offset): _Written(leaf, tuple(manifest.parts[e.part] for e in leaf.extents))
            for leaf in manifest.leaves
            if leaf.size_bytes >= _SHARED_FROM_BYTES
        }
        own = f"{name.format()}/"
        age = {p.path: 0 if p.path.startswith(own) else self._age.get(p.path, 0) + 1 for p in manifest.parts}
        return written, age


def safetensors_name(leaf: LeafBytes) -> str:
    """Return the leaf's name in its part: its path, with the offset behind it for a box."""
    return leaf.path if leaf.offset is None else f"{leaf.path}@{','.join(map(str, leaf.offset))}"


def _leaf(leaf: LeafBytes, chunks: tuple[str, ...], at: int) -> Leaf:
    size = leaf.data.nbytes
    return Leaf(
        path=leaf.path,
        dtype=leaf.dtype,
        shape=leaf.shape,
        size_bytes=size,
        extents=(Extent(part=0, at=at, size_bytes=size),) if size else (),
        chunks=chunks,
        global_shape=leaf.global_shape,
        offset=leaf.offset,
    )


def _named(old: _Written, parts: list[Part]) -> Leaf:
    """Return the earlier leaf with its extents pointing into `parts`, which gains the older parts."""
    extents = []
    for extent, part in zip(old.leaf.extents, old.parts, strict=True):
        if part not in parts:
            parts.append(part)
        extents.append(Extent(part=parts.index(part), at=extent.at, size_bytes=extent.size_bytes))
    was = old.leaf
    return Leaf(
        path=was.path,
        dtype=was.dtype,
        shape=was.shape,
        size_bytes=was.size_bytes,
        extents=tuple(extents),
        chunks=was.chunks,
        rank=was.rank,
        global_shape=was.global_shape,
        offset=was.offset,
    )
