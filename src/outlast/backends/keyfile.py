"""The key for signing, from the file that OUTLAST_KEY_FILE names. A key that others can read is refused."""

from __future__ import annotations

import errno
import os
import stat

from outlast.errors import UsageError
from outlast.format.signing import MIN_KEY_BYTES, SigningKey, Trust

VARIABLE, UNSIGNED = "OUTLAST_KEY_FILE", "OUTLAST_TRUST_UNSIGNED"
_MAX_KEY_BYTES = 4096
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_MAKE = "make one: (umask 077; head -c 32 /dev/urandom > FILE)"


def trust(root: str) -> Trust:
    """Return how manifests of the store at `root` are signed and believed.

    Raises:
        UsageError: the variable is set, and no key can be had from what it names.
    """
    path = os.environ.get(VARIABLE)
    if path is None:
        return Trust()
    return Trust(key=_read(path, root), takes_unsigned=_takes_unsigned())


def _takes_unsigned() -> bool:
    value = os.environ.get(UNSIGNED, "")
    if value not in ("", "0", "1"):
        raise UsageError(
            f"{UNSIGNED} is {value!r}, expected 1 or 0", hint="1 takes what was saved before there was a key"
        )
    return value == "1"


def _read(path: str, root: str) -> SigningKey:
    if not path:  # an unset variable of a script must not turn signing off
        raise UsageError(f"{VARIABLE} is empty", hint="name the key's file, or unset it")
    if _is_inside(path, root):
        hint = "whoever can write to the store could read or replace it: keep it elsewhere, e.g. in your home directory"
        raise UsageError(f"{VARIABLE}: {path} lies in the store {root}", hint=hint)
    fd = _open(path)
    try:
        _check(os.fstat(fd), path)
        secret = os.read(fd, _MAX_KEY_BYTES + 1)
    finally:
        os.close(fd)
    if not MIN_KEY_BYTES <= len(secret) <= _MAX_KEY_BYTES:
        what = f"has {len(secret)} bytes" if len(secret) < MIN_KEY_BYTES else "is too long"
        raise UsageError(f"{VARIABLE}: {path} {what}, expected {MIN_KEY_BYTES} to {_MAX_KEY_BYTES} bytes", hint=_MAKE)
    return SigningKey(secret)


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as e:
        if e.errno == errno.ELOOP:
            hint = "name the file that it points to"
            raise UsageError(f"{VARIABLE}: {path} is a symbolic link", hint=hint) from None
        hint = f"is the path right? (a ~ is not expanded here.) For a run that has no key yet {_MAKE}"
        raise UsageError(f"{VARIABLE}: {path} cannot be read: {e.strerror}", hint=hint) from None


def _check(about: os.stat_result, path: str) -> None:
    if not stat.S_ISREG(about.st_mode):
        raise UsageError(f"{VARIABLE}: {path} is not a regular file", hint=_MAKE)
    if about.st_uid != os.geteuid():
        raise UsageError(
            f"{VARIABLE}: {path} belongs to user {about.st_uid}, not to you", hint="name your own copy of it"
        )
    if about.st_mode & _OTHERS:
        mode = f"{stat.S_IMODE(about.st_mode):04o}"
        hint = f"chmod 600 {path}; if somebody else may have read it, make a new one"
        raise UsageError(f"{VARIABLE}: {path} is open to others (mode {mode})", hint=hint)


def _is_inside(path: str, root: str) -> bool:
    """Say whether a file lies below a directory, by whatever links they are named."""
    folder, real = os.path.realpath(root), os.path.realpath(path)
    return real == folder or real.startswith(folder.rstrip("/") + "/")
