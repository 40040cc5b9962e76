"""A look at many runs: what the closer look says, by reading little."""

from __future__ import annotations

import errno
import os
import shutil

import numpy as np
import pytest

import outlast
from outlast.backends import Posix, Syscalls
from outlast.clock import SYSTEM
from outlast.format.jobs import JobName
from outlast.store import JobJournal, Store
from outlast.store.glance import find_runs, glance, is_run, living
from outlast.store.history import history
from outlast.store.jobs import job_logs
from outlast.store.journal import line
from outlast.testing import CountedCalls, Fault
from storekit import Attempt, in_child


def look(path, calls=None):
    return glance(Posix(path, calls=calls), SYSTEM)


def closely(path):
    store = Store(path)
    return history(store.attempts(), store.jobs())


def same(path):
    """The look from outside says of each attempt what the closer one does, but for the number of its saves."""
    for mine, theirs in zip(look(path).history.attempts, closely(path).attempts, strict=True):
        for name in ("number", "role", "host", "pid", "began_s", "work_s", "from_step", "to_step", "reached", "ending",
                     "how", "steps_lost", "outcome"):  # fmt: skip
            assert getattr(mine, name) == getattr(theirs, name), name
        assert mine.saved[-1:] == theirs.saved[-1:]


def begun(path, *, steps=(), rows=0, ended="failed"):
    attempt = Attempt.begin(path)
    for step in steps:
        attempt.save(step)
    if rows:
        batch = [[n, {"loss": 0.123456789, "accuracy": 0.987654321}] for n in range(1000, 1000 + rows)]
        attempt.lease.journal.record("metrics", sync=False, rows=batch)
    if ended:
        attempt.lease.end(ended)
    return attempt


def test_of_short_journals(tmp_path):
    begun(tmp_path / "s", steps=(1, 2))
    begun(tmp_path / "s")
    begun(tmp_path / "s", steps=(5,), rows=3)
    same(tmp_path / "s")
    seen = look(tmp_path / "s")
    assert (seen.problem, seen.done, seen.progress.step, len(seen.history.attempts)) == ("", False, 5, 3)
    assert seen.history.steps_lost == 1002 - 5


@pytest.mark.parametrize("rows", [0, 100, 1000, 20_000])
def test_of_journals_much_longer_than_what_is_read(tmp_path, rows):
    attempt = begun(tmp_path / "s", ended="")
    for number in range(300):
        attempt.lease.journal.record("metrics", sync=False, rows=[[number, {"loss": 1.0}]])
        attempt.lease.journal.record("note", sync=False, text="x" * 100)
    attempt.save(300)
    if rows:
        batch = [[n, {"loss": 0.123456789}] for n in range(1000, 1000 + rows)]
        attempt.lease.journal.record("metrics", sync=False, rows=batch)
    attempt.lease.journal.record("note", sync=False, text="the end")
    attempt.lease.end("failed")
    same(tmp_path / "s")
    assert look(tmp_path / "s").progress.step == 300


def test_a_line_that_is_cut_by_the_reading_is_not_missed(tmp_path):
    """Wherever in the last save the reading begins, it reads more."""
    attempt = begun(tmp_path / "s", ended="")
    for number in range(200):
        attempt.lease.journal.record("note", sync=False, text="x" * 90 + str(number))
    attempt.save(7)
    attempt.lease.end("failed")
    journal = tmp_path / "s" / "journal" / "a0001.jsonl"
    before = journal.read_bytes()[:-1].rsplit(b"\n", 1)[0]
    assert b'"event":"saved"' in before.rsplit(b"\n", 1)[1]
    for length in range(15_500, 16_500, 20):
        note = line(400, SYSTEM, "note", {"text": "y" * length})
        journal.write_bytes(before + b"\n" + note)
        assert look(tmp_path / "s").progress.step == 7, length


def test_what_was_logged_before_the_last_save_may_be_of_later_steps_than_it(tmp_path):
    """The loop goes on while a save is written: a kill right behind it loses steps that the journal knows of."""
    attempt = begun(tmp_path / "s", ended="")
    for number in range(300):
        attempt.lease.journal.record("note", sync=False, text="x" * 100 + str(number))
    attempt.lease.journal.record("metrics", sync=False, rows=[[8, {"loss": 1.0}], [9, {"loss": 1.0}]])
    attempt.save(5)
    attempt.lease.journal.record("note", sync=False, text="the end")
    attempt.lease.end("failed")
    same(tmp_path / "s")
    assert look(tmp_path / "s").history.steps_lost == 4


