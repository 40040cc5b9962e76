"""What a restore did, leaf by leaf, for people."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from outlast.capture.allowed import pattern_of
from outlast.errors import MismatchError

PROBLEMS = frozenset({"missing", "extra", "shape", "dtype"})
_COUNTED = ("restored", "added", "removed", "kept")
_NAMED = 20


class Row(NamedTuple):
    """One leaf's fate.

    Args:
        path: the leaf.
        status: restored, added (the program had no such key yet), removed (the checkpoint has no such key), kept
            (allowed to differ: the live value stays), or a problem: missing (in the checkpoint), extra (in the
            checkpoint), shape, dtype.
        detail: what was found and what was expected.
    """

    path: str
    status: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All rows of a restore, in the tree's order."""

    rows: tuple[Row, ...]

    @property
    def problems(self) -> tuple[Row, ...]:
        """Return the rows that forbid the restore."""
        return tuple(row for row in self.rows if row.status in PROBLEMS)

    @property
    def kept(self) -> tuple[Row, ...]:
        """Return the differences that were allowed."""
        return tuple(row for row in self.rows if row.status == "kept")

    def __str__(self) -> str:
        from tabulate import tabulate  # here: seldom printed, and slow to import

        counts = _counts(self.rows)
        table = [[name, *(count[status] or "" for status in _COUNTED)] for name, count in counts.items()]
        single = [row for row in self.rows if row.status in PROBLEMS or row.status == "kept"]
        parts = [tabulate(table, headers=["component", *_COUNTED])]
        if single:
            parts.append(tabulate([tuple(row) for row in single], headers=Row._fields))
        return "\n\n".join(parts)


def _counts(rows: tuple[Row, ...]) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        counts.setdefault(row.path.partition("/")[0], Counter())[row.status] += 1
    return counts


def mismatch(rows: tuple[Row, ...]) -> MismatchError:
    """Return the error that names the problems, the first twenty of them singly."""
    lines = [f"  {row.path}: {row.detail}" for row in rows[:_NAMED]]
    if len(rows) > _NAMED:
        lines.append(f"  and {len(rows) - _NAMED} more")
    message = "the checkpoint does not fit the live state:\n" + "\n".join(lines)
    hint = (
        "make the program build the same state as when it was saved, "
        f'or allow it to differ, e.g. allow=["{pattern_of(rows[0].path)}"] (the live value stays)'
    )
    return MismatchError(message, hint=hint)
