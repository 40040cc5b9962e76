"""Real full disks, no inodes left, a real read-only file system: the last good checkpoint stays."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

import numpy as np
import pytest

import mounting
import outlast
import storekit
from fileskit import Files
from outlast.cli.main import main as cli
from outlast.errors import SpaceError, StorageError
from outlast.store import Store
from storekit import Attempt


def run_in_namespace(work) -> bytes:
    status, told = storekit.in_child(work)
    assert status == 0, told.decode()
    return told


def test_full_disk(tmp_path: Path) -> None:
    def work(report):
        mounting.enter()
        mounting.tmpfs(tmp_path / "small", "size=500k")
        path = tmp_path / "small" / "store"
        attempt = Attempt.begin(path, lean=0)
        attempt.save(1)
        attempt.save(2)
        with pytest.raises(SpaceError, match=r"needed \d+ bytes"):
            attempt.save(3)
        assert storekit.newest(path) == 2
        storekit.all_good(path)
        assert not list(path.glob("step-*3*"))
        attempt.prune(1)  # pruning works on a full disk
        attempt.save(3)
        assert storekit.newest(path) == 3
        report(b"ok")

    assert run_in_namespace(work) == b"ok"


def test_without_a_free_inode_a_program_is_not_begun_anew(tmp_path: Path) -> None:
    """No room to give its files back is said, with what to do; with a moment's two inodes prune makes some."""

    def leave(inodes: int) -> None:
        about = os.statvfs(tmp_path / "small")
        mounting.remount(tmp_path / "small", f"size=1m,nr_inodes={about.f_files - about.f_ffree + inodes}")

    def verb(*words: object) -> tuple[int, str]:
        with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(said):
            code = cli([str(word) for word in words])
        return code, said.getvalue()

    def work(report):
        mounting.enter()
        mounting.tmpfs(tmp_path / "small", "size=1m,nr_inodes=200")
        path, begun = tmp_path / "small" / "store", tmp_path / "begun"
        attempt = Files.begin(path)
        attempt.save(1)
        attempt.save(2)
        attempt.custody.close("failed")
        for inodes in (0, 2):
            leave(inodes)
            code, said = verb("run", "--store", path, "--", "touch", begun)
            assert code == 1, said
            assert "No space left on device" in said, said
            assert "free space or quota (outlast prune)" in said, said
            assert not begun.exists()
        leave(0)
        code, said = verb("prune", path, "--keep", 1)
        assert code == 1, said
        assert "remove a file that is not in the store first" in said, said
        leave(2)
        code, said = verb("prune", path, "--keep", 1)
        assert code == 0, said
        assert storekit.counted_steps(path) == [2]
        leave(100)
        code, said = verb("run", "--store", path, "--", "touch", begun)
        assert code == 0, said
        assert "restored step 2" in said, said
        assert begun.exists()
        report(b"ok")

    assert run_in_namespace(work) == b"ok"


def test_the_prune_verb_makes_room_on_a_disk_without_a_free_byte(tmp_path: Path) -> None:
    def work(report):
        mounting.enter()
        mounting.tmpfs(tmp_path / "small", "size=900k")
        path = tmp_path / "small" / "store"
        attempt = Attempt.begin(path, lean=0)
        for step in (1, 2, 3):
            attempt.save(step)
        attempt.lease.end("failed")
        with open(tmp_path / "small" / "ballast", "wb", buffering=0) as ballast, pytest.raises(OSError, match="space"):
            while True:
                ballast.write(b"x" * 4096)
        with pytest.raises(SpaceError):
            Attempt.begin(path)
        assert cli(["prune", str(path), "--keep", "1"]) == 0
        assert storekit.counted_steps(path) == [3]
        assert cli(["verify", str(path)]) == 0
        log = Store(path).attempts()[-1]
        assert [event["event"] for event in log.events] == ["claim", "adopt", "pruned", "pruned", "ended"]
        again = Attempt.begin(path)
        assert again.restore() == 3
        again.save(4)
        report(b"ok")

    assert run_in_namespace(work) == b"ok"


