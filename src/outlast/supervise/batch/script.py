"""What goes into a job script, said so that neither the batch system nor the shell reads more into it."""

from __future__ import annotations

import re

from outlast.errors import UsageError

_PLAIN = re.compile(r"[\w@%+:,./=~^-]+", re.ASCII)


def quoted(text: str) -> str:
    r"""Return an option as it stands in a directive line, which the batch system reads by rules like the shell's.

    Raises:
        UsageError: it has a line break, which no directive can hold.
    """
    if "\n" in text or "\r" in text or "\0" in text:
        raise UsageError(f"{text!r}: an option of a job cannot have a line break")
    if _PLAIN.fullmatch(text):
        return text
    return "'" + text.replace("'", "'\"'\"'") + "'"


def comment(text: str) -> str:
    """Return a line that says something to people, and nothing to the batch system."""
    return "# " + " ".join(text.split())
