"""Where the bytes of a buffer lie, and copying between places without holding the interpreter."""

from __future__ import annotations

import ctypes
from typing import Any


class _PyBuffer(ctypes.Structure):
    """`Py_buffer` of CPython's stable interface."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


_SIMPLE = 0
_get = ctypes.pythonapi.PyObject_GetBuffer
_get.argtypes = (ctypes.py_object, ctypes.c_void_p, ctypes.c_int)
_release = ctypes.pythonapi.PyBuffer_Release
_release.argtypes = (ctypes.c_void_p,)
_release.restype = None
_memmove = ctypes.CDLL(None).memmove  # releases the interpreter, which ctypes.memmove does not
_memmove.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_memmove.restype = None


def address_of(buffer: Any) -> int:
    """Return where a contiguous buffer's bytes begin, writable or not. Good while the buffer is held."""
    found = _PyBuffer()
    place = ctypes.addressof(found)
    _get(buffer, place, _SIMPLE)
    try:
        return found.buf or 0
    finally:
        _release(place)


def at_address(address: int, size_bytes: int) -> memoryview:
    """Return a view of memory that somebody else holds; who asks sees to it that it outlives the view."""
    return memoryview((ctypes.c_char * size_bytes).from_address(address)).cast("B")


def copy(to: int, source: int, size_bytes: int) -> None:
    """Copy bytes between two addresses; other threads go on meanwhile."""
    _memmove(to, source, size_bytes)
