"""A forked child copies the state as it was at the fork, does nothing else, and its death is an error."""

from __future__ import annotations

import gc
import mmap
import os
import signal
import sys
import threading
import time
import types
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from outlast.capture import Pool, Snapshot, forking, snapshot
from outlast.capture.copying import Copying
from outlast.capture.forking import Mappings, obstacle, shared_among
from outlast.errors import OutlastError
from outlast.format.chunks import CHUNK_BYTES

CHUNK = CHUNK_BYTES // 8
GIB = 1 << 30


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever these tests run beside: no framework was loaded, and no MPI started us."""
    for name in forking._THREADED:
        monkeypatch.delitem(sys.modules, name, raising=False)
    for name in forking._LAUNCHED:
        monkeypatch.delenv(name, raising=False)


def field(chunks: float = 3) -> np.ndarray:
    return np.arange(int(chunks * CHUNK), dtype=np.float64)


def slowly(monkeypatch: pytest.MonkeyPatch, seconds_s: float = 0.3) -> None:
    """Have the child begin late: the loop has gone on by then."""
    run_alone = Copying.run_alone

    def late(self: Copying, *, compares: bool) -> None:
        time.sleep(seconds_s)
        run_alone(self, compares=compares)

    monkeypatch.setattr(Copying, "run_alone", late)


def held(taken: Snapshot) -> dict[str, bytes]:
    return {leaf.path: bytes(leaf.data) for leaf in taken.leaves}


def test_what_is_copied_is_the_state_at_the_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    slowly(monkeypatch)
    pool = Pool()
    state = {"u": field(), "small": np.arange(10.0), "f": np.asfortranarray(field(1).reshape(2, -1)), "e": np.zeros(0)}
    wanted = {name: array.tobytes() for name, array in state.items()}
    taken = snapshot(state, pool, by_fork=True)
    assert taken.copied_because == ""
    assert taken.changed_later
    for array in state.values():
        array[...] = -1
    whole = taken.finished()
    assert held(whole) == wanted
    assert (whole.number, whole.since, whole.changed) == (1, None, {})


def test_what_changed_comes_back_from_the_child() -> None:
    pool, state = Pool(), {"u": field(), "v": field(1)}
    snapshot(state, pool, by_fork=True).finished()
    state["u"][CHUNK + 100] = -1
    second = snapshot(state, pool, by_fork=True).finished()
    assert (second.number, second.since, second.changed) == (2, 1, {"u": b"\0\1\0", "v": b"\0"})
    assert held(second)["u"] == state["u"].tobytes()
    third = snapshot(state, pool).finished()  # and by the loop's own thread, into the same places
    assert (third.since, third.changed) == (2, {"u": b"\0\0\0", "v": b"\0"})
    state["v"] = state["v"] + 1
    assert snapshot(state, pool, by_fork=True).finished().changed == {"u": b"\0\0\0", "v": b"\1"}


def test_memory_that_parent_and_child_share_is_copied_before(monkeypatch: pytest.MonkeyPatch) -> None:
    slowly(monkeypatch)
    shared = np.frombuffer(mmap.mmap(-1, 2 * CHUNK_BYTES), np.float64)
    shared[:] = 1
    pool, state = Pool(), {"own": field(1), "shared": shared, "tail": shared[-10:]}
    wanted = {name: array.tobytes() for name, array in state.items()}
    for _ in range(2):
        taken = snapshot(state, pool, by_fork=True)
        state["own"][:] = -1
        shared[:] = -1
        whole = taken.finished()
        assert held(whole) == wanted
        state["own"][:] = field(1)
        shared[:] = 1
    assert whole.changed == {"own": b"\0"}  # of the other one nothing is known


def test_a_file_that_is_mapped_and_shared_is_copied_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slowly(monkeypatch)
    state = {"m": np.memmap(tmp_path / "m", "f8", "w+", shape=(CHUNK,), offset=16)}
    state["m"][:] = 1
    taken = snapshot(state, Pool(), by_fork=True)
    state["m"][:] = 2
    assert held(taken.finished())["m"] == np.ones(CHUNK).tobytes()


def test_the_child_does_not_hear_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    run_alone, (read, write) = Copying.run_alone, os.pipe()

    def when_told(self: Copying, *, compares: bool) -> None:
        os.read(read, 1)
        run_alone(self, compares=compares)

    monkeypatch.setattr(Copying, "run_alone", when_told)
    state = {"u": field(1)}
    heard = []
    before = signal.signal(signal.SIGUSR1, lambda *_: heard.append(os.getpid()))
    try:
        pool = Pool()
        taken = snapshot(state, pool, by_fork=True)
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP):
            os.kill(pool.child._pid, number)
        os.write(write, b"g")
        assert held(taken.finished()) == {"u": state["u"].tobytes()}
    finally:
        os.close(read)
        os.close(write)
        signal.signal(signal.SIGUSR1, before)
    assert heard == []
    assert signal.SIGUSR1 not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_child_that_is_killed_fails_the_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    slowly(monkeypatch, 30)
    pool, state = Pool(), {"u": field(1)}
    taken = snapshot(state, pool, by_fork=True)
    os.kill(pool.child._pid, signal.SIGKILL)
    with pytest.raises(OutlastError, match=r"the forked process that copied the state died \(its status: -9\)"):
        taken.finished()
    monkeypatch.undo()
    after = snapshot(state, pool).finished()
    assert after.since is None
    assert held(after) == {"u": state["u"].tobytes()}


def test_a_child_that_fails_is_no_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: Copying, *, compares: bool) -> None:
        raise ValueError(compares)

    monkeypatch.setattr(Copying, "run_alone", fail)
    with pytest.raises(OutlastError, match="died"):
        snapshot({"u": field(1)}, Pool(), by_fork=True).finished()


def test_a_child_whose_end_somebody_else_took_note_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program may wait for any child, or ignore SIGCHLD: the mark in shared memory says how it ended."""
    pool, state = Pool(), {"u": field(1)}
    taken = snapshot(state, pool, by_fork=True)
    os.waitpid(pool.child._pid, 0)
    assert held(taken.finished()) == {"u": state["u"].tobytes()}
    with monkeypatch.context() as patch:
        slowly(patch, 30)
        taken = snapshot(state, pool, by_fork=True)
        os.kill(pool.child._pid, signal.SIGKILL)
        os.waitpid(pool.child._pid, 0)
        with pytest.raises(OutlastError, match="somebody else took note of its end"):
            taken.finished()
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        taken = snapshot(state, pool, by_fork=True)
        assert taken.copied_because == ""
        assert held(taken.finished()) == {"u": state["u"].tobytes()}
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_the_next_snapshot_waits_for_a_child_that_nobody_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    run_alone, wait, (read, write) = Copying.run_alone, forking.Child.wait, os.pipe()

    def when_waited_for(self: Copying, *, compares: bool) -> None:
        os.read(read, 1)
        run_alone(self, compares=compares)

    def waiting(self: forking.Child) -> None:
        os.write(write, b"w")
        wait(self)

    monkeypatch.setattr(Copying, "run_alone", when_waited_for)
    monkeypatch.setattr(forking.Child, "wait", waiting)
    pool, state = Pool(), {"u": field(1)}
    snapshot(state, pool, by_fork=True)
    child = pool.child
    state["u"] += 1
    taken = snapshot(state, pool)
    with suppress(OutlastError):
        child.wait()  # who did not wait has its copy come now
    os.close(read)
    os.close(write)
    assert taken.since is None
    assert held(taken) == {"u": state["u"].tobytes()}  # the child's late copy is not in it


