"""The differences that a user allows: names of leaves, or patterns of them."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from fnmatch import fnmatchcase


def is_allowed(path: str, allow: Iterable[str]) -> bool:
    """Whether a path may differ: named exactly, matched by a pattern, or the owner of what ``x/*`` means."""
    return any(path == one or fnmatchcase(path, one) or one == f"{path}/*" for one in allow)


def pattern_of(path: str) -> str:
    """Return the pattern that means this path alone."""
    return glob.escape(path)
