"""Files: what the program writes, renames, removes and looks for, by Python's audit events and existence tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from .core import Recorder
from .variables import is_in_library

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_ELSEWHERE = ("/dev/", "/proc/", "/sys/", "/etc/")
_CODE = (".py", ".pyc", ".pyi", ".so", ".pth", ".cfg")
_TESTS = ("exists", "isfile", "isdir", "lexists")


def listen(recorder: Recorder) -> None:
    """Hear what concerns files, from now to the end of the process."""
    hears = _Files(recorder)
    sys.addaudithook(hears.audit)
    for name in _TESTS:
        recorder.around(os.path, name, hears.tested)


def _pathlib(recorder: Recorder, module: Any) -> None:
    hears = _Files(recorder)
    for name in ("exists", "is_file", "is_dir"):
        recorder.around(module.Path, name, hears.tested)


LISTENERS = {"pathlib": [_pathlib]}


class _Files:
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._temporary = os.path.abspath(os.environ.get("TMPDIR") or "/tmp") + os.sep  # noqa: S108  (not written to)

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        """Hear an audit event. Most are none of ours."""
        hear = _EVENTS.get(event)
        if hear is None or self._recorder.is_deaf:
            return
        told: list[str] = []
        with self._recorder.probing(f"the event {event}"):
            told = hear(self, args)
        if told and self._recorder.is_due("op"):
            self._recorder.kill(" ".join(told))
        elif told:
            with self._recorder.probing("telling of a file"):
                self._tell(*told)

    def tested(self, result: object, path: object, *_: Any) -> None:
        """Hear of an existence test."""
        place = self._place(path)
        if place:
            self._recorder.log.tell("look", path=place, found=bool(result))

    def opened(self, args: tuple[Any, ...]) -> list[str]:
        path, mode, flags = args
        place = self._place(path)
        if not place:
            return []
        is_writing = bool(flags & _WRITING) or any(letter in (mode or "") for letter in "wax+")
        if is_writing:
            return ["append" if flags & os.O_APPEND or "a" in (mode or "") else "write", place]
        self._recorder.log.tell("look", path=place, found=os.path.lexists(place))
        return []

    def changed(self, op: str, args: tuple[Any, ...]) -> list[str]:
        places = [self._place(arg) for arg in args[: 2 if op in ("rename", "link") else 1]]
        return [op, *places] if any(places) else []

    def listed(self, args: tuple[Any, ...]) -> list[str]:
        place = self._place(args[0])
        if place:
            self._recorder.log.tell("look", path=place, found=True)
        return []

    def _tell(self, op: str, path: str, to: str = "") -> None:
        more: dict[str, Any] = {"to": to} if to else {}
        if op in ("write", "append"):
            more["was"] = os.path.isfile(path) and os.path.getsize(path) > 0
        self._recorder.log.tell("file", op=op, path=path, **more)

    def _place(self, path: object) -> str:
        """Return the absolute path, or nothing if it is not one that a user's data would have."""
        if not isinstance(path, (str, bytes, os.PathLike)):
            return ""
        name = os.fsdecode(path)
        place = os.path.abspath(name)
        is_code = place.endswith(_CODE) or place in sys.path or is_in_library(f"{place}/")
        is_elsewhere = place == self._recorder.log.path or self._is_passing(place)
        return "" if not name or is_code or is_elsewhere else place

    def _is_passing(self, place: str) -> bool:
        """Say whether this is the system's, or one of the temporary files that libraries try things with."""
        outside = (*_ELSEWHERE, self._temporary)  # the program itself may be below /dev/shm
        return f"{place}/".startswith(outside) and not place.startswith(os.getcwd() + os.sep)


def _change(op: str) -> Callable[[_Files, tuple[Any, ...]], list[str]]:
    return lambda files, args: files.changed(op, args)


_EVENTS: dict[str, Callable[[_Files, tuple[Any, ...]], list[str]]] = {
    "open": _Files.opened,
    "os.rename": _change("rename"),
    "os.link": _change("link"),
    "os.remove": _change("remove"),
    "os.truncate": _change("truncate"),
    "os.mkdir": _change("mkdir"),
    "os.rmdir": _change("rmdir"),
    "shutil.rmtree": _change("remove"),
    "os.listdir": _Files.listed,
    "os.scandir": _Files.listed,
    "glob.glob": _Files.listed,
}
