"""What a planted bug is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A change of a source file.

    Args:
        file: its path below `src/outlast`.
        old: the text that is replaced. It stands there exactly once, so that the table cannot rot unnoticed.
        new: what stands there instead.
    """

    file: str
    old: str
    new: str

    def apply(self, text: str) -> str:
        count = text.count(self.old)
        assert count == 1, f"{self.file} holds this text {count} times, expected once:\n{self.old}"
        return text.replace(self.old, self.new)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A bug that somebody could make.

    Args:
        name: how it is called.
        why: what it would cost a user.
        file, old, new: the edit, as in `Edit`.
        red: the tests (below `tests`), each of which must fail with it and pass without it.
        proof: cases of a harness ("kills later-save:before:34"), for which the same holds.
        more: further edits.
    """

    name: str
    why: str
    file: str
    old: str
    new: str
    red: tuple[str, ...] = ()
    proof: tuple[str, ...] = ()
    more: tuple[Edit, ...] = ()

    def edits(self) -> Iterator[Edit]:
        yield Edit(file=self.file, old=self.old, new=self.new)
        yield from self.more


def texts(mutant: Mutant, read: Callable[[str], str]) -> dict[str, str]:
    """Return the mutated text of each file that the bug changes. `read` gives a file's text."""
    found: dict[str, str] = {}
    for edit in mutant.edits():
        found[edit.file] = edit.apply(found.get(edit.file) or read(edit.file))
    return found
