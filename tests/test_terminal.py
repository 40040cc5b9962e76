"""What is printed."""

from __future__ import annotations

import pytest

from outlast.terminal import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, na\u00efve, \u2603 \U0001f4a3", "plain, na\u00efve, \u2603 \U0001f4a3"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("a\nb\tc\x7f\x9b", "a\\nb\\tc\\x7f\\x9b"),
        ("\u202egnp.exe\u2066\u2028", "\\u202egnp.exe\\u2066\\u2028"),
        ("\udcff", "\\udcff"),
    ],
)
def test_what_is_printed_cannot_command_a_terminal(text, shown):
    assert visible(text) == shown
    visible(text).encode()
