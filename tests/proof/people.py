"""Another user of a shared file system, who plants links, files and folders: beforehand, and before every single call.

Two real users: the victim saves, the other one plants under the very name that the victim's next call is about. Where
everybody may make names he can do all that a mode of 0777 allows. Whatever he does: nothing is written outside of the
store, no file of the victim is changed, opened for others or waited for, and what he made himself is not gone on
from unless that was said or refused. The victim's umask is 0 throughout.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import storekit
from outlast.backends import Syscalls
from outlast.testing import FakeClock
from proof.core import Harness
from proof.core import folder as own_folder
from storekit import Attempt

VICTIM, OTHER = 12_001, 12_002  # users that need no name
_LIMIT_S = 20  # a FIFO that somebody waits for
# Where everybody may make names: beside the store, in it; or also in folders of it, which he was the first to make.
STORE = {
    "beside-sticky": 0o1777,
    "beside-open": 0o777,
    "inside-sticky": 0o1777,
    "inside-open": 0o777,
    "inside-his": 0o777,
}
HIS = ("journal", "control", "quarantine")
About = Callable[[str, str], None]
LINKS = ("link-to-file", "link-to-folder", "link-to-nothing", "link-to-his", "hard-link")
KINDS = (*LINKS, "file", "folder", "fifo")
NAMES = (
    "outlast.json", "journal", "journal/a0001.jsonl", "step-000000001.a0001", "step-000000001.a0001/manifest.json",
    "step-000000001.a0001/part-00000.safetensors", "step-000000002.a0001", "control", "control/stop-0.json",
    "quarantine", ".trash-0", ".tmp-0",
)  # fmt: skip
RACED = ("link-to-file", "link-to-folder", "hard-link", "folder", "fifo")


def cases() -> Iterator[str]:
    for place in list(STORE)[:-1]:
        names = ("store",) if place.startswith("beside") else NAMES
        for name in names:
            for kind in KINDS:
                yield f"before:{place}:{name}:{kind}"
        yield f"before:{place}:{'store' if place.startswith('beside') else '.'}:forged"
    for place in STORE:
        kinds = ("swap-link", "swap-folder") if place == "beside-open" else RACED
        calls = len(calls_of(place)) if place != "beside-sticky" else 12  # what is ours there is out of his reach
        for at in range(1, calls + 1):
            for kind in kinds:
                yield f"race:{place}:{at}:{kind}"


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Where it happens: a shared folder, and what each of the two has elsewhere."""

    root: Path
    place: str

    @property
    def shared(self) -> Path:
        return self.root / "shared"

    @property
    def store(self) -> Path:
        return self.shared / "store"

    @property
    def home(self) -> Path:
        return self.root / "victim"

    @property
    def his(self) -> Path:
        return self.root / "other"

    def build(self) -> None:
        self.root.chmod(0o755)
        for path, owner in ((self.home, VICTIM), (self.his, OTHER), (self.shared, 0)):
            path.mkdir()
            path.chmod(0o755)
            os.chown(path, owner, owner)
        for name, mode in (("precious", 0o600), ("notes", 0o666)):  # hard links to the latter are allowed everywhere
            file = self.home / name
            file.write_bytes(b"the only copy")
            file.chmod(mode)
            os.chown(file, VICTIM, VICTIM)
        if self.place.startswith("beside"):
            self.shared.chmod(STORE[self.place])
        else:
            self.store.mkdir()
            os.chown(self.store, VICTIM, VICTIM)
            self.store.chmod(STORE[self.place])
        for name in HIS if self.place == "inside-his" else ():
            made = self.store / name
            made.mkdir()
            os.chown(made, OTHER, OTHER)
            made.chmod(0o777)


