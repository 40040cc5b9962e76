"""The folder `jobs/`: records that any crash may cut, and that nothing else in the store minds. S-71, S-72."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from outlast.backends import Posix
from outlast.errors import NothingError, SpaceError, StorageError
from outlast.format.jobs import JobName
from outlast.store import JobJournal, Store, job_logs
from outlast.testing import CountedCalls, FakeClock, Fault
from storekit import Attempt, all_good

NAME = JobName.of("slurm", "1234", "7", 2)
FILE = "jobs/slurm-1234_7.r2.jsonl"


def kinds(path):
    return [[e["event"] for e in log.events] for log in job_logs(Posix(path))]


def test_a_record_is_kept_and_read(tmp_path):
    clock = FakeClock()
    record = JobJournal.begin(Posix(tmp_path / "s"), NAME, clock=clock)
    record.record("placed", system="slurm", job="1234", task="7", restarts=2, deadline=clock.wall() + 60)
    clock.sleep(1.5)
    record.record("start", attempt=1, pid=None)
    record.close()
    (log,) = job_logs(Posix(tmp_path / "s"))
    assert (log.name, log.damaged, log.deadline) == (NAME, 0, "2023-11-14T22:14:20.000Z")
    assert log.events[1] == {"event": "start", "at": "2023-11-14T22:13:21.500Z", "attempt": 1}


def test_only_its_owner_may_read_it(tmp_path):
    JobJournal.begin(Posix(tmp_path / "s"), NAME).close()
    assert stat.S_IMODE((tmp_path / "s" / FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "s" / "jobs").stat().st_mode) == 0o700


def test_what_happens_while_no_program_runs_is_durable(tmp_path):
    calls = CountedCalls()
    record = JobJournal.begin(Posix(tmp_path / "s", calls=calls), NAME)
    synced = []
    for event, fields in (
        ("placed", {"system": "slurm"}), ("start", {"attempt": 1}), ("deadline", {}), ("notice", {"cause": "signal"}),
        ("end", {"status": 0}), ("decision", {"what": "finish"}),
    ):  # fmt: skip
        before = calls.counts["fsync"]
        record.record(event, **fields)
        synced += [event] * (calls.counts["fsync"] - before)
    assert synced == ["placed", "end", "decision"]


def test_a_second_command_of_the_same_job_goes_on_behind_a_torn_line(tmp_path):
    first = JobJournal.begin(Posix(tmp_path), NAME)
    first.record("placed", system="slurm")
    first.close()
    with open(tmp_path / FILE, "ab") as file:
        file.write(b'{"at":"2026')
    second = JobJournal.begin(Posix(tmp_path), NAME)
    second.record("placed", system="slurm")
    second.record("start", attempt=1)
    (log,) = job_logs(Posix(tmp_path))
    assert [e["event"] for e in log.events] == ["placed", "placed", "start"]
    assert log.damaged == 1


def test_a_full_disk_is_said_and_the_next_line_is_whole(tmp_path):
    calls = CountedCalls()
    record = JobJournal.begin(Posix(tmp_path, calls=calls), NAME)
    calls.fault = Fault(at=calls.counts["write"] + 1, errno=errno.ENOSPC, when="torn", only=("write",))
    with pytest.raises(SpaceError):
        record.record("placed", system="slurm")
    record.record("start", attempt=1)
    assert kinds(tmp_path) == [["start"]]


@pytest.mark.parametrize("call", ["mkdir", "open", "fsync", "link"])
def test_where_it_cannot_be_made_that_is_an_error_of_the_storage(tmp_path, call):
    calls = CountedCalls(Fault(at=1, errno=errno.EIO, lasting=True, only=(call,)))
    with pytest.raises(StorageError):
        JobJournal.begin(Posix(tmp_path / "s", calls=calls), NAME)


def test_a_file_in_the_way_is_an_error_of_the_storage(tmp_path):
    (tmp_path / "jobs").write_text("mine")
    with pytest.raises(StorageError):
        JobJournal.begin(Posix(tmp_path), NAME)
    (tmp_path / "jobs").unlink()
    (tmp_path / FILE).mkdir(parents=True)
    with pytest.raises(StorageError):
        JobJournal.begin(Posix(tmp_path), NAME)


def test_records_come_in_the_order_of_the_jobs(tmp_path):
    clock = FakeClock()
    names = [JobName.of("slurm", "99"), JobName.of("slurm", "100"), JobName.of("slurm", "100", restarts=1)]
    for name in names:
        clock.sleep(1)
        JobJournal.begin(Posix(tmp_path), name, clock=clock).record("placed", system="slurm")
    assert [log.name for log in job_logs(Posix(tmp_path))] == names


def test_other_files_and_those_that_cannot_be_read(tmp_path):
    JobJournal.begin(Posix(tmp_path), NAME).record("placed", system="slurm")
    (tmp_path / "jobs" / "slurm-1234_7.out").write_text("the output of the job")
    (tmp_path / "jobs" / "notes.jsonl").write_text("{}")
    os.symlink(tmp_path / FILE, tmp_path / "jobs" / "slurm-1.r0.jsonl")
    assert kinds(tmp_path) == [["placed"]]
    (tmp_path / "nothing").mkdir()
    assert job_logs(Posix(tmp_path / "nothing")) == ()
    (log,) = job_logs(Posix(tmp_path, calls=CountedCalls(Fault(at=1, errno=errno.EIO, lasting=True, only=("read",)))))
    assert (log.name, log.events, log.damaged) == (NAME, (), 1)


def test_of_a_record_that_is_too_long_the_ends_are_read(tmp_path):
    record = JobJournal.begin(Posix(tmp_path), NAME)
    record.record("placed", system="slurm")
    record.record("start", attempt=1)
    line = (tmp_path / FILE).read_bytes().splitlines(keepends=True)[1]
    with open(tmp_path / FILE, "ab") as file:
        file.write(line * ((4 << 20) // len(line)))
    record.record("end", status=0)
    (log,) = job_logs(Posix(tmp_path))
    assert (log.events[0]["event"], log.events[-1]["event"], log.damaged) == ("placed", "end", 0)
    assert len(log.events) < (3 << 20) // len(line)


# -- beside a store ----------------------------------------------------------------------------------------


def test_the_folder_may_be_there_before_the_store_s71(tmp_path):
    JobJournal.begin(Posix(tmp_path / "s"), NAME).record("placed", system="slurm")
    with pytest.raises(NothingError, match="is not a store"):
        Store(tmp_path / "s")
    attempt = Attempt.begin(tmp_path / "s")
    assert attempt.store.is_new
    attempt.save(1)
    (log,) = Store(tmp_path / "s").jobs()
    assert log.placed["system"] == "slurm"


def test_nothing_of_the_store_touches_it_s71(tmp_path):
    record = JobJournal.begin(Posix(tmp_path / "s"), NAME)
    record.record("placed", system="slurm")
    (tmp_path / "s" / "jobs" / "out.txt").write_text("output")
    (tmp_path / "s" / "jobs" / ".tmp-old").write_text("whose?")
    os.utime(tmp_path / "s" / "jobs" / ".tmp-old", (0, 0))
    for _ in range(2):
        attempt = Attempt.begin(tmp_path / "s")
        for step in range(1, 4):
            attempt.save(step, keep=1)
        attempt.pruner.quarantine(attempt.store.checkpoints()[0], "as asked")
        attempt.lease.end("failed")
    assert sorted(os.listdir(tmp_path / "s" / "jobs")) == [".tmp-old", "out.txt", "slurm-1234_7.r2.jsonl"]
    assert kinds(tmp_path / "s") == [["placed"]]
    all_good(tmp_path / "s")
