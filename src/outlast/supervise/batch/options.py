"""The user's own options for a batch system: looked at, never changed."""

from __future__ import annotations

from collections.abc import Sequence


class Options:
    """Tells which options are among the arguments of `sbatch` and its like.

    Args:
        arguments: as they stood on the command line.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self._arguments = tuple(arguments)

    def has(self, name: str, letter: str = "") -> bool:
        """Say whether an option is given, by its name or its letter."""
        return self.value(name, letter) is not None

    def value(self, name: str, letter: str = "") -> str | None:
        """Return the value of an option, "" if it has none; the last one counts. None if it is not given."""
        found = None
        for number, argument in enumerate(self._arguments):
            following = self._arguments[number + 1] if number + 1 < len(self._arguments) else ""
            following = "" if following.startswith("-") else following
            if argument == f"--{name}" or (letter and argument == f"-{letter}"):
                found = following
            elif argument.startswith(f"--{name}="):
                found = argument.partition("=")[2]
            elif letter and argument.startswith(f"-{letter}") and not argument.startswith("--"):
                found = argument[2:]
        return found
