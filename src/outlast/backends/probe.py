"""Tries what outlast asks of storage and says what was found. What can be promised on it is drawn elsewhere.

A race between threads asks the storage no less than one between processes: both end in the same system calls.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

from outlast.backends.ground import APPEND, BLOCK, NEW, READ, Broken, Finding, Ground, Odd, ground, refused
from outlast.backends.posix import Posix
from outlast.backends.syscalls import Syscalls
from outlast.clock import SYSTEM, Clock
from outlast.errors import OutlastError
from outlast.units import format_duration, format_size

Outcome = Literal["ok", "warning", "failed", "skipped"]

_UNKNOWN_CALL = (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EINVAL)

_OVER = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_RACERS = 4
_ROUNDS = 8
_REPLACEMENTS = 40
_SYNCS = 5
_LISTINGS = 5
_LONG = 255
_TIGHT_BYTES = 1 << 30
_TIGHT_FILES = 1000
_CLOCK_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What trying one thing gave.

    Args:
        name: stable, for programs.
        outcome: `failed`: outlast must not be used on this storage; `warning`: it may, and somebody should know;
            `skipped`: it could not be tried.
        said: what was found, for people.
        figures: what was measured, by name with its unit last.
    """

    name: str
    outcome: Outcome
    said: str
    figures: Mapping[str, float] = field(default_factory=dict)


def probe(root: str, *, calls: Syscalls | None = None, clock: Clock = SYSTEM) -> tuple[Probe, ...]:
    """Try everything in an existing directory, and leave it as it was. Always one Probe for each of `NAMES`, in order.

    A call that the storage refuses is a finding, never an error.
    """
    problems: list[str] = []
    try:
        with ground(root, calls or Syscalls(), clock, problems) as place:
            found = tuple(_try(place, *one) for one in _PROBES)
    except OSError as e:
        found = _nothing(f"a directory cannot be made in {root}: {e.strerror or e}")
        if not problems:
            return (*found, Probe(name=_REMOVE, outcome="skipped", said="nothing was made"))
    said = problems[0] if problems else "what was made is gone again"
    return (*found, Probe(name=_REMOVE, outcome="failed" if problems else "ok", said=said))


def _nothing(problem: str) -> tuple[Probe, ...]:
    first, *others = (name for name, _, _ in _PROBES)
    skipped = (Probe(name=name, outcome="skipped", said="nothing can be written here") for name in others)
    return (Probe(name=first, outcome="failed", said=problem), *skipped)


def _try(place: Ground, name: str, attempt: Callable[[Ground], Finding], need: str) -> Probe:
    try:
        found = attempt(place)
    except Broken as e:
        return Probe(name=name, outcome="failed", said=f"{e}: {need}")
    except Odd as e:
        return Probe(name=name, outcome="warning", said=str(e))
    except OutlastError as e:
        return Probe(name=name, outcome="failed", said=f"{e.args[0].removeprefix(place.path)}: {need}")
    except OSError as e:
        return Probe(name=name, outcome="failed", said=f"{e.strerror or e}: {need}")
    return Probe(name=name, outcome="ok", said=found.said, figures=found.figures)


# -- what is tried ---------------------------------------------------------------------------------------------


def _write(g: Ground) -> Finding:
    g.create("written", BLOCK)
    if g.read("written") != BLOCK:
        raise Broken("a file does not hold what was written to it")
    return Finding(said="files and directories can be made, written and read")


def _exclusive(g: Ground) -> Finding:
    g.create("taken", b"first")
    if not refused(lambda: g.create("taken", b"second")) or g.read("taken") != b"first":
        raise Broken("O_EXCL opened a file that was there")
    g.mkdir("taken-dir")
    if not refused(lambda: g.mkdir("taken-dir")):
        raise Broken("mkdir made a directory that was there")
    return Finding(said="a taken name is refused (O_EXCL, mkdir)")


