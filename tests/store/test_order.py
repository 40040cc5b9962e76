"""What is synced, linked and removed, by name and in order: kills cannot show it, for the page cache lives on."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import outlast
import storekit
from outlast.backends import Syscalls
from outlast.errors import DamageError, FencedError, OutlastError, StorageError
from outlast.format import manifest as manifests
from outlast.run.events import Events
from outlast.run.restore import restore
from outlast.store import Store
from outlast.testing import CountedCalls, Fault
from storekit import Attempt


class Named(Syscalls):
    """The real calls, with the path of everything that changes names or is synced; random parts of names stand as *."""

    def __init__(self, root: Path) -> None:
        self.log: list[str] = []
        self.root = root
        self.paths: dict[int, str] = {}

    def open(self, path: str, flags: int, mode: int = 0o600, *, dir_fd: int | None = None) -> int:
        fd = super().open(path, flags, mode, dir_fd=dir_fd)
        self.paths[fd] = path if dir_fd is None else os.path.join(self.paths[dir_fd], path)
        return fd

    def _note(self, what: str, path: str) -> None:
        name = os.path.relpath(path, self.root)
        name = "/".join(part.partition("-")[0] + "-*" if part.startswith((".tmp", ".trash")) else part
                        for part in name.split("/"))  # fmt: skip
        if name.startswith("quarantine/"):
            name = name[:29] + "*" + name[36:]
        self.log.append(f"{what} {name}")

    def fsync(self, fd: int) -> None:
        super().fsync(fd)
        self._note("sync", self.paths[fd])

    def link(self, path: str, to: str, *, dir_fd: int) -> None:
        super().link(path, to, dir_fd=dir_fd)
        self._note("link", os.path.join(self.paths[dir_fd], to))

    def unlink(self, path: str, *, dir_fd: int) -> None:
        super().unlink(path, dir_fd=dir_fd)
        self._note("unlink", os.path.join(self.paths[dir_fd], path))

    def rename(self, path: str, to: str, *, dir_fd: int, to_dir_fd: int) -> None:
        super().rename(path, to, dir_fd=dir_fd, to_dir_fd=to_dir_fd)
        self._note("move to", os.path.join(self.paths[to_dir_fd], to))

    def mkdir(self, path: str, mode: int = 0o700, *, dir_fd: int | None = None) -> None:
        super().mkdir(path, mode, dir_fd=dir_fd)
        self._note("mkdir", path if dir_fd is None else os.path.join(self.paths[dir_fd], path))

    def rmdir(self, path: str, *, dir_fd: int) -> None:
        super().rmdir(path, dir_fd=dir_fd)
        self._note("rmdir", os.path.join(self.paths[dir_fd], path))


def published(path: str) -> list[str]:
    folder = path.rpartition("/")[0]
    temporary = f"{folder}/.tmp-*" if folder else ".tmp-*"
    return [f"sync {temporary}", f"link {path}", f"unlink {temporary}"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


def saved(name: str, attempt: int = 1) -> list[str]:
    return [
        f"mkdir {name}",
        *published(f"{name}/part-00000.safetensors"),
        f"sync {name}",
        "sync .",
        *published(f"{name}/manifest.json"),
        f"sync {name}",
        f"sync journal/a{attempt:04d}.jsonl",
    ]


def test_a_store_is_made_durable_with_its_parents_and_then_claimed(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    calls = Named(path)
    Attempt.begin(path, calls=calls)
    above = [line for line in calls.log if line.startswith("sync ../../..")]  # as far as the file system reaches
    assert [line for line in calls.log if line not in above] == [
        "mkdir ..", "sync ../..",
        "mkdir .", "sync ..",
        "sync ..", "sync ../..", *published("outlast.json"), "sync .",
        "mkdir journal", "sync .",
        *published("journal/a0001.jsonl"), "sync journal",
        "sync journal/a0001.jsonl",  # the adopt line
    ]  # fmt: skip


def test_the_name_of_a_directory_that_was_there_is_made_durable_too(path: Path) -> None:
    """An earlier start may have died between making and syncing it, and those above it."""
    path.mkdir()
    calls = Named(path)
    Store(path, create=True, calls=calls)
    assert calls.log[:2] == ["sync ..", "sync ../.."]


def test_a_refusal_above_the_parent_is_passed_over(path: Path) -> None:
    """What stands there is most likely not ours; the parent's own sync must not fail."""

    class Refusing(Named):
        refused = "sync ../.."

        def fsync(self, fd: int) -> None:
            super().fsync(fd)
            if self.log[-1] == self.refused:
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    path.mkdir()
    assert Store(path, create=True, calls=Refusing(path)).is_new
    other = Refusing(path.parent / "other")
    other.refused = "sync .."
    with pytest.raises(StorageError, match="Invalid argument"):
        Store(other.root, create=True, calls=other)


