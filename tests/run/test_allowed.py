"""Differences that are allowed, and differences between a run and its own restart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import outlast


class Killed(Exception):
    pass


def saved(store: Path, state: dict, change, **options) -> None:
    """Save once and die."""
    with pytest.raises(Killed), outlast.Run(store, state, **options) as run:
        change(state)
        run.due()
        run.save()
        run.wait()
        raise Killed


def filling(value: float):
    def change(state: dict) -> None:
        for array in state.values():
            array[:] = value

    return change


def test_damage_leaves_nothing_in_what_is_allowed_to_differ(tmp_path: Path) -> None:
    store = tmp_path / "s"
    saved(store, {"a": np.zeros(1000)}, filling(1))
    saved(store, {"b": np.zeros(1000), "a": np.zeros(1000)}, filling(2), allow=["b"])
    newest = max(store.glob("step-*"))
    part = next(newest.glob("part-*"))
    data = bytearray(part.read_bytes())
    data[-100] ^= 255
    part.write_bytes(data)
    live = {"b": np.zeros(1000), "a": np.zeros(1000)}
    with pytest.raises(Killed), outlast.Run(store, live, allow=["b"]):
        raise Killed
    assert set(live["a"]) == {1}
    assert set(live["b"]) == {0}
    assert any((store / "quarantine").iterdir())


def test_allowed_differences_are_said_loudly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "s"
    saved(store, {"a": np.zeros(3)}, filling(1))
    capsys.readouterr()
    with pytest.raises(Killed), outlast.Run(store, {"a": np.zeros(4)}, allow=["a"]):
        raise Killed
    assert "warning: restored with differences that were allowed" in capsys.readouterr().err
    with pytest.raises(Killed), outlast.Run(store, {"a": np.zeros(3)}):
        raise Killed
    assert "restored with differences" not in capsys.readouterr().err


def test_a_save_that_no_restart_could_take_back_is_refused(tmp_path: Path) -> None:
    with pytest.raises(outlast.CaptureError, match="best is a component that was not there when the run began"):
        saved(tmp_path / "s", {"a": 1}, lambda state: state.update(best=2))
    saved(tmp_path / "t", {"a": 1}, lambda state: state.update(best=2), allow=["best"])


def test_the_last_checkpoint_may_hold_results(tmp_path: Path) -> None:
    state: dict = {"a": 1}
    with outlast.Run(tmp_path / "s", state):
        state["result"] = 2
    with pytest.raises(SystemExit) as left, outlast.Run(tmp_path / "s", {"a": 1}):
        pass
    assert left.value.code == 0


def test_a_mismatch_is_no_damage(tmp_path: Path) -> None:
    array = np.zeros(3)
    store = tmp_path / "s"
    saved(store, {"a": array, "b": array}, lambda state: None)
    with (
        pytest.raises(outlast.MismatchError, match="a: the checkpoint has this component"),
        outlast.Run(store, {"b": np.zeros(3)}),
    ):
        pass
    assert len(list(store.glob("step-*"))) == 1
