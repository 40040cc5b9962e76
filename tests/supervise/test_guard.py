"""`outlast guard`: a program that saves with a framework's own writer, in every way in which its files come to harm."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from outlast.store import Store
from outlast.supervise import belongings
from outlast.supervise import guard as guards
from outlast.supervise.custody import Custody
from outlast.supervise.guard import OURS

PROGRAM = """
import json, os, signal, sys, time
import numpy as np
from safetensors.numpy import load_file, save_file
folder, last, fault = sys.argv[1], int(sys.argv[2]), sys.argv[3]
def is_taken(name):
    index = os.path.join(folder, ".outlast-guard", "index.json")
    return os.path.exists(index) and name in open(index).read()
newest = next((word.removeprefix("--resume=") for word in sys.argv[4:]), "")
assert newest == os.environ.get("OUTLAST_NEWEST", "")
w = load_file(newest)["w"] if newest else np.zeros(1000, np.float32)
print("from", newest and os.path.basename(newest), int(w[0]), flush=True)
for step in range(int(w[0]) + 1, last + 1):
    w += 1
    path = os.path.join(folder, f"model-{step}.safetensors")
    save_file({"w": w}, path)
    while fault == "wait" and not is_taken(f"model-{step}.safetensors"):
        time.sleep(0.05)
