"""Real FUSE mounts of a folder that misbehave as asked; several of one folder stand for several nodes.

Run as a program it is the server of one mount: `python fusekit.py FOLDER MOUNT JSON`.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_WAIT_S = 20.0


@contextmanager
def mounted(folder: Path, point: Path, **how: object) -> Iterator[Path]:
    """Mount `folder` at `point`.

    Args:
        folder, point: what, and where.
        how: `fail`: {operation: errno}; `overwrite`: a link replaces what is there, and
            what other mounts linked under a name that begins with this is not seen; `late`: a rename takes the old
            name away, and the new one is there when a directory is listed next; `timeout_s`: how long attributes,
            entries and absences are believed.
    """
    if shutil.which("fusermount3") is None:
        raise RuntimeError("this test mounts a FUSE file system: install fuse3 (tests/tools does)")
    folder.mkdir(exist_ok=True)
    point.mkdir(exist_ok=True)
    command = [sys.executable, __file__, str(folder), str(point), json.dumps(how)]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + _WAIT_S
        while not os.path.ismount(point):
            if server.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the FUSE server did not mount {point}")
            time.sleep(0.02)
        yield point
    finally:
        subprocess.run(["fusermount3", "-u", "-z", "-q", str(point)], check=False)
        try:
            server.wait(5.0)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def serve(folder: str, point: str, how: dict) -> None:
    import mfusepy

    timeout_s, linked = how.get("timeout_s", 0), set()
    late, lock = set(), threading.Lock()

    def come():
        """Have what was renamed come under its new name."""
        with lock:
            while late:
                new = late.pop()
                os.rename(f"{folder}{new}.late", folder + new)

    class Server(mfusepy.Operations):
        use_ns = True

        def _at(self, path):
            return folder + path

        def getattr(self, path, fh=None):
            name = os.path.basename(path)
            if how.get("overwrite") and name.startswith(how["overwrite"]) and path not in linked:
                raise mfusepy.FuseOSError(errno.ENOENT)
            about = os.lstat(self._at(path))
            keys = ("st_mode", "st_ino", "st_dev", "st_nlink", "st_uid", "st_gid", "st_size")
            times = {f"st_{t}time": getattr(about, f"st_{t}time_ns") for t in "amc"}
            return {key: getattr(about, key) for key in keys} | times

        def readdir(self, path, fh):
            come()
            with os.scandir(self._at(path)) as entries:
                found = [
                    (e.name, {"st_ino": e.inode(), "st_mode": e.stat(follow_symlinks=False).st_mode}, 0)
                    for e in entries
                ]
            return [".", "..", *found]

        def create(self, path, mode, fi=None):
            return os.open(self._at(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

        def open(self, path, flags):
            return os.open(self._at(path), flags & ~os.O_APPEND)

        def read(self, path, size, offset, fh):
            return os.pread(fh, size, offset)

        def write(self, path, data, offset, fh):
            return os.pwrite(fh, data, offset)

        def truncate(self, path, length, fh=None):
            os.truncate(self._at(path), length)

        def release(self, path, fh):
            os.close(fh)

        def fsync(self, path, datasync, fh):
            os.fsync(fh)

        def fsyncdir(self, path, datasync, fh):
            return 0

        def flush(self, path, fh):
            return 0

        def rename(self, old, new):
            if not how.get("late"):
                os.rename(self._at(old), self._at(new))
                return
            with lock:
                os.rename(self._at(old), self._at(new) + ".late")
                if os.path.isfile(self._at(new)):
                    os.unlink(self._at(new))
                late.add(new)

        def link(self, target, source):
            while how.get("overwrite"):  # another mount may make or remove it between two calls
                try:
                    os.link(self._at(source), self._at(target))
                except FileExistsError:
                    with suppress(FileNotFoundError):
                        os.unlink(self._at(target))
                else:
                    break
            else:
                os.link(self._at(source), self._at(target))
            linked.add(target)

        def symlink(self, target, source):
            os.symlink(source, self._at(target))

        def readlink(self, path):
            return os.readlink(self._at(path))

        def unlink(self, path):
            os.unlink(self._at(path))

        def mkdir(self, path, mode):
            os.mkdir(self._at(path), mode)

        def rmdir(self, path):
            os.rmdir(self._at(path))

        def chmod(self, path, mode):
            os.chmod(self._at(path), mode)

        def utimens(self, path, times=None):
            os.utime(self._at(path), ns=times) if times else os.utime(self._at(path))

        def statfs(self, path):
            about = os.statvfs(folder)
            keys = ("bavail", "bfree", "blocks", "bsize", "favail", "ffree", "files", "frsize", "namemax")
            return {f"f_{key}": getattr(about, f"f_{key}") for key in keys}

    def failing(number):
        def fail(*_):
            raise mfusepy.FuseOSError(number)

        return fail

    server = Server()
    for operation, number in how.get("fail", {}).items():
        setattr(server, operation, failing(number))
    believed = dict.fromkeys(("attr_timeout", "entry_timeout", "negative_timeout"), timeout_s)
    mfusepy.FUSE(server, point, foreground=True, nothreads=False, fsname="outlast-test", use_ino=True, **believed)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
