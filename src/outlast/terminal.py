"""What may be printed: texts that come from a store, and were written by anybody, must not command a terminal."""

from __future__ import annotations

import re

_COMMANDS = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff]")


def visible(text: str) -> str:
    """Return `text` for a terminal or a log: what commands it, breaks the line or turns it round is escaped."""
    return _COMMANDS.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()
