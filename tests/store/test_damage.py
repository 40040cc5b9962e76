"""Damage: any changed byte of any file is noticed; what is damaged is set aside and the one before is used."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import outlast
import storekit
from outlast.backends import host
from outlast.cli.main import main as cli
from outlast.errors import DamageError, NothingError, OutlastError, StorageError, VersionError
from outlast.store import Store
from outlast.testing import CountedCalls
from storekit import Attempt


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    attempt = Attempt.begin(path, lean=0)
    attempt.save(1)
    attempt.save(2)
    attempt.lease.end("failed")
    return path


def flip(path: Path, at: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.write_bytes(data)


def cases(path: Path, count: int) -> list[tuple[int, int]]:
    size = path.stat().st_size
    chosen = random.Random(5).sample(range(size), min(count, size))
    return [(at, (at * 7) % 8) for at in {0, 1, 7, 8, size - 1, size // 2, *chosen}]


@pytest.mark.parametrize("file", ["part-00000.safetensors", "manifest.json"])
def test_flipped_bits_in_the_newest_checkpoint(path: Path, tmp_path: Path, file: str) -> None:
    target = path / "step-000000002.a0001" / file
    whole = target.read_bytes()
    for at, bit in cases(target, 120):
        target.write_bytes(whole)
        flip(target, at, bit)
        assert storekit.newest(path) == 1, f"bit {bit} of byte {at} of {file}"
    target.write_bytes(whole)
    assert storekit.newest(path) == 2


@pytest.mark.parametrize("file", ["part-00000.safetensors", "manifest.json"])
def test_cuts_and_growth(path: Path, file: str) -> None:
    target = path / "step-000000002.a0001" / file
    whole = target.read_bytes()
    for size in (0, 1, 8, len(whole) // 2, len(whole) - 1):
        target.write_bytes(whole[:size])
        assert storekit.newest(path) == 1, f"{file} cut to {size}"
    target.write_bytes(whole + b"\0")
    assert storekit.newest(path) == 1
    target.unlink()
    assert storekit.newest(path) == 1


def test_swapped_files(path: Path) -> None:
    old, new = path / "step-000000001.a0001", path / "step-000000002.a0001"
    part = (new / "part-00000.safetensors").read_bytes()
    shutil.copy(old / "part-00000.safetensors", new / "part-00000.safetensors")
    assert storekit.newest(path) == 1
    (new / "part-00000.safetensors").write_bytes(part)
    shutil.copy(old / "manifest.json", new / "manifest.json")
    with pytest.raises(DamageError, match="misplaced"):
        Store(path).manifest(Store(path).checkpoints()[0])


def test_a_manifest_of_another_store(path: Path, tmp_path: Path) -> None:
    other = Attempt.begin(tmp_path / "other", lean=0)
    other.save(1)
    other.save(2)
    for file in ("manifest.json", "part-00000.safetensors"):
        shutil.copy(tmp_path / "other" / "step-000000002.a0001" / file, path / "step-000000002.a0001" / file)
    with pytest.raises(DamageError, match="belongs to store"):
        Store(path).manifest(Store(path).checkpoints()[0])


def test_quarantine_keeps_the_damage_and_goes_on(path: Path) -> None:
    part = path / "step-000000002.a0001" / "part-00000.safetensors"
    flip(part, part.stat().st_size - 1)
    damaged = part.read_bytes()
    attempt = Attempt.begin(path)
    assert attempt.restore() == 1
    (moved,) = (path / "quarantine").iterdir()
    assert moved.name.startswith("step-000000002.a0001-")
    assert (moved / "part-00000.safetensors").read_bytes() == damaged
    assert not (path / "step-000000002.a0001").exists()
    attempt.save(2)
    assert storekit.newest(path) == 2


def test_of_two_damaged_manifests_nothing_is_deleted(path: Path) -> None:
    """While the second cannot be read, it may name the parts of the first: they follow later."""
    for step in (1, 2):
        flip(path / f"step-00000000{step}.a0001" / "manifest.json", 30)
    attempt = Attempt.begin(path)
    assert attempt.restore() is None
    attempt.save(3, keep=1)
    kept = sorted(p.name for p in (path / "quarantine").rglob("*") if p.is_file())
    assert kept == ["manifest.json"] * 2 + ["part-00000.safetensors"] * 2
    assert sorted(p.name for p in path.glob("step-*")) == ["step-000000003.a0002"]


def test_a_damaged_part_that_others_name_stays_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "shared"
    attempt = Attempt.begin(path, lean=5)
    attempt.save(1)
    attempt.save(2)  # names the frozen leaf in the part of 1
    manifest = Store(path).manifest(Store(path).checkpoints()[1])
    own = next(leaf for leaf in manifest.leaves if leaf.path == "model/w")
    flip(path / "step-000000001.a0001" / "part-00000.safetensors", own.extents[0].at + 5)
    attempt.pruner.quarantine(Store(path).checkpoints()[1], "test")
    assert storekit.newest(path) == 2
    storekit.all_good(path)


def test_nothing_is_pruned_while_a_manifest_is_unreadable(path: Path) -> None:
    flip(path / "step-000000001.a0001" / "manifest.json", 30)
    attempt = Attempt.begin(path)
    attempt.save(3)
    before = sorted(str(p) for p in path.rglob("*") if "journal" not in str(p))
    with pytest.raises(DamageError):
        attempt.prune(1)
    assert sorted(str(p) for p in path.rglob("*") if "journal" not in str(p)) == before


def test_the_newest_is_never_removed(path: Path) -> None:
    attempt = Attempt.begin(path)
    attempt.pruner.remove(Store(path).checkpoints())
    assert storekit.counted_steps(path) == [2]


def test_damaged_outlast_json_and_journal(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flip(path / "outlast.json", 20)
    store = Store(path)
    assert any("taken from what else is in it" in text for text in store.warnings)
    assert storekit.newest(path) == 2
    journal = path / "journal" / "a0001.jsonl"
    flip(journal, journal.stat().st_size - 40)
    assert storekit.newest(path) == 2
    assert cli(["verify", str(path)]) == 3
    said = capsys.readouterr().out
    assert "outlast.json" in said
    assert "journal/a0001.jsonl" in said


def test_every_bit_of_the_small_files_is_noticed_by_verify(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("outlast.json", "journal/a0001.jsonl"):
        target = path / name
        whole = target.read_bytes()
        for at in range(0, len(whole), 11):
            target.write_bytes(whole)
            flip(target, at, at % 8)
            status = cli(["verify", str(path)])
            is_torn_end = name.startswith("journal") and b"\n" not in target.read_bytes()[-1:]
            assert status == 3 or is_torn_end, f"bit {at % 8} of byte {at} of {name}"
        target.write_bytes(whole)
    assert cli(["verify", str(path)]) == 0
    capsys.readouterr()


def test_a_newer_format_is_refused_and_nothing_touched(path: Path) -> None:
    from outlast.format.envelope import seal

    about = {"format": "outlast-store", "version": 2, "store": "0" * 32, "created": "x"}
    (path / "outlast.json").write_bytes(seal(about))
    before = {p: p.stat().st_mtime_ns for p in path.rglob("*")}
    with pytest.raises(VersionError, match="store format 2, this outlast knows 1"):
        Store(path, create=True)
    assert {p: p.stat().st_mtime_ns for p in path.rglob("*")} == before


@pytest.mark.parametrize("place", ["here", "elsewhere"])
def test_readers_change_nothing(path: Path, capsys: pytest.CaptureFixture[str], place: str) -> None:
    if place == "elsewhere":  # a live writer of which only the heartbeat is seen
        Store(path).claim(identity=replace(host.me(), host="node7", boot="another"), takeover=True)
    before = {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in [path, *path.rglob("*")]}
    for verb in ("ls", "show", "verify", "status"):
        assert cli([verb, str(path)]) == 0
    assert cli(["diff", "--store", str(path)]) == 0
    assert {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in [path, *path.rglob("*")]} == before
    capsys.readouterr()


@pytest.mark.parametrize("what", ["link to a file", "link to a directory", "fifo", "directory"])
def test_planted_things_are_not_followed(path: Path, tmp_path: Path, what: str) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"x" * 1000)
    part = path / "step-000000002.a0001" / "part-00000.safetensors"
    part.unlink()
    if what == "link to a file":
        part.symlink_to(secret)
    elif what == "fifo":
        os.mkfifo(part)
    elif what == "directory":
        part.mkdir()
    else:
        folder = path / "step-000000002.a0001"
        shutil.rmtree(folder)
        (tmp_path / "elsewhere").mkdir()
        folder.symlink_to(tmp_path / "elsewhere")
    assert storekit.newest(path) == 1


def test_a_missing_store_is_said(tmp_path: Path) -> None:
    with pytest.raises(NothingError, match="there is no store"):
        Store(tmp_path / "nothing")
    (tmp_path / "other").mkdir()
    with pytest.raises(NothingError, match="is not a store"):
        Store(tmp_path / "other")
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutlastError):
        Store(tmp_path / "file" / "store", create=True)


class _Denied(CountedCalls):
    """Storage that denies the names in `names`, as network storage does from a stale look-up; listings are right."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = names

    def _deny(self, path: str) -> None:
        if path in self.names:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    def open(self, path, flags, mode=0o600, *, dir_fd=None):
        self._deny(path)
        return super().open(path, flags, mode, dir_fd=dir_fd)