def test_what_was_found_is_made_durable_before_others_build_on_it(path: Path) -> None:
    """Who made it may have been killed before its sync: the journals' directory, a checkpoint, one that was removed."""
    seed = Attempt.begin(path, lean=0)
    for step in (1, 2, 3):
        seed.save(step)
    (path / "step-000000002.a0001" / "manifest.json").unlink()
    seed.lease.end("failed")
    os.utime(path / "journal" / "a0001.jsonl", (0, 0))  # long ago: listings are not doubted
    calls = Named(path)
    attempt = Attempt.begin(path, calls=calls)
    assert calls.log[0] == "sync ."  # journal/ is in it
    calls.log.clear()
    attempt.prune(1)
    one, two, three = (f"step-{step:09d}.a0001" for step in (1, 2, 3))
    assert calls.log[:6] == [
        f"sync {three}", f"unlink {one}/manifest.json", f"sync {one}",
        f"sync {two}", "move to .trash-*", "unlink .trash-*/part-00000.safetensors",
    ]  # fmt: skip


def test_order_of_a_save_and_of_one_that_keeps_one(path: Path) -> None:
    calls = Named(path)
    attempt = Attempt.begin(path, calls=calls, lean=0)
    calls.log.clear()
    attempt.save(1)
    assert calls.log == saved("step-000000001.a0001")
    calls.log.clear()
    attempt.save(2, keep=1)
    old = "step-000000001.a0001"
    assert calls.log == [
        *saved("step-000000002.a0001"),
        f"unlink {old}/manifest.json",
        f"sync {old}",  # before any of its bytes go
        "move to .trash-*",
        "unlink .trash-*/part-00000.safetensors",
        "rmdir .trash-*",
    ]


def test_order_of_a_quarantine(path: Path) -> None:
    calls = Named(path)
    attempt = Attempt.begin(path, calls=calls, lean=0)
    name = attempt.save(1)
    calls.log.clear()
    attempt.pruner.quarantine(name, "as asked")
    aside = "quarantine/step-000000001.*"
    assert [line.replace("step-000000001.a0001-", "step-000000001.*")[:60] for line in calls.log][:1] == [
        "mkdir quarantine"
    ]
    kinds = [line.partition(" ")[0] if "quarantine/" not in line else line.split("/")[0] for line in calls.log]
    assert kinds == [
        "mkdir", "sync", "mkdir quarantine", "sync",
        "move to quarantine", "sync quarantine", "sync", "sync", "move to quarantine", "sync quarantine", "rmdir",
    ], (aside, calls.log)  # fmt: skip
    assert "sync step-000000001.a0001" in calls.log


def test_a_failed_save_takes_its_manifest_back_before_its_part(path: Path) -> None:
    """The directory's sync after the link fails: the outcome is unknown."""

    class Failing(Named):
        is_armed = False

        def fsync(self, fd: int) -> None:
            if self.is_armed and self.log[-1] == "unlink step-000000001.a0001/.tmp-*" and "manifest" in self.log[-2]:
                raise OSError(errno.EIO, "as asked")
            super().fsync(fd)

    calls = Failing(path)
    attempt = Attempt.begin(path, calls=calls)
    calls.is_armed = True
    with pytest.raises(StorageError):
        attempt.save(1)
    name = "step-000000001.a0001"
    assert calls.log[-4:] == [
        f"unlink {name}/manifest.json",
        f"sync {name}",
        f"unlink {name}/part-00000.safetensors",
        f"rmdir {name}",
    ]