def test_the_last_heartbeat_of_one_that_was_killed_tells_what_it_cost(tmp_path):
    in_child(lambda _: begun(tmp_path / "s", steps=(1,), ended=""))
    saved_s = look(tmp_path / "s").history.saved[0]
    os.utime(tmp_path / "s" / "journal" / "a0001.jsonl", (saved_s + 30, saved_s + 30))
    assert look(tmp_path / "s").history.lost_s == pytest.approx(30)


class Read(Syscalls):
    """The real calls, and how many bytes were read."""

    size_bytes = 0

    def preadv(self, fd, buffers, at, flags=0):
        done = super().preadv(fd, buffers, at, flags)
        self.size_bytes += done
        return done


def test_of_a_long_journal_both_ends_are_read_and_no_more(tmp_path):
    attempt = begun(tmp_path / "s", ended="")
    for number in range(3000):
        attempt.lease.journal.record("note", sync=False, text="x" * 100 + str(number))
    attempt.save(5)
    attempt.lease.end("failed")
    calls = Read()
    assert look(tmp_path / "s", calls).progress.step == 5
    assert (tmp_path / "s" / "journal" / "a0001.jsonl").stat().st_size > 600_000
    assert calls.size_bytes < 48 << 10


def test_little_is_read_and_few_files_are_opened(memory):
    attempt = begun(memory / "s", ended="")
    for step in range(60):
        attempt.save(step, keep=2)
        attempt.lease.journal.record("metrics", sync=False, rows=[[step, {"loss": 1.0}] for _ in range(400)])
    attempt.lease.end("failed")
    begun(memory / "s", steps=(100,))
    assert (memory / "s" / "journal" / "a0001.jsonl").stat().st_size > 400_000
    calls = CountedCalls()
    look(memory / "s", calls)
    files = calls.counts["read"]
    assert files <= 2 * 2 + 1 + 1  # both ends of two journals, outlast.json, the end of one manifest
    assert calls.counts["open"] <= 3 * 4 + 2 * 2  # with the directories that they lie in, and two listings
    assert not set(calls.counts) & {"create", "write", "fsync", "utime", "mkdir", "unlink", "rename", "link"}


def test_where_the_loops_stand(tmp_path):
    def work(report):
        state = {"u": np.zeros(3)}
        with outlast.Run(tmp_path / "s", state, every=1) as run:
            for epoch in run.range(5, "epoch"):
                for batch in run.range(4, "batch"):
                    if (epoch, batch) == (2, 3):
                        os._exit(0)

    in_child(work)
    seen = look(tmp_path / "s")
    assert [name for name, _, _ in seen.progress.loops][:1] == ["epoch"]
    assert seen.progress.share == pytest.approx(seen.progress.step / 20)


def test_done(tmp_path):
    attempt = begun(tmp_path / "s", ended="")
    attempt.commit(5, done=True)
    attempt.lease.end("done")
    seen = look(tmp_path / "s")
    assert (seen.done, seen.progress.share) == (True, 1.0)
    begun(tmp_path / "nothing", ended="done")  # a run of no steps
    begun(tmp_path / "failed", ended="failed")
    assert [look(tmp_path / name).done for name in ("nothing", "failed")] == [True, False]
    (tmp_path / "new").mkdir()
    assert not look(tmp_path / "new").done


def test_one_that_lives_is_seen_to(tmp_path):
    attempt = begun(tmp_path / "s", steps=(1,), ended="")
    assert look(tmp_path / "s").history.attempts[0].how == "running"
    attempt.lease.end("failed")
    assert look(tmp_path / "s").history.attempts[0].how == "failed"


def test_a_newer_format_and_trouble_of_the_storage_are_told(tmp_path):
    begun(tmp_path / "s", steps=(1,))
    calls = CountedCalls(Fault(at=1, errno=errno.EIO, lasting=True, only=("list",)))
    assert "Input/output error" in look(tmp_path / "s", calls).problem
    from outlast.format.envelope import seal

    about = {"format": "outlast-store", "version": 2, "store": "0" * 32}
    (tmp_path / "s" / "outlast.json").write_bytes(seal(about))
    assert "store format 2" in look(tmp_path / "s").problem