@contextmanager
def other_user(scene: Scene) -> Iterator[socket.socket]:
    """The other user, in a process of his own: plants what he is told through the socket."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ours.close()
        become(OTHER)
        with suppress(BrokenPipeError):
            while told := theirs.recv(1 << 16):
                theirs.send(b"1" if plant(scene, *json.loads(told)) else b"0")
        os._exit(0)
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        os.waitpid(pid, 0)


def become(user: int) -> None:
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    os.umask(0)


def plant(scene: Scene, kind: str, name: str) -> bool:
    """Put something at a path, moving away what is there. Returns whether the file system let him."""
    path = scene.store if kind.startswith("swap") else Path(name)
    with suppress(OSError):
        if os.path.lexists(path) and kind != "forged":
            os.rename(path, f"{path}.was")
        path.parent.mkdir(mode=0o777, exist_ok=True)
        _make(scene, kind, path)
        return True
    return False


def _make(scene: Scene, kind: str, path: Path) -> None:
    targets = {"link-to-file": scene.home / "precious", "link-to-nothing": scene.home / "new", "link-to-his": scene.his}
    if kind in ("link-to-folder", "swap-link"):
        path.symlink_to(scene.home)
    elif kind in targets:
        path.symlink_to(targets[kind])
    elif kind == "hard-link":
        os.link(scene.home / "notes", path)
    elif kind == "file":
        path.write_bytes(b'{"reason":"his"}\n')
    elif kind == "fifo":
        os.mkfifo(path, 0o666)
    elif kind in ("folder", "swap-folder"):
        path.mkdir(mode=0o777)
    elif kind == "forged":
        make_store(path)
    else:
        raise AssertionError(kind)


def make_store(path: Path) -> None:
    """A whole store of his own, of step 7, at the path or in it."""
    attempt = Attempt.begin(path)
    attempt.save(7)
    attempt.lease.end("failed")
    for made in [path, *path.rglob("*")]:
        with suppress(PermissionError):
            made.chmod(0o777)


class Watched(Syscalls):
    """The storage calls, each of which says first what it is and which path it is about.

    What else they are given passes through: a default of theirs that is too open is to show.
    """

    def __init__(self, about: About) -> None:
        self._about = about

    def _say(self, call: str, path: str, dir_fd: int | None) -> None:
        folder = "" if dir_fd is None else os.readlink(f"/proc/self/fd/{dir_fd}")
        self._about(call, os.path.join(folder, path))

    def open(self, path: str, flags: int, *mode: int, dir_fd: int | None = None) -> int:
        does = [name for name in ("CREAT", "APPEND", "DIRECTORY") if flags & getattr(os, f"O_{name}")]
        self._say(f"open {' '.join(does)}", path, dir_fd)
        fd = super().open(path, flags, *mode, dir_fd=dir_fd)
        if flags & os.O_CREAT:
            made = os.fstat(fd).st_mode
            assert not made & 0o077, f"{path} is made with mode {made:o}"
        return fd

    def link(self, path: str, to: str, *, dir_fd: int) -> None:
        self._say("link", to, dir_fd)
        super().link(path, to, dir_fd=dir_fd)

    def unlink(self, path: str, *, dir_fd: int) -> None:
        self._say("unlink", path, dir_fd)
        super().unlink(path, dir_fd=dir_fd)

    def rename(self, path: str, to: str, *, dir_fd: int, to_dir_fd: int) -> None:
        self._say("rename", to, to_dir_fd)
        super().rename(path, to, dir_fd=dir_fd, to_dir_fd=to_dir_fd)

    def mkdir(self, path: str, *mode: int, dir_fd: int | None = None) -> None:
        self._say("mkdir", path, dir_fd)
        super().mkdir(path, *mode, dir_fd=dir_fd)

    def rmdir(self, path: str, *, dir_fd: int) -> None:
        self._say("rmdir", path, dir_fd)
        super().rmdir(path, dir_fd=dir_fd)

    def stat(self, path: str, *, dir_fd: int) -> os.stat_result:
        self._say("stat", path, dir_fd)
        return super().stat(path, dir_fd=dir_fd)


def act(store: Path, about: About, report: Callable[[bytes], Any]) -> None:
    """What the victim does: goes on from what is there, saves, prunes, asks for a save, quarantines, ends."""
    attempt = Attempt.begin(store, calls=Watched(about), clock=FakeClock())  # a claim of his is watched for a minute
    for warning in attempt.store.warnings:
        report(f"warned {warning}\n".encode())
    found = attempt.restore()
    report(b"restored %d\n" % (found or 0))
    attempt.save(1)
    report(b"acknowledged 1\n")
    attempt.save(2, keep=1)
    report(b"acknowledged 2\n")
    attempt.store.request("save", "test")
    for request in attempt.store.requests():
        attempt.store.serve(request)
    bad = attempt.save(3)
    attempt.pruner.quarantine(bad, "test")
    attempt.lease.end("done")


@cache
def calls_of(place: str) -> tuple[str, ...]:
    """The calls about a path that an undisturbed act makes, with what is random taken out."""
    if os.geteuid() != 0:
        return ()
    with own_folder() as root:
        scene = Scene(root=root, place=place)
        scene.build()
        status, told = _as_victim(scene, lambda report: _record(scene, report))
        assert status == 0, told
        return tuple(line.partition(b"call ")[2].decode() for line in told.splitlines() if line.startswith(b"call "))


def _record(scene: Scene, report: Callable[[bytes], Any]) -> None:
    def about(call: str, path: str) -> None:
        name = re.sub("[0-9a-f]{6,}", "*", os.path.relpath(path, scene.store))
        report(f"call {call} {name}\n".encode())

    act(scene.store, about, report)


def different_calls(place: str) -> list[int]:
    """The numbers of calls that differ: of several alike the first."""
    calls = calls_of(place)
    return [calls.index(call) + 1 for call in dict.fromkeys(calls)]


def _as_victim(scene: Scene, work: Callable[[Callable[[bytes], Any]], None]) -> tuple[int, bytes]:
    def victim(report: Callable[[bytes], Any]) -> None:
        become(VICTIM)
        os.chdir(scene.root)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(_LIMIT_S)
        work(report)

    return storekit.in_child(victim)


def attack(case: str, root: Path) -> tuple[bool, int, bytes]:
    """Run a case. Returns whether something was planted, the victim's exit status, and what it told."""
    what, place, where, kind = case.split(":")
    scene = Scene(root=root, place=place)
    scene.build()
    is_planted = False
    with other_user(scene) as other:

        def tell_him(path: str) -> bool:
            other.send(json.dumps([kind, path]).encode())
            return other.recv(1) == b"1"

        if what == "before":
            folder = scene.shared if place.startswith("beside") else scene.store
            is_planted = tell_him(os.path.normpath(folder / where))
        before = (_look(scene.home), _look(scene.his))
        turn = [int(where) if what == "race" else 0]

        def about(_call: str, path: str) -> None:
            turn[0] -= 1
            if turn[0] == 0 and tell_him(path):
                planted.append(path)

        planted: list[str] = []

        def work(report: Callable[[bytes], Any]) -> None:
            try:
                act(scene.store, about, report)
            finally:
                for path in planted:
                    report(f"planted {path}\n".encode())

        status, told = _as_victim(scene, work)
    is_planted |= b"planted " in told
    assert not os.WIFSIGNALED(status), f"signal {os.WTERMSIG(status)}: it waited for what he planted?"
    code = os.WEXITSTATUS(status)
    _judge(scene, kind, code, told, before, is_planted=is_planted)
    return is_planted, code, told