# -- what only another one's doing at the right moment shows ------------------------------------------------


def test_a_number_is_claimed_by_one_only(path: Path) -> None:
    """Another start claims the same number just before our link."""
    Store(path, create=True)
    calls = CountedCalls()

    def compete(name: str) -> None:
        if name == "link":
            calls.hook = None
            Store(path).claim().end("failed")

    calls.hook = compete
    assert Store(path, calls=calls).claim().attempt == 2
    assert [log.first("claim")["attempt"] for log in Store(path).attempts()] == [1, 2]


def test_a_live_attempt_that_claims_meanwhile_is_not_overtaken(path: Path) -> None:
    """It claims and saves between our two listings."""
    Store(path, create=True)
    calls = CountedCalls()

    def compete(name: str) -> None:
        if name == "list" and calls.counts["list"] == first + 3:
            calls.hook = None
            Attempt.begin(path).save(1)

    store = Store(path, calls=calls)
    first = calls.counts["list"]
    calls.hook = compete
    with pytest.raises(outlast.BusyError, match="still lives"):
        store.claim()
    assert calls.hook is None


def test_what_is_published_until_the_claim_is_adopted(path: Path) -> None:
    """The claim comes first, then the stock-taking: else a save in between would be lost."""
    old = Attempt.begin(path)
    old.save(1)
    calls = CountedCalls()
    store = Store(path, calls=calls)

    def publish(name: str) -> None:
        if name == "link":
            calls.hook = None
            old.save(2)

    calls.hook = publish
    store.claim(takeover=True)
    assert storekit.counted_steps(path) == [2, 1]
    adopted = Store(path).attempts()[-1].first("adopt")["checkpoints"]
    assert all(len(digest) == 32 for digest in adopted.values())  # by what was seen, not by the journal's word


def test_an_acknowledged_checkpoint_that_a_stale_listing_hides_is_adopted_and_not_swept(path: Path) -> None:
    first = Attempt.begin(path, lean=0)
    first.save(1)
    first.save(2)
    first.lease.end("failed")

    class Stale(Syscalls):
        is_stale = True

        def scandir(self, fd: int) -> list[tuple[str, bool, bool]]:
            hidden = ("step-000000002.a0001", "manifest.json") if self.is_stale else ()
            return [entry for entry in super().scandir(fd) if entry[0] not in hidden]

    calls = Stale()
    second = Attempt.begin(path, calls=calls, lean=0)
    with pytest.raises(StorageError, match="was saved a moment ago and is not visible yet"):
        second.pruner.remove([])  # it may name what would go
    second.pruner.sweep(counted=(), gone=())
    calls.is_stale = False
    assert storekit.counted_steps(path) == [2, 1]
    storekit.all_good(path)


def test_a_look_up_that_fails_once_removes_nothing(memory: Path) -> None:
    """ENOENT at any single call of a save with keep=1: the newest acknowledged one is there and whole."""
    path = memory / "store"
    counting = CountedCalls()
    attempt = Attempt.begin(path, calls=counting, lean=0)
    attempt.save(1)
    start = len(counting.log)
    attempt.save(2, keep=1)
    total = len(counting.log) - start
    shutil.rmtree(path)
    for at in range(1, total + 1):
        calls = CountedCalls()
        attempt = Attempt.begin(path, calls=calls, lean=0)
        attempt.save(1)
        calls.fault, calls._matched = Fault(at=at, errno=errno.ENOENT), 0
        acknowledged = 1
        try:
            attempt.save(2)
            acknowledged = 2
            attempt.prune(1)
        except (OutlastError, FileNotFoundError) as e:
            assert isinstance(e, OutlastError) or acknowledged == 2, f"call {at}: {e!r} out of a save"
        calls.fault = None
        assert storekit.newest(path) in ({2} if acknowledged == 2 else {1, 2}), f"call {at}: {calls.log[start:]}"
        storekit.all_good(path)
        shutil.rmtree(path)


