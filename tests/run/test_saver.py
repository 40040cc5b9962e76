"""Saving behind the loop: what is saved is the boundary's state, one save at a time, no error is lost."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import numpy as np
import pytest

import outlast
from outlast.capture import Pool
from outlast.capture.copying import Copying
from outlast.policy.retention import parse_keep
from outlast.run.events import Events
from outlast.run.saver import Moment, Saver
from outlast.store import Committed, Draft, Pruner, Store, Writer


@pytest.fixture
def made(tmp_path: Path) -> Iterator[SimpleNamespace]:
    """A saver on a new store that keeps one checkpoint."""
    store = Store(tmp_path / "s", create=True)
    lease = store.claim()
    writer, pruner = Writer(lease, store.clock, store=store.id), Pruner(lease, store=store.id)
    saver = Saver(
        store=store,
        writer=writer,
        pruner=pruner,
        keep=parse_keep(1),
        events=Events(store.clock),
        control=None,
        flush=lambda: None,
    )
    yield SimpleNamespace(store=store, writer=writer, pruner=pruner, saver=saver)
    saver.close()
    lease.end("failed")


def moment(step: int) -> Moment:
    return Moment(step=step, position=None, metrics={})


def refuse(*_args: object) -> NoReturn:
    raise outlast.SpaceError("no space, as asked")


def steps(store: Store) -> list[int]:
    return [name.step for name in store.checkpoints()]


def test_what_is_saved_is_the_state_at_the_boundary(made: SimpleNamespace) -> None:
    """The saver's thread comes to it late; the loop has gone on."""
    state = {"u": np.zeros(1000), "n": 1, "items": [1]}
    gate = threading.Event()
    made.saver._scribe.start(gate.wait)
    made.saver.start(state, moment(1))
    state["u"] += 1
    state["n"] = 2
    state["items"].append(2)
    gate.set()
    manifest = made.saver.wait().manifest
    with made.store.source(manifest) as source:
        assert not np.frombuffer(source.read("u")).any()
    assert (manifest.tree["n"], manifest.tree["items"]) == (1, [1])


