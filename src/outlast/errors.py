"""The error tree. Each class stands for what its handler will do, not for where it arose.

An error has a stable `kind` (for logs and `--json`), a `hint` (what the user can do) and the exit
status that the command line gives it. Messages name the leaf or file, what was found, what was expected.
"""

from __future__ import annotations

from typing import ClassVar

DONE = 0
FAILED = 1
USAGE = 2
DAMAGE = 3
NOTHING = 4
BUSY = 5
PREEMPTED = 85
GAVE_UP = 86


class OutlastError(Exception):
    """Base of all errors of outlast.

    Args:
        message: what happened, naming the leaf, file or run.
        hint: what the user can do about it.
    """

    kind: ClassVar[str] = "failed"
    exit_status: ClassVar[int] = FAILED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}\n  -> {self.hint}" if self.hint else message


class UsageError(OutlastError):
    """The call or an option is wrong: fix the program or the command."""

    kind = "usage"
    exit_status = USAGE


class CaptureError(OutlastError):
    """A part of the state cannot be captured: change the program, or register an adapter."""

    kind = "capture"
    exit_status = USAGE


class ChangedError(OutlastError):
    """The program changed what was being copied for a save: that one is lost, the next one waits for its copies."""

    kind = "changed"


class MismatchError(OutlastError):
    """The checkpoint does not fit the live state (name, shape, dtype): change the program, or allow it."""

    kind = "mismatch"
    exit_status = USAGE


class DamageError(OutlastError):
    """Stored bytes are not what was written: fall back to an older checkpoint.

    Args:
        path: the damaged file, relative to the store.
    """

    kind = "damage"
    exit_status = DAMAGE

    def __init__(self, message: str, *, path: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.path = path


class SignatureError(DamageError):
    """A manifest is whole, and not signed with the key of this reader: fall back, but leave it where it is.

    It may be forged, and it may be good and the key wrong. So it is never moved to quarantine unasked.
    """

    kind = "signature"


class VersionError(OutlastError):
    """The store was written by a newer format, or asks for an unknown feature: upgrade outlast."""

    kind = "version"
    exit_status = USAGE


class NothingError(OutlastError):
    """There is no checkpoint, or no store, where one was asked for."""

    kind = "nothing"
    exit_status = NOTHING


class BusyError(OutlastError):
    """Another live attempt writes to this run: wait for it, or stop it."""

    kind = "busy"
    exit_status = BUSY


class FencedError(OutlastError):
    """A newer attempt has taken over this run: this process must not write any more."""

    kind = "fenced"
    exit_status = BUSY


class RanksError(OutlastError):
    """Another rank of this run has failed or is gone, or is somewhere else: this one cannot go on alone."""

    kind = "ranks"


class StorageError(OutlastError):
    """The storage refused a call (EIO, EROFS, a failed fsync ...). Nothing was committed."""

    kind = "storage"


class SpaceError(StorageError):
    """No space, quota or inodes are left: free some."""

    kind = "space"


class Preempted(SystemExit):
    """The run has saved and leaves before its end: start the same command again to go on.

    A SystemExit with status 85, so that `except Exception` in user code cannot swallow it.
    """

    def __init__(self, reason: str = "notice") -> None:
        super().__init__(PREEMPTED)
        self.reason = reason

    def __str__(self) -> str:
        return f"saved, run me again ({self.reason})"
