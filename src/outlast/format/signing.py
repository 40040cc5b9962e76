"""Signed manifests: an HMAC-SHA256 at a fixed place, so that it is checked on bytes that no parser has seen.

A signature is the last member before the digest, `,"manifest_hmac":"<64 hex>"`, and covers every byte before its
comma. Where the key comes from is `backends.keyfile`'s business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from outlast.errors import SignatureError

MEMBER = "manifest_hmac"
MIN_KEY_BYTES = 32
_HASH = "sha256"
_TAIL = re.compile(rb',"manifest_hmac":"([0-9a-f]{64})"')
_TAIL_BYTES = len(MEMBER) + 64 + 6


class SigningKey:
    """A secret. It shows itself nowhere: no repr, no pickle, no way to ask for it."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        if len(secret) < MIN_KEY_BYTES:
            raise ValueError(f"a key of {len(secret)} bytes, expected {MIN_KEY_BYTES} or more")
        self._secret = secret

    def sign(self, body: bytes | memoryview) -> str:
        """Return the signature of `body`: 64 hex digits."""
        import hmac

        return hmac.digest(self._secret, body, _HASH).hex()

    def __reduce__(self) -> str:
        raise TypeError("a signing key is not to be stored")


def tail(body: bytes, key: SigningKey) -> bytes:
    """Return what signs `body`, JSON text that lacks its closing brace: it is appended to it."""
    return f',"{MEMBER}":"{key.sign(body)}"'.encode()


def is_signed(body: bytes | memoryview) -> bool:
    """Say whether JSON text that lacks its closing brace ends in a signature, of whatever key."""
    return _TAIL.fullmatch(bytes(body[-_TAIL_BYTES:])) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Which manifests a reader believes, and how a writer signs.

    Args:
        key: theirs; without one signatures are neither asked for nor checked.
        takes_unsigned: with a key, accept what has no signature at all: for the move to signing. A wrong one never.
    """

    key: SigningKey | None = None
    takes_unsigned: bool = False

    def check(self, body: bytes | memoryview, path: str) -> None:
        """Raise SignatureError unless `body`, of which no parser has seen anything, may be believed."""
        if self.key is None:
            return
        if not is_signed(body):
            if not self.takes_unsigned:
                hint = "to accept what was saved before a key was used: OUTLAST_TRUST_UNSIGNED=1"
                raise SignatureError(f"{path} is not signed", path=path, hint=hint)
            return
        signed, found = body[:-_TAIL_BYTES], bytes(body[-65:-1])
        import hmac

        if not hmac.compare_digest(self.key.sign(signed).encode(), found):
            hint = "is OUTLAST_KEY_FILE the key of this run? If it is, somebody else wrote that file"
            raise SignatureError(f"{path} is not signed with this key", path=path, hint=hint)


WITHOUT_KEY = Trust()
