"""Reading back: every byte is compared with the digest that was taken from memory, before it is used."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from outlast.backends import Syscalls, crew, effort
from outlast.backends.effort import IO
from outlast.errors import DamageError, NothingError, Preempted, StorageError
from outlast.format.chunks import CHUNK_BYTES
from outlast.format.digest import chunk_digests
from outlast.format.manifest import decode
from outlast.format.model import Extent, Leaf, LeafBytes, Manifest
from outlast.store import Damage, Draft, Source, Store, reading
from outlast.store.spans import PIECE_BYTES, Places, Wanted, cut
from storekit import Attempt

SIZE = CHUNK_BYTES + CHUNK_BYTES // 2  # two chunks


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Store, Manifest, Path]:
    """A checkpoint of one leaf of two chunks and one of a few bytes; with the path of its part."""
    attempt = Attempt.begin(tmp_path / "store")
    leaves = [
        LeafBytes(path=path, dtype="uint8", shape=(size,), data=memoryview(b"\x5a" * size))
        for path, size in (("m/w", SIZE), ("m/b", 3))
    ]
    tree = {"m": {name: {"$": "array", "leaf": f"m/{name}"} for name in ("w", "b")}}
    name = attempt.writer.commit(Draft(step=1, tree=tree, leaves=leaves)).name
    folder = tmp_path / "store" / name.format()
    return attempt.store, decode((folder / "manifest.json").read_bytes()), folder / "part-00000.safetensors"


def flip(part: Path, at: int) -> None:
    with part.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 4]))


def place(manifest: Manifest, path: str, at: int) -> int:
    """Where byte `at` of a leaf lies in the part."""
    (extent,) = next(leaf for leaf in manifest.leaves if leaf.path == path).extents
    return extent.at + at


@pytest.mark.parametrize(("at", "chunk"), [(0, 0), (CHUNK_BYTES - 1, 0), (CHUNK_BYTES, 1), (SIZE - 1, 1)])
def test_a_flipped_bit_is_noticed_before_the_leaf_is_used(saved, at: int, chunk: int) -> None:
    store, manifest, part = saved
    flip(part, place(manifest, "m/w", at))
    with store.source(manifest) as source:
        with pytest.raises(DamageError, match=rf"leaf m/w differs from what was saved .*digest of its chunk {chunk} "):
            source.read("m/w")
        with pytest.raises(DamageError, match="leaf m/w differs"):
            source.read_into("m/w", memoryview(bytearray(SIZE)))
        assert bytes(source.read("m/b")) == b"\x5a" * 3  # the other leaf is whole


@pytest.mark.parametrize(("at", "chunk"), [(0, 0), (CHUNK_BYTES, 1), (SIZE - 1, 1)])
def test_verify_names_the_leaf_and_the_byte(saved, at: int, chunk: int) -> None:
    store, manifest, part = saved
    with store.source(manifest) as source:
        assert list(source.damages()) == []
    flip(part, place(manifest, "m/w", at))
    with store.source(manifest) as source:
        (damage,) = source.damages()
    assert (damage.leaf, damage.path) == ("m/w", manifest.parts[0].path)
    assert f"bytes from {place(manifest, 'm/w', chunk * CHUNK_BYTES)}" in damage.what


@pytest.mark.parametrize("at", [0, 9, -1])
def test_a_flipped_bit_of_a_header_is_noticed(saved, at: int) -> None:
    store, manifest, part = saved
    flip(part, at % manifest.parts[0].header_bytes)
    with store.source(manifest) as source, pytest.raises(DamageError, match="its header differs from what was saved"):
        source.check_parts()


# -- many leaves at once -------------------------------------------------------------------------------------

SIZES = {
    "big": 5 * CHUNK_BYTES + 3,
    **{f"s{number:03}": 900 + number for number in range(300)},  # more than one piece of them
    "none": 0,
    "one": 1,
    "mid": 300_001,
    "block": 4096,
    "large": 3 * CHUNK_BYTES,
    "end": 77,
}
EVERY_IO = [IO(threads=threads, direct=direct) for threads in (1, 4) for direct in (True, False)]


def content() -> dict[str, bytes]:
    return {path: random.Random(path).randbytes(size) for path, size in SIZES.items()}


class Many:
    """A checkpoint of leaves of all sizes, read as a large one."""

    def __init__(self, path: Path) -> None:
        self.data = content()
        self.attempt = Attempt.begin(path)
        self.store = self.attempt.store
        self.manifest = self.commit(self.data)
        self.part = path / self.manifest.parts[0].path

    def commit(self, data: dict[str, bytes]) -> Manifest:
        leaves = [
            LeafBytes(path=path, dtype="uint8", shape=(len(one),), data=memoryview(one)) for path, one in data.items()
        ]
        tree = {path: {"$": "array", "leaf": path} for path in data}
        return self.attempt.writer.commit(Draft(step=1, tree=tree, leaves=leaves)).manifest

    def forget(self) -> None:
        for part in self.manifest.parts:
            with open(f"{self.store.path}/{part.path}", "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def source(self, io: IO = effort.DEFAULT) -> Source:
        return self.store.source(self.manifest, io)

    def damages(self, io: IO = effort.DEFAULT) -> list[Damage]:
        with self.source(io) as source:
            return list(source.damages())

    def flip(self, path: str, at: int) -> None:
        flip(self.part, place(self.manifest, path, at))


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Many:
    monkeypatch.setattr(reading, "_LARGE_BYTES", 1)
    return Many(tmp_path / "store")


def fresh(data: dict[str, bytes]) -> dict[str, bytearray]:
    return {path: bytearray(len(one)) for path, one in data.items()}


def filled(source: Source, data: dict[str, bytes]) -> dict[str, bytearray]:
    found = fresh(data)
    source.fill([(path, memoryview(one)) for path, one in found.items()])
    return found


def nobody_reads() -> bool:
    return all(thread.name != "outlast-io" for thread in threading.enumerate())


@pytest.mark.parametrize("io", EVERY_IO)
def test_all_leaves_come_back(many: Many, io: IO) -> None:
    for _ in range(2):  # cold, then from what the kernel's cache holds
        many.forget()
        with many.source(io) as source:
            assert filled(source, many.data) == many.data
            assert filled(source, dict(reversed(many.data.items()))) == many.data
            assert list(source.damages()) == []
        many.part.read_bytes()
    assert nobody_reads()


PLACES = [
    *(("big", at) for at in (0, CHUNK_BYTES - 1, CHUNK_BYTES, 2 * CHUNK_BYTES, 5 * CHUNK_BYTES, 5 * CHUNK_BYTES + 2)),
    *((path, at) for path in ("s000", "s001", "s299") for at in (0, 899)),
    *(("one", 0), ("mid", 0), ("mid", 300_000), ("block", 4095), ("large", 3 * CHUNK_BYTES - 1), ("end", 76)),
]


@pytest.mark.parametrize("io", EVERY_IO)
def test_a_flipped_bit_is_noticed_wherever_it_is(many: Many, io: IO) -> None:
    for path, at in PLACES:
        many.flip(path, at)
        many.forget()
        message = rf"leaf {path} differs .*\(bytes from [0-9]+: digest of its chunk {at // CHUNK_BYTES} "
        with many.source(io) as source, pytest.raises(DamageError, match=message):
            filled(source, many.data)
        assert [damage.leaf for damage in many.damages(io)] == [path]
        many.flip(path, at)
    assert many.damages(io) == []


def test_of_several_damaged_leaves_the_first_is_named(many: Many) -> None:
    for path, at in (("large", 5), ("s150", 1), ("big", 4 * CHUNK_BYTES), ("big", 2 * CHUNK_BYTES), ("end", 0)):
        many.flip(path, at)
    backwards = dict(reversed(many.data.items()))
    for _ in range(5):
        with many.source() as source:
            with pytest.raises(DamageError, match=r"leaf big .*digest of its chunk 2 "):
                filled(source, many.data)
            with pytest.raises(DamageError, match="leaf end "):
                filled(source, backwards)
        assert nobody_reads()
    found = [(damage.leaf, damage.what.split("digest of its ")[1][:7]) for damage in many.damages()]
    assert found == [("big", "chunk 2"), ("s150", "chunk 0"), ("large", "chunk 0"), ("end", "chunk 0")]


def test_what_heed_raises_ends_it(many: Many) -> None:
    calls = []

    def heed() -> None:
        calls.append(threading.current_thread())
        if len(calls) == 2:
            raise Preempted("SIGTERM")

    views = fresh(many.data)
    with many.source(IO(threads=1)) as source, pytest.raises(Preempted):
        source.fill([(path, memoryview(view)) for path, view in views.items()], heed)
    assert calls == [threading.current_thread()] * 2
    assert views["big"][:PIECE_BYTES] == many.data["big"][:PIECE_BYTES]
    assert not any(views["big"][PIECE_BYTES:])
    with many.source() as source, pytest.raises(Preempted):
        source.fill(
            [(path, memoryview(view)) for path, view in views.items()], lambda: calls.clear() or heed() or heed()
        )
    assert nobody_reads()


def test_progress_tells_all_bytes(many: Many) -> None:
    told: list[int] = []
    with many.source(IO(threads=1)) as source:
        assert list(source.damages(told.append)) == []
    assert sum(told) == sum(SIZES.values())
    assert len(told) == 9  # before each of seven pieces too, and when there are no more: a notice is heeded there


class Failing(Syscalls):
    """Reads in other threads than this one fail."""

    def __init__(self, error: BaseException) -> None:
        self.error, self.here = error, threading.current_thread()
        self.failed = threading.Event()

    def preadv(self, fd: int, buffers: Sequence[Any], at: int, flags: int = 0) -> int:
        if threading.current_thread() is not self.here:
            self.failed.set()
            raise self.error
        if len(buffers[0]) > 1000 and any(thread.name == "outlast-io" for thread in threading.enumerate()):
            self.failed.wait(60)
        return super().preadv(fd, buffers, at, flags)


@pytest.mark.parametrize(
    ("error", "expected"), [(OSError(errno.EIO, "Input/output error"), StorageError), (MemoryError(), MemoryError)]
)
def test_an_error_in_a_thread_is_raised(many: Many, error: BaseException, expected: type[BaseException]) -> None:
    store = Store(many.store.path, calls=Failing(error))
    with store.source(many.manifest) as source, pytest.raises(expected):
        filled(source, many.data)
    store.backend.calls.failed.clear()
    with store.source(many.manifest) as source, pytest.raises(expected):
        list(source.damages())
    assert nobody_reads()


@pytest.mark.parametrize("io", EVERY_IO)
def test_a_part_that_is_cut_while_it_is_read(many: Many, io: IO) -> None:
    cut_at = place(many.manifest, "s200", 10)
    with many.source(io) as source:
        source.check_parts()
        os.truncate(many.part, cut_at)
        with pytest.raises(DamageError, match=rf"ends at byte {cut_at}, expected"):
            filled(source, many.data)
        lost = [damage.leaf for damage in source.damages()]
    paths = [path for path in SIZES if SIZES[path]]
    assert lost == paths[paths.index("s200") :]


@pytest.mark.parametrize("chunk_bytes", [7, 4096, PIECE_BYTES, PIECE_BYTES + 1, 5 << 20, 1 << 30])
def test_chunks_longer_than_a_piece_and_very_short_ones(many: Many, chunk_bytes: int) -> None:
    leaves = [
        replace(leaf, chunks=chunk_digests(memoryview(many.data[leaf.path]), chunk_bytes))
        for leaf in many.manifest.leaves
    ]
    many.manifest = replace(many.manifest, chunk_bytes=chunk_bytes, leaves=tuple(leaves))
    with many.source() as source:
        assert filled(source, many.data) == many.data
    assert many.damages() == []
    for path, at in (("big", 4 * CHUNK_BYTES), ("s007", 8), ("mid", 300_000)):
        many.flip(path, at)
        with many.source() as source, pytest.raises(DamageError, match=f"leaf {path} .*its chunk {at // chunk_bytes} "):
            filled(source, many.data)
        assert [damage.leaf for damage in many.damages()] == [path]
        many.flip(path, at)


def test_a_leaf_in_several_places_of_several_parts(many: Many) -> None:
    """As a later save may name them: ranges of odd lengths, of this part and of an older one."""
    first, second = many.manifest, many.commit({path: data[::-1] for path, data in many.data.items()})
    extents, whole, at = [], b"", 0
    for number, size in enumerate((1, CHUNK_BYTES, 4097, 12, 2 * CHUNK_BYTES, 900_000)):
        part = number % 2
        extents.append(Extent(part=part, at=place((first, second)[part], "big", at), size_bytes=size))
        whole += many.data["big"][:: -1 if part else 1][at : at + size]
        at += size
    chunks = chunk_digests(memoryview(whole), CHUNK_BYTES)
    leaf = Leaf(path="x", dtype="uint8", shape=(at,), size_bytes=at, extents=tuple(extents), chunks=chunks)
    many.manifest = replace(first, parts=(*first.parts, *second.parts), leaves=(leaf,))
    with many.source() as source:
        assert filled(source, {"x": whole}) == {"x": whole}
        assert source.read("x") == whole
    assert many.damages() == []
    flip(Path(many.store.path) / second.parts[0].path, extents[3].at + 11)
    (damage,) = many.damages()
    assert damage.leaf == "x"
    with many.source() as source, pytest.raises(DamageError, match=r"leaf x differs .*its chunk 1 "):
        filled(source, {"x": whole})


def test_where_ranges_lie() -> None:
    extents = tuple(Extent(part=number, at=100 * number, size_bytes=size) for number, size in enumerate((3, 1, 0, 5)))
    leaf = Leaf(path="x", dtype="uint8", shape=(9,), size_bytes=9, extents=extents, chunks=())
    whole = [(part, at) for part, at, size in Places(leaf).of(0, 9) for at in range(at, at + size)]
    assert whole == [(0, 0), (0, 1), (0, 2), (1, 100), (3, 300), (3, 301), (3, 302), (3, 303), (3, 304)]
    for begin in range(9):
        for end in range(begin + 1, 10):
            found = [
                (part, at) for part, at, size in Places(leaf).of(begin, end - begin) for at in range(at, at + size)
            ]
            assert found == whole[begin:end]


def test_small_leaves_are_read_by_one_call(many: Many) -> None:
    pieces = cut([Wanted(leaf) for leaf in many.manifest.leaves], CHUNK_BYTES)
    assert [sum(span.size_bytes for span in piece) for piece in pieces[:2]] == [PIECE_BYTES, CHUNK_BYTES + 3]
    assert [len(piece) for piece in pieces] == [1, 1, 301, 1, 1, 1, 1]
    spans = [span for piece in pieces for span in piece]
    assert sum(span.size_bytes for span in spans) == sum(SIZES.values())


def test_places_that_overlap_are_filled_one_after_the_other(many: Many, monkeypatch: pytest.MonkeyPatch) -> None:
    """Saved apart, held together: each is as it was saved when it is checked, and the last one stays."""
    workers: list[int] = []

    def each(work: Callable[[int], object], count: int, most: int, *, heed: Callable[[], object] | None) -> None:
        workers.append(most)
        crew.each(work, count, most, heed=heed)

    monkeypatch.setattr(reading, "each", each)
    memory = memoryview(bytearray(7 << 20))
    wanted = [("big", memory[: SIZES["big"]]), ("large", memory[1 << 20 : 4 << 20]), ("mid", memory[-300_001:])]
    with many.source(IO(threads=4)) as source:
        source.fill(wanted)
        assert memory[: 1 << 20] == many.data["big"][: 1 << 20]
        assert memory[1 << 20 : 4 << 20] == many.data["large"]
        assert memory[4 << 20 : SIZES["big"]] == many.data["big"][4 << 20 :]
        source.fill(wanted[::2])
    assert workers == [1, 4]


def test_a_view_of_another_size_and_an_unknown_leaf_are_refused(many: Many) -> None:
    views = fresh(many.data)
    with many.source() as source:
        with pytest.raises(ValueError, match="one has 1 bytes, the buffer 2"):
            source.fill([("big", memoryview(views["big"])), ("one", memoryview(bytearray(2)))])
        with pytest.raises(NothingError, match="no leaf two"):
            source.fill([("big", memoryview(views["big"])), ("two", memoryview(bytearray(2)))])
    assert not any(views["big"])


def test_a_part_is_not_reused_while_it_is_open(many: Many) -> None:
    with many.source() as source, many.part.open("rb") as file:
        source.check_parts()
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with many.part.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with many.source() as source, pytest.raises(StorageError, match="cannot be opened"):
            source.check_parts()


def test_a_part_that_is_being_reused_is_gone(many: Many) -> None:
    with many.part.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

        class Late(Syscalls):
            """The name is still there when it is opened."""

            def lock(self, fd: int, how: int) -> None:
                many.part.rename(many.part.with_name("spare"))
                super().lock(fd, how)

        store = Store(many.store.path, calls=Late())
        with store.source(many.manifest) as source, pytest.raises(DamageError, match=r"part-00000.safetensors is gone"):
            source.check_parts()


def test_a_small_state_needs_no_thread(saved: tuple[Store, Manifest, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    store, manifest, _ = saved
    monkeypatch.setattr(threading.Thread, "start", lambda _: pytest.fail("a thread"))
    with store.source(manifest) as source:
        assert bytes(source.read("m/w")) == b"\x5a" * SIZE
        assert list(source.damages()) == []