def _look(folder: Path) -> dict[str, tuple[Any, ...]]:
    """All that there is to see of a folder of somebody's."""
    seen = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        about = os.lstat(path)
        data = path.read_bytes() if stat.S_ISREG(about.st_mode) else b""
        seen[str(path)] = (about.st_mode, about.st_uid, about.st_size, data)
    return seen


def _judge(scene: Scene, kind: str, code: int, told: bytes, before: tuple[Any, Any], *, is_planted: bool) -> None:
    assert code != storekit.BUG, f"not an error of outlast's own: {told!r}"
    assert _look(scene.home) == before[0], "files of the victim were touched"
    theirs = {path: row for path, row in _look(scene.his).items() if row[1] == VICTIM}
    assert not theirs, f"written to a folder of his: {sorted(theirs)}"
    notes = os.lstat(scene.home / "notes").st_ino
    for path in scene.shared.rglob("*"):
        about = os.lstat(path)
        top = scene.shared / path.relative_to(scene.shared).parts[0]
        if about.st_uid == VICTIM and about.st_ino != notes and path != top:
            assert os.lstat(top).st_uid == VICTIM, f"{path} lies outside of the store"
            assert not about.st_mode & 0o077, f"{path} has mode {about.st_mode:o}"
    if b"restored 7" in told:
        assert b"warned" in told, "gone on from what he made, and nothing was said"
    if scene.place.startswith("inside") and b"restored" in told:
        assert b"everybody may write to" in told, "nothing was said of who may write there"
    if scene.place == "beside-sticky" and code == 0:
        assert storekit.newest(scene.store) == 2, "acknowledged, and not there"
    if not is_planted:
        assert code == 0, f"nothing was planted, and it failed: {told!r}"


def run(case: str, root: Path) -> int:
    attack(case, root)
    return 1


def needs() -> str:
    return "" if os.geteuid() == 0 else "root (to be two users)"


HARNESS = Harness(cases=cases, run=run, sample=120, needs=needs)