def test_a_run_told_to_warn_goes_on_over_a_full_disk_and_saves_when_there_is_room(tmp_path: Path, capfd) -> None:
    def work(report):
        mounting.enter()
        mounting.tmpfs(tmp_path / "small", "size=1m")
        path, ballast = tmp_path / "small" / "store", tmp_path / "small" / "ballast"
        state = {"x": np.zeros(5000), "t": 0}
        with outlast.Run(path, state, every=1, keep=1, on_error="warn") as run:
            for step in run.steps(40):
                if step == 10:
                    run.wait()
                    with open(ballast, "wb", buffering=0) as file, contextlib.suppress(OSError):
                        while True:
                            file.write(b"x" * 1024)
                if step == 30:
                    assert newest_step(path) in (9, 10, 11)
                    ballast.unlink()
                state["x"] += 1
                state["t"] += 1
                run.log(loss=1 / (step + 1), text_length=step)
        report(b"ok")
        assert outlast.Store(path).checkpoints()[0].step == 40
        assert cli(["verify", str(path)]) == 0
        rows = [
            row for e in Store(path).attempts(metrics=True)[0].events if e["event"] == "metrics" for row in e["rows"]
        ]
        assert [row[0] for row in rows] == list(range(40))  # nothing that was logged is lost

    assert run_in_namespace(work) == b"ok"
    assert "the run goes on" in capfd.readouterr().err


def newest_step(path: Path) -> int:
    return outlast.Store(path).checkpoints()[0].step


def test_no_inodes(tmp_path: Path) -> None:
    def work(report):
        mounting.enter()
        mounting.tmpfs(tmp_path / "few", "size=20m,nr_inodes=12")
        path = tmp_path / "few" / "store"
        attempt = Attempt.begin(path, lean=0)
        saved = 0
        with pytest.raises(SpaceError, match="0 files are free"):
            for step in range(1, 20):
                attempt.save(step)
                saved = step
        assert saved >= 1
        assert storekit.newest(path) == saved
        storekit.all_good(path)
        report(b"ok")

    assert run_in_namespace(work) == b"ok"


def test_every_size_of_a_full_disk(tmp_path: Path) -> None:
    """The disk fills up at each 4 KiB position of a save with keep=1."""

    def work(report):
        mounting.enter()
        mounting.tmpfs(tmp_path / "sweep", "size=4m")
        path = tmp_path / "sweep" / "store"
        attempt = Attempt.begin(path, lean=0)
        step = 1
        attempt.save(step)
        failed = 0
        ballast = tmp_path / "sweep" / "ballast"
        for free_kib in range(4, 260, 12):
            free = attempt.store.backend.space().free_bytes
            ballast.write_bytes(b"x" * max(0, free - free_kib * 1024))
            try:
                attempt.save(step + 1, keep=1)
                step += 1
            except SpaceError:
                failed += 1
            assert storekit.newest(path) == step
            storekit.all_good(path)
            ballast.unlink()
        assert failed > 5
        assert step > 1
        report(b"ok")

    assert run_in_namespace(work) == b"ok"


def test_read_only_file_system(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def work(report):
        mounting.enter()
        mounting.tmpfs(tmp_path / "ro", "size=4m")
        path = tmp_path / "ro" / "store"
        attempt = Attempt.begin(path, lean=0)
        attempt.save(1)
        attempt.lease.end("failed")
        mounting.remount(tmp_path / "ro", "", read_only=True)
        with pytest.raises(StorageError, match="read-only"):
            Attempt.begin(path)
        assert storekit.newest(path) == 1
        for verb in ("ls", "show", "verify", "status"):
            assert cli([verb, str(path)]) == 0, verb
        report(b"ok")

    assert run_in_namespace(work) == b"ok"
