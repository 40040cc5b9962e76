"""What a snapshot says of the one before: "the same" only of bytes that are, and nothing where it cannot know."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.capture import Pool, Rewind, snapshot, snapshots
from outlast.capture.copying import LARGE_BYTES, PIECE_BYTES
from outlast.format.chunks import CHUNK_BYTES

CHUNK = CHUNK_BYTES // 8  # float64 items


def field(chunks: float = 5) -> np.ndarray:
    return np.arange(int(chunks * CHUNK), dtype=np.float64)


def test_the_first_snapshot_says_nothing() -> None:
    taken = snapshot({"u": field()}, Pool())
    assert (taken.number, taken.since, taken.changed) == (1, None, {})


def test_a_byte_a_chunk_tells_what_changed() -> None:
    pool, state = Pool(), {"u": field(), "v": field(1.5), "small": np.zeros(10)}
    snapshot(state, pool)
    state["u"][2 * CHUNK + 7000] = -1
    state["small"] += 1
    taken = snapshot(state, pool)
    assert (taken.number, taken.since) == (2, 1)
    assert taken.changed == {"u": b"\0\0\1\0\0", "v": b"\0\0"}
    assert {leaf.path: bytes(leaf.data) for leaf in taken.leaves} == {k: v.tobytes() for k, v in state.items()}


def test_small_leaves_are_not_in_it() -> None:
    pool, edge = Pool(), LARGE_BYTES // 8
    state = {"below": np.zeros(edge - 1), "at": np.zeros(edge)}
    snapshot(state, pool)
    assert snapshot(state, pool).changed == {"at": b"\0"}


@given(st.lists(st.tuples(st.sampled_from("uv"), st.integers(0, 3 * CHUNK_BYTES + 4999)), max_size=6), st.data())
def test_what_is_told_is_true(touched: list[tuple[str, int]], data: st.DataObject) -> None:
    size = 3 * CHUNK_BYTES + 5000
    pool = Pool()
    state = {"u": np.zeros(size, np.uint8), "v": np.zeros(size, np.uint8)}
    before = {leaf.path: bytes(leaf.data) for leaf in snapshot(state, pool).leaves}
    for name, at in touched:
        state[name][at] = data.draw(st.integers(0, 255))
    taken = snapshot(state, pool)
    for leaf in taken.leaves:
        now = bytes(leaf.data)
        assert now == state[leaf.path].tobytes()
        ranges = range(0, size, CHUNK_BYTES)
        differs = [now[i : i + CHUNK_BYTES] != before[leaf.path][i : i + CHUNK_BYTES] for i in ranges]
        assert list(taken.changed[leaf.path]) == differs


def test_values_are_compared_as_bytes() -> None:
    pool, state = Pool(), {"u": np.zeros(2 * CHUNK)}
    state["u"][:CHUNK] = np.nan
    snapshot(state, pool)
    assert snapshot(state, pool).changed == {"u": b"\0\0"}  # NaN is the same as itself here
    state["u"][-1] = -0.0
    assert snapshot(state, pool).changed == {"u": b"\0\1"}  # and -0.0 is not 0.0


@pytest.mark.parametrize(
    "other",
    [
        {"u": np.zeros(PIECE_BYTES // 4)},  # another size
        {"u": np.zeros((2, PIECE_BYTES // 16))},  # another shape
        {"u": np.zeros(PIECE_BYTES // 8, np.int64)},  # another dtype
        {"v": np.zeros(PIECE_BYTES // 8)},  # another name
        {"u": np.zeros(PIECE_BYTES // 8), "v": np.zeros(3)},  # one more
    ],
)
def test_another_layout_is_compared_with_nothing(other: dict[str, Any]) -> None:
    pool = Pool()
    snapshot({"u": np.zeros(PIECE_BYTES // 8)}, pool)
    taken = snapshot(other, pool)
    assert (taken.number, taken.since, taken.changed) == (2, None, {})
    assert {leaf.path: bytes(leaf.data) for leaf in taken.leaves} == {k: v.tobytes() for k, v in other.items()}
    assert snapshot(other, pool).since == 2


def test_arrays_that_moved_are_compared_all_the_same() -> None:
    pool, state = Pool(), {"u": field(2)}
    snapshot(state, pool)
    state["u"] = field(2)
    state["u"][-1] = -1
    taken = snapshot(state, pool)
    assert taken.changed == {"u": b"\0\1"}
    assert bytes(taken.leaves[0].data) == state["u"].tobytes()


def test_a_leaf_that_lies_otherwise_in_memory_is_copied_and_not_told_of() -> None:
    pool, state = Pool(), {"u": np.asfortranarray(field(2).reshape(2, -1)), "v": field(1)}
    snapshot(state, pool)
    state["u"][0, 0] = -1
    taken = snapshot(state, pool)
    assert taken.changed == {"v": b"\0"}
    assert bytes(taken.leaves[0].data) == state["u"].tobytes()


def test_after_one_that_failed_half_way_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, state = Pool(), {"u": field(2)}
    snapshot(state, pool)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(snapshots.Placed, "copy_others", _interrupt)
        snapshot(state, pool)
    taken = snapshot(state, pool)
    assert (taken.number, taken.since, taken.changed) == (3, None, {})
    assert snapshot(state, pool).since == 3


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def test_a_copy_for_the_way_back_counts_as_a_snapshot() -> None:
    """So a save behind it does not compare with what its writer wrote last: the numbers differ."""
    pool, state = Pool(), {"u": field(1)}
    snapshot(state, pool)
    Rewind(state, pool)
    taken = snapshot(state, pool)
    assert (taken.number, taken.since) == (3, 2)


def test_a_pool_of_a_parent_is_not_written_to() -> None:
    pool, state = Pool(), {"u": field(1)}
    taken = snapshot(state, pool)
    pid = os.fork()
    if pid == 0:
        state["u"] += 1
        mine = snapshot(state, pool)
        good = mine.since is None and bytes(mine.leaves[0].data) == state["u"].tobytes()
        os._exit(0 if good else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert bytes(taken.leaves[0].data) == state["u"].tobytes()