def test_a_fenced_attempt_quarantines_nothing(path: Path) -> None:
    zombie = Attempt.begin(path)
    name = zombie.save(1)
    Attempt.begin(path, takeover=True)
    with pytest.raises(FencedError):
        zombie.pruner.quarantine(name, "as asked")
    assert storekit.newest(path) == 1
    assert not (path / "quarantine").exists()


def test_a_store_that_was_replaced_is_not_written_to(path: Path) -> None:
    attempt = Attempt.begin(path)
    attempt.save(1)
    path.rename(path.with_name("moved"))
    with pytest.raises(StorageError, match=r"is gone"):
        attempt.save(2)
    Store(path, create=True)
    with pytest.raises(StorageError, match=r"the journal of this attempt \(1\) is gone"):
        attempt.save(3)
    assert storekit.counted_steps(path) == []
    assert storekit.newest(path.with_name("moved")) == 1


def test_a_claim_that_failed_does_not_lock_out_the_next(path: Path) -> None:
    Store(path, create=True).claim().end("failed")
    counting = CountedCalls()
    Store(path, calls=counting).claim().end("failed")
    for at in range(1, len(counting.log) + 1):
        work = storekit.copy(path, path.with_name("work"))
        calls = CountedCalls(Fault(at=at, errno=errno.EIO))
        try:
            lease = Store(work, calls=calls).claim()
            calls.fault = None
            lease.end("failed")
        except OutlastError:
            pass
        assert Store(work).claim().attempt in (3, 4), f"call {at}"


def test_an_adopted_manifest_cannot_be_replaced_by_another_valid_one(path: Path) -> None:
    first = Attempt.begin(path)
    first.save(1)
    first.save(2)
    first.lease.end("failed")
    Attempt.begin(path).lease.end("failed")
    file = path / "step-000000002.a0001" / "manifest.json"
    other = replace(manifests.decode(file.read_bytes()), created="2001-01-01T00:00:00Z")
    file.write_bytes(manifests.encode(other))
    with pytest.raises(DamageError, match="is not the manifest that a later attempt adopted"):
        Store(path).manifest(Store(path).checkpoints()[0])
    assert storekit.newest(path) == 1


# -- errors of reading, and of the last call ------------------------------------------------------------------


def test_a_prune_that_cannot_read_a_manifest_removes_nothing(path: Path) -> None:
    """The unreadable one may name the parts of those that go."""
    first = Attempt.begin(path, lean=5)
    for step in (1, 2, 3):
        first.save(step)
    first.lease.end("failed")
    counting = CountedCalls()
    Attempt.begin(storekit.copy(path, path.with_name("count")), calls=counting).prune(1)
    for at in range(1, counting.counts["read"] + 1):
        work = storekit.copy(path, path.with_name("work"))
        calls = CountedCalls(Fault(at=at, errno=errno.EIO, only=("read",)))
        with contextlib.suppress(OutlastError):
            Attempt.begin(work, calls=calls).prune(1)
        assert set(storekit.counted_steps(work)) in ({1, 2, 3}, {3}), f"read {at}"
        storekit.all_good(work)  # no part went that a manifest names


def test_what_cannot_be_read_now_is_passed_over_and_stays_where_it_is(path: Path, capfd) -> None:
    first = Attempt.begin(path, lean=0)
    first.save(1)
    first.save(2)
    first.lease.end("failed")

    class Refusing(Syscalls):
        def open(self, name: str, flags: int, mode: int = 0o600, *, dir_fd: int | None = None) -> int:
            if name == "step-000000002.a0001":
                raise OSError(errno.EIO, "as asked")
            return super().open(name, flags, mode, dir_fd=dir_fd)

    attempt = Attempt.begin(path, calls=Refusing())
    state = {"model": {"w": None, "frozen": None, "empty": None}, "t": None, "step": 0}
    found = restore(attempt.store, attempt.pruner, state, Events(attempt.store.clock), allow=["*"], heed=lambda: None)
    assert found.manifest.step == 1
    assert "step-000000002.a0001 cannot be read now" in capfd.readouterr().err
    assert storekit.newest(path) == 2
    assert not (path / "quarantine").exists()


