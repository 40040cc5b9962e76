"""A timeline in plain characters, as wide as the terminal."""

from __future__ import annotations

from outlast.cli.rows import LOST, RUNNING, WAITING, Chart, Row
from outlast.clock import iso
from outlast.terminal import visible
from outlast.units import format_duration

SAVE, NOTICE = "save", "notice"
UNICODE = {WAITING: "·", RUNNING: "━", SAVE: "╂", LOST: "░", NOTICE: "▼"}
ASCII = {WAITING: ".", RUNNING: "=", SAVE: "|", LOST: "x", NOTICE: "!"}
_LEAST_BAR = 12
_DAY_S = 86_400


def lines(chart: Chart, *, width: int, marks: dict[str, str]) -> list[str]:
    """Draw a timeline.

    Args:
        chart: what to draw.
        width: columns of the terminal.
        marks: a character for each kind of time, and for saves and notices: `UNICODE` or `ASCII`.
    """
    labels = [_label(row, has_jobs=any(one.job for one in chart.rows)) for row in chart.rows]
    left = max(map(len, labels), default=0)
    right = max((len(row.ending) for row in chart.rows), default=0)
    bar = max(_LEAST_BAR, width - left - right - 3)
    drawn = [
        f"{label.ljust(left)} {_bar(row, chart, bar, marks)} {row.ending}".rstrip()
        for label, row in zip(labels, chart.rows, strict=True)
    ]
    legend = "  ".join(f"{mark} {kind}" for kind, mark in marks.items())
    return [visible(chart.title), *drawn, " " * (left + 1) + _axis(chart, bar), legend] if drawn else [chart.title]


def _label(row: Row, *, has_jobs: bool) -> str:
    return visible(f"{row.label} {row.job}".rstrip() if has_jobs else row.label)


def _bar(row: Row, chart: Chart, width: int, marks: dict[str, str]) -> str:
    """Draw one row: at least a column for each piece, saves and notices over it, and lost work right of its save."""
    cells = [" "] * width
    for piece in row.pieces:
        if piece.kind != LOST:
            begin = _column(chart, piece.begin_s, width)
            _fill(cells, begin, _column(chart, piece.end_s, width), marks[piece.kind])
    for kind, times in ((SAVE, row.saves), (NOTICE, row.notices)):
        for at_s in times:
            cells[_column(chart, at_s, width)] = marks[kind]
    for piece in row.pieces:
        if piece.kind == LOST:
            begin = min(width - 1, _column(chart, piece.begin_s, width) + 1)
            _fill(cells, begin, _column(chart, piece.end_s, width), marks[LOST])
    return "".join(cells)


def _fill(cells: list[str], begin: int, end: int, mark: str) -> None:
    for at in range(begin, max(begin + 1, end)):
        cells[at] = mark


def _column(chart: Chart, at_s: float, width: int) -> int:
    return min(width - 1, int(chart.share(at_s) * width))


def _axis(chart: Chart, width: int) -> str:
    """Return the times at both ends, and how long it is between them if there is room."""
    length_s = chart.end_s - chart.begin_s
    begin, end = _time(chart.begin_s, length_s), _time(chart.end_s, length_s)
    middle = format_duration(length_s).center(max(0, width - len(begin) - len(end)))
    return f"{begin}{middle}{end}"


def _time(at_s: float, length_s: float) -> str:
    """Return a time as exact as it matters, in UTC."""
    text = iso(at_s)
    return f"{text[:16]}Z" if length_s >= _DAY_S else f"{text[11:19]}Z"
