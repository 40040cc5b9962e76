"""Writing one rank's part of a checkpoint: what is new in it, and what earlier parts of the same rank hold already."""

from __future__ import annotations

from contextlib import suppress

from outlast.backends import Backend
from outlast.backends.base import Spare
from outlast.backends.effort import DEFAULT, IO
from outlast.backends.pace import Pace
from outlast.backends.writing import Effort
from outlast.clock import Clock
from outlast.format.codecs import MAX_CHUNK_BYTES
from outlast.format.digest import hexdigest
from outlast.format.model import Leaf, Part
from outlast.format.names import CheckpointName
from outlast.store import packing
from outlast.store.choosing import Chooser
from outlast.store.digests import Digests
from outlast.store.draft import Draft, Share
from outlast.store.filling import Filling
from outlast.store.layout import part_name
from outlast.store.packing import SHARED_FROM_BYTES, Entry, Key, Range, Table, Written, ranges

LARGE_FROM_BYTES = 4 << 20  # of new bytes: below, one plain write is as fast as many threads and direct I/O
_ALIGN = 8
_OPPOSITE = bytes((1, *bytes(255)))  # 0, the same, to 1; all else to 0


class PartWriter:
    """Writes the parts of one rank, one at a time. Whether they are published is another's business.

    Args:
        backend: the store's storage.
        clock: time.
        digest: how digests are taken.
        rank: whose parts.
        lean: how many later checkpoints may name a part's bytes. Only bytes that this process wrote itself
            are shared, so the first checkpoint of an attempt is always whole.
        io: threads, priority, rate, ways of writing.
    """

    def __init__(
        self, backend: Backend, clock: Clock, *, digest: str, rank: int = 0, lean: int = 0, io: IO = DEFAULT
    ) -> None:
        self._backend, self._clock, self._digest, self._rank, self._lean = backend, clock, digest, rank, lean
        self._io = io
        self._pace = Pace(clock, io.rate_bytes_s)
        self._effort = Effort(workers=io.workers, nice=io.nice, direct=io.direct, pace=self._pace)
        self._chooser = Chooser(clock, io)
        self._spare: Spare | None = None
        self._number: int | None = None  # of the snapshot that was committed last
        self._written: dict[Key, Written] = {}
        self._age: dict[str, int] = {}

    @property
    def has_spare(self) -> bool:
        """Say whether the blocks of a pruned part are kept for the next large one."""
        return self._spare is not None

    def write(self, name: CheckpointName, draft: Draft, digests: Digests | None = None) -> Share:
        """Write what is new of a draft's leaves into this rank's part of a checkpoint; durable but for its name.

        Args:
            name: of the checkpoint, whose directory is there.
            draft: what is to be written.
            digests: of its leaves, some of which may be taken already. None: of a state that is all here.

        Raises:
            SpaceError, StorageError: it could not be written.
            FileNotFoundError, FileExistsError: somebody else has a hand in that directory.
        """
        shareable, self._written = self._written, {}  # should this save fail, the next one is whole
        digests = digests or Digests(draft.leaves, self._digest)
        cut = [
            self._cut(number, shareable.get((leaf.path, leaf.offset)), draft, digests)
            for number, leaf in enumerate(draft.leaves)
        ]
        widths = self._widths(draft, cut, digests.chunk_bytes)
        own, entries, new = self._own_part(name, draft, cut, widths, digests)
        table = Table(own, entries, digests.chunk_bytes)
        leaves = [
            Leaf(
                path=leaf.path,
                dtype=leaf.dtype,
                shape=leaf.shape,
                size_bytes=leaf.data.nbytes,
                rank=self._rank,
                extents=table.extents(number, found, new.get(number)),
                chunks=digests.of(number),
                global_shape=leaf.global_shape,
                offset=leaf.offset,
                codec=packing.codec(found, widths.get(number), new.get(number, {}), digests.chunk_bytes),
            )
            for number, (leaf, found) in enumerate(zip(draft.leaves, cut, strict=True))
        ]
        return Share(
            parts=tuple(table.parts),
            leaves=tuple(leaves),
            written_bytes=own.size_bytes if own else 0,
            chunk_bytes=digests.chunk_bytes,
        )

    def keep(self, name: CheckpointName, share: Share, number: int = 0) -> None:
        """Remember what was committed: the next checkpoint may name its bytes.

        Args:
            name: of the checkpoint.
            share: what this rank has written of it.
            number: of the snapshot that was written; 0 if it was none.
        """
        own = f"{name.format()}/"
        self._written = {
            (leaf.path, leaf.offset): Written(leaf, tuple(share.parts[e.part] for e in leaf.extents))
            for leaf in share.leaves
            if leaf.size_bytes >= SHARED_FROM_BYTES
        }
        self._age = {p.path: 0 if p.path.startswith(own) else self._age.get(p.path, 0) + 1 for p in share.parts}
        self._number = number or None

    def hurry(self) -> None:
        """Write as fast as the storage takes it from now on: the attempt is about to end."""
        self._pace.lift()

    def overwrite(self, spare: Spare | None) -> None:
        """Use the blocks of a spare file for the next large part; of two the larger. The other one is removed.

        Raises:
            StorageError: it could not be.
        """
        sizes = sorted((one for one in (self._spare, spare) if one), key=lambda one: one.size_bytes)
        self._spare = sizes.pop() if sizes else None
        for one in sizes:
            self._remove(one)

    def close(self) -> None:
        """Remove what was kept for a save that will not come. Raises StorageError."""
        if self._spare:
            spare, self._spare = self._spare, None
            self._remove(spare)

    def _remove(self, spare: Spare) -> None:
        spare.close()
        with suppress(FileNotFoundError):  # a newer attempt has removed it
            self._backend.remove(spare.name)

    def _cut(self, number: int, old: Written | None, draft: Draft, digests: Digests) -> tuple[Range, ...]:
        """Cut a leaf into what is new and what an earlier part of ours holds; what is as it was keeps its digests."""

        def same(old: Written) -> bytes | None:
            if draft.since is not None and draft.since == self._number:
                changed = draft.changed.get(old.leaf.path)
                return None if changed is None else changed.translate(_OPPOSITE)
            taken = digests.take_all(number, self._io.workers)
            if len(taken) != len(old.leaf.chunks):
                return None  # the chunks have another length now
            return bytes(new == was for new, was in zip(taken, old.leaf.chunks, strict=True))

        found = ranges(draft.leaves[number], old, same, self._is_young, digests.chunk_bytes)
        for one in found:
            if one.old:
                digests.adopt(number, one.begin, one.end, one.old.leaf.chunks)
        return found

    def _is_young(self, part: Part) -> bool:
        return self._age.get(part.path, self._lean) < self._lean

    def _widths(self, draft: Draft, cut: list[tuple[Range, ...]], chunk_bytes: int) -> dict[int, int]:
        """Return by number how the bytes of those leaves are regrouped that are compressed in this part.

        What lies partly in an earlier part goes on as it is stored there; of what is written whole the chooser decides.
        """
        if _new_bytes(cut) < LARGE_FROM_BYTES or chunk_bytes > MAX_CHUNK_BYTES:
            return {}
        partly = {number for number, found in enumerate(cut) if any(one.old for one in found)}
        whole = [(number, leaf) for number, leaf in enumerate(draft.leaves) if number not in partly]
        before = {number: packing.codec_before(cut[number]) for number in partly}
        return self._chooser.widths(whole) | {number: one.width for number, one in before.items() if one}

    def _own_part(
        self, name: CheckpointName, draft: Draft, cut: list[tuple[Range, ...]], widths: dict[int, int], digests: Digests
    ) -> tuple[Part | None, list[Entry], dict[int, dict[int, int]]]:
        """Write what is new, if anything is. Return the part, what is in it, and the lengths of compressed chunks."""
        fresh = packing.fresh(cut)
        if not fresh and (draft.leaves or self._rank):
            return None, [], {}
        metadata = {"format": "outlast", "checkpoint": name.format()}
        path = f"{name.format()}/{part_name(self._rank)}"
        new: dict[int, dict[int, int]] = {}
        if _new_bytes(cut) >= LARGE_FROM_BYTES:
            filling = Filling(draft.leaves, fresh, widths, digests, metadata=metadata, effort=self._effort)
            size_bytes = self._build(path, filling)
            head, entries, new = filling.head, filling.entries, filling.sizes
        else:
            head, entries = packing.header(draft.leaves, fresh, metadata, _ALIGN)
            digests.place(entries)
            size_bytes = len(head) + _new_bytes(cut)
            blocks = [draft.leaves[one.number].data.cast("B")[one.begin : one.end] for one in fresh]
            digests.before(0, size_bytes)
            self._backend.create(path, [head, *blocks])
        digest = hexdigest(head, self._digest)
        part = Part(path=path, rank=self._rank, size_bytes=size_bytes, header_bytes=len(head), header_digest=digest)
        return part, entries, new

    def _build(self, path: str, filling: Filling) -> int:
        """Write a large part; return its size, and remember how fast the storage took it."""
        spare, self._spare = self._spare, None
        began_s = self._clock.monotonic()
        size_bytes = self._backend.build(
            path, filling.fill, bound_bytes=filling.bound_bytes, effort=self._effort, spare=spare
        )
        if not filling.sizes:
            self._chooser.learn(size_bytes, self._clock.monotonic() - began_s)
        return size_bytes


def _new_bytes(cut: list[tuple[Range, ...]]) -> int:
    return sum(one.end - one.begin for found in cut for one in found if one.old is None)