if fault == "torn":
    raw = open(path, "rb").read()
    open(os.path.join(folder, f"model-{last + 1}.safetensors"), "wb").write(raw[: len(raw) // 2])
    os.kill(os.getpid(), signal.SIGKILL)
if fault == "folder":
    os.mkdir(os.path.join(folder, "checkpoint-99"))
    save_file({"w": w}, os.path.join(folder, "checkpoint-99", "model.safetensors"))
    os.kill(os.getpid(), signal.SIGKILL)
if fault == "fail":
    sys.exit(7)
"""


class Folder:
    """A guarded folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "program.py").write_text(PROGRAM)
        self.saves = path / "saves"

    def guard(self, last: int, fault: str = "fail", *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "outlast", "guard", "--quiet", "0.05s", *options, str(self.saves), "--",
             sys.executable, str(self.path / "program.py"), str(self.saves), str(last), fault, "--resume={newest}"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def store(self) -> Store:
        return Store(self.saves / OURS / "store")

    def aside(self) -> list[str]:
        return sorted(name.partition("-")[2] for name in os.listdir(self.saves / OURS / "aside"))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_what_is_saved_is_taken_and_offered(folder: Folder) -> None:
    first = folder.guard(2)
    assert (first.returncode, first.stdout) == (7, "from  0\n"), first.stderr
    assert [name.step for name in folder.store().checkpoints()] == [2, 1]
    second = folder.guard(6, "done", "--keep", "2")
    assert (second.returncode, second.stdout) == (0, "from model-2.safetensors 2\n"), second.stderr
    assert [name.step for name in folder.store().checkpoints()] == [6, 6]  # and once more, as done
    assert folder.store().finished() is not None
    third = folder.guard(6)
    assert (third.returncode, third.stdout) == (0, "")
    assert "was done before" in third.stderr


def test_it_is_taken_while_the_program_runs(folder: Folder) -> None:
    ended = folder.guard(3, "wait")
    assert ended.returncode == 0, ended.stderr
    assert folder.store().find(None).step == 3


def test_it_shows_that_it_lives_however_long_a_copy_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the program starts, beside it, and when it has ended: each copy here lasts until somebody has heard it."""
    heard, lasted, copied = threading.Event(), [], threading.Event()
    copy, watch = belongings.copy, guards._Keeper.watch

    def slow(source: str, to: str) -> None:
        heard.clear()
        was_heard = all(each for _, each in lasted)
        lasted.append((os.path.basename(source), heard.wait(30 if was_heard else 0)))
        copy(source, to)
        copied.set()

    def program(*_: object, **__: object) -> int:
        copied.clear()
        (tmp_path / ".new").write_text("2")
        (tmp_path / ".new").rename(tmp_path / "2.txt")
        assert copied.wait(120)
        return 7

    def leaves_one(keeper: guards._Keeper, over: threading.Event) -> None:
        watch(keeper, over)
        (tmp_path / "3.txt").write_text("3")

    monkeypatch.setattr(belongings, "copy", slow)
    monkeypatch.setattr(guards, "supervise", program)
    monkeypatch.setattr(guards._Keeper, "watch", leaves_one)
    monkeypatch.setattr(guards, "HEARTBEAT_S", 0.01)
    monkeypatch.setattr(Custody, "beat", lambda _: heard.set())
    (tmp_path / "1.txt").write_text("1")
    assert guards.guard(["program"], guards.Terms(folder=str(tmp_path), patterns=("*.txt",), quiet_s=0.01)) == 7
    assert lasted == [("1.txt", True), ("2.txt", True), ("3.txt", True)]


def test_a_torn_file_is_never_offered(folder: Folder) -> None:
    torn = folder.guard(3, "torn")
    assert torn.returncode == 128 + signal.SIGKILL
    assert "model-4.safetensors is torn or damaged" in torn.stderr
    after = folder.guard(3)
    assert after.stdout == "from model-3.safetensors 3\n"
    assert folder.aside() == ["model-4.safetensors"]
    assert not (folder.saves / "model-4.safetensors").exists()


def test_a_half_written_folder_is_set_aside(folder: Folder) -> None:
    assert folder.guard(2, "folder").returncode == 128 + signal.SIGKILL
    assert folder.guard(2).stdout == "from model-2.safetensors 2\n"
    assert folder.aside() == ["checkpoint-99"]


def test_a_flipped_bit_is_seen_by_its_digest_and_the_good_copy_put_back(folder: Folder) -> None:
    folder.guard(3)
    rotten = folder.saves / "model-3.safetensors"
    before, times = rotten.read_bytes(), rotten.stat()
    with rotten.open("r+b") as file:
        file.seek(2000)
        file.write(bytes([before[2000] ^ 16]))
    os.utime(rotten, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = folder.guard(3)
    assert after.stdout == "from model-3.safetensors 3\n"
    assert "is not what it was when it was taken" in after.stderr
    assert rotten.read_bytes() == before
    assert folder.aside() == ["model-3.safetensors"]


def test_that_nothing_looks_like_a_checkpoint_is_said(folder: Folder) -> None:
    (folder.path / "program.py").write_text("import sys; open(sys.argv[1] + '/state.pkl', 'w').write('x')")
    said = "is a checkpoint that can be told to be whole: nothing is kept"
    assert said in folder.guard(1).stderr
    (folder.path / "program.py").write_text(PROGRAM)
    assert said not in folder.guard(1, "fail").stderr


def test_a_number_that_counts_no_steps_is_none(tmp_path: Path) -> None:
    for name in ("model-1764464000123456789.pt", "model-20261130011500.pt"):
        (tmp_path / name).write_bytes(b"x")
    assert {one.number for one in belongings.found(str(tmp_path))} == {0, 20261130011500}


def test_the_newest_is_put_back_if_it_is_gone(folder: Folder) -> None:
    folder.guard(3)
    for path in folder.saves.glob("*.safetensors"):
        path.unlink()
    assert folder.guard(3).stdout == "from model-3.safetensors 3\n"


def test_a_rotten_copy_falls_back_to_the_one_before(folder: Folder) -> None:
    folder.guard(3)
    (newest,) = (folder.saves / OURS / "store").glob("step-000000003*")
    (copy,) = (one for one in newest.rglob("*.safetensors") if "model" in one.name)
    raw = bytearray(copy.read_bytes())
    raw[2000] ^= 1
    copy.chmod(0o600)
    copy.write_bytes(raw)
    for path in folder.saves.glob("*.safetensors"):
        path.unlink()
    after = folder.guard(2)
    assert after.stdout == "from model-2.safetensors 2\n"
    assert "goes to quarantine" in after.stderr


def test_a_notice_is_passed_on(folder: Folder, tmp_path: Path) -> None:
    code = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(85)); print('up', flush=True)"
    code += "\nwhile True: time.sleep(0.02)"
    guarded = subprocess.Popen(
        [sys.executable, "-m", "outlast", "guard", str(folder.saves), "--", sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert guarded.stdout
    assert guarded.stdout.readline() == "up\n"
    guarded.send_signal(signal.SIGTERM)
    guarded.communicate(timeout=60)
    assert guarded.returncode == 85


def test_progress_is_told_to_who_stands_above(folder: Folder) -> None:
    """`outlast run` restarts it after each crash, for there is progress, and ends with it."""
    program = [sys.executable, str(folder.path / "program.py"), str(folder.saves)]
    script = folder.path / "once.sh"
    script.write_text(
        f"#!/bin/sh\nn=$(ls {folder.saves} | grep -c safetensors)\n[ $n -ge 4 ] && f=done || f=fail\n"
        f'exec {" ".join(program)} $((n + 1)) $f "$@"\n'
    )
    script.chmod(0o700)
    outlast = [sys.executable, "-m", "outlast"]
    guard = [*outlast, "guard", str(folder.saves), "--", str(script), "--resume={newest}"]
    ended = subprocess.run(
        [*outlast, "run", "--json", "--tries", "2", "--", *guard],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    events = [json.loads(line) for line in ended.stderr.splitlines() if line.startswith("{")]
    steps = [event["step"] for event in events if event["event"] == "end" and "step" in event]
    assert [step for step in steps if step] == [1, 2, 3, 4, 5]


def test_a_copy_does_not_change_with_its_original(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"x" * 5000)
    belongings.copy(str(tmp_path / "a.pt"), str(tmp_path / "b.pt"))
    with (tmp_path / "a.pt").open("r+b") as file:
        file.write(b"y")
    assert (tmp_path / "b.pt").read_bytes() == b"x" * 5000


def test_names_that_count(tmp_path: Path) -> None:
    for name in ("model-2.pt", "model-10.pt", ".hidden.pt", "tmp-checkpoint.pt", "model.pt.tmp", "log.txt"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "events.out").write_bytes(b"x")
    (tmp_path / "checkpoint-7").mkdir()
    (tmp_path / "last.pt").symlink_to("model-10.pt")
    for number, name in enumerate(("model-10.pt", "model-2.pt")):
        os.utime(tmp_path / name, ns=(0, 1000 + number))
    os.utime(tmp_path / "checkpoint-7", ns=(0, 10))
    found = belongings.found(str(tmp_path))
    assert [(one.name, one.number) for one in found] == [("checkpoint-7", 7), ("model-10.pt", 10), ("model-2.pt", 2)]
    assert [one.name for one in belongings.found(str(tmp_path), ["*-2.pt"])] == ["model-2.pt"]