def _link(g: Ground) -> Finding:
    g.create("one", b"one")
    g.create("other", b"other")
    g.link("one", "linked")
    if not refused(lambda: g.link("other", "linked")):
        raise Broken("a link replaced a name that was taken")
    with g.open("one", _OVER) as fd:
        g.write(fd, b"ONE")  # of the same length: some clients believe an old size for a while
    if g.read("linked") != b"ONE":
        raise Broken("a link is not the same file under a second name")
    about, same = g.stat("one"), g.stat("linked")
    if (about.st_dev, about.st_ino) != (same.st_dev, same.st_ino):
        raise Odd(
            "a link works and is exclusive; the two names show different inodes, so one whose answer is lost fails"
        )
    return Finding(said="a link is exclusive and the same file", figures={"links": float(same.st_nlink)})


class _Racer(threading.Thread):
    def __init__(self, ground: Ground, number: int, names: list[tuple[str, str]], start: threading.Barrier) -> None:
        super().__init__()
        self.wins: list[str] = []
        self.error: OSError | None = None
        self._ground, self._number, self._names, self._start = ground, number, names, start

    def run(self) -> None:
        try:
            for how, name in self._names:
                self._start.wait()
                if not refused(lambda how=how, name=name: self._take(how, name)):  # type: ignore[misc]
                    self.wins.append(name)
        except threading.BrokenBarrierError:
            return
        except OSError as e:
            self.error = e
            self._start.abort()

    def _take(self, how: str, name: str) -> None:
        if how == "link":
            self._ground.link(f"racer-{self._number}", name)
        elif how == "mkdir":
            self._ground.mkdir(name)
        else:
            self._ground.create(name, b"")


def _race(g: Ground) -> Finding:
    names = [(how, f"{how}-{number}") for how in ("link", "mkdir", "O_EXCL") for number in range(_ROUNDS)]
    start = threading.Barrier(_RACERS)
    racers = [_Racer(g, number, names, start) for number in range(_RACERS)]
    for number in range(_RACERS):
        g.create(f"racer-{number}", b"")
    try:
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
    finally:
        start.abort()
        for racer in racers:
            if racer.ident is not None:
                racer.join()
    for racer in racers:
        if racer.error:
            raise racer.error
    for how, name in names:
        winners = sum(name in racer.wins for racer in racers)
        if winners != 1:
            raise Broken(f"{winners} of {_RACERS} got the same name by {how}")
    return Finding(said=f"{len(names)} races for a name by link, mkdir and O_EXCL: one winner each")


def _rename(g: Ground) -> Finding:
    g.create("old", BLOCK)
    g.mkdir("from")
    g.mkdir("to")
    g.create("from/file", BLOCK)
    g.rename("old", "new")
    g.rename("from", "to/moved")
    if g.has("old") or g.has("from"):
        raise Broken("a renamed file or directory is still there under its old name")
    try:
        whole = g.read("new") == BLOCK == g.read("to/moved/file")
    except FileNotFoundError:
        whole = False
    if not whole:
        raise Broken("a renamed file or directory is not whole under its new name")
    return Finding(said="files and directories can be renamed, at once and whole")


def _replace(g: Ground) -> Finding:
    """Replace a file again and again while a reader looks at it. outlast replaces nothing; programs do."""
    g.create("target", bytes(len(BLOCK)))
    over = threading.Event()
    seen: list[str] = []

    def look() -> None:
        while not (over.is_set() or seen):
            seen.extend(_state_of(g, "target"))

    reader = threading.Thread(target=look)
    reader.start()
    try:
        for number in range(_REPLACEMENTS):
            g.create(f"next-{number}", bytes([number]) * len(BLOCK))
            g.rename(f"next-{number}", "target")
    finally:
        over.set()
        reader.join()
    if seen:
        raise Odd(
            f"a file that is replaced by a rename is {seen[0]} for a moment: outlast replaces none; your program, "
            "if it replaces its own restart files, had better keep the one before"
        )
    return Finding(said="a file that is replaced by a rename is there and whole at every moment")


