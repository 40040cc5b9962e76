"""What a run goes on from: the newest that verifies, said aloud where it is not the newest that was acknowledged."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import numpy as np
import pytest

import outlast
from outlast.errors import StorageError
from outlast.format import manifest as manifests
from outlast.store import catalog


def saved(path: Path, *steps: int, done: bool = False) -> Path:
    """Make a run that has saved at these steps."""
    state = {"u": np.zeros(100), "v": np.zeros(100), "n": 0}
    try:
        with outlast.Run(path, state, every=10**6, keep=10) as run:
            for step in run.steps(steps[-1]):
                state["u"] += 1
                state["v"] += 1
                state["n"] += 1
                if step + 1 in steps:
                    run.save()
            if not done:
                raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    return path


def garble(path: Path, step: int, at: int = -1) -> None:
    part = path / f"step-{step:09d}.a0001" / "part-00000.safetensors"
    data = bytearray(part.read_bytes())
    data[at] ^= 4
    part.write_bytes(data)


def fresh() -> dict:
    return {"u": np.zeros(100), "v": np.zeros(100), "n": 0}


def test_the_newest_good_one_is_restored(tmp_path: Path) -> None:
    path, state = saved(tmp_path / "s", 1, 2, 3), fresh()
    with pytest.raises(ZeroDivisionError), outlast.Run(path, state) as run:
        assert (run.step, state["n"], set(state["u"])) == (3, 3, {3.0})
        raise ZeroDivisionError


def test_a_large_state_comes_back_whole_or_not_at_all(tmp_path: Path) -> None:
    """Read by several threads: straight into the live arrays, through a temporary, and many small ones."""

    def made(step: float) -> dict:
        arrays = {"a": np.full(1_500_000, step), "b": np.full((400, 600), step).T, "c": np.full(300_001, step)[::2]}
        return {**arrays, "small": {str(number): np.full(number, step + number) for number in range(300)}, "n": step}

    path, state = tmp_path / "s", made(0.0)
    with pytest.raises(ZeroDivisionError), outlast.Run(path, state, every=10**6, keep=10) as run:
        for step in run.steps(3):
            state |= made(step + 1.0)
            run.save()
        raise ZeroDivisionError
    garble(path, 3, 6_000_000)
    state = made(0.0)
    held = dict(state)
    with pytest.raises(ZeroDivisionError), outlast.Run(path, state):
        raise ZeroDivisionError
    expected = made(2.0)
    assert state["n"] == 2.0
    assert all(state[key] is held[key] and np.array_equal(state[key], expected[key]) for key in "abc")
    assert all(np.array_equal(value, expected["small"][key]) for key, value in state["small"].items())


@pytest.mark.parametrize("done", [False, True])
def test_a_manifest_is_read_once_at_a_start(tmp_path: Path, done: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    path, read, real = saved(tmp_path / "s", 1, 2, 3, done=done), [], manifests.read
    monkeypatch.setattr(manifests, "read", lambda text, name: (read.append(name), real(text, name))[1])
    with contextlib.suppress(ZeroDivisionError, SystemExit), outlast.Run(path, fresh()):
        raise ZeroDivisionError
    assert read[0] == f"{max(path.glob('step-*')).name}/manifest.json"
    assert read.count(read[0]) == 1


def test_a_beginning_that_cannot_be_read_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "s", 1, done=True)

    def fails(*_: object) -> bool:
        raise StorageError("no")

    monkeypatch.setattr(catalog, "is_unfinished", fails)
    with pytest.raises(SystemExit), outlast.Run(path, fresh()):
        raise AssertionError("it is done")


def test_falling_back_is_said_with_file_and_steps(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path, state = saved(tmp_path / "s", 1, 2, 3), fresh()
    garble(path, 3)
    capfd.readouterr()
    with pytest.raises(ZeroDivisionError), outlast.Run(path, state) as run:
        assert (run.step, state["n"], set(state["u"])) == (2, 2, {2.0})
        raise ZeroDivisionError
    said = capfd.readouterr().err
    assert "warning: step-000000003.a0001 is damaged: step-000000003.a0001/part-00000.safetensors: leaf " in said
    assert "the newest acknowledged checkpoint was step-000000003.a0001 (step 3): damage; going on from step 2" in said
    assert len(list((path / "quarantine").iterdir())) == 1


def test_where_all_is_damaged_there_is_no_fresh_start(tmp_path: Path) -> None:
    path, state = saved(tmp_path / "s", 1, 2), fresh()
    for step in (1, 2):
        garble(path, step)
    for _ in range(2):  # the second time they are in quarantine already
        with pytest.raises(outlast.DamageError, match=r"no checkpoint in .* is good") as caught:
            outlast.Run(path, state).__enter__()
        assert caught.value.exit_status == 3


def test_where_all_is_gone_there_is_no_fresh_start(tmp_path: Path) -> None:
    path = saved(tmp_path / "s", 1, 2)
    for folder in path.glob("step-*"):
        shutil.rmtree(folder)
    with pytest.raises(outlast.DamageError, match=r"the last one saved was step-000000002\.a0001"):
        outlast.Run(path, fresh()).__enter__()


def test_a_store_that_never_held_anything_is_a_fresh_start(tmp_path: Path) -> None:
    state = fresh()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), outlast.Run(tmp_path / "s", state) as run:
            assert run.step == 0
            raise ZeroDivisionError


def test_a_run_that_is_done_is_not_entered_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path, state = saved(tmp_path / "s", 4, done=True), fresh()
    with pytest.raises(SystemExit) as caught:
        outlast.Run(path, state).__enter__()
    assert caught.value.code == 0
    assert "was done at step 4: nothing to do" in capfd.readouterr().err
    assert state["n"] == 0
    assert len(outlast.Store(path).attempts()) == 1
