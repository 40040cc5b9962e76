"""Commit: what is written, how often it is synced, and what happens when storage refuses."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path

import pytest
from safetensors import safe_open

import storekit
from outlast.errors import DamageError, SpaceError, StorageError
from outlast.format import chunks
from outlast.format.chunks import chunk_bytes_of
from outlast.format.model import LeafBytes
from outlast.store import Draft, Store
from outlast.testing import CountedCalls, Fault
from storekit import BIG, Attempt


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


def test_a_checkpoint_is_two_files_that_stock_tools_open(path: Path) -> None:
    name = Attempt.begin(path).save(12).format()
    assert name == "step-000000012.a0001"
    assert sorted(p.name for p in (path / name).iterdir()) == ["manifest.json", "part-00000.safetensors"]
    assert json.loads((path / name / "manifest.json").read_text())["step"] == 12
    with safe_open(path / name / "part-00000.safetensors", "np") as part:
        found = {key: part.get_tensor(key).tobytes() for key in part.keys()}  # noqa: SIM118
    assert found == storekit.content(12)


def test_syncs_of_a_save(path: Path) -> None:
    """S: part, its directory, the store's directory, manifest, directory again, journal: six, no more."""
    calls = CountedCalls()
    attempt = Attempt.begin(path, calls=calls)
    before = calls.counts["fsync"]
    attempt.save(1)
    assert calls.counts["fsync"] - before == 6
    before = calls.counts["fsync"]
    attempt.save(2)
    assert calls.counts["fsync"] - before == 6


def test_order_of_a_save(path: Path) -> None:
    calls = CountedCalls()
    attempt = Attempt.begin(path, calls=calls)
    start = len(calls.log)
    attempt.save(1)
    made = [c for c in calls.log[start:] if c in ("create", "link", "fsync", "unlink", "mkdir", "list", "write")]
    assert made[:3] == ["list", "mkdir", "create"]  # fence, directory, part
    links = [i for i, c in enumerate(made) if c == "link"]
    assert len(links) == 2
    part, manifest = links
    assert made[part + 1 : manifest].count("fsync") == 3  # directory, store, the manifest's own data
    assert "list" in made[part:manifest]  # the fence, before the manifest
    assert made[manifest + 1 :][:3] == ["unlink", "fsync", "list"]  # directory synced, fence again
    assert made[-2:] == ["write", "fsync"]  # the journal line, synced: only now it is acknowledged


def test_unchanged_leaves_are_named_not_written(path: Path) -> None:
    calls = CountedCalls()
    attempt = Attempt.begin(path, calls=calls, lean=2)
    sizes = []
    for step in (1, 2, 3, 4):
        before = calls.written_bytes
        attempt.save(step)
        sizes.append(calls.written_bytes - before > 2 * BIG)
    assert sizes == [True, False, False, True]  # whole, two that lean on it, whole again
    storekit.all_good(path)


def test_the_first_save_of_an_attempt_is_whole(path: Path) -> None:
    first = Attempt.begin(path)
    first.save(1)
    first.lease.end("failed")
    calls = CountedCalls()
    second = Attempt.begin(path, calls=calls)
    before = calls.written_bytes
    second.save(2)
    assert calls.written_bytes - before > 2 * BIG


def test_a_part_outlives_its_checkpoint_while_it_is_named(path: Path) -> None:
    attempt = Attempt.begin(path, lean=5)
    for step in (1, 2, 3):
        attempt.save(step, keep=1)
    assert storekit.counted_steps(path) == [3]
    assert (path / "step-000000001.a0001" / "part-00000.safetensors").exists()
    assert not (path / "step-000000002.a0001").exists()
    assert storekit.newest(path) == 3
    attempt.save(4, keep=1, frozen=False)
    assert not (path / "step-000000001.a0001").exists()


def test_saving_the_same_step_twice_makes_a_revision(path: Path) -> None:
    attempt = Attempt.begin(path)
    names = [attempt.save(7).format() for _ in range(3)]
    assert names == ["step-000000007.a0001", "step-000000007.a0001.r1", "step-000000007.a0001.r2"]
    assert Store(path).checkpoints()[0].format() == names[-1]


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ESTALE])
@pytest.mark.parametrize("lasting", [False, True])
def test_every_refusal_is_loud_and_harmless(memory: Path, code: int, lasting: bool) -> None:
    """Each storage call of a save fails once, or for good from there on: an error, or a checkpoint that restores."""
    seed = memory / "seed"
    first = Attempt.begin(seed)
    first.save(1)
    first.lease.end("failed")
    counting = CountedCalls()
    counted = Attempt.begin(storekit.copy(seed, memory / "count"), calls=counting)
    start = len(counting.log)
    counted.save(2, keep=1)
    total = len(counting.log) - start
    assert total > 20
    raised = 0
    for at in range(1, total + 1):
        path = storekit.copy(seed, memory / "work")
        calls = CountedCalls()
        attempt = Attempt.begin(path, calls=calls)
        calls.fault, calls._matched = Fault(at=at, errno=code, lasting=lasting), 0
        acknowledged = None
        try:
            attempt.save(2, keep=1)
            acknowledged = 2
        except (StorageError, OSError) as e:
            assert isinstance(e, StorageError), f"call {at}: {e!r} is not an error that says what to do"
            raised += 1
        calls.fault = None
        case = f"{errno.errorcode[code]} at call {at} of {total} ({calls.log[-1]})"
        found = storekit.newest(path)
        assert found in (1, 2), case
        assert acknowledged is None or found == 2, case
        storekit.all_good(path)
        attempt.save(3, keep=1)
        assert storekit.newest(path) == 3, case
        attempt.lease.end("done")
    assert raised > total / 3


