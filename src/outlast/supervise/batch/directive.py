"""Directive lines for batch systems whose rules of quoting are their own: an option a line, and no tricks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from outlast.errors import UsageError

_AVOID = "give it on the command line of a script that exists, or use a name without such characters"


def grouped(arguments: Sequence[str]) -> Iterator[list[str]]:
    """Give each option with its values."""
    option: list[str] = []
    for argument in arguments:
        if argument.startswith("-") and option:
            yield option
            option = []
        option.append(argument)
    if option:
        yield option


def line(prefix: str, option: Sequence[str], *, unsayable: str, quotes: str = '"') -> str:
    """Return the line of one option. Its last value may have spaces: some systems lose what follows a quoted one.

    Args:
        prefix: what makes a comment a directive.
        option: it, and its values.
        unsayable: characters that the system cannot be told; line breaks are never possible.
        quotes: the quotes that it understands; a value that has all of them cannot be told either.

    Raises:
        UsageError: it cannot be said.
    """
    for word in option:
        if not word or any(sign in word for sign in f"{unsayable}\n\r\0"):
            raise UsageError(f"{word!r}: no directive of this batch system can say this", hint=_AVOID)
    *words, last = option
    for word in words:
        if word != _quoted(word, quotes):
            raise UsageError(f"{word!r}: only the last value of an option can have spaces or signs", hint=_AVOID)
    return " ".join([prefix, *words, _quoted(last, quotes)])


def _quoted(word: str, quotes: str) -> str:
    if not re.search(r"""[\s'"#;&|<>()$`\\*?!{}]""", word):
        return word
    for quote in quotes:
        if quote not in word:
            return f"{quote}{word}{quote}"
    raise UsageError(f"{word!r}: it has every kind of quotes, which no directive can say", hint=_AVOID)


def job_name(name: str) -> str:
    """Return a name that all take: some refuse spaces and slashes, some a digit in front."""
    plain = re.sub(r"[^A-Za-z0-9_.+-]", "_", name)[:63]
    return plain if re.match(r"[A-Za-z_]", plain) else f"j{plain}"
