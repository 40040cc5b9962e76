"""Compressed leaves: what is written is smaller, what is read is the same, and whatever is broken is noticed."""

from __future__ import annotations

import json
import random
import struct
import sys
import tracemalloc
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from outlast.backends.effort import ALWAYS, IO
from outlast.cli.main import main
from outlast.clock import SYSTEM
from outlast.errors import DamageError, UsageError, VersionError
from outlast.format import codecs
from outlast.format.digest import BLAKE3
from outlast.format.model import LeafBytes
from outlast.format.names import CheckpointName
from outlast.store import Draft, Store, Writer, choosing, filling
from outlast.store.choosing import Chooser, Tried, choose
from outlast.testing import CountedCalls

MIB = 1 << 20
NOISE = random.Random(7).randbytes(8 * MIB)
BLANK = bytes(8 * MIB)
# of small whole numbers in eight bytes each: they compress only where their bytes are regrouped
STEPS = np.cumsum(np.random.default_rng(1).integers(1, 200, MIB)).tobytes()


def leaf(path: str, data: bytes, dtype: str = "uint8") -> LeafBytes:
    item = np.dtype(dtype).itemsize
    return LeafBytes(path=path, dtype=dtype, shape=(len(data) // item,), data=memoryview(data))


def draft(step: int, *leaves: LeafBytes) -> Draft:
    tree = {one.path: {"$": "array", "leaf": one.path} for one in leaves}
    return Draft(step=step, tree=tree, leaves=leaves)


class Case:
    """A store whose writer compresses whatever becomes smaller."""

    def __init__(self, path: Path, *, lean: int = 4, calls=None, **io) -> None:
        self.path = path
        self.store = Store(path, create=True, calls=calls)
        self.lease = self.store.claim()
        io = IO(**{"compress": ALWAYS, **io})
        self.writer = Writer(self.lease, SYSTEM, store=self.store.id, lean=lean, io=io)

    def save(self, step: int, *leaves: LeafBytes):
        return self.writer.commit(draft(step, *leaves))

    def read(self, name: CheckpointName) -> dict[str, bytes]:
        store = Store(self.path)
        with store.source(store.manifest(name)) as source:
            source.check_parts()
            assert list(source.damages()) == []
            return {path: bytes(source.read(path)) for path in source.leaves}


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path / "store")


def codec_of(committed, path: str):
    return next(one.codec for one in committed.manifest.leaves if one.path == path)


@pytest.fixture(params=["numpy", "without"])
def way(request, monkeypatch):
    """With NumPy and without it: the bytes must be the same."""
    if request.param == "without":
        monkeypatch.setattr(codecs, "_numpy", lambda: None)
    return request.param


def test_what_becomes_smaller_is_compressed_and_comes_back_s70(case, way):
    state = [leaf("noise", NOISE), leaf("blank", BLANK), leaf("steps", STEPS, "int64"), leaf("small", b"abc")]
    committed = case.save(1, *state)
    assert codec_of(committed, "noise") is codec_of(committed, "small") is None
    assert codec_of(committed, "blank").width == 1
    assert codec_of(committed, "steps").width == 8
    assert committed.manifest.requires == ("zstd",)
    assert committed.written_bytes < len(NOISE) + len(STEPS) // 2
    assert case.read(committed.name) == {one.path: bytes(one.data) for one in state}


def test_what_does_not_become_smaller_costs_nothing(case):
    committed = case.save(1, leaf("noise", NOISE))
    assert committed.written_bytes < len(NOISE) + 16_384
    assert committed.manifest.requires == ()


def test_the_same_bytes_with_and_without_numpy_s70():
    for width in codecs.WIDTHS:
        data = memoryview(STEPS)[: 64 << 10]
        found = []
        for numpy in (np, None):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(codecs, "_numpy", lambda numpy=numpy: numpy)
                found.append(bytes(codecs.Compressor().pack(data, width)))
                back = bytearray(len(data))
                codecs.Decompressor().unpack(memoryview(found[0]), memoryview(back), width)
                assert back == data
        assert found[0] == found[1]


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint16", "float16", "int32", "float32", "float64", "complex128", "S3", "datetime64[ns]"]
)
def test_every_dtype_comes_back_s70(case, dtype, way):
    kind = np.dtype(dtype)
    count = (5 * MIB + 4) // kind.itemsize
    data = (np.arange(count * kind.itemsize) // 700 % 2).astype("u1").tobytes()
    committed = case.save(1, leaf("a", data, dtype))
    assert codec_of(committed, "a")
    assert committed.written_bytes < len(data) // 10
    assert case.read(committed.name) == {"a": data}


def test_a_part_is_still_a_safetensors_file_s20(case):
    committed = case.save(1, leaf("blank", BLANK), leaf("noise", NOISE), leaf("steps", STEPS, "int64"))
    with safe_open(case.path / committed.name.format() / "part-00000.safetensors", "np") as part:
        assert part.get_tensor("noise").tobytes() == NOISE
        assert part.get_tensor("blank").dtype == np.uint8
        assert len(part.get_tensor("blank")) < 1000
    part = committed.manifest.parts[0]
    assert part.header_bytes % 4096 == 0
    assert (case.path / part.path).stat().st_size == part.size_bytes


def test_only_chunks_that_changed_are_written_anew_s55(case):
    first = case.save(1, leaf("steps", STEPS, "int64"), leaf("noise", NOISE))
    changed = bytearray(STEPS)
    changed[3 * MIB] ^= 1
    other = bytearray(NOISE)
    other[: 5 * MIB] = NOISE[3 * MIB :]
    second = case.save(2, leaf("steps", bytes(changed), "int64"), leaf("noise", bytes(other)))
    assert second.written_bytes < 6.5 * MIB, "one chunk of steps, and five of noise"
    sizes = codec_of(first, "steps").sizes, codec_of(second, "steps").sizes
    assert [number for number, (old, new) in enumerate(zip(*sizes, strict=True)) if old != new] in ([3], [])
    assert len(second.manifest.parts) == 2
    third = case.save(3, leaf("steps", STEPS, "int64"), leaf("noise", bytes(other)))
    assert third.written_bytes < 1.2 * MIB, "a small save: the chunk is stored as it is, the leaf stays compressed"
    assert codec_of(third, "steps").sizes[3] == MIB
    assert codec_of(third, "steps").sizes[:3] == sizes[0][:3]
    assert case.read(first.name) == {"steps": STEPS, "noise": NOISE}
    assert case.read(second.name) == {"steps": bytes(changed), "noise": bytes(other)}
    assert case.read(third.name) == {"steps": STEPS, "noise": bytes(other)}


def test_random_changes_of_compressed_leaves_come_back_s55(tmp_path):
    draw = random.Random(3)
    case = Case(tmp_path / "store", lean=2)
    state = {"a": bytearray(STEPS), "b": bytearray(STEPS[:5_000_008]), "n": bytearray(NOISE[: 3 * MIB + 5])}
    expected = {}
    for step in range(1, 9):
        for data in state.values():
            for _ in range(draw.choice([0, 1, 6])):
                at = draw.randrange(len(data))
                data[at : at + 9] = draw.randbytes(len(data[at : at + 9]))
        leaves = [leaf(path, bytes(data), "uint8" if path == "n" else "int64") for path, data in state.items()]
        committed = case.save(step, *leaves)
        expected[committed.name] = {path: bytes(data) for path, data in state.items()}
    assert any(len(case.store.manifest(name).parts) > 1 for name in expected)
    for name, wanted in expected.items():
        assert case.read(name) == wanted


def test_a_part_is_not_leant_on_too_often_s56(tmp_path):
    case = Case(tmp_path / "store", lean=1)
    state = [leaf("steps", STEPS, "int64"), leaf("blank", BLANK)]
    parts = [len(case.save(step, *state).manifest.parts) for step in (1, 2, 3)]
    assert parts == [1, 1, 1]
    names = case.store.checkpoints()
    owners = [case.store.manifest(name).parts[0].path.partition("/")[0] for name in names]
    assert owners == [names[0].format(), names[2].format(), names[2].format()]


@pytest.mark.parametrize("where", [0.0, 0.3, 0.999])
def test_a_flip_is_found_s57(case, where):
    committed = case.save(1, leaf("steps", STEPS, "int64"), leaf("blank", BLANK))
    one = next(one for one in committed.manifest.leaves if one.path == "steps")
    extent = one.extents[0]
    file = case.path / committed.manifest.parts[0].path
    data = bytearray(file.read_bytes())
    data[extent.at + int(where * (extent.size_bytes - 1))] ^= 16
    file.chmod(0o600)
    file.write_bytes(data)
    with case.store.source(committed.manifest) as source:
        with pytest.raises(
            DamageError, match=r"part-00000.safetensors: leaf steps differs from what was saved"
        ) as caught:
            source.read("steps")
        assert caught.value.path == committed.manifest.parts[0].path
        assert bytes(source.read("blank")) == BLANK
        assert [damage.leaf for damage in source.damages()] == ["steps"]
    assert main(["verify", str(case.path)]) == 3


def test_another_frame_of_the_right_size_is_found_by_its_digest_s35(case):
    """Two chunks of one leaf swapped on the disk: each decompresses, to the bytes of the other."""
    one = struct.pack("<q", 1) * (MIB // 8)
    two = struct.pack("<q", 2) * (MIB // 8)
    committed = case.save(1, leaf("a", (one + two) * 4, "int64"))
    row = committed.manifest.leaves[0]
    assert len(set(row.codec.sizes)) == 1
    size, at = row.codec.sizes[0], row.extents[0].at
    file = case.path / committed.manifest.parts[0].path
    data = bytearray(file.read_bytes())
    data[at : at + 2 * size] = data[at + size : at + 2 * size] + data[at : at + size]
    file.write_bytes(data)
    with case.store.source(committed.manifest) as source, pytest.raises(DamageError, match="digest of its chunk 0"):
        source.read("a")


def test_a_cut_part_is_found_s57(case):
    committed = case.save(1, leaf("steps", STEPS, "int64"))
    file = case.path / committed.manifest.parts[0].path
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size - 4096)
    with case.store.source(committed.manifest) as source, pytest.raises(DamageError, match="bytes, expected"):
        source.read("steps")


def bombs():
    import zstandard

    good = zstandard.ZstdCompressor(level=1)
    data = BLANK[:MIB]
    told_none = zstandard.ZstdCompressor(level=1, write_content_size=False).compress(data)
    wrong = bytearray(good.compress(data))
    wrong[5:8] = b"\x01\x01\x01"
    return {
        "longer": good.compress(BLANK),
        "shorter": good.compress(data[:-1]),
        "size not told": told_none,
        "more behind it": good.compress(data) + b"\0",
        "two frames": good.compress(data[: MIB // 2]) * 2,
        "cut": good.compress(data)[:-3],
        "garbled": bytes(wrong),
        "nothing": b"",
        "no frame": b"\0" * 40,
        "skippable": b"\x50\x2a\x4d\x18\x04\0\0\0abcd",
        "only a header": good.compress(data)[:9],
    }


@pytest.mark.parametrize("name", sorted(bombs()))
def test_what_is_no_frame_of_just_that_length_is_damage_s70(name):
    stored = bombs()[name]
    chunk = memoryview(bytearray(MIB))
    tracemalloc.start()
    try:
        with pytest.raises(DamageError):
            codecs.Decompressor().unpack(memoryview(stored), chunk, 1)
        assert tracemalloc.get_traced_memory()[1] < 3 * MIB
    finally:
        tracemalloc.stop()


def test_signed_and_compressed_s68(tmp_path, monkeypatch):
    key = tmp_path / "a.key"
    key.write_bytes(b"k" * 32)
    key.chmod(0o600)
    monkeypatch.setenv("OUTLAST_KEY_FILE", str(key))
    case = Case(tmp_path / "store")
    committed = case.save(1, leaf("steps", STEPS, "int64"))
    assert committed.manifest.requires == (BLAKE3, "zstd")
    assert case.read(committed.name) == {"steps": STEPS}


def test_every_way_of_reading_knows_it(case, tmp_path, capsys):
    committed = case.save(1, leaf("steps", STEPS, "int64"), leaf("noise", NOISE))
    wanted = np.frombuffer(STEPS, "int64")
    assert (Store(case.path).load("steps") == wanted).all()
    assert (Store(case.path).load("steps", mmap=True) == wanted).all()
    assert main(["export", str(tmp_path / "a.npz"), "--store", str(case.path)]) == 0
    assert (np.load(tmp_path / "a.npz")["steps"] == wanted).all()
    assert main(["verify", str(case.path)]) == 0
    capsys.readouterr()
    assert main(["show", str(case.path)]) == 0
    assert "8 MiB, zstd 1." in capsys.readouterr().out
    assert main(["show", str(case.path), "--json"]) == 0
    rows = {row["path"]: row for row in json.loads(capsys.readouterr().out)["leaves"]}
    stored = sum(codec_of(committed, "steps").sizes)
    assert (rows["steps"]["codec"], rows["steps"]["stored_bytes"]) == ("zstd", stored)
    assert "codec" not in rows["noise"]


def test_no_more_than_a_wave_is_held(case, monkeypatch):
    """S-70's writer knows no length beforehand; what it holds does not grow with the state."""
    monkeypatch.setattr(filling, "_WAVE_BYTES", 2 * MIB)
    held = []
    real = filling.Filling._packed_wave

    def watched(self, wave):
        packed = real(self, wave)
        held.append(sum(map(len, packed)))
        return packed

    monkeypatch.setattr(filling.Filling, "_packed_wave", watched)
    noisy = bytearray(NOISE)  # eight chunks, of which every second is noise: stored as it is
    for at in range(0, len(noisy), 2 * MIB):
        noisy[at : at + MIB] = bytes(MIB)
    committed = case.save(1, leaf("noisy", bytes(noisy)))
    assert codec_of(committed, "noisy").sizes[1::2] == (MIB,) * 4
    assert len(held) == 4
    assert max(held) <= 2 * MIB
    assert case.read(committed.name) == {"noisy": bytes(noisy)}


def test_a_condemned_file_is_written_anew_s51(tmp_path):
    calls = CountedCalls()
    case = Case(tmp_path / "store", calls=calls)
    real, failed = calls.fsync, []

    def once(fd):
        if not failed:
            failed.append(fd)
            raise OSError(5, "planted")
        real(fd)

    calls.fsync = once
    committed = case.save(1, leaf("steps", STEPS, "int64"), leaf("noise", NOISE))
    assert failed
    assert case.read(committed.name) == {"steps": STEPS, "noise": NOISE}


def test_nothing_is_asked_for_that_may_not_be_needed(tmp_path):
    """A nearly full disk must not refuse what fits once it is compressed."""
    calls = CountedCalls()
    asked = []
    calls.allocate = lambda _fd, size_bytes: asked.append(size_bytes)
    case = Case(tmp_path / "store", calls=calls)
    case.save(1, leaf("blank", BLANK))
    assert asked == []
    case.save(2, leaf("noise", NOISE))
    assert len(asked) == 1


def test_digests_are_of_what_was_saved_not_of_what_is_stored_s35(case):
    packed = case.save(1, leaf("steps", STEPS, "int64"))
    plain = replace(packed.manifest.leaves[0], codec=None, extents=())
    other = Writer(case.lease, SYSTEM, store=case.store.id).commit(draft(2, leaf("steps", STEPS, "int64")))
    assert replace(other.manifest.leaves[0], extents=()) == plain


def test_digests_are_taken_before_anything_is_done_to_the_bytes_s53(case, monkeypatch):
    real = codecs.Compressor.pack

    def careless(self, chunk, width):
        chunk[0] ^= 1  # the leaf's own memory
        return real(self, chunk, width)

    with monkeypatch.context() as patch:
        patch.setattr(codecs.Compressor, "pack", careless)
        patch.setattr(Chooser, "widths", lambda *_: {0: 8})
        bad = case.save(1, leaf("steps", bytearray(STEPS), "int64"))
    with case.store.source(bad.manifest) as source, pytest.raises(DamageError, match="digest of its chunk 0"):
        source.read("steps")


def test_without_the_package_it_is_refused_where_it_is_asked_for(monkeypatch):
    codecs._zstandard.cache_clear()
    monkeypatch.setitem(sys.modules, "zstandard", None)
    IO()
    with pytest.raises(UsageError, match="compress=True needs the package zstandard") as caught:
        IO(compress=True)
    assert caught.value.hint == "pip install 'outlast[zstd]'"


def test_without_the_package_it_is_no_damage_s11(case, monkeypatch):
    name = case.save(1, leaf("blank", BLANK)).name
    with monkeypatch.context() as gone:
        codecs._zstandard.cache_clear()
        gone.setitem(sys.modules, "zstandard", None)
        with pytest.raises(
            VersionError, match="leaves in it are compressed, which needs the package zstandard"
        ) as caught:
            Store(case.path).manifest(name)
        assert caught.value.hint == "pip install 'outlast[zstd]'"
    assert case.read(name) == {"blank": BLANK}


@pytest.mark.parametrize("value", ["yes", "ALWAYS", None, 2])
def test_other_words_are_refused(value):
    with pytest.raises(UsageError, match="expected False, True or 'always'"):
        IO(compress=value)


def test_it_pays_where_the_storage_is_slower_than_what_is_saved():
    tried = [Tried(1, 0.9, 2e9), Tried(4, 0.5, 1e9)]
    assert choose(tried, 1, 1e8) == 4
    assert choose(tried, 1, 6e8) is None, "half of it: 1/1e9 + 0.5/6e8 > 1/6e8"
    assert choose(tried, 2, 6e8) == 4, "two threads"
    assert choose(tried, 1, None) == 4
    assert choose([Tried(1, 0.95, 1e9)], 1, None) is None
    assert choose([Tried(1, 1.0, float("inf"))], 1, 1.0) is None


def test_a_choice_is_measured_once_in_a_while(monkeypatch):
    chooser = Chooser(SYSTEM, IO(compress=ALWAYS))
    tried = []
    real = Chooser._try
    monkeypatch.setattr(Chooser, "_try", lambda self, one: tried.append(one.path) or real(self, one))
    blank, short = leaf("blank", BLANK), leaf("short", b"a" * 1000)
    for _ in range(choosing.MEASURED_FOR_SAVES + 1):
        assert chooser.widths([(0, short), (5, blank)]) == {5: 1}
    assert tried == ["blank", "blank"]
    assert Chooser(SYSTEM, IO()).widths([(5, blank)]) == {}


def test_only_what_was_long_enough_tells_how_fast_the_storage_is():
    chooser = Chooser(SYSTEM, IO(compress=True))
    blank = [(0, leaf("blank", BLANK))]
    chooser.learn(MIB, 1.0)
    chooser.learn(64 * MIB, 0.0)
    assert chooser.widths(blank) == {}, "nothing is known of it"
    chooser.learn(64 * MIB, 64.0)
    assert chooser.widths(blank) == {0: 1}, "1 MiB a second"
    chooser.learn(64 * MIB, 1e-9)
    assert chooser.widths(blank) == {}, "judged anew at each save"


def test_a_compressed_part_does_not_tell_how_fast_the_storage_is(tmp_path, monkeypatch):
    """It would look slower than it is, compressing would look good, and so on for ever."""
    told = []
    monkeypatch.setattr(Chooser, "learn", lambda _self, size_bytes, _took_s: told.append(size_bytes))
    monkeypatch.setattr(Chooser, "widths", lambda _self, leaves: {0: 1} if leaves[0][1].path == "blank" else {})
    case = Case(tmp_path / "store", compress=True)
    case.save(1, leaf("blank", BLANK), leaf("noise", NOISE))
    assert told == []
    plain = case.save(2, leaf("noise", NOISE[::-1]))
    assert told == [plain.manifest.parts[0].size_bytes]


def test_no_byte_is_left_out_or_named_twice_s34(case):
    committed = case.save(1, leaf("steps", STEPS, "int64"), leaf("blank", BLANK), leaf("noise", NOISE))
    places = sorted((e.at, e.size_bytes) for one in committed.manifest.leaves for e in one.extents)
    for (at, size_bytes), (next_at, _) in pairwise(places):
        assert 0 <= next_at - at - size_bytes < 4096, "but for the zeros behind the last compressed one"