def test_a_manifest_that_cannot_be_read_now_is_not_damage(path: Path, capfd) -> None:
    first = Attempt.begin(path, lean=0)
    first.save(1)
    first.save(2)
    first.lease.end("failed")
    calls = CountedCalls()
    attempt = Attempt.begin(path, calls=calls)

    def refuse(name: str) -> None:
        if name == "read" and not seen:
            seen.append(name)
            raise OSError(errno.EIO, "as asked")

    seen: list[str] = []
    state = {"model": {"w": None, "frozen": None, "empty": None}, "t": None, "step": 0}
    real = attempt.store.read

    def read(found):
        calls.hook = refuse if found.name.step == 2 else None
        return real(found)

    attempt.store.read = read
    found = restore(attempt.store, attempt.pruner, state, Events(attempt.store.clock), allow=["*"], heed=lambda: None)
    calls.hook = None
    assert (found.manifest.step, seen) == (1, ["read"])
    assert storekit.newest(path) == 2
    assert not (path / "quarantine").exists()
    capfd.readouterr()


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOENT])
def test_a_directory_that_cannot_be_listed_stops_every_removal(path: Path, number: int) -> None:
    """Its manifest may name the parts of the others."""
    first = Attempt.begin(path, lean=5)
    for step in (1, 2, 3):
        first.save(step)

    class Refusing(Syscalls):
        is_refusing = True

        def open(self, name: str, flags: int, mode: int = 0o600, *, dir_fd: int | None = None) -> int:
            if name == "step-000000002.a0001" and self.is_refusing:
                raise OSError(number, "as asked")
            return super().open(name, flags, mode, dir_fd=dir_fd)

    first.lease.backend.calls = Refusing()
    for work in (lambda: first.prune(1), lambda: first.pruner.sweep(counted=(), gone=())):
        with pytest.raises(StorageError, match=r"step-000000002.a0001 cannot be listed"):
            work()
    first.lease.backend.calls.is_refusing = False
    assert storekit.counted_steps(path) == [3, 2, 1]
    storekit.all_good(path)


def test_a_fenced_writer_whose_save_fails_leaves_what_the_newer_one_adopted(path: Path) -> None:
    """It links its manifest, is taken over from, and then its directory's sync fails."""
    calls = CountedCalls()
    zombie = Attempt.begin(path, calls=calls)

    def strike(name: str) -> None:
        if name == "fsync" and (path / "step-000000002.a0001" / "manifest.json").exists():
            calls.hook = None
            newer.append(Attempt.begin(path, takeover=True))
            assert newer[0].restore() == 2
            raise OSError(errno.EIO, "as asked")

    newer: list[Attempt] = []
    calls.hook = strike
    with pytest.raises(OutlastError):
        zombie.save(2)
    assert storekit.newest(path) == 2
    storekit.all_good(path)


def test_what_was_put_back_from_quarantine_is_pruned_as_any_other(path: Path) -> None:
    first = Attempt.begin(path, lean=0)
    for step in (1, 2, 3):
        name = first.save(step)
    first.pruner.quarantine(name, "as asked")
    (aside,) = (path / "quarantine").iterdir()
    shutil.copytree(aside, path / name.format())
    first.lease.end("failed")
    for step in (4, 5):
        attempt = Attempt.begin(path, lean=0)
        attempt.save(step)
        attempt.prune(1)
        attempt.lease.end("failed")
    assert storekit.counted_steps(path) == [5]
    assert sorted(p.name for p in path.glob("step-*")) == ["step-000000005.a0003"]
    assert len(list((path / "quarantine").iterdir())) == 1


