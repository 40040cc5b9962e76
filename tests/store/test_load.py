"""One leaf by its name, as an array: only its bytes are read, all of them checked, from the newest good checkpoint."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import outlast
from outlast.backends import Syscalls
from outlast.errors import DamageError, NothingError, UsageError
from outlast.format.model import LeafBytes, Manifest
from outlast.store import Draft
from storekit import Attempt

PAIR = np.dtype([("a", "<i4"), (("title", "b"), "<f8", (2, 3)), ("c", [("d", "S3")])])
ARRAYS: dict[str, tuple[str, np.ndarray]] = {
    "model/w": ("float32", np.arange(600_000, dtype=np.float32).reshape(600, 1000)),
    "model/b": ("int64", np.arange(5)),
    "model/odd": ("uint8", np.arange(3, dtype=np.uint8)),
    "scalar": ("float64", np.array(2.5)),
    "complex": ("complex64", np.array([1 + 2j, 3], np.complex64)),
    "flag": ("bool", np.array([True, False])),
    "none": ("float32", np.zeros((0, 4), np.float32)),
    "when": ("datetime64[25s]", np.array(["2020-01-01", "2021-01-01"], "datetime64[25s]")),
    "names": ("U3", np.array(["abc", "d"])),
    "pairs": (
        'struct:[["a","<i4"],[["title","b"],"<f8",[2,3]],["c",[["d","|S3"]]]]',
        np.array([(1, np.ones((2, 3)), ("x",))], PAIR),
    ),
    "long": (
        f'struct:[["outlast.longdouble{np.finfo(np.longdouble).nmant}","|V{np.dtype("g").itemsize}"]]',
        np.array([1, 2], np.longdouble) / 3,
    ),
    "text": ("utf8", np.frombuffer(b"hello", np.uint8)),
    "half": ("bfloat16", np.array([1, 2], np.uint16)),
    "tiny": ("float8_e4m3fn", np.array([1, 2], np.uint8)),
}


def commit(attempt: Attempt, step: int, arrays: dict[str, tuple[str, np.ndarray]]) -> Manifest:
    leaves = [
        LeafBytes(path=path, dtype=dtype, shape=array.shape, data=memoryview(array.tobytes()))
        for path, (dtype, array) in arrays.items()
    ]
    kinds = {"utf8": "str"}
    tree = {"m": {path: {"$": kinds.get(dtype, "array"), "leaf": path} for path, (dtype, _) in arrays.items()}}
    return attempt.writer.commit(Draft(step=step, tree=tree, leaves=leaves)).manifest


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    """A store with the arrays at step 1, and one more than them at step 2."""
    attempt = Attempt.begin(tmp_path / "store")
    commit(attempt, 1, ARRAYS)
    commit(attempt, 2, {path: (dtype, more(array)) for path, (dtype, array) in ARRAYS.items()})
    return attempt


def more(array: np.ndarray) -> np.ndarray:
    return array + 1 if array.dtype.char in "fdlBH" else array  # the padding of longdouble is never the same


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 4]))


def damage(attempt: Attempt, step: int, path: str) -> None:
    manifest = attempt.store.manifest(attempt.store.find(str(step)))
    (extent,) = next(leaf for leaf in manifest.leaves if leaf.path == path).extents
    flip(Path(attempt.store.path) / manifest.parts[0].path, extent.at)


@pytest.mark.parametrize("mmap", [False, True])
def test_every_dtype_comes_back(attempt: Attempt, mmap: bool) -> None:
    store = outlast.Store(attempt.store.path)
    for path, (dtype, array) in ARRAYS.items():
        if dtype not in ("bfloat16", "float8_e4m3fn"):
            for found, expected in (
                (store.load(path, 1, mmap=mmap), array),
                (store.load(path, mmap=mmap), more(array)),
            ):
                assert (found.dtype, found.shape) == (expected.dtype, expected.shape), path
                assert found.tobytes() == expected.tobytes(), path
                assert found.flags.writeable is not mmap


def test_a_step_and_a_name_choose_the_checkpoint(attempt: Attempt) -> None:
    for step in (1, "1", "step-000000001.a0001"):
        assert attempt.store.load("model/b", step).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(NothingError, match="no checkpoint 7 "):
        attempt.store.load("model/b", 7)


class Reads(Syscalls):
    def __init__(self) -> None:
        self.read_bytes: dict[str, int] = {}

    def preadv(self, fd: int, buffers: Sequence[Any], at: int, flags: int = 0) -> int:
        count = super().preadv(fd, buffers, at, flags)
        name = os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))
        self.read_bytes[name] = self.read_bytes.get(name, 0) + count
        return count


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("path", ["model/b", "model/w", "none"])
def test_only_what_is_needed_is_read(attempt: Attempt, path: str, mmap: bool) -> None:
    calls = Reads()
    store = outlast.Store(attempt.store.path, calls=calls)
    manifest = store.newest()
    calls.read_bytes.clear()
    store.load(path, mmap=mmap)
    size_bytes = ARRAYS[path][1].nbytes
    assert calls.read_bytes["manifest.json"] == store.sized(store.find(None))[1]
    assert calls.read_bytes.get("part-00000.safetensors", 0) == (
        manifest.parts[0].header_bytes + size_bytes if size_bytes else 0
    )


def test_a_damaged_one_is_passed_over_and_it_is_said(attempt: Attempt) -> None:
    damage(attempt, 2, "model/b")
    with pytest.warns(RuntimeWarning, match=r"leaf model/b differs.*: model/b is of step 1") as said:
        assert attempt.store.load("model/b").tolist() == [0, 1, 2, 3, 4]
    assert said[0].filename == __file__
    assert attempt.store.load("model/odd").tolist() == [1, 2, 3]  # which is whole
    with pytest.raises(DamageError, match="leaf model/b differs"):
        attempt.store.load("model/b", 2)
    damage(attempt, 1, "model/b")
    for mmap in (True, False):
        with pytest.raises(DamageError, match=r"no checkpoint in .* has a good model/b: .*leaf model/b differs"):
            attempt.store.load("model/b", mmap=mmap)


def test_a_damaged_manifest_is_passed_over(attempt: Attempt) -> None:
    flip(Path(attempt.store.path) / "step-000000002.a0001/manifest.json", 100)
    with pytest.warns(RuntimeWarning, match=r"manifest.json.*: model/odd is of step 1"):
        assert attempt.store.load("model/odd").tolist() == [0, 1, 2]


@pytest.mark.parametrize("gone", ["manifest", "part"])
def test_one_that_is_pruned_meanwhile_is_not_damaged(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    store = outlast.Store(attempt.store.path)
    real, pruned = store.manifest, []

    def manifest(name: Any) -> Manifest:
        before = real(name) if gone == "part" else None
        if not pruned:
            pruned.append(name)
            commit(attempt, 3, ARRAYS)
            attempt.prune(1)
        return before or real(name)

    monkeypatch.setattr(store, "manifest", manifest)
    assert store.load("model/b").tolist() == [0, 1, 2, 3, 4]


def test_an_unknown_leaf_is_named_with_those_that_are_alike(attempt: Attempt) -> None:
    with pytest.raises(NothingError, match=r"no leaf model/v in .* step 2\n.*did you mean .*model/w"):
        attempt.store.load("model/v")
    with pytest.raises(NothingError, match=r"no leaf w in .*\n.*did you mean model/w\?"):
        attempt.store.load("w")
    with pytest.raises(NothingError, match=r"no leaf zzzz in .*\n.*see: outlast show"):
        attempt.store.load("zzzz")


def test_an_empty_store(tmp_path: Path) -> None:
    with pytest.raises(NothingError, match="there is no checkpoint in"):
        Attempt.begin(tmp_path / "store").store.load("w")


def test_what_numpy_has_no_dtype_for(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(UsageError, match=r"leaf half is bfloat16, .*\n.*pip install ml_dtypes"):
        attempt.store.load("half")
    made = type("ml_dtypes", (), {"bfloat16": np.uint16, "float8_e4m3fn": np.uint8})
    monkeypatch.setitem(sys.modules, "ml_dtypes", made)
    assert attempt.store.load("half", 1).tolist() == [1, 2]
    assert attempt.store.load("tiny", 1).tolist() == [1, 2]


def test_extended_precision_of_another_machine(tmp_path: Path) -> None:
    attempt = Attempt.begin(tmp_path / "store")
    commit(attempt, 1, {"x": ('struct:[["outlast.longdouble7","|V16"]]', np.ones(2, "V16"))})
    with pytest.raises(UsageError, match="leaf x is of the type longdouble7, which this machine does not have"):
        attempt.store.load("x")


def test_without_numpy_the_remedy_is_said(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    monkeypatch.delitem(sys.modules, "outlast.store.loading", raising=False)
    monkeypatch.delattr("outlast.store.loading", raising=False)
    with pytest.raises(UsageError, match=r"needs NumPy, which is not installed\n.*pip install numpy"):
        attempt.store.load("model/b")


# -- looking into the file -----------------------------------------------------------------------------------


def test_a_mapped_leaf_is_the_file_itself(attempt: Attempt) -> None:
    found = attempt.store.load("model/w", mmap=True)
    assert np.array_equal(found, more(ARRAYS["model/w"][1]))
    with pytest.raises(ValueError, match="read-only"):
        found[0, 0] = 1
    damage(attempt, 2, "model/w")  # nobody may do that: seen at once, so it is no copy
    assert found[0, 0] != 1


def test_a_pruned_part_is_not_reused_while_a_leaf_is_mapped(attempt: Attempt) -> None:
    part = Path(attempt.store.path) / attempt.store.newest().parts[0].path
    found = attempt.store.load("model/w", mmap=True)
    with part.open("rb") as file:
        commit(attempt, 3, ARRAYS)
        attempt.prune(1)
        assert not part.exists()
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert np.array_equal(found, more(ARRAYS["model/w"][1]))
        del found
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_where_nothing_can_be_mapped_it_is_read(attempt: Attempt) -> None:
    class Calls(Syscalls):
        def map(self, fd: int, at: int, size_bytes: int) -> Any:
            raise OSError(19, "No such device")

    found = outlast.Store(attempt.store.path, calls=Calls()).load("model/w", mmap=True)
    assert np.array_equal(found, more(ARRAYS["model/w"][1]))
    assert not found.flags.writeable


def test_a_part_that_is_cut_after_it_was_checked(attempt: Attempt) -> None:
    part = Path(attempt.store.path) / attempt.store.newest().parts[0].path

    class Calls(Syscalls):
        def map(self, fd: int, at: int, size_bytes: int) -> Any:
            os.truncate(part, 10)
            return super().map(fd, at, size_bytes)

    with pytest.raises(DamageError, match=r"part-00000.safetensors is cut short"):
        outlast.Store(attempt.store.path, calls=Calls()).load("model/w", 2, mmap=True)
