"""The files that a program was writing when its image was made: brought back to their length of then.

Also a program of its own (`python -I -S outputs.py RECORD PID...`), which an engine calls while all is frozen.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_WRITES = os.O_WRONLY | os.O_RDWR


def lengths(pids: Iterable[int]) -> dict[str, int]:
    """Return the lengths in bytes of the regular files that these processes may write, by path. Each is synced."""
    found: dict[str, int] = {}
    for pid in pids:
        for descriptor in _descriptors(pid):
            link = f"/proc/{pid}/fd/{descriptor}"
            try:
                about, path = os.stat(link), os.readlink(link)
            except OSError:
                continue  # closed, or no file
            if stat.S_ISREG(about.st_mode) and _may_write(pid, descriptor) and os.path.exists(path):
                _sync(path)
                found[path] = about.st_size
    return found


def _descriptors(pid: int) -> Iterator[str]:
    try:
        yield from os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return


def _may_write(pid: int, descriptor: str) -> bool:
    try:
        with open(f"/proc/{pid}/fdinfo/{descriptor}", encoding="ascii") as file:
            words = dict(line.split(":", 1) for line in file if ":" in line)
    except OSError:
        return False
    return bool(int(words.get("flags", "0"), 8) & _WRITES)


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def misfits(recorded: Mapping[str, int]) -> list[str]:
    """Say which files cannot be brought back to their length."""
    said = []
    for path, size_bytes in recorded.items():
        try:
            now_bytes = os.stat(path).st_size
        except OSError as e:
            said.append(f"{path}: {e.strerror}")
        else:
            if now_bytes < size_bytes:
                said.append(f"{path} had {size_bytes} bytes and has {now_bytes}")
    return said


def cut_back(recorded: Mapping[str, int]) -> dict[str, int]:
    """Cut each file to its length of then; return how many bytes went, by path. Call `misfits` before.

    Raises:
        OSError: one cannot be cut.
    """
    cut: dict[str, int] = {}
    for path, size_bytes in recorded.items():
        more = os.stat(path).st_size - size_bytes
        if more > 0:
            os.truncate(path, size_bytes)
            cut[path] = more
    return cut


def below(root: int) -> list[int]:
    """Return a process and all its descendants."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(name))
    found = [root]
    for pid in found:
        found += parents.get(pid, [])
    return found


def read(path: str) -> Mapping[str, Any]:
    """Return what an image says of itself."""
    with open(path, encoding="utf-8") as file:
        found = json.load(file)
    if not isinstance(found, dict):
        raise ValueError("not an object")  # noqa: TRY004  (of a file, not of an argument)
    return found


def main() -> None:
    record, root = sys.argv[1], int(sys.argv[2])
    with open(record, "w", encoding="utf-8") as file:
        json.dump(lengths(below(root)), file)


if __name__ == "__main__":
    main()