def test_a_child_lost_sight_of_writes_into_memory_of_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The handler of a signal may raise right behind the fork."""
    slowly(monkeypatch, 0.5)
    fork, pids = os.fork, []

    def interrupted() -> int:
        pids.append(fork())
        if pids[0] == 0:
            return 0
        raise KeyboardInterrupt

    pool, state = Pool(), {"u": field(1)}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "fork", interrupted)
        snapshot(state, pool, by_fork=True)
    state["u"] += 1
    taken = snapshot(state, pool)
    os.waitpid(pids[0], 0)
    assert held(taken) == {"u": state["u"].tobytes()}


def test_without_a_child_the_copy_is_made_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    taken = snapshot(state := {"u": field(1)}, Pool(), by_fork=True)
    assert taken.copied_because == "the system has refused it: Resource temporarily unavailable"
    assert taken.changed_later is None
    assert held(taken) == {"u": state["u"].tobytes()}
    assert gc.isenabled()


def test_it_runs_no_finalizer_and_warns_of_no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    fork = os.fork

    def watched() -> int:
        seen.append(gc.isenabled())
        seen.append(signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        warnings.warn("multi-threaded, use of fork() may lead to deadlocks", DeprecationWarning, stacklevel=1)
        return fork()

    monkeypatch.setattr(os, "fork", watched)
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    snapshot({"u": field(1)}, Pool(), by_fork=True).finished()
    stop.set()
    thread.join()
    assert seen == [False, True]
    assert gc.isenabled()


def test_the_child_ends_with_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    slowly(monkeypatch, 60)
    begun, pids = os.pipe()
    parent = os.fork()
    if parent == 0:
        pool = Pool()
        snapshot({"u": field(1)}, pool, by_fork=True)
        os.write(pids, str(pool.child._pid).encode())
        time.sleep(0.5)  # it has asked the kernel by now
        os._exit(0)
    child = int(os.read(begun, 20))
    os.waitpid(parent, 0)
    for _ in range(100):
        if not _lives(child):
            break
        time.sleep(0.05)
    assert not _lives(child)
    os.close(begun)
    os.close(pids)


def test_the_child_does_not_end_with_a_thread_that_asked_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    slowly(monkeypatch)
    state, pool, taken = {"u": field()}, Pool(), []
    expected = state["u"].tobytes()
    thread = threading.Thread(target=lambda: taken.append(snapshot(state, pool, by_fork=True)))
    thread.start()
    thread.join()
    assert held(taken[0].finished()) == {"u": expected}


def _lives(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


# when not to


@pytest.fixture
def plenty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forking, "available_bytes", lambda: 100 * GIB)


def mapped(tmp_path: Path, *lines: str) -> Mappings:
    (tmp_path / "maps").write_text("".join(f"{line}\n" for line in lines))
    return Mappings(tmp_path / "maps")


HEAP = "55d0c5a00000-55d0c5b00000 rw-p 00000000 00:00 0                          [heap]"
LIBC = "7f0000000000-7f0000100000 r-xp 00026000 fe:00 339380                     /usr/lib/x86_64-linux-gnu/libc.so.6"


@pytest.mark.usefixtures("plenty")
def test_nothing_speaks_against_it(tmp_path: Path) -> None:
    assert obstacle(mapped(tmp_path, HEAP, LIBC), GIB) == ""


@pytest.mark.usefixtures("plenty")
@pytest.mark.parametrize(
    "library",
    ["libmpi.so.40.30", "libmpich.so.12", "libibverbs.so.1.14", "libucp.so.0", "libpsm2.so.2", "libfabric.so.1"],
)
def test_a_fabric_speaks_against_it(tmp_path: Path, library: str) -> None:
    found = obstacle(mapped(tmp_path, HEAP, LIBC.replace("libc.so.6", library)), GIB)
    assert found == f"{library} is loaded, whose network buffers must not be copied on write"


@pytest.mark.usefixtures("plenty")
def test_cuda_speaks_against_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = mapped(tmp_path, LIBC.replace("libc.so.6", "libcuda.so.550.54"))
    assert obstacle(cuda, GIB) == "CUDA is in use, and its driver does not survive a fork"
    torch = types.SimpleNamespace(cuda=types.SimpleNamespace(is_initialized=lambda: True))
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert "CUDA is in use" in obstacle(mapped(tmp_path, HEAP), GIB)


@pytest.mark.usefixtures("plenty")
@pytest.mark.parametrize("name", ["jax", "tensorflow"])
def test_frameworks_with_threads_speak_against_it(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    assert obstacle(mapped(tmp_path, HEAP), GIB) == f"{name} is loaded, whose threads a fork may break"


@pytest.mark.usefixtures("plenty")
@pytest.mark.parametrize("name", ["OMPI_COMM_WORLD_SIZE", "PMI_RANK"])
def test_a_process_of_mpi_speaks_against_it(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "2")
    assert obstacle(mapped(tmp_path, HEAP), GIB) == f"this is an MPI process ({name} is set)"


def test_too_little_memory_speaks_against_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forking, "available_bytes", lambda: GIB)
    found = obstacle(mapped(tmp_path, HEAP), GIB)
    assert found == "pages written to meanwhile may take 1 GiB, and 1 GiB are left"


def test_an_obstacle_leaves_the_copy_to_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PMI_RANK", "0")
    taken = snapshot(state := {"u": field(1)}, Pool(), by_fork=True)
    assert taken.copied_because == "this is an MPI process (PMI_RANK is set)"
    assert taken.changed_later is None
    assert held(taken) == {"u": state["u"].tobytes()}


def test_shared_mappings_are_told_from_others(tmp_path: Path) -> None:
    shared = "7f0000200000-7f0000300000 rw-s 00000000 00:01 1034                       /dev/zero (deleted)"
    mappings = mapped(tmp_path, HEAP, LIBC, shared)
    assert mappings.shared() == [(0x7F0000200000, 0x7F0000300000)]
    places = [0x55D0C5A00000, 0x7F00001FFFFF, 0x7F0000200000, 0x7F00002FFFFF, 0x7F0000300000]
    assert shared_among([(at, index) for index, at in enumerate(places)], mappings) == {2, 3}
