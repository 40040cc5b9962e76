"""How a program leaves: what the status says, and that it is true."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import outlast


def train(path: Path, *, leave_at: int | None = None) -> list[tuple[int, int]]:
    """Two epochs of three batches; leaves after so many steps."""
    state = {"seen": []}
    with outlast.Run(path, state, every=10**6) as run:
        for epoch in run.range(2, "epoch"):
            for batch in run.iterate(["a", "b", "c"], "batch"):
                state["seen"].append((epoch, batch))
                if len(state["seen"]) == leave_at:
                    run.leave("as asked")
    return state["seen"]


@pytest.mark.parametrize("leave_at", range(1, 7))
def test_who_leaves_before_the_end_leaves_with_85_and_goes_on(tmp_path: Path, leave_at: int) -> None:
    """No pass is made twice, none is left out, and only the end is marked done."""
    expected = [(epoch, batch) for epoch in range(2) for batch in "abc"]
    with pytest.raises(outlast.Preempted, match="as asked") as caught:
        train(tmp_path / "s", leave_at=leave_at)
    assert caught.value.code == 85
    store = outlast.Store(tmp_path / "s")
    (name,) = store.checkpoints()
    assert (name.step, store.manifest(name).done) == (leave_at, False)
    assert store.attempts()[-1].last("ended")["outcome"] == "preempted"
    assert train(tmp_path / "s") == expected
    assert store.manifest(store.checkpoints()[0]).done


def test_who_cannot_save_does_not_leave_with_85(tmp_path: Path) -> None:
    def refuse(_draft: object) -> None:
        raise outlast.SpaceError("no space, as asked")

    with pytest.raises(outlast.SpaceError, match="as asked"), outlast.Run(tmp_path / "s", {"x": 1}) as run:
        run._saver._writer.commit = refuse
        run.leave()
        for _ in run.steps(3):
            pass
    assert outlast.Store(tmp_path / "s").attempts()[-1].last("ended")["outcome"] == "failed"


UNCAUGHT = """
import sys
import outlast
outlast.Run(sys.argv[1], {})
raise getattr(outlast, sys.argv[2])("as asked")
"""


@pytest.mark.parametrize(
    ("error", "status"), [("DamageError", 3), ("BusyError", 5), ("UsageError", 2), ("SpaceError", 1)]
)
def test_an_error_that_nobody_catches_gives_its_own_status(tmp_path: Path, error: str, status: int) -> None:
    command = [sys.executable, "-c", UNCAUGHT, str(tmp_path / "s"), error]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (status, "outlast: error: as asked\n")