def _state_of(g: Ground, name: str) -> list[str]:
    """Say what is wrong with a file that holds one byte again and again."""
    try:
        data = g.read(name)
    except FileNotFoundError:
        return ["gone"]
    except OSError as e:
        return [] if e.errno == errno.ESTALE else [f"unreadable ({e.strerror})"]  # NFS: replaced between two calls
    return [] if len(data) == len(BLOCK) == data.count(data[:1]) else ["torn"]


def _sync_file(g: Ground) -> Finding:
    took_s = []
    for number in range(_SYNCS):
        with g.open(f"sync-{number}", NEW) as fd:
            g.write(fd, BLOCK)
            began_s = g.clock.monotonic()
            g.calls.fsync(fd)
            took_s.append(g.clock.monotonic() - began_s)
    return _timed("fsync of a new file", took_s)


def _sync_directory(g: Ground) -> Finding:
    took_s = []
    for number in range(_SYNCS):
        g.create(f"entry-{number}", b"")
        began_s = g.clock.monotonic()
        g.calls.fsync(g.fd)
        took_s.append(g.clock.monotonic() - began_s)
    return _timed("fsync of a directory", took_s)


def _commit(g: Ground) -> Finding:
    """The way that each part, manifest and claim takes, by the code that takes it."""
    place = Posix(g.path, calls=g.calls)
    took_s = []
    for number in range(_SYNCS):
        began_s = g.clock.monotonic()
        place.create(f"committed-{number}", [BLOCK])
        place.sync("")
        took_s.append(g.clock.monotonic() - began_s)
    return _timed("a small file written, synced, published and its name synced", took_s)


def _timed(what: str, took_s: list[float]) -> Finding:
    middle_s, most_s = median(took_s), max(took_s)
    said = f"{what}: {format_duration(middle_s)}, at most {format_duration(most_s)}"
    return Finding(said=said, figures={"median_s": middle_s, "largest_s": most_s})


def _read_back(g: Ground) -> Finding:
    data = secrets.token_bytes(2 * len(BLOCK))
    how = "from the storage, as far as the kernel forgets when asked"
    with g.open("read-back", NEW) as fd:
        g.write(fd, data)
        g.calls.fsync(fd)
        try:
            g.calls.forget(fd)
        except OSError:
            how = "maybe from the kernel's memory, which cannot be asked to forget it"
    if g.read("read-back") != data:
        raise Broken("what was synced did not come back as it was written")
    return Finding(said=f"what was synced comes back as it was written ({how})")


def _append(g: Ground) -> Finding:
    g.create("journal", b"first\n")
    with g.open("journal", APPEND) as fd:
        g.write(fd, b"second\n")
        g.calls.fsync(fd)
        if g.read("journal") != b"first\nsecond\n":
            raise Broken("what was appended to a file does not stand at its end")
        g.calls.truncate(fd, 6)
        g.calls.utime(fd)
    if g.read("journal") != b"first\n":
        raise Broken("a file that was cut is not what it was before")
    return Finding(said="files can be appended to, cut back, and touched")


def _permissions(g: Ground) -> Finding:
    g.create("private", b"")
    g.mkdir("private-dir")
    file, folder = g.stat("private"), g.stat("private-dir")
    wide = stat.S_IMODE(file.st_mode) & 0o077 | stat.S_IMODE(folder.st_mode) & 0o077
    if wide:
        raise Odd(
            f"modes 600 and 700 were asked for, {stat.S_IMODE(file.st_mode):o} and {stat.S_IMODE(folder.st_mode):o} "
            "came: others may read or change what a run saves"
        )
    if file.st_uid != os.geteuid():
        raise Odd(
            f"files belong to user {file.st_uid}, we are {os.geteuid()}: the server maps this user to another one"
        )
    return Finding(said="files and directories are for their owner alone")


