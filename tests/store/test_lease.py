"""One writer a run: refusals, takeovers, and the writer that wakes up too late."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest

import storekit
from outlast.backends import host
from outlast.errors import BusyError, FencedError
from outlast.store import SILENT_S, Pruner, Store, Writer
from outlast.store.layout import journal_path
from outlast.testing import CountedCalls, FakeClock, Fault
from storekit import Attempt


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


def test_a_second_live_writer_is_refused(path: Path) -> None:
    Attempt.begin(path).save(1)
    with pytest.raises(BusyError, match=f"attempt 1 of this run still lives: process {os.getpid()}") as caught:
        Attempt.begin(path)
    assert caught.value.exit_status == 5
    assert "outlast stop" in caught.value.hint


def test_an_attempt_that_ended_is_followed_at_once(path: Path) -> None:
    Attempt.begin(path).lease.end("failed")
    assert Attempt.begin(path).lease.attempt == 2


def test_a_killed_attempt_on_this_machine_is_followed_at_once(path: Path) -> None:
    def die(report):
        Attempt.begin(path).save(1)
        os.kill(os.getpid(), signal.SIGKILL)

    storekit.in_child(die)
    assert Attempt.begin(path).lease.attempt == 2


def _elsewhere(**changes: object) -> host.Identity:
    return replace(host.me(), host="node7", boot="another", **changes)


def test_a_silent_attempt_elsewhere_is_taken_over_after_its_silence(path: Path) -> None:
    clock = FakeClock()
    Store(path, create=True, clock=clock).claim(identity=_elsewhere())
    lease = Store(path, create=True, clock=clock).claim()
    assert lease.attempt == 2
    assert clock.now_s >= SILENT_S - 2


def test_a_heartbeat_elsewhere_means_busy(path: Path) -> None:
    clock = FakeClock()
    other = Store(path, create=True, clock=clock).claim(identity=_elsewhere())

    class Beating(FakeClock):
        def sleep(self, seconds_s: float) -> None:
            super().sleep(seconds_s)
            other.beat()

    beating = Beating()
    journal = path / journal_path(1)
    os.utime(journal, (journal.stat().st_mtime - 20,) * 2)
    with pytest.raises(BusyError, match="on node7"):
        Store(path, clock=beating).claim()
    assert beating.now_s <= 4


def test_the_scheduler_put_us_in_its_place(path: Path) -> None:
    """A requeued job does not wait for the silence of its own former start."""
    clock = FakeClock()
    Store(path, create=True, clock=clock).claim(identity=_elsewhere(job="slurm:7", restart=0))
    mine = replace(host.me(), job="slurm:7", restart=1)
    assert Store(path, clock=clock).claim(identity=mine).attempt == 2
    assert clock.now_s == 0


def test_two_starts_at_the_same_instant(path: Path) -> None:
    Store(path, create=True)
    gate = threading.Barrier(8)
    outcomes: list[object] = []

    def start() -> None:
        gate.wait()
        try:
            outcomes.append(Store(path).claim().attempt)
        except BusyError:
            outcomes.append("busy")

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, outcomes)) == ["1"] + ["busy"] * 7


def test_a_zombie_can_neither_publish_nor_acknowledge_nor_prune_at_any_call(memory: Path) -> None:
    """The writer pauses at each of its calls in turn; meanwhile a newer attempt takes over and saves; then it wakes."""
    seed = memory / "seed"
    first = Attempt.begin(seed)
    first.save(10)
    first.save(20)
    first.lease.end("failed")
    counting = CountedCalls()
    counted = Attempt.begin(storekit.copy(seed, memory / "count"), calls=counting)
    start = len(counting.log)
    counted.save(30, keep=1)
    total = len(counting.log) - start
    fenced = acknowledged = 0
    for at in range(1, total + 1):
        path = storekit.copy(seed, memory / "work")
        calls = CountedCalls()
        zombie = Attempt.begin(path, calls=calls)
        state: dict[str, object] = {"n": 0}

        def pause(name: str, path: Path = path, at: int = at, state: dict = state) -> None:
            state["n"] += 1
            if state["n"] == at:
                newer = Attempt.begin(path, takeover=True)
                state["restored"] = newer.restore()
                newer.save(25, keep=2)  # an older step than the zombie's, and newer all the same
                state["newer"] = newer

        calls.hook = pause
        try:
            zombie.save(30, keep=1)
            acknowledged += 1
            # acknowledged before the takeover, or not at all
            assert state["restored"] == 30, f"call {at}"
        except FencedError:
            fenced += 1
        calls.hook = None
        case = f"paused at call {at} of {total} ({calls.log[-1]})"
        assert storekit.newest(path) == 25, case
        storekit.all_good(path)
        newer = state["newer"]
        newer.save(26, keep=1)
        assert storekit.newest(path) == 26, case
        storekit.all_good(path)
        with pytest.raises(FencedError, match="has taken over"):
            zombie.save(40)
        assert storekit.newest(path) == 26, case
        newer.lease.end("done")
    assert fenced > total / 2
    assert fenced + acknowledged == total


def test_readers_ignore_what_was_published_after_the_takeover(path: Path) -> None:
    zombie = Attempt.begin(path)
    zombie.save(1)
    newer = Attempt.begin(path, takeover=True)
    unfenced = Writer(Unfenced(zombie.lease), zombie.store.clock, store=zombie.store.id)
    unfenced.commit(storekit.draft(99))  # a writer without a fence: readers must judge
    assert storekit.counted_steps(path) == [1]
    assert sorted(f.name.step for f in Store(path).scan() if f.committed) == [1, 99]
    newer.save(2)
    assert storekit.counted_steps(path) == [2, 1]
    newer.prune(5)
    assert not (path / "step-000000099.a0001").exists()


class Unfenced:
    """A lease that never looks whether it still holds."""

    def __init__(self, lease) -> None:
        self.attempt, self.journal, self.backend = lease.attempt, lease.journal, lease.backend
        self.trust = lease.trust

    def check(self) -> None:
        return


def test_a_damaged_adopt_line_does_not_hide_checkpoints(path: Path) -> None:
    first = Attempt.begin(path)
    first.save(1)
    first.lease.end("failed")
    second = Attempt.begin(path)
    second.save(2)
    second.lease.end("failed")
    journal = path / journal_path(2)
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b"adopt", b"adopX")
    journal.write_bytes(b"".join(lines))
    assert storekit.counted_steps(path) == [2, 1]


def test_a_claim_that_died_before_it_took_stock_hides_nothing(path: Path) -> None:
    first = Attempt.begin(path)
    first.save(1)
    first.lease.end("failed")
    shutil.copy(path / journal_path(1), path / journal_path(2))
    lines = (path / journal_path(2)).read_bytes().splitlines(keepends=True)
    (path / journal_path(2)).write_bytes(lines[0])
    assert storekit.counted_steps(path) == [1]


def test_claims_are_numbered_without_gaps(tmp_path: Path) -> None:
    for expected in (1, 2, 3):
        attempt = Attempt.begin(tmp_path / "s")
        assert attempt.lease.attempt == expected
        attempt.lease.end("failed")
    assert [log.attempt for log in Store(tmp_path / "s").attempts()] == [1, 2, 3]


@pytest.mark.parametrize("ahead_s", [-2 * SILENT_S, 2 * SILENT_S, 3e8])
def test_a_heartbeat_that_is_off_either_way_is_no_sign_of_life(path: Path, ahead_s: float) -> None:
    elsewhere = replace(host.me(), host="another")
    Store(path, create=True).claim(identity=elsewhere)
    assert Store(path).live() == elsewhere
    journal = path / journal_path(1)
    when = journal.stat().st_mtime + ahead_s
    os.utime(journal, (when, when))
    assert Store(path).live() is None
    assert Store(path).live(probe=True) is None


def test_a_claim_waits_until_the_listing_shows_what_the_link_has_met(path: Path) -> None:
    Attempt.begin(path).lease.end("failed")
    clock = FakeClock()

    class Old(CountedCalls):
        def scandir(self, fd: int) -> list[tuple[str, bool, bool]]:
            found = super().scandir(fd)
            return found if clock.now_s > 50 else [one for one in found if one[0] != "a0002.jsonl"]

    Attempt.begin(path).lease.end("failed")
    assert Attempt.begin(path, calls=Old(), clock=clock).lease.attempt == 3
    assert clock.now_s > 50


def test_a_claim_whose_temporary_file_was_swept_begins_again(path: Path) -> None:
    Attempt.begin(path).lease.end("failed")
    swept = []

    def sweep(name: str) -> None:
        if name == "link" and not swept:
            swept.extend((path / "journal").glob(".tmp-*"))
            swept[0].unlink()

    assert Attempt.begin(path, calls=CountedCalls(hook=sweep)).lease.attempt == 2
    assert len(swept) == 1


def test_a_prune_without_room_for_its_adopt_line_does_not_go_by_what_a_zombie_publishes(path: Path) -> None:
    zombie = Attempt.begin(path)
    zombie.save(1)
    no_room = CountedCalls(Fault(at=1, errno=errno.ENOSPC, only=("write",), lasting=True))
    store = Store(path, calls=no_room)
    pruner = Pruner(store.claim(role="prune", takeover=True), store=store.id)
    Writer(Unfenced(zombie.lease), zombie.store.clock, store=store.id).commit(storekit.draft(2))
    counted, strays = pruner.look()
    assert [one.name.step for one in counted] == [1]
    assert [one.name.step for one in strays] == [2]
    pruner.remove([one.name for one in counted])
    assert storekit.counted_steps(path) == [1]


def test_what_stays_is_made_durable_before_the_first_goes(path: Path) -> None:
    """Its writer may have been killed between the link and the sync; a power cut then would leave nothing."""
    first = Attempt.begin(path)
    first.save(1)
    first.save(2)
    first.lease.end("failed")
    synced: list[str] = []

    class Named(CountedCalls):
        def fsync(self, fd: int) -> None:
            super().fsync(fd)
            synced.append(os.path.basename(os.readlink(f"/proc/self/fd/{fd}")))

        def unlink(self, path: str, *, dir_fd: int) -> None:
            if path == "manifest.json":
                synced.append("removed")
            super().unlink(path, dir_fd=dir_fd)

    Attempt.begin(path, calls=Named()).prune(1)
    assert synced.index("step-000000002.a0001") < synced.index("removed")


def test_a_fenced_quarantine_says_that_it_is_fenced(path: Path) -> None:
    """A newer attempt has swept the directory away that its manifest was just moved from."""
    zombie = Attempt.begin(path)
    name = zombie.save(1)
    zombie.save(2)

    def sweep(call: str) -> None:
        if call == "rename":
            zombie_calls.hook = None
            newer = Attempt.begin(path, takeover=True)
            shutil.rmtree(path / name.format())
            newer.lease.end("done")

    zombie_calls = CountedCalls(hook=sweep)
    zombie.pruner._backend.calls = zombie_calls
    with pytest.raises(FencedError):
        zombie.pruner.quarantine(name, "as asked")
