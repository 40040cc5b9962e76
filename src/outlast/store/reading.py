"""Reading a checkpoint back: every byte against the digest that was taken from memory when it was saved.

Large states are read by several threads. What they bring is checked chunk by chunk while it is at hand, and lies in its
place then: there is no second copy of the state.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from outlast.backends import Backend, Reader, memory
from outlast.backends.crew import each
from outlast.backends.effort import DEFAULT, IO
from outlast.backends.reading import Room
from outlast.errors import DamageError, NothingError, StorageError
from outlast.format.codecs import Decompressor
from outlast.format.digest import Running, hexdigest
from outlast.format.dtypes import itemsize
from outlast.format.model import Box, Leaf, Manifest, Part, StoredFile
from outlast.store.boxes import box_of, copy_common, joined, meets
from outlast.store.files import verify
from outlast.store.layout import is_listed
from outlast.store.spans import PIECE_BYTES, Places, Span, Stored, Wanted, cut

_LARGE_BYTES = 8 << 20  # from here on threads, and reading past the kernel's cache, are worth their beginning
_BATCH_BYTES = 256 << 20  # verified before what was found is said

Report = Callable[[Leaf, int, DamageError], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One thing that is not as it was written."""

    path: str
    leaf: str
    what: str


class Source:
    """The leaves of one checkpoint. Opens parts as they are needed; close it, or use it in `with`.

    Args:
        backend: the store's storage.
        manifest: the checkpoint's.
        io: how many threads read, and whether past the kernel's cache.

    Attributes:
        leaves: by path; an array that is in boxes of several ranks as one leaf, which lies nowhere in one piece.
    """

    def __init__(self, backend: Backend, manifest: Manifest, io: IO = DEFAULT) -> None:
        self._backend, self.manifest, self._io = backend, manifest, io
        self.leaves = {leaf.path: leaf for leaf in manifest.leaves if leaf.offset is None}
        self._boxes = _boxes(manifest.leaves)
        self.leaves |= {path: joined(found) for path, found in self._boxes.items()}
        self._open: dict[int, Reader] = {}
        self._stack = ExitStack()
        self._rooms: list[Room] = []
        self._decompressors: list[Decompressor] = []
        self._places: dict[int, Places] = {}

    def fill(self, wanted: Sequence[tuple[str | Box, memoryview]], heed: Callable[[], object] | None = None) -> None:
        """Fill each view (bytes, writable) with the leaf of that path, or a box of it, and check it.

        Args:
            wanted: paths or boxes, and views.
            heed: called by this thread between pieces of its own. If it raises, nothing is written any more, and that
                is what is raised.

        Raises:
            DamageError: the bytes are not what was saved. Of several damaged leaves the first is named; the views may
                hold anything then.
            NothingError: there is no such leaf.
        """
        found: list[Wanted] = []
        pieces: list[tuple[Box, memoryview]] = []
        for what, view in wanted:
            leaf = self.leaf(what.path if isinstance(what, Box) else what)
            size_bytes = math.prod(what.shape) * itemsize(leaf.dtype) if isinstance(what, Box) else leaf.size_bytes
            if view is None or len(view) != size_bytes:
                raise ValueError(f"{leaf.path} has {size_bytes} bytes, the buffer {view and len(view)}")
            if isinstance(what, str) and leaf.path not in self._boxes:
                found.append(Wanted(leaf, view))
                continue
            box = what if isinstance(what, Box) else box_of(leaf)
            exact = next((one for one in self._stored(leaf.path) if box_of(one) == box), None)
            if exact is not None:
                found.append(Wanted(exact, view))
            else:
                pieces.append((box, view))
        self._each(found, _raise, heed)
        for box, view in pieces:
            self._join(box, view, heed)

    def _join(self, box: Box, view: memoryview, heed: Callable[[], object] | None) -> None:
        """Fill a view from the stored boxes that have a part in it, one after the other, each checked whole."""
        for leaf in self._stored(box.path):
            if meets(box_of(leaf), box):
                data = memoryview(bytearray(leaf.size_bytes))
                self._each([Wanted(leaf, data)], _raise, heed)
                copy_common(data, box_of(leaf), view, box, itemsize(leaf.dtype))

    def _stored(self, path: str) -> Sequence[Leaf]:
        """Return the boxes that an array is stored in: one, where it is whole."""
        return self._boxes.get(path) or (self.leaves[path],)

    def read_into(self, path: str, view: memoryview) -> None:
        """Fill `view` (bytes, writable) with a leaf and check it. Raises as `fill`."""
        self.fill([(path, view)])

    def read(self, path: str) -> bytearray:
        """Return a leaf's bytes, checked. Raises as `fill`."""
        data = bytearray(self.leaf(path).size_bytes)
        self.read_into(path, memoryview(data))
        return data

    def map(self, path: str) -> memoryview | None:
        """Return a leaf's bytes as they lie in their part, read-only, checked now; None if not as is, in one piece.

        What happens to the storage after that is not noticed. The part stays open, and its blocks are not reused, as
        long as the view is held. Raises as `fill`.
        """
        leaf = self.leaf(path)
        if len(leaf.extents) != 1 or not leaf.size_bytes or leaf.codec is not None:
            return None
        self._each([Wanted(leaf)], _raise, None)
        extent = leaf.extents[0]
        return self._part(extent.part).map(extent.at, extent.size_bytes)

    def leaf(self, path: str) -> Leaf:
        """Return what the manifest says of a leaf. Raises NothingError: there is no such leaf."""
        leaf = self.leaves.get(path)
        if leaf is None:
            raise NothingError(f"no leaf {path} in the checkpoint of step {self.manifest.step}")
        return leaf

    def check_parts(self) -> None:
        """Check size and header of every part. Raises DamageError at the first that differs."""
        for index in range(len(self.manifest.parts)):
            self._part(index)

    def damages(self, progress: Callable[[int], object] | None = None) -> Iterator[Damage]:
        """Read everything and yield what is damaged. `progress` is told, often, the bytes read since its last call."""
        bad_parts = set()
        for index, part in enumerate(self.manifest.parts):
            try:
                self._part(index)
            except DamageError as e:
                bad_parts.add(index)
                yield Damage(path=part.path, leaf="", what=_message(e))
        for batch in _batches(self.manifest.leaves):
            told = [leaf for leaf in batch if all(extent.part not in bad_parts for extent in leaf.extents)]
            yield from self._damages_of(told, progress)
            if progress:
                progress(sum(leaf.size_bytes for leaf in batch))
        for file in self.manifest.files:
            yield from self._damage_of_file(file)
            if progress:
                progress(file.size_bytes)

    def close(self) -> None:
        self._open.clear()
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _damages_of(self, leaves: Sequence[Leaf], progress: Callable[[int], object] | None) -> Iterator[Damage]:
        """Yield the first damage of each leaf."""
        found: list[tuple[int, int, DamageError]] = []
        order = {id(leaf): number for number, leaf in enumerate(leaves)}

        def note(leaf: Leaf, chunk: int, error: DamageError) -> None:
            found.append((order[id(leaf)], chunk, error))

        self._each([Wanted(leaf) for leaf in leaves], note, functools.partial(progress, 0) if progress else None)
        first: dict[int, DamageError] = {}
        for number, _, error in sorted(found, key=lambda one: one[:2]):
            first.setdefault(number, error)
        for number, error in first.items():
            yield Damage(path=error.path, leaf=leaves[number].path, what=_message(error))

    def _damage_of_file(self, file: StoredFile) -> Iterator[Damage]:
        try:
            verify(self._backend, file, self.manifest, at=file.at, heed=lambda: None)
        except FileNotFoundError:
            yield Damage(path=file.at, leaf="", what=f"{file.at} is gone")
        except DamageError as e:
            yield Damage(path=file.at, leaf="", what=_message(e))

    def _each(self, wanted: Sequence[Wanted], report: Report, heed: Callable[[], object] | None) -> None:
        """Read and check leaves, by several threads if that pays. `report` hears of damage: if it raises, all stop."""
        for index in sorted({extent.part for leaf, _ in wanted for extent in leaf.extents}):
            self._part(index)  # here, and not in the threads: what is open does not change while they run
        is_large = sum(leaf.size_bytes for leaf, _ in wanted) >= _LARGE_BYTES
        pieces = cut(wanted, self.manifest.chunk_bytes)
        rooms = self._rooms if is_large else []  # kept: new memory costs more than the copying

        def work(number: int) -> None:
            try:
                room = rooms.pop()  # one step of the interpreter, as `append` is
            except IndexError:
                room = Room(PIECE_BYTES, direct=is_large and self._io.direct)
            try:
                self._check(pieces[number], room, report)
            finally:
                rooms.append(room)

        workers = self._io.workers if is_large and not _overlap([view for _, view in wanted if view]) else 1
        each(work, len(pieces), workers, heed=heed)

    def _check(self, piece: list[Span], room: Room, report: Report) -> None:
        if len(piece) == 1:
            self._check_span(piece[0], room, report)
            return
        begin, last = piece[0].leaf.extents[0].at, piece[-1].leaf.extents[0]
        try:
            data = self._part(last.part).gather(begin, last.at + last.size_bytes - begin, room)
        except DamageError:  # cut short: whose bytes are still there?
            for span in piece:
                self._check_span(span, room, report)
            return
        for span in piece:
            at = span.leaf.extents[0].at - begin
            self._check_small(span, data[at : at + span.size_bytes], report)

    def _check_small(self, span: Span, data: memoryview, report: Report) -> None:
        chunk = self._first_bad(data, span.leaf.chunks, 0)
        if chunk is not None:
            report(span.leaf, chunk, self._damage(span.leaf, chunk))
        elif span.view is not None:
            span.view[:] = data

    def _check_span(self, span: Span, room: Room, report: Report) -> None:
        if span.leaf.codec is not None:
            self._check_packed(span, span.leaf.codec.width, room, report)
            return
        first = span.at // self.manifest.chunk_bytes
        try:
            if span.size_bytes <= PIECE_BYTES:
                chunk = self._check_chunks(span, room)
            else:
                chunk = None if self._long_digest(span, room) == span.leaf.chunks[first] else first
        except DamageError as e:
            report(span.leaf, first, e)
        else:
            if chunk is not None:
                report(span.leaf, chunk, self._damage(span.leaf, chunk))

    def _check_chunks(self, span: Span, room: Room) -> int | None:
        """Read and check the chunks of a piece; return the first that is not as it was.

        What the kernel's cache holds is checked chunk by chunk, while the processor's cache holds it too.
        """
        step = self.manifest.chunk_bytes
        number, at = span.at // step, 0
        places = self._places_of(span.leaf).of(span.at, span.size_bytes)
        if span.view is not None and len(places) == 1:
            part = self._part(places[0].part)
            held_bytes = part.held_bytes(places[0].at, span.size_bytes, room)
            while at < span.size_bytes:
                view = span.view[at : at + step]
                if at + len(view) > held_bytes or part.take(view, places[0].at + at) < len(view):
                    break
                if self._first_bad(view, span.leaf.chunks, number) is not None:
                    return number
                number, at = number + 1, at + len(view)
        if at == span.size_bytes:
            return None
        rest = None if span.view is None else span.view[at:]
        data = self._bring(span.leaf, span.at + at, span.size_bytes - at, rest, room)
        return self._first_bad(data, span.leaf.chunks, number)

    def _check_packed(self, span: Span, width: int, room: Room, report: Report) -> None:
        """Read, decompress and check chunks, one by one."""
        step = self.manifest.chunk_bytes
        for number, at in enumerate(range(0, span.size_bytes, step), span.at // step):
            size_bytes = min(step, span.size_bytes - at)
            view = _room_for(size_bytes, room) if span.view is None else span.view[at : at + size_bytes]
            try:
                stored = self._bring_packed(span.leaf, number, room)
                self._unpack(stored, view, width)
            except DamageError as e:
                report(span.leaf, number, e if e.path else self._damage(span.leaf, number, str(e)))
                return
            if self._first_bad(view, span.leaf.chunks, number) is not None:
                report(span.leaf, number, self._damage(span.leaf, number))
                return

    def _bring_packed(self, leaf: Leaf, number: int, room: Room) -> memoryview:
        """Return what is stored of a chunk, for a moment."""
        places = self._places_of(leaf).of_chunk(number)
        if len(places) == 1 and places[0].size_bytes <= PIECE_BYTES:
            return self._part(places[0].part).gather(places[0].at, places[0].size_bytes, room)
        data = memoryview(bytearray(sum(place.size_bytes for place in places)))
        self._gather(places, data, room)
        return data

    def _unpack(self, stored: memoryview, view: memoryview, width: int) -> None:
        try:
            decompressor = self._decompressors.pop()  # one step of the interpreter, as `append` is
        except IndexError:
            decompressor = Decompressor()
        decompressor.unpack(stored, view, width)
        self._decompressors.append(decompressor)

    def _first_bad(self, data: memoryview, chunks: tuple[str, ...], first: int) -> int | None:
        """Compare bytes with their digests, from chunk `first` on; return the first chunk that differs."""
        step, kind = self.manifest.chunk_bytes, self.manifest.digest
        for number, at in enumerate(range(0, len(data), step), first):
            if hexdigest(data[at : at + step], kind) != chunks[number]:
                return number
        return None

    def _long_digest(self, span: Span, room: Room) -> str:
        """Read a chunk that is longer than a piece, and return its digest."""
        running = Running(self.manifest.digest)
        for at in range(0, span.size_bytes, PIECE_BYTES):
            size_bytes = min(PIECE_BYTES, span.size_bytes - at)
            view = None if span.view is None else span.view[at : at + size_bytes]
            running.add(self._bring(span.leaf, span.at + at, size_bytes, view, room))
        return running.hexdigest()

    def _bring(self, leaf: Leaf, at: int, size_bytes: int, view: memoryview | None, room: Room) -> memoryview:
        """Return a leaf's bytes from `at` on, at most a piece: in their place if there is one, else for a moment."""
        places = self._places_of(leaf).of(at, size_bytes)
        if view is None and len(places) == 1:
            return self._part(places[0].part).gather(places[0].at, size_bytes, room)
        data = room.aside(size_bytes) if view is None else view
        self._gather(places, data, room)
        return data

    def _gather(self, places: Iterable[Stored], data: memoryview, room: Room) -> None:
        done = 0
        for place in places:
            self._part(place.part).fill(data[done : done + place.size_bytes], place.at, room)
            done += place.size_bytes

    def _places_of(self, leaf: Leaf) -> Places:
        if id(leaf) not in self._places:
            self._places[id(leaf)] = Places(leaf)
        return self._places[id(leaf)]

    def _damage(self, leaf: Leaf, chunk: int, why: str = "") -> DamageError:
        places = self._places_of(leaf)
        place = places.of(chunk * self.manifest.chunk_bytes, 1)[0] if leaf.codec is None else places.of_chunk(chunk)[0]
        part, offset = self.manifest.parts[place.part].path, place.at
        why = why or f"digest of its chunk {chunk} is not {leaf.chunks[chunk]}"
        message = f"{part}: leaf {leaf.path} differs from what was saved (bytes from {offset}: {why})"
        return DamageError(message, path=part)

    def _part(self, index: int) -> Reader:
        if index not in self._open:
            self._open[index] = self._open_part(self.manifest.parts[index])
        return self._open[index]

    def _open_part(self, part: Part) -> Reader:
        try:
            file = self._stack.enter_context(self._backend.open(part.path, shared=True))
        except FileNotFoundError:
            if is_listed(self._backend, part.path):
                raise StorageError(
                    f"{part.path} is listed, and cannot be opened: the storage shows stale names"
                ) from None
            raise DamageError(f"{part.path} is gone", path=part.path) from None
        if file.size_bytes != part.size_bytes:
            message = f"{part.path} has {file.size_bytes} bytes, expected {part.size_bytes}"
            raise DamageError(message, path=part.path)
        found = _digest(file, 0, part.header_bytes, self.manifest.digest)
        if found != part.header_digest:
            raise DamageError(f"{part.path}: its header differs from what was saved", path=part.path)
        return file


def _boxes(leaves: Iterable[Leaf]) -> dict[str, list[Leaf]]:
    """Return the boxes of those arrays that are stored in boxes, by path."""
    found: dict[str, list[Leaf]] = {}
    for leaf in leaves:
        if leaf.offset is not None:
            found.setdefault(leaf.path, []).append(leaf)
    return found


def _digest(file: Reader, begin: int, end: int, kind: str) -> str:
    """Return the digest of a range of a file, read through a small buffer: it may be a GiB."""
    running = Running(kind)
    buffer = memoryview(bytearray(min(end - begin, PIECE_BYTES)))
    for at in range(begin, end, PIECE_BYTES):
        view = buffer[: end - at]
        file.read_into(view, at)
        running.add(view)
    return running.hexdigest()


def _room_for(size_bytes: int, room: Room) -> memoryview:
    """Return memory for a chunk that nobody wants but its digest."""
    return room.aside(size_bytes) if size_bytes <= PIECE_BYTES else memoryview(bytearray(size_bytes))


def _raise(_leaf: Leaf, _chunk: int, error: DamageError) -> None:
    raise error


def _overlap(views: Sequence[memoryview]) -> bool:
    """Say whether any two lie over each other: what the later one brings has to stay, and each is checked before."""
    places = sorted((memory.address_of(view), len(view)) for view in views if len(view))
    return any(at + size_bytes > next_at for (at, size_bytes), (next_at, _) in itertools.pairwise(places))


def _batches(leaves: Iterable[Leaf]) -> Iterator[list[Leaf]]:
    batch: list[Leaf] = []
    left_bytes = _BATCH_BYTES
    for leaf in leaves:
        batch.append(leaf)
        left_bytes -= leaf.size_bytes
        if left_bytes <= 0:
            yield batch
            batch, left_bytes = [], _BATCH_BYTES
    if batch:
        yield batch


def _message(error: DamageError) -> str:
    return str(error).split("\n", 1)[0]