def test_a_failed_fsync_condemns_the_file(path: Path) -> None:
    """After EIO from fsync the same inode is never synced again: the data goes to a new file."""
    calls = CountedCalls()
    attempt = Attempt.begin(path, calls=calls)
    created = calls.counts["create"]
    calls.fault, calls._matched = Fault(at=1, errno=errno.EIO, only=("fsync",)), 0
    attempt.save(1)
    assert calls.counts["create"] - created == 3  # the part twice, the manifest
    assert storekit.newest(path) == 1


def test_short_writes_are_completed(path: Path) -> None:
    class Short(CountedCalls):
        def writev(self, fd, buffers):
            return super().writev(fd, [memoryview(buffers[0])[:1000]])

    Attempt.begin(path, calls=Short()).save(1)
    assert storekit.newest(path) == 1


def test_a_lost_answer_to_link_is_not_taken_for_a_failure(path: Path) -> None:
    """NFS: the link was made, the answer was lost, the repeated request says EEXIST."""

    class Nfs(CountedCalls):
        def link(self, path, to, *, dir_fd):
            super().link(path, to, dir_fd=dir_fd)
            super().link(path, to, dir_fd=dir_fd)

    Attempt.begin(path, calls=Nfs()).save(1)
    assert storekit.newest(path) == 1


def test_modes_do_not_depend_on_the_umask(path: Path) -> None:
    old = os.umask(0)
    try:
        Attempt.begin(path).save(1)
    finally:
        os.umask(old)
    for found in [path, *path.rglob("*")]:
        mode = stat.S_IMODE(found.stat().st_mode)
        assert mode == (0o700 if found.is_dir() else 0o600), found


def test_space_error_names_path_needed_and_free(path: Path) -> None:
    calls = CountedCalls()
    attempt = Attempt.begin(path, calls=calls)
    calls.fault = Fault(at=1, errno=errno.ENOSPC, only=("write",))
    calls._matched = 0
    with pytest.raises(SpaceError, match=r"part-00000.*needed \d{6} bytes, \d+ bytes and \d+ files are free"):
        attempt.save(1)
    assert not list(path.glob("step-*"))


def test_no_environment_in_the_store(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET_TOKEN", "hunter2-hunter2")
    attempt = Attempt.begin(path)
    attempt.save(1)
    attempt.lease.end("done")
    assert not [p for p in path.rglob("*") if p.is_file() and b"hunter2" in p.read_bytes()]


@pytest.mark.parametrize(
    ("state_bytes", "chunk_bytes"),
    [(0, 1 << 20), (128 << 30, 1 << 20), ((128 << 30) + 1, 2 << 20), (2 << 40, 16 << 20), (1 << 60, 1 << 30)],
)
def test_chunks_grow_with_the_state(state_bytes: int, chunk_bytes: int) -> None:
    assert chunk_bytes_of(state_bytes) == chunk_bytes


def test_larger_chunks_are_written_shared_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state that outgrows its chunks is written whole once, and shared again from then on."""
    path = tmp_path / "store"
    attempt = Attempt.begin(path)
    attempt.save(1)
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 4096)
    monkeypatch.setattr(chunks, "_MAX_CHUNKS", 8)
    attempt.save(2)
    attempt.save(3)
    sizes = {name.step: Store(path).manifest(name).chunk_bytes for name in Store(path).checkpoints()}
    assert sizes == {1: 1 << 20, 2: 1 << 15, 3: 1 << 15}
    assert len(Store(path).manifest(Store(path).checkpoints()[0]).parts) == 2
    storekit.all_good(path)
    assert storekit.newest(path) == 3


@pytest.mark.parametrize("what", ["what reaches the disk", "memory"])
def test_digests_are_of_the_memory_before_it_is_written(path: Path, what: str) -> None:
    """S-53. A bit flips on the way to the disk, or under the write: it does not restore as if it were good."""
    memory = bytearray(b"\x5a" * BIG)

    class Garbling(CountedCalls):
        left = 1

        def writev(self, fd, buffers):
            if not any(len(buffer) == BIG for buffer in buffers) or not self.left:
                return super().writev(fd, buffers)
            self.left -= 1
            if what == "memory":
                memory[BIG // 2] ^= 4
                return super().writev(fd, buffers)
            data = bytearray().join(bytes(buffer) for buffer in buffers)
            data[-BIG // 2] ^= 4
            return super().writev(fd, [data])

    calls = Garbling()
    attempt = Attempt.begin(path, calls=calls)
    leaf = LeafBytes(path="w", dtype="uint8", shape=(BIG,), data=memoryview(memory))
    name = attempt.writer.commit(Draft(step=1, tree={"w": {"$": "array", "leaf": "w"}}, leaves=[leaf])).name
    assert calls.left == 0
    with (
        attempt.store.source(attempt.store.manifest(name)) as source,
        pytest.raises(DamageError, match="leaf w differs"),
    ):
        source.read("w")


def test_a_part_that_is_there_is_not_taken_for_ours(path: Path) -> None:
    """S-55. A killed save left a whole-looking part of the same name and size: that it exists says nothing."""
    attempt = Attempt.begin(path, lean=5)
    size = (path / attempt.save(1).format() / "part-00000.safetensors").stat().st_size
    torn = path / "step-000000002.a0001"
    torn.mkdir()
    (torn / "part-00000.safetensors").write_bytes(bytes(size))
    assert attempt.save(2, frozen=False).format() == "step-000000002.a0001.r1"
    storekit.all_good(path)
    assert storekit.newest(path) == 2
