"""Reading a checkpoint back: every byte against the digest that was taken from memory when it was saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from outlast.backends import Backend, Reader
from outlast.errors import DamageError, NothingError, StorageError, VersionError
from outlast.format.digest import chunk_digests, hexdigest
from outlast.format.model import Leaf, Manifest, Part, StoredFile

_HEADER_LIMIT_BYTES = 100 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One thing that is not as it was written."""

    path: str
    leaf: str
    what: str


class Source:
    """The leaves of one checkpoint. Opens parts as they are needed; close it, or use it in `with`."""

    def __init__(self, backend: Backend, manifest: Manifest) -> None:
        self._backend, self.manifest = backend, manifest
        self.leaves = {leaf.path: leaf for leaf in manifest.leaves if leaf.offset is None}
        self._open: dict[int, Reader] = {}
        self._stack = ExitStack()

    def read_into(self, path: str, view: memoryview) -> None:
        """Fill `view` (bytes, writable) with a leaf and check it.

        Raises:
            DamageError: the bytes are not what was saved; `view` then holds what was read.
            NothingError: there is no such leaf.
            VersionError: it is in boxes.
        """
        self._fill(self._leaf(path), view)

    def read(self, path: str) -> bytearray:
        """Return a leaf's bytes, checked. Raises as `read_into`."""
        leaf = self._leaf(path)
        data = bytearray(leaf.size_bytes)
        self._fill(leaf, memoryview(data))
        return data

    def _leaf(self, path: str) -> Leaf:
        leaf = self.leaves.get(path)
        if leaf is not None:
            return leaf
        if any(leaf.path == path for leaf in self.manifest.leaves):
            hint = "upgrade outlast, or read the boxes by the manifest"
            raise VersionError(f"leaf {path} is in boxes of several ranks, which this outlast cannot join", hint=hint)
        raise NothingError(f"no leaf {path} in the checkpoint of step {self.manifest.step}")

    def check_parts(self) -> None:
        """Check size and header of every part. Raises DamageError at the first that differs."""
        for index in range(len(self.manifest.parts)):
            self._part(index)

    def damages(self, progress: Callable[[int], object] | None = None) -> Iterator[Damage]:
        """Read everything and yield what is damaged. `progress` is told the bytes read since its last call."""
        bad_parts = set()
        for index, part in enumerate(self.manifest.parts):
            try:
                self._part(index)
            except DamageError as e:
                bad_parts.add(index)
                yield Damage(path=part.path, leaf="", what=_message(e))
        for leaf in self.manifest.leaves:
            yield from self._damage_of(leaf, bad_parts)
            if progress:
                progress(leaf.size_bytes)
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

    def _damage_of(self, leaf: Leaf, bad_parts: set[int]) -> Iterator[Damage]:
        if any(extent.part in bad_parts for extent in leaf.extents):
            return  # already said of the part
        try:
            for number, view in self._chunks(leaf.size_bytes):
                self._read(leaf, number * self.manifest.chunk_bytes, view)
                if hexdigest(view) != leaf.chunks[number]:
                    raise self._damage(leaf, number)
        except DamageError as e:
            yield Damage(path=e.path, leaf=leaf.path, what=_message(e))

    def _chunks(self, size_bytes: int) -> Iterator[tuple[int, memoryview]]:
        """Yield a number and a buffer of its size for each chunk of so many bytes: the same memory again and again."""
        buffer = memoryview(bytearray(min(size_bytes, self.manifest.chunk_bytes)))
        for number, at in enumerate(range(0, size_bytes, self.manifest.chunk_bytes)):
            yield number, buffer[: size_bytes - at]

    def _damage_of_file(self, file: StoredFile) -> Iterator[Damage]:
        try:
            with self._backend.open(file.at) as stored:
                if stored.size_bytes != file.size_bytes:
                    what = f"{file.at} has {stored.size_bytes} bytes, expected {file.size_bytes}"
                    yield Damage(path=file.at, leaf="", what=what)
                    return
                for number, view in self._chunks(file.size_bytes):
                    at = number * self.manifest.chunk_bytes
                    stored.read_into(view, at)
                    if hexdigest(view) != file.chunks[number]:
                        what = f"{file.at} differs from what was saved, at byte {at} or after"
                        yield Damage(path=file.at, leaf="", what=what)
                        return
        except (FileNotFoundError, DamageError):
            yield Damage(path=file.at, leaf="", what=f"{file.at} is gone or cut short")

    def _fill(self, leaf: Leaf, view: memoryview) -> None:
        if len(view) != leaf.size_bytes:
            raise ValueError(f"{leaf.path} has {leaf.size_bytes} bytes, the buffer {len(view)}")
        self._read(leaf, 0, view)
        found = chunk_digests(view, self.manifest.chunk_bytes)
        if found != leaf.chunks:
            raise self._damage(leaf, _first_difference(found, leaf.chunks))

    def _read(self, leaf: Leaf, at: int, view: memoryview) -> None:
        """Fill `view` with the leaf's bytes from `at` on, wherever they lie."""
        begin, end = 0, at + len(view)
        for extent in leaf.extents:
            first, last = max(at, begin), min(end, begin + extent.size_bytes)
            if first < last:
                self._part(extent.part).read_into(view[first - at : last - at], extent.at + first - begin)
            begin += extent.size_bytes

    def _damage(self, leaf: Leaf, chunk: int) -> DamageError:
        at = chunk * self.manifest.chunk_bytes
        part, offset = self._place(leaf, at)
        message = (
            f"{part}: leaf {leaf.path} differs from what was saved (bytes from {offset}: "
            f"digest of its chunk {chunk} is not {leaf.chunks[chunk]})"
        )
        return DamageError(message, path=part)

    def _place(self, leaf: Leaf, at: int) -> tuple[str, int]:
        """Return the part and the offset in it where byte `at` of a leaf lies."""
        for extent in leaf.extents:
            if at < extent.size_bytes:
                return self.manifest.parts[extent.part].path, extent.at + at
            at -= extent.size_bytes
        raise AssertionError("a manifest's extents cover each leaf")

    def _part(self, index: int) -> Reader:
        if index not in self._open:
            self._open[index] = self._open_part(self.manifest.parts[index])
        return self._open[index]

    def _open_part(self, part: Part) -> Reader:
        try:
            file = self._stack.enter_context(self._backend.open(part.path))
        except FileNotFoundError:
            folder, _, name = part.path.rpartition("/")
            if any(entry.name == name for entry in self._backend.list(folder)):
                raise StorageError(
                    f"{part.path} is listed, and cannot be opened: the storage shows stale names"
                ) from None
            raise DamageError(f"{part.path} is gone", path=part.path) from None
        if file.size_bytes != part.size_bytes:
            message = f"{part.path} has {file.size_bytes} bytes, expected {part.size_bytes}"
            raise DamageError(message, path=part.path)
        header = bytearray(min(part.header_bytes, _HEADER_LIMIT_BYTES))
        file.read_into(memoryview(header), 0)
        if hexdigest(header) != part.header_digest:
            raise DamageError(f"{part.path}: its header differs from what was saved", path=part.path)
        return file


def _first_difference(found: tuple[str, ...], expected: tuple[str, ...]) -> int:
    return next(i for i, pair in enumerate(zip(found, expected, strict=True)) if pair[0] != pair[1])


def _message(error: DamageError) -> str:
    return str(error).split("\n", 1)[0]