def test_a_cut_back_knows_of_what_an_earlier_one_could_not_cut(path: Path) -> None:
    """A torn append whose cut failed, a good line, and another failed append: the good line stays."""
    calls = CountedCalls()
    attempt = Attempt.begin(path, calls=calls)
    journal = attempt.lease.journal

    class Torn(CountedCalls):
        cuts = False

        def writev(self, fd: int, buffers) -> int:
            super().writev(fd, [bytes(buffers[0])[:40]])
            raise OSError(errno.ENOSPC, "as asked")

        def truncate(self, fd: int, size_bytes: int) -> None:
            if not self.cuts:
                raise OSError(errno.EIO, "as asked")
            super().truncate(fd, size_bytes)

    torn = Torn()
    attempt.lease.backend.calls = torn
    with pytest.raises(outlast.SpaceError):
        journal.record("note", text="torn")
    attempt.lease.backend.calls = calls
    journal.record("saved", checkpoint="step-000000001.a0001", step=1)
    torn.cuts = True
    attempt.lease.backend.calls = torn
    with pytest.raises(outlast.SpaceError):
        journal.record("note", text="torn again")
    assert Store(path).attempts()[0].last("saved")["step"] == 1


def test_a_quarantine_alone_forbids_a_fresh_start(path: Path) -> None:
    Store(path, create=True)
    (path / "quarantine" / "step-000000001.a0001-00aa11").mkdir(parents=True)
    with pytest.raises(DamageError, match="1 in quarantine"):
        outlast.Run(path, {"x": 1}).__enter__()


def test_after_a_failed_save_nothing_is_shared(path: Path) -> None:
    calls = CountedCalls()
    attempt = Attempt.begin(path, calls=calls, lean=5)
    attempt.save(1)
    calls.fault, calls._matched = Fault(at=1, errno=errno.ENOSPC, only=("write",)), 0
    with pytest.raises(outlast.SpaceError):
        attempt.save(2)
    calls.fault = None
    name = attempt.save(3)
    parts = Store(path).manifest(name).parts
    assert [part.path.split("/")[0] for part in parts] == [name.format()]
    assert len(Store(path).manifest(attempt.save(4)).parts) == 2  # and from then on it is again


def test_a_shared_part_that_vanishes_while_we_save_is_noticed(path: Path) -> None:
    calls = CountedCalls()
    attempt = Attempt.begin(path, calls=calls, lean=5)
    attempt.save(1)

    def vanish(name: str) -> None:
        if name == "link" and calls.counts["link"] == before + 2:  # of the manifest
            (path / "step-000000001.a0001" / "part-00000.safetensors").unlink()

    before = calls.counts["link"]
    calls.hook = vanish
    with pytest.raises(StorageError, match="whose bytes this checkpoint names"):
        attempt.save(2)
    assert [event["step"] for event in Store(path).attempts()[0].events if event["event"] == "saved"] == [1]


def test_a_sweep_leaves_the_directories_of_newer_attempts_alone(path: Path) -> None:
    attempt = Attempt.begin(path)
    attempt.save(1)
    newer = path / "step-000000005.a0009"
    newer.mkdir()
    older = path / "step-000000005.a0001"
    older.mkdir()
    attempt.pruner.remove([])
    assert newer.exists()
    assert not older.exists()


def test_an_error_at_the_close_of_the_data_is_an_error_of_the_data(path: Path) -> None:
    """NFS and quotas tell it there: the file is written anew."""
    counting = CountedCalls()
    attempt = Attempt.begin(path, calls=counting, lean=0)
    start = len(counting.log)
    attempt.save(1)
    log = counting.log[start:]
    at = log[: log.index("write") + 4].count("close")  # of the file that was written first: the part
    calls = CountedCalls()
    other = Attempt.begin(path.with_name("other"), calls=calls, lean=0)
    calls.fault, calls._matched = Fault(at=at, errno=errno.EIO, only=("close",)), 0
    before = calls.counts["create"]
    other.save(1)
    assert calls._matched >= at
    assert calls.counts["create"] - before == 3  # the part twice, the manifest once
    assert storekit.newest(path.with_name("other")) == 1


def test_a_byte_budget_is_kept_on_disk_with_shared_parts(path: Path) -> None:
    rng = outlast.RNG()
    import numpy as np

    state = {"fixed": np.zeros(40_000), "moving": np.zeros(20_000), "rng": rng}
    budget = 1_000_000
    with outlast.Run(path, state, every=1, keep=outlast.Keep(newest=10, bytes=budget)) as run:
        for step in run.steps(30):
            state["moving"] += 1
            if step % 7 == 0:
                state["fixed"] += 1
            run.wait()
            held = sum(p.stat().st_size for p in path.glob("step-*/*"))
            assert held <= budget + 600_000, step  # the one that was just written comes on top, until the next prune
    assert sum(p.stat().st_size for p in path.glob("step-*/*")) <= budget