def test_a_manifest_that_cannot_be_removed_keeps_the_parts_that_it_names(tmp_path: Path) -> None:
    attempt = Attempt.begin(tmp_path / "s")
    attempt.save(1)
    attempt.save(2)  # names bytes of 1
    attempt.save(3, frozen=False)
    attempt.pruner.look()

    class Denied(CountedCalls):
        def unlink(self, path, *, dir_fd):
            if path == "manifest.json" and self.counts["unlink"] == 1:  # of 2: that of 1 has gone
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            super().unlink(path, dir_fd=dir_fd)

    attempt.store.backend.calls = Denied()
    with pytest.raises(StorageError, match="stale names"):
        attempt.prune(1)
    assert storekit.counted_steps(tmp_path / "s") == [3, 2]
    storekit.all_good(tmp_path / "s")


@pytest.mark.parametrize("denied", ["step-000000002.a0001", "journal"])
def test_a_claim_that_sees_a_name_and_not_the_directory_hides_nothing(tmp_path: Path, denied: str) -> None:
    path = tmp_path / "s"
    first = Attempt.begin(path)
    first.save(1)
    first.save(2)
    first.lease.end("failed")
    for journal in (path / "journal").iterdir():  # too long ago to be looked at for its own sake
        os.utime(journal, (0, 0))
    calls = _Denied(denied)
    with contextlib.suppress(StorageError):
        Attempt.begin(path, calls=calls).lease.end("failed")
    assert storekit.newest(path) == 2
    assert storekit.counted_steps(path) == [2, 1]


def test_a_fresh_start_is_refused_where_a_journal_cannot_be_read(tmp_path: Path, capfd) -> None:
    """What it says may be that something was saved."""
    path = tmp_path / "s"
    first = Attempt.begin(path)
    first.save(1)
    first.lease.end("failed")
    shutil.rmtree(path / "step-000000001.a0001")
    journal = path / "journal" / "a0001.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"saved"', b'"sawed"'))
    with pytest.raises(DamageError, match="the journal of attempt 1 is damaged"), outlast.Run(path, {"x": 1}):
        pass
