"""Leaves that are plain bytes: long strings, bytes, bytearrays."""

from __future__ import annotations

from outlast.capture.adapter import Target
from outlast.errors import DamageError


class Raw(Target):
    """Bytes read into memory of their own."""

    __slots__ = ("_buffer",)

    def __init__(self, size_bytes: int) -> None:
        self._buffer = bytearray(size_bytes)

    def own_bytes(self, size_bytes: int) -> int:  # noqa: ARG002
        return 0

    def open(self) -> memoryview:
        return memoryview(self._buffer)

    def close(self) -> None:
        return

    def value(self) -> bytearray:
        return self._buffer

    def bytes(self) -> bytes:
        """Return the value of a bytes leaf."""
        return bytes(self._buffer)

    def text(self) -> str:
        """Return the value of a utf8 leaf.

        Raises:
            DamageError: it is not UTF-8.
        """
        try:
            return self._buffer.decode()
        except UnicodeDecodeError as error:
            raise DamageError(f"a string of the checkpoint is not UTF-8: {error}") from error
