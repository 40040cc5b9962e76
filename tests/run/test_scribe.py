"""The saver's thread: what it did is told, its death is noticed, and it keeps no program from ending."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from outlast.run.scribe import Scribe


def test_what_was_done_is_told_and_what_went_wrong_raised() -> None:
    scribe = Scribe[int]("t")
    assert scribe.result(scribe.start(lambda: 7)) == 7
    with pytest.raises(ZeroDivisionError):
        scribe.result(scribe.start(lambda: 1 // 0))
    assert scribe.result(scribe.start(lambda: 8)) == 8
    scribe.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_died_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from outlast.run import scribe as module

    scribe = Scribe[int]("t")
    real = module.Job.do
    monkeypatch.setattr(module.Job, "do", lambda job: sys.exit())  # ends a thread silently, before its word is given
    with pytest.raises(MemoryError, match="the thread t died"):
        scribe.result(scribe.start(lambda: 7))
    monkeypatch.setattr(module.Job, "do", real)
    assert scribe.result(scribe.start(lambda: 9)) == 9  # a new one takes its place
    scribe.close()


def test_a_program_that_never_closes_its_run_ends_all_the_same(tmp_path: Path) -> None:
    program = (
        "import outlast\n"
        f"run = outlast.Run({str(tmp_path / 's')!r}, {{'x': 1}})\n"
        "run.__enter__(); run.save(); run.wait(); print('end')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "end\n"
    assert done.returncode == 0
