"""The script of a program that no recorder can be in, and what such a program prints."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise

from outlast.drill.place import Place
from outlast.drill.record import Attempt
from outlast.drill.trace import Trace, printed

_LANGUAGES = ("r", "m")
_MOST_BYTES = 1 << 20


def text_of(command: Sequence[str], folder: str) -> tuple[str, str]:
    """Return the text of the script that a command names, and its language; nothing if it names none that is known."""
    for word in command:
        path, language = os.path.join(folder, word), word.rpartition(".")[2].lower()
        if language in _LANGUAGES and os.path.isfile(path):
            with open(path, "rb") as file:
                return file.read(_MOST_BYTES).decode(errors="replace"), language
    return "", ""


def trace_of(place: Place, attempts: Sequence[Attempt]) -> Trace:
    """Return what the output of a run tells of its steps."""
    ends = [attempt.printed_bytes for attempt in attempts]
    with open(place.stdout, "rb") as file:
        texts = [file.read(end - begin) for begin, end in pairwise([0, *ends])]
    return printed([text.decode(errors="replace") for text in texts])