def test_the_next_save_waits_for_the_one_before_and_raises_its_error(
    made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(made.writer, "commit", refuse)
    made.saver.start({"x": 1}, moment(1))
    with pytest.raises(outlast.SpaceError, match="as asked"):
        made.saver.start({"x": 2}, moment(2))
    monkeypatch.undo()
    made.saver.start({"x": 3}, moment(3))
    assert made.saver.wait().name.step == 3


def test_the_error_of_a_save_is_told_once(made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made.writer, "commit", refuse)
    made.saver.start({"x": 1}, moment(1))
    made.saver._scribe.result(made.saver._scribe.start(lambda: True))  # behind it in the queue: it has ended
    assert isinstance(made.saver.error(), outlast.SpaceError)
    assert made.saver.error() is None
    assert made.saver.wait() is None


def test_an_error_that_is_no_refusal_of_storage_is_not_taken_for_one(
    made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def err(*_args: object) -> None:
        raise RuntimeError("as asked")

    monkeypatch.setattr(made.writer, "commit", err)
    made.saver.start({"x": 1}, moment(1))
    made.saver._scribe.result(made.saver._scribe.start(lambda: True))
    with pytest.raises(RuntimeError, match="as asked"):
        made.saver.error()


def test_a_failed_save_ends_the_loop_at_the_next_boundary(tmp_path: Path) -> None:
    done = []
    with pytest.raises(outlast.SpaceError, match="as asked"), outlast.Run(tmp_path / "s", {"x": 1}, every=3) as run:
        run._saver._writer.commit = refuse
        for step in run.steps(100):
            done.append(step)
            if step == 3:
                run._saver._scribe.result(run._saver._scribe.start(lambda: True))  # the save of step 3 has ended
    assert done == [0, 1, 2, 3]


def test_a_save_that_fails_leaves_the_one_before_with_keep_1(
    made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.saver.start({"x": 1}, moment(1))
    made.saver.wait()
    monkeypatch.setattr(made.writer, "commit", refuse)
    made.saver.start({"x": 2}, moment(2))
    with pytest.raises(outlast.SpaceError):
        made.saver.wait()
    assert steps(made.store) == [1]
    monkeypatch.undo()
    made.saver.start({"x": 3}, moment(3))
    made.saver.wait()
    assert steps(made.store) == [3]


def test_where_there_is_no_room_what_killed_attempts_left_makes_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else no later attempt ever went on: the first save of each would fail, and only a prune after it clears up."""
    root = tmp_path / "s"
    store = Store(root, create=True)
    store.claim().end("failed")
    begun, spare = root / "step-000000009.a0001", root / ".tmp-spare-a0001-0123abcd"
    begun.mkdir(mode=0o700)
    for left in (begun / ".tmp-0123456789abcdef", spare):
        left.write_bytes(bytes(1000))
    lease = store.claim()
    writer, pruner = Writer(lease, store.clock, store=store.id), Pruner(lease, store=store.id)
    commit, tries = writer.commit, []

    def cramped(draft: Draft) -> Committed:
        tries.append(draft.step)
        return commit(draft) if not begun.exists() and not spare.exists() and draft.step == 1 else refuse()

    monkeypatch.setattr(writer, "commit", cramped)
    saver = Saver(
        store=store,
        writer=writer,
        pruner=pruner,
        keep=parse_keep(1),
        events=Events(store.clock),
        control=None,
        flush=lambda: None,
    )
    saver.start({"x": 1}, moment(1))
    saver.wait()
    assert (steps(store), tries) == ([1], [1, 1])
    saver.start({"x": 2}, moment(2))  # there is nothing more to be had
    with pytest.raises(outlast.SpaceError):
        saver.wait()
    assert (steps(store), tries) == ([1], [1, 1, 2])
    saver.close()
    lease.end("failed")


def test_a_small_save_gets_the_room_of_what_is_kept_for_large_ones(
    made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.pruner._reuse = True
    state = {"u": np.zeros(1000)}
    for step in (1, 2):
        state["u"] += 1
        made.saver.start(state, moment(step))
        made.saver.wait()
    assert made.writer.has_spare
    create, refused = made.store.backend.create, []

    def cramped(path: str, *args: object, **options: object) -> int:
        if any(name.startswith(".tmp-spare-") for name in os.listdir(made.store.path)):
            refused.append(path)
            refuse()
        return create(path, *args, **options)

    monkeypatch.setattr(made.writer._backend, "create", cramped)
    made.saver.start(state, moment(3))
    assert made.saver.wait().name.step == 3
    assert len(refused) == 1


def test_trouble_of_a_prune_is_said_and_does_not_undo_the_commit(
    made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(made.pruner, "remove", refuse)
    made.saver.start({"x": 1}, moment(1))
    assert made.saver.wait().name.step == 1
    assert "warning: nothing was pruned: no space, as asked" in capfd.readouterr().err
    assert steps(made.store) == [1]


@pytest.fixture
def cramped(made: SimpleNamespace) -> SimpleNamespace:
    """The saver where there is no memory for a copy."""
    made.saver.pool._limit_bytes = 100
    return made


def test_without_memory_for_a_copy_the_loop_waits_until_it_is_saved(
    cramped: SimpleNamespace, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, result, gate = cramped.writer.commit, cramped.saver._scribe.result, threading.Event()

    def when_waited_for(draft: object) -> object:
        gate.wait(30)
        return commit(draft)

    def waiting(job: object) -> object:
        gate.set()
        return result(job)

    monkeypatch.setattr(cramped.writer, "commit", when_waited_for)
    monkeypatch.setattr(cramped.saver._scribe, "result", waiting)
    state = {"u": np.arange(100_000.0)}
    for step in (1, 2):
        state["u"] += 1
        cramped.saver.start(state, moment(step))
        is_busy = cramped.saver.busy
        gate.set()
        assert not is_busy
        assert steps(cramped.store) == [step]  # durable before it returned
    with cramped.store.source(cramped.saver.last.manifest) as source:
        assert source.read("u") == state["u"].tobytes()
    said = capfd.readouterr().err
    assert said.count("the loop waits while its state is saved") == 1
    assert "a copy of the state takes 781 KiB; 100 B are allowed" in said
    assert len(cramped.saver.blocked_s) == 2


def test_an_error_of_a_save_that_was_waited_for_is_raised_there(
    cramped: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cramped.writer, "commit", refuse)
    with pytest.raises(outlast.SpaceError, match="as asked"):
        cramped.saver.start({"u": np.zeros(1000)}, moment(1))
    assert cramped.saver.error() is None  # told once


def test_whatever_breaks_into_the_wait_live_memory_is_not_given_back_before_it_is_saved(
    cramped: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, gate = [], threading.Event()
    look = cramped.saver._scribe.look

    def interrupted(_job: object) -> None:
        raise KeyboardInterrupt

    def waiting(job: object) -> None:
        gate.set()
        look(job)

    def commit(_draft: object) -> None:
        gate.wait(30)
        done.append(1)
        refuse()

    monkeypatch.setattr(cramped.writer, "commit", commit)
    monkeypatch.setattr(cramped.saver._scribe, "result", interrupted)
    monkeypatch.setattr(cramped.saver._scribe, "look", waiting)
    with pytest.raises(KeyboardInterrupt):
        cramped.saver.start({"u": np.zeros(1000)}, moment(1))
    is_done = bool(done)
    gate.set()
    assert is_done


@pytest.fixture
def forking(made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The saver whose snapshots a forked child takes, as if nothing spoke against it."""
    monkeypatch.setattr("outlast.capture.snapshots.obstacle", lambda *_: "")
    made.saver._forks, made.saver.pool = True, Pool()
    return made


def test_a_forked_child_takes_the_snapshot(forking: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    run_alone, state = Copying.run_alone, {"u": np.zeros(100_000), "n": 1}

    def late(self: Copying, *, compares: bool) -> None:
        time.sleep(0.2)
        run_alone(self, compares=compares)

    monkeypatch.setattr(Copying, "run_alone", late)
    for step in (1, 2):
        forking.saver.start(state, moment(step))
        state["u"] += 1  # the loop goes on
        state["n"] += 1
        manifest = forking.saver.wait().manifest
        with forking.store.source(manifest) as source:
            assert (np.frombuffer(source.read("u")) == step - 1).all()
        assert manifest.tree["n"] == step


def test_a_child_that_died_fails_the_save_and_the_next_is_copied_by_the_loop(
    forking: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Copying, "run_alone", lambda *_, **__: os._exit(3))
    state = {"u": np.ones(100_000)}
    forking.saver.start(state, moment(1))
    with pytest.raises(outlast.OutlastError, match="the forked process that copied the state died"):
        forking.saver.wait()
    assert steps(forking.store) == []
    forking.saver.start(state, moment(2))
    with forking.store.source(forking.saver.wait().manifest) as source:
        assert source.read("u") == state["u"].tobytes()


def test_why_a_fork_is_not_used_is_said_once(
    made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("outlast.capture.snapshots.obstacle", lambda *_: "as asked")
    made.saver._forks, made.saver.pool = True, Pool()
    for step in (1, 2):
        made.saver.start({"u": np.ones(1000)}, moment(step))
        made.saver.wait()
    assert capfd.readouterr().err.count('warning: snapshot="fork" is not used: as asked') == 1


def test_fork_is_an_option_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outlast.capture.snapshots.obstacle", lambda *_: "")
    forked, fork = [], os.fork

    def counted() -> int:
        forked.append(1)
        return fork()

    monkeypatch.setattr(os, "fork", counted)
    state = {"u": np.zeros(100_000)}
    with outlast.Run(tmp_path / "s", state, every=1, snapshot="fork") as run:
        for _ in run.steps(3):
            state["u"] += 1
    assert len(forked) == 4  # three steps and the end
    with pytest.raises(outlast.UsageError, match="snapshot='copied': expected 'copy' or 'fork'"):
        outlast.Run(tmp_path / "s", {}, snapshot="copied")


def test_memory_for_the_first_save_is_there_before_it(tmp_path: Path) -> None:
    with outlast.Run(tmp_path / "s", {"u": np.zeros(100_000)}, every=1000) as run:
        capacity = run._saver.pool.capacity_bytes
        assert capacity >= 800_000
        address = run._saver.pool.address
        run.save()
        assert (run._saver.pool.capacity_bytes, run._saver.pool.address) == (capacity, address)


def test_what_a_copy_may_take_is_an_option_of_the_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with outlast.Run(tmp_path / "s", {"u": np.zeros(100_000)}, every=1, io=outlast.IO(memory="10KiB")) as run:
        for _ in run.steps(2):
            pass
    assert "takes 781 KiB; 10 KiB are allowed: the loop waits" in capfd.readouterr().err


def test_a_save_asked_for_in_a_loop_is_not_waited_for_and_that_is_said(tmp_path: Path, capfd) -> None:
    """Who takes the return of `wait` for an acknowledgement has to hear that nothing was saved yet."""
    with outlast.Run(tmp_path / "s", {"x": 1}, every=1000) as run:
        for step in run.steps(2):
            if step == 0:
                run.save()
                assert run.wait() is None
            else:
                assert run.wait().name.step == 1
    assert "does not wait for the save that begins at the end of this pass" in capfd.readouterr().err
