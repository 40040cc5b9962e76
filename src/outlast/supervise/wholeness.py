"""Whether a file or folder that some framework has written is whole: by its structure, its checksums, its end.

No code that a file chose is run: nothing is unpickled. What a format does not tell stays untold: a flipped bit amid the
numbers of safetensors or HDF5 is seen by the digests that are taken later, not here.
"""

from __future__ import annotations

import json
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import BinaryIO

from outlast.errors import DamageError
from outlast.format import safetensors

FILES = frozenset({".pt", ".pth", ".ckpt", ".bin", ".safetensors", ".keras", ".h5", ".hdf5", ".npz"})
_ZIP, _HDF5 = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"
_ALWAYS_ZIP = frozenset({".keras", ".npz"})
_HEADER_LIMIT_BYTES = 100 << 20
_READ_BYTES = 1 << 20
_LEAST_BYTES = 16  # nothing that torch has written is smaller
HF_FOLDER, _HF_LAST = "checkpoint-", "trainer_state.json"
_INDEX = ".index.json"


def problem_of(path: str) -> str:
    """Return what is wrong with a file or a folder, as a phrase; "" if nothing is.

    Raises:
        OSError: it cannot be read, or is gone.
    """
    if stat.S_ISDIR(os.lstat(path).st_mode):
        return _folder(path)
    return _file(path)


def is_known(name: str) -> bool:
    """Say whether a file's name is that of a checkpoint."""
    return os.path.splitext(name)[1].lower() in FILES


def _folder(path: str) -> str:
    names: set[str] = set()
    for folder, _, files in os.walk(path):
        for name in files:
            full = os.path.join(folder, name)
            names.add(os.path.relpath(full, path))
            problem = _file(full)
            if problem:
                return f"{os.path.relpath(full, path)} {problem}"
    if not names:
        return "is empty"
    if os.path.basename(path).startswith(HF_FOLDER) and _HF_LAST not in names:
        return f"has no {_HF_LAST}, which is written last"
    return next((problem for name in names if name.endswith(_INDEX) if (problem := _shards(path, name, names))), "")


def _shards(path: str, name: str, names: set[str]) -> str:
    """Compare a table of shards with the files that are there."""
    with open(os.path.join(path, name), "rb") as file:
        table = json.load(file)
    shards = table.get("weight_map", {}) if isinstance(table, dict) else {}
    lacking = sorted({os.path.join(os.path.dirname(name), str(shard)) for shard in shards.values()} - names)
    return f"lacks {lacking[0]}, which {name} names" if lacking else ""


def _file(path: str) -> str:
    found = os.lstat(path)
    if stat.S_ISLNK(found.st_mode):
        return ""  # a further name of something else
    if not stat.S_ISREG(found.st_mode):
        return "is no regular file"
    suffix = os.path.splitext(path)[1].lower()
    if suffix == ".json":
        return _json(path)
    if suffix not in FILES:
        return ""
    if found.st_size == 0:
        return "is empty"
    with open(path, "rb") as file:
        beginning = file.read(len(_HDF5))
        file.seek(0)
        return _check(suffix, beginning)(file, found.st_size)


def _check(suffix: str, beginning: bytes) -> Callable[[BinaryIO, int], str]:
    if suffix == ".safetensors":
        return _safetensors
    if beginning.startswith(_ZIP) or suffix in _ALWAYS_ZIP:
        return _zip
    if suffix in {".h5", ".hdf5"} or beginning == _HDF5:
        return _hdf5
    return _other


def _json(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            json.load(file)
    except ValueError:
        return "is no JSON, or is cut off"
    return ""


def _zip(file: BinaryIO, _size_bytes: int) -> str:
    """A zip file's table stands at its end; every member has a checksum."""
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                with archive.open(member) as opened:
                    while opened.read(_READ_BYTES):
                        pass
    except zipfile.BadZipFile as e:
        return f"is torn or damaged ({e})"
    except (zlib.error, EOFError, NotImplementedError, RuntimeError, struct.error, ValueError) as e:
        return f"is damaged ({type(e).__name__}: {e})"
    return ""


def _safetensors(file: BinaryIO, size_bytes: int) -> str:
    length = file.read(8)
    wanted = int.from_bytes(length, "little") if len(length) == 8 else size_bytes  # noqa: PLR2004
    try:
        safetensors.parse_header(length + file.read(min(wanted, _HEADER_LIMIT_BYTES)), size_bytes)
    except DamageError as e:
        return f"is torn or damaged ({str(e).splitlines()[0].removeprefix(': ').strip()})"
    return ""


def _hdf5(file: BinaryIO, size_bytes: int) -> str:
    """The superblock says where the file ends, and whether a writer has closed it."""
    block = file.read(64)
    if not block.startswith(_HDF5) or len(block) < 64:  # noqa: PLR2004
        return "is no HDF5 file, or is cut off"
    version = block[8]
    if version in (0, 1):
        first = 24 + 4 * version
        base, end = _address(block, first, block[13]), _address(block, first + 2 * block[13], block[13])
    elif version in (2, 3):
        if version == 3 and block[11] & 1:  # noqa: PLR2004
            return "was not closed by who wrote it"
        base, end = _address(block, 12, block[9]), _address(block, 12 + 2 * block[9], block[9])
    else:
        return f"has an unknown superblock version {version}"
    return f"is torn: it has {size_bytes} bytes, expected {base + end}" if size_bytes < base + end else ""


def _address(block: bytes, at: int, width: int) -> int:
    return int.from_bytes(block[at : at + width], "little")


def _other(_file: BinaryIO, size_bytes: int) -> str:
    """An older format of torch, or none of ours: it tells nothing without being run. That it rests must do."""
    return "is cut off" if size_bytes < _LEAST_BYTES else ""
