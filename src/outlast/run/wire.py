"""Connections between the ranks of a run: one to rank 0 from each other one. JSON both ways, nothing is unpickled.

Who connects must know the secret that rank 0 has left in the store, in a file that only its owner can read.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import socket
import struct
import threading
import weakref
from contextlib import suppress
from typing import Any

_LENGTH = struct.Struct(">Q")
_MOST_BYTES = 1 << 30
_GREETING_S = 10.0
_NONCE_BYTES = 32
_IDLE_S, _EVERY_S, _TIMES = 10, 5, 6  # after 40 s of silence a node is gone
_SILENT_MS = 60_000


class Wire:
    """One connection. Any thread sends; one receives.

    Raises (all methods):
        OSError: it is broken.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._lock = threading.Lock()
        end.settimeout(None)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (
            ("TCP_KEEPIDLE", _IDLE_S),
            ("TCP_KEEPINTVL", _EVERY_S),
            ("TCP_KEEPCNT", _TIMES),
            ("TCP_USER_TIMEOUT", _SILENT_MS),
        ):
            if hasattr(socket, name):
                end.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        _open.add(self)

    def send(self, message: Any) -> None:
        data = json.dumps(message).encode()
        with self._lock:
            self._end.sendall(_LENGTH.pack(len(data)) + data)

    def receive(self) -> Any:
        """Return the next message; None when the other side has closed."""
        head = self._take(_LENGTH.size)
        if head is None:
            return None
        (length,) = _LENGTH.unpack(head)
        if length > _MOST_BYTES:
            raise OSError(f"a message of {length} bytes")
        data = self._take(length)
        return None if data is None else json.loads(data)

    def close(self) -> None:
        """Close it, so that the other side hears of it at once."""
        with suppress(OSError):  # the other side was quicker
            self._end.shutdown(socket.SHUT_RDWR)
        self._end.close()

    def drop(self) -> None:
        """In a forked child: let go of it, without a word to the other side."""
        self._end.close()

    def _take(self, count: int) -> bytes | None:
        data = bytearray()
        while len(data) < count:
            piece = self._end.recv(min(count - len(data), 1 << 20))
            if not piece:
                return None
            data += piece
        return bytes(data)


def answer(end: socket.socket, secret: str) -> tuple[Wire, dict[str, Any]] | None:
    """Greet who has connected; return the connection and what it says of itself, or None for a stranger."""
    end.settimeout(_GREETING_S)
    try:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        end.sendall(nonce)
        proof = _exactly(end, _NONCE_BYTES)
        if not hmac.compare_digest(proof, _proof(secret, b"member" + nonce)):
            return None
        end.sendall(_proof(secret, b"hub" + nonce))
        wire = Wire(end)
        said = wire.receive()
    except (OSError, ValueError):
        return None
    return (wire, said) if isinstance(said, dict) else None


def connect(address: tuple[str, int], secret: str, said: dict[str, Any]) -> Wire | None:
    """Connect to rank 0 and say who we are; None if nobody is there who knows the secret."""
    try:
        end = socket.create_connection(address, timeout=_GREETING_S)
    except OSError:
        return None
    try:
        nonce = _exactly(end, _NONCE_BYTES)
        end.sendall(_proof(secret, b"member" + nonce))
        if hmac.compare_digest(_exactly(end, _NONCE_BYTES), _proof(secret, b"hub" + nonce)):
            wire = Wire(end)
            wire.send(said)
            return wire
    except OSError:
        pass
    end.close()
    return None


def _exactly(end: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = end.recv(count - len(data))
        if not piece:
            raise OSError("closed before the greeting was over")
        data += piece
    return data


def _proof(secret: str, what: bytes) -> bytes:
    return hmac.digest(secret.encode(), what, "sha256")


_open: weakref.WeakSet[Wire] = weakref.WeakSet()


def _in_child() -> None:
    """A forked data-loader worker that outlives its rank must not keep the connection: nobody would hear of the end."""
    for wire in list(_open):
        wire.drop()


os.register_at_fork(after_in_child=_in_child)
