"""What is left of the memory, by every account there is, and what a snapshot does where a copy does not fit."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest

from outlast.capture import Pool, Rewind, snapshot
from outlast.capture.budget import available_bytes, room_for

MIB = 1 << 20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine with 8 GiB available and no cgroup."""
    put(tmp_path, "proc/meminfo", "MemTotal:       16777216 kB\nMemFree: 1024 kB\nMemAvailable:    8388608 kB\n")
    return tmp_path


def put(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def v1(root: Path, group: str, limit: int, used: int, inactive: int = 0) -> None:
    folder = f"sys/fs/cgroup/memory/{group}".rstrip("/")
    put(root, f"{folder}/memory.limit_in_bytes", f"{limit}\n")
    put(root, f"{folder}/memory.usage_in_bytes", f"{used}\n")
    put(root, f"{folder}/memory.stat", f"inactive_file 7\ntotal_inactive_file {inactive}\n")


def v2(root: Path, group: str, limit: int | str, used: int, inactive: int = 0, *, mount: str = "") -> None:
    folder = f"sys/fs/cgroup/{mount}{group}".rstrip("/")
    put(root, f"{folder}/memory.max", f"{limit}\n")
    put(root, f"{folder}/memory.current", f"{used}\n")
    put(root, f"{folder}/memory.stat", f"anon 5\ninactive_file {inactive}\n")


def test_the_machine_has_so_much_left(root: Path) -> None:
    assert available_bytes(root) == 8 << 30


def test_a_cgroup_of_version_2_has_less(root: Path) -> None:
    put(root, "proc/self/cgroup", "0::/job/step\n")
    v2(root, "job/step", 900 * MIB, 500 * MIB, inactive=100 * MIB)
    assert available_bytes(root) == 500 * MIB


def test_an_outer_cgroup_may_have_the_least(root: Path) -> None:
    put(root, "proc/self/cgroup", "0::/job/step\n")
    v2(root, "job/step", "max", 500 * MIB)
    v2(root, "job", 700 * MIB, 600 * MIB)
    assert available_bytes(root) == 100 * MIB


def test_cgroups_of_both_versions_side_by_side(root: Path) -> None:
    put(root, "proc/self/cgroup", "5:cpu,memory:/job\n1:name=systemd:/\n0::/x\n")
    v1(root, "job", 1000 * MIB, 500 * MIB, inactive=50 * MIB)
    v2(root, "x", 800 * MIB, 500 * MIB, mount="unified/")
    assert available_bytes(root) == 300 * MIB
    v1(root, "", 600 * MIB, 500 * MIB)
    assert available_bytes(root) == 100 * MIB


def test_a_container_sees_its_group_at_the_mount_only(root: Path) -> None:
    put(root, "proc/self/cgroup", "4:memory:/docker/0123\n")
    v1(root, "", 600 * MIB, 500 * MIB)
    assert available_bytes(root) == 100 * MIB


def test_no_limit_is_no_limit(root: Path) -> None:
    put(root, "proc/self/cgroup", "4:memory:/a\n0::/b\nnonsense::\n")
    v1(root, "a", 9223372036854771712, 500 * MIB)
    v2(root, "b", "max", 500 * MIB)
    assert available_bytes(root) == 8 << 30


def test_more_than_the_limit_is_used(root: Path) -> None:
    put(root, "proc/self/cgroup", "0::/job\n")
    v2(root, "job", 100, 200)
    assert available_bytes(root) == 0


def test_the_address_space_may_be_limited(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(root, "proc/self/statm", "1000 500 300 1 0 200 0\n")
    monkeypatch.setattr(resource, "getrlimit", lambda which: {resource.RLIMIT_AS: (5 << 20, 9 << 20)}[which])
    assert available_bytes(root) == (5 << 20) - 1000 * resource.getpagesize()


def test_nothing_can_be_found_out(tmp_path: Path) -> None:
    assert available_bytes(tmp_path) > 1 << 50


def test_here(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MIB < available_bytes() < 1 << 50


def test_some_is_left_over() -> None:
    assert room_for(1000) == 2000
    assert room_for(1 << 30) == (1 << 30) + (64 << 20)


# what comes of it


def left(monkeypatch: pytest.MonkeyPatch, size_bytes: int) -> None:
    monkeypatch.setattr("outlast.capture.pool.available_bytes", lambda: size_bytes)


def state(items: int = 100_000) -> dict[str, np.ndarray]:
    return {"u": np.arange(float(items)), "f": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "e": np.zeros(0)}


def test_a_copy_that_does_not_fit_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    left(monkeypatch, 1_600_000)
    pool = Pool()
    with pytest.raises(MemoryError, match=r"a copy of the state takes 781 KiB; 1\.53 MiB of memory are left"):
        snapshot(state(), pool)
    assert pool.capacity_bytes == 0
    left(monkeypatch, 1_700_000)
    snapshot(state(), pool)


def test_what_is_asked_for_twice_is_asked_of_the_machine_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, live = Pool(), state()
    snapshot(live, pool)
    left(monkeypatch, 0)
    assert snapshot(live, pool).since == 1


def test_the_most_that_may_be_taken_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = 800_048
    left(monkeypatch, 2 * exact)
    assert snapshot(state(), Pool(exact)).size_bytes == exact
    with pytest.raises(MemoryError, match="781 KiB are allowed"):
        snapshot(state(), Pool(exact - 1))


def test_a_live_snapshot_is_the_memory_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    left(monkeypatch, 1000)
    pool, live = Pool(), state()
    taken = snapshot(live, pool, may_be_live=True)
    assert "are left" in taken.live_because
    assert (taken.number, taken.since, taken.changed, taken.size_bytes) == (1, None, {}, 800_048)
    u, f, e = taken.leaves
    assert np.frombuffer(u.data).ctypes.data == live["u"].ctypes.data
    assert u.data.readonly
    assert bytes(f.data) == live["f"].tobytes()  # lies otherwise in memory: that one is a copy
    assert bytes(e.data) == b""
    assert pool.capacity_bytes < 1000


def test_a_live_snapshot_keeps_what_only_the_walk_had() -> None:
    class Odd:
        def __getstate__(self) -> dict[str, object]:
            return {"made": np.full(100_000, 7.0)}

    taken = snapshot({"odd": Odd()}, Pool(10), may_be_live=True)
    np.zeros(100_000)  # would take that memory, were it free
    assert (np.frombuffer(taken.leaves[0].data) == 7.0).all()


def test_with_room_again_it_is_a_copy_again_compared_with_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, live = Pool(), state()
    snapshot(live, pool)
    live["u"] = np.arange(200_000.0)
    left(monkeypatch, 1000)
    assert snapshot(live, pool, may_be_live=True).live_because
    left(monkeypatch, 1 << 30)
    taken = snapshot(live, pool, may_be_live=True)
    assert (taken.live_because, taken.number, taken.since) == ("", 3, None)
    assert snapshot(live, pool, may_be_live=True).since == 3


def test_not_even_what_must_be_copied_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    left(monkeypatch, 1000)
    with pytest.raises(MemoryError, match="are left"):
        snapshot({"f": np.asfortranarray(np.zeros((100, 100)))}, Pool(), may_be_live=True)


def test_the_way_back_is_read_again_where_it_cannot_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    left(monkeypatch, 1000)
    live: dict[str, object] = {"u": np.zeros(1000), "n": [1, 2]}
    with pytest.raises(MemoryError):
        Rewind(live, Pool())
    rewind = Rewind(live, Pool(), lambda: live["u"].fill(5.0))  # type: ignore[attr-defined]
    live["n"].append(3)  # type: ignore[attr-defined]
    live["new"] = 1
    rewind.put_back()
    assert live["n"] == [1, 2]
    assert (live["u"] == 5.0).all()  # type: ignore[attr-defined]
    assert "new" not in live