def _no_follow(g: Ground) -> Finding:
    g.create("real", b"")
    try:
        g.calls.symlink("real", "planted", dir_fd=g.fd)
    except OSError as e:
        if e.errno in _UNKNOWN_CALL:
            return Finding(said="no symbolic link can be made here, so none can be planted")
        raise
    try:
        with g.open("planted", READ):
            pass
    except OSError as e:
        if e.errno == errno.ELOOP:
            return Finding(said="a planted symbolic link is not followed")
        raise
    raise Broken("a symbolic link was followed in spite of O_NOFOLLOW")


def _long_names(g: Ground) -> Finding:
    try:
        g.create("n" * _LONG, b"")
    except OSError as e:
        if e.errno in (errno.ENAMETOOLONG, errno.EINVAL):
            raise Odd(f"a name of {_LONG} bytes is refused: components that are files with long names fail") from e
        raise
    return Finding(said=f"names may have {_LONG} bytes")


def _listing(g: Ground) -> Finding:
    for number in range(_LISTINGS):
        name = f"listed-{number}"
        g.create(name, b"")
        if name not in g.names():
            raise Broken("a fresh listing does not show a file that was just made")
        g.calls.unlink(name, dir_fd=g.fd)
        if name in g.names():
            raise Broken("a fresh listing shows a file that was just removed")
    return Finding(said="a fresh listing shows at once what this node made and removed")


def _clock(g: Ground) -> Finding:
    before_s = g.clock.wall()
    g.create("now", b"x")
    after_s = g.clock.wall()
    made_s = g.stat("now").st_mtime
    apart_s = made_s - after_s if made_s > after_s else min(0.0, made_s - before_s)
    figures = {"ahead_s": apart_s}
    if abs(apart_s) > _CLOCK_S:
        where = "ahead of" if apart_s > 0 else "behind"
        raise Odd(
            f"its clock is {format_duration(abs(apart_s))} {where} this node's: outlast goes by the storage's, "
            "`outlast status` from here may misjudge whether a run lives"
        )
    return Finding(said="the storage's clock agrees with this node's", figures=figures)


def _space(g: Ground) -> Finding:
    found = g.calls.fstatvfs(g.fd)
    free_bytes, files = found.f_bavail * found.f_frsize, found.f_favail
    said = f"{format_size(free_bytes)} and {f'{files} files' if found.f_files else 'any number of files'} are free"
    if free_bytes < _TIGHT_BYTES or (found.f_files and files < _TIGHT_FILES):
        raise Odd(f"{said}: a save that finds no room fails, and the last good checkpoint stays")
    return Finding(said=f"{said} (quotas aside)")


_PUBLISH = "outlast publishes by it"
_DURABLE = "nothing could be promised to survive a loss of power"
_PROBES: tuple[tuple[str, Callable[[Ground], Finding], str], ...] = (
    ("write", _write, "nothing can be saved here"),
    ("exclusive", _exclusive, "attempts could not exclude one another"),
    ("link", _link, _PUBLISH),
    ("race", _race, "two jobs could both believe that they own the run"),
    ("rename", _rename, "outlast moves damage and rubbish away by it"),
    ("replace", _replace, "outlast replaces no file"),
    ("sync-file", _sync_file, _DURABLE),
    ("sync-directory", _sync_directory, _DURABLE),
    ("commit", _commit, "nothing can be saved here"),
    ("read-back", _read_back, "a checkpoint would be found damaged"),
    ("append", _append, "journals are kept so"),
    ("permissions", _permissions, "saved state must be private"),
    ("no-follow", _no_follow, "whoever can plant a link could redirect what is written"),
    ("long-names", _long_names, "names are kept as they are"),
    ("listing", _listing, "outlast goes by fresh listings"),
    ("clock", _clock, "a run's heartbeat is judged by it"),
    ("space", _space, "free room must be known"),
)
_REMOVE = "remove"
NAMES = (*(name for name, _, _ in _PROBES), _REMOVE)
