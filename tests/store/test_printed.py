"""The last lines of a command's output: its own, however many commands shared the file, and whatever became of it."""

from __future__ import annotations

import os

import pytest

from outlast.store.printed import Printed, last_lines
from outlast.store.starts import starts
from store.histories import end, job, placed, record, start


def lines(path, text, *, begin=0, end=None):
    path.write_bytes(text)
    return last_lines(Printed(path=str(path), begin=begin, end=len(text) if end is None else end))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", ()),
        (b"one\n\n  two \nthree", ("one", "  two", "three")),
        (b"10 %\r50 %\r99 %\nKeyError\n", ("99 %", "KeyError")),
        (b"\xff\xfe\n", ("\ufffd\ufffd",)),
        (b"x" * 600 + b"\n", ("x" * 500,)),
        (b"".join(b"%d\n" % n for n in range(100)), tuple(str(n) for n in range(80, 100))),
    ],
)
def test_the_last_lines(tmp_path, text, expected):
    assert lines(tmp_path / "out", text) == expected


def test_only_what_this_command_printed(tmp_path):
    assert lines(tmp_path / "out", b"before\nmine\nafter\n", begin=7, end=12) == ("mine",)


def test_of_much_output_the_end_without_the_line_that_was_cut(tmp_path):
    text = b"a" * 100_000 + b"\nthe end\n"
    assert lines(tmp_path / "out", text) == ("the end",)


def test_a_file_that_is_another_one_by_now_or_none(tmp_path):
    path = tmp_path / "out"
    assert lines(path, b"short\n", end=100) == ()
    assert last_lines(Printed(path=str(path) + "x", begin=0, end=6)) == ()
    assert last_lines(Printed(path=str(tmp_path), begin=0, end=1)) == ()
    assert last_lines(Printed(path="a\0b", begin=0, end=1)) == ()
    os.mkfifo(tmp_path / "fifo")
    assert last_lines(Printed(path=str(tmp_path / "fifo"), begin=0, end=1)) == ()


def test_where_a_start_printed():
    log = record(job(), placed(output="/out"), start(1), end(2, 1, printed_bytes=10), start(3),
                 end(4, 1, printed_bytes=30), start(5), end(6, 1, printed_bytes=31), start(7))  # fmt: skip
    assert [one.printed for one in starts([log])] == [
        Printed(path="/out", begin=0, end=10),
        Printed(path="/out", begin=10, end=30),
        Printed(path="/out", begin=30, end=31),
        None,
    ]
    nowhere = record(job(), placed(), start(1), end(2, 1, printed_bytes=10))
    untold = record(job(), placed(output="/out"), start(1), end(2, 1))
    assert [one.printed for one in starts([nowhere, untold])] == [None, None]