def test_damage_is_passed_over(tmp_path):
    begun(tmp_path / "s", steps=(1, 2))
    begun(tmp_path / "s", steps=(5,))
    (tmp_path / "s" / "outlast.json").write_text("rotten")
    journal = tmp_path / "s" / "journal" / "a0002.jsonl"
    journal.write_bytes(b"\n".join(b"rotten" for _ in journal.read_bytes().split(b"\n")))
    seen = look(tmp_path / "s")
    assert (seen.problem, seen.progress.step) == ("", 2)
    shutil.copy(tmp_path / "s" / "journal" / "a0001.jsonl", journal)  # it is another attempt's
    assert look(tmp_path / "s").history.attempts[1].began_s == 0.0


@pytest.mark.parametrize("time_s", [-1e10, 1e12])
def test_a_time_stamp_beyond_all_calendars(tmp_path, time_s):
    in_child(lambda _: begun(tmp_path / "s", steps=(1,), ended=""))
    begun(tmp_path / "s", steps=(2,))
    os.utime(tmp_path / "s" / "journal" / "a0001.jsonl", (time_s, time_s))
    first = look(tmp_path / "s").history.attempts[0]
    assert first.began_s <= first.ended_s <= SYSTEM.wall()


def test_what_is_a_run(tmp_path):
    begun(tmp_path / "here")
    for name in ("empty", "other/journal", "other/jobs"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "lost").mkdir()
    shutil.copytree(tmp_path / "here" / "journal", tmp_path / "lost" / "journal")
    JobJournal.begin(Posix(tmp_path / "waiting"), JobName.of("slurm", "1")).close()
    backend = Posix(tmp_path)
    found = {name: is_run(backend, name) for name in ("here", "empty", "other", "lost", "waiting")}
    assert found == {"here": True, "empty": False, "other": False, "lost": True, "waiting": True}
    assert is_run(Posix(tmp_path / "here"))


def test_runs_are_found_down_to_a_depth_and_not_inside_of_others(tmp_path):
    for name in ("a", "b/c", "b/d/e", "a/inner", ".hidden", "f/g/h/i"):
        begun(tmp_path / name)
    os.symlink(tmp_path / "a", tmp_path / "link")
    (tmp_path / "file").write_text("x")
    assert set(find_runs(Posix(tmp_path), depth=2)) == {"a", "b/c"}
    assert set(find_runs(Posix(tmp_path), depth=3)) == {"a", "b/c", "b/d/e"}


def test_only_the_last_two_jobs_are_read(tmp_path):
    begun(tmp_path / "s", steps=(1,))
    for number in (99, 100, 1234):
        name = JobName.of("slurm", str(number))
        JobJournal.begin(Posix(tmp_path / "s"), name).record("placed", system="slurm")
    assert [log.name.job for log in look(tmp_path / "s").history.jobs] == ["100", "1234"]


def test_which_ones_those_are_without_a_batch_system(tmp_path):
    begun(tmp_path / "s", steps=(1,))
    for host_name, pid, wall_s in (("n1", 9, 999), ("n1", 100, 1000), ("a-host", 5, 1001)):
        name = JobName.local(host_name, pid, wall_s)
        JobJournal.begin(Posix(tmp_path / "s"), name).record("placed", system="local")
    found = [log.name.job for log in look(tmp_path / "s").history.jobs]
    assert sorted(found) == ["a-host-5-1001", "n1-100-1000"]


def test_which_supervisors_live(tmp_path):
    from outlast.backends import host

    me, now_s = host.me(), SYSTEM.wall()

    def alive(**placed):
        shutil.rmtree(tmp_path / "s", ignore_errors=True)
        name = JobName.of("slurm", "1")
        record = JobJournal.begin(Posix(tmp_path / "s"), name)
        record.record("placed", system="slurm", **placed)
        return bool(living(job_logs(Posix(tmp_path / "s")), now_s))

    assert alive(host=me.host, boot=me.boot, pid=me.pid)
    assert not alive(host=me.host, boot=me.boot, pid=(1 << 22) + 7)
    assert not alive(host=me.host, boot="before", pid=me.pid)
    assert alive(host="n7", boot="b", pid=1)  # nobody here can tell
    assert alive(host="n7", boot="b", pid=1, deadline=now_s + 5)
    assert not alive(host="n7", boot="b", pid=1, deadline=now_s - 500)
    assert living((), now_s) == set()