# -- what else a planted bug survived ---------------------------------------------------------------------------


def test_the_fence_is_asked_before_each_removal(path: Path) -> None:
    """A newer attempt claims while the older one is in the middle of its removals."""
    calls = CountedCalls()
    zombie = Attempt.begin(path, calls=calls, lean=0)
    for step in (1, 2, 3, 4):
        zombie.save(step)
    for step in (5, 6):  # left by killed saves
        (path / f"step-{step:09d}.a0001").mkdir()

    def take_over(name: str) -> None:
        if name == "unlink":
            calls.hook = None
            Attempt.begin(path, takeover=True)

    calls.hook = take_over
    with pytest.raises(FencedError):
        zombie.prune(1)
    assert storekit.counted_steps(path) == [4, 3, 2]  # the first was under way

    calls.hook = None
    again = Attempt.begin(path, calls=calls, takeover=True)
    before = sorted(p.name for p in path.glob("step-*"))
    calls.hook = lambda name: take_over("unlink") if name == "rename" else None
    with pytest.raises(FencedError):
        again.pruner.sweep(counted=again.pruner.look()[0], gone=())
    left = sorted(p.name for p in path.glob("step-*"))
    assert len(before) - len(left) == 1  # of three directories without a manifest, the one that was under way


def test_a_directory_that_shows_its_manifest_when_it_was_moved_is_put_back(path: Path) -> None:
    """Its listing was stale; nothing says that it was committed: no journal of the last minutes, not in memory."""
    first = Attempt.begin(path, lean=0)
    first.save(1)
    first.save(2)
    first.lease.end("failed")
    for file in (path / "journal").iterdir():
        os.utime(file, (file.stat().st_mtime - 1000,) * 2)

    class Stale(Syscalls):
        def scandir(self, fd: int) -> list[tuple[str, bool, bool]]:
            found = super().scandir(fd)
            is_second = os.readlink(f"/proc/self/fd/{fd}").endswith("step-000000002.a0001")
            return [entry for entry in found if not (is_second and entry[0] == "manifest.json")]

    second = Attempt.begin(path, calls=Stale(), lean=0)
    with pytest.raises(StorageError, match="the storage shows stale directories"):
        second.pruner.remove([])
    assert (path / "step-000000002.a0001" / "manifest.json").exists()
    assert not list(path.glob(".trash-*"))


def test_what_this_process_saved_is_not_swept_though_its_manifest_is_hidden(path: Path) -> None:
    attempt = Attempt.begin(path, lean=0)
    attempt.save(1, keep=5)
    attempt.save(2, keep=5)
    (path / "step-000000002.a0001" / "manifest.json").rename(path / "hidden")
    attempt.pruner.sweep(counted=(), gone=())
    (path / "hidden").rename(path / "step-000000002.a0001" / "manifest.json")
    assert storekit.newest(path) == 2


def test_without_outlast_json_the_claims_tell_the_id(path: Path) -> None:
    first = Attempt.begin(path)
    first.save(1)
    first.lease.end("failed")
    identity = Store(path).id
    (path / "outlast.json").unlink()
    shutil.rmtree(path / "step-000000001.a0001")
    store = Store(path, create=True)
    assert store.id == identity
    assert any("has no outlast.json" in text for text in store.warnings)


def test_a_reader_of_a_store_that_is_just_being_made_sees_no_damage(path: Path) -> None:
    """It found no outlast.json, then a claim."""
    path.mkdir()

    class Making(Syscalls):
        made = False

        def open(self, name: str, flags: int, mode: int = 0o600, *, dir_fd: int | None = None) -> int:
            try:
                return super().open(name, flags, mode, dir_fd=dir_fd)
            finally:
                if name == "outlast.json" and not self.made:
                    self.made = True
                    Attempt.begin(path)

    store = Store(path, calls=Making())
    assert store.id == Store(path).id
    assert store.warnings == Store(path).warnings
