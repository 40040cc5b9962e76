"""A timeline as an SVG picture, or as an HTML page around it: self-contained, readable on light and on dark."""

from __future__ import annotations

from collections.abc import Iterator

from outlast.cli.rows import LOST, RUNNING, WAITING, Chart, Piece, Row
from outlast.clock import iso
from outlast.terminal import visible
from outlast.units import format_duration

_WIDTH, _ROW, _BAR, _PAD = 1000, 26, 14, 12
_LETTER = 6.6  # of the labels: 11 px, monospaced
_TICKS = 4
_ESCAPES = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord('"'): "&quot;", ord("'"): "&#39;"}

STYLE = """
  .outlast { font: 11px ui-monospace, Menlo, Consolas, monospace; background: #fff; color: #1f2430; }
  .outlast text { fill: #1f2430; } .outlast .soft { fill: #6b7280; } .outlast .paper { fill: #fff; }
  .outlast .waiting { fill: #c9ced8; } .outlast .running { fill: #3b7dd8; } .outlast .lost { fill: #d1453b; }
  .outlast .save { stroke: #12315c; stroke-width: 1.5; } .outlast .notice { fill: #b26a00; }
  .outlast .grid { stroke: #8a90a0; stroke-width: .4; }
  @media (prefers-color-scheme: dark) {
    .outlast { background: #171a21; color: #e4e7ee; }
    .outlast text { fill: #e4e7ee; } .outlast .soft { fill: #9aa1b1; } .outlast .paper { fill: #171a21; }
    .outlast .waiting { fill: #474e5d; } .outlast .running { fill: #5b9bf0; } .outlast .lost { fill: #f07167; }
    .outlast .save { stroke: #e9f1ff; } .outlast .notice { fill: #ffb454; }
  }
"""

_SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" class="outlast" role="img" width="{width}" height="{height}" \
viewBox="0 0 {width} {height}">
<title>{title}</title>
{style}<rect class="paper" width="{width}" height="{height}"/>
<text x="{pad}" y="22" font-weight="bold">{title}</text>
{body}
</svg>
"""

_HTML = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
  :root {{ color-scheme: light dark; }}
  body {{ margin: 1.5rem; }} svg {{ max-width: 100%; height: auto; }}
  table {{ border-collapse: collapse; margin-top: 1rem; }} th, td {{ text-align: left; padding: .2rem .8rem .2rem 0; }}
{style}</style>
</head>
<body class="outlast">
{svg}<table>
<tr><th>attempt</th><th>job</th><th>began</th><th>lasted</th><th>steps</th><th>saves</th><th>lost</th><th>ended</th></tr>
{rows}
</table>
</body>
</html>
"""


def svg(chart: Chart) -> str:
    """Draw a picture that stands for itself."""
    return _drawn(chart, style=f"<style>{STYLE}</style>\n")


def html(chart: Chart) -> str:
    """Make a page: the picture, and its attempts as a table."""
    rows = "\n".join(_table_row(row) for row in chart.rows)
    return _HTML.format(title=_text(chart.title), style=STYLE, svg=_drawn(chart, style=""), rows=rows)


def _drawn(chart: Chart, *, style: str) -> str:
    labels = [_text(f"{row.label} {row.job}".rstrip()) for row in chart.rows]
    left = _PAD + round(_LETTER * max((len(f"{row.label} {row.job}") for row in chart.rows), default=0)) + _PAD
    right = _WIDTH - _PAD - round(_LETTER * max((len(row.ending) for row in chart.rows), default=0)) - _PAD
    bottom = 40 + _ROW * len(chart.rows)
    body = [*_grid(chart, left, right, bottom)]
    for number, (row, label) in enumerate(zip(chart.rows, labels, strict=True)):
        body += _row(row, label, chart, left=left, right=right, top=40 + _ROW * number)
    body += _legend(bottom + 38)
    parts = {"width": _WIDTH, "height": bottom + 52, "pad": _PAD, "title": _text(chart.title), "style": style}
    return _SVG.format(body="\n".join(body), **parts)


def _grid(chart: Chart, left: int, right: int, bottom: int) -> Iterator[str]:
    for number in range(_TICKS + 1):
        x = left + (right - left) * number / _TICKS
        at_s = chart.begin_s + (chart.end_s - chart.begin_s) * number / _TICKS
        anchor = "start" if number == 0 else "end" if number == _TICKS else "middle"
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="34" y2="{bottom}"/>'
        yield f'<text class="soft" x="{x:.1f}" y="{bottom + 14}" text-anchor="{anchor}">{_time(at_s)}</text>'


def _row(row: Row, label: str, chart: Chart, *, left: int, right: int, top: int) -> Iterator[str]:
    def x(at_s: float) -> float:
        return left + (right - left) * chart.share(at_s)

    yield f"<g><title>{_text(_told(row))}</title>"
    yield f'<text x="{_PAD}" y="{top + 12}">{label}</text>'
    for piece in row.pieces:
        width = max(1.0, x(piece.end_s) - x(piece.begin_s))
        yield (
            f'<rect class="{piece.kind}" x="{x(piece.begin_s):.1f}" y="{top + 1}" width="{width:.1f}" height="{_BAR}"/>'
        )
    for at in sorted({round(x(at_s)) for at_s in row.saves}):  # a thousand saves are not a thousand lines
        yield f'<line class="save" x1="{at}" x2="{at}" y1="{top - 1}" y2="{top + _BAR + 3}"/>'
    for at_s in row.notices:
        yield f'<path class="notice" d="M{x(at_s):.1f} {top + 1} l-4 -6 h8 z"/>'
    yield f'<text x="{right + _PAD}" y="{top + 12}">{_text(row.ending)}</text></g>'


def _legend(y: int) -> Iterator[str]:
    x = _PAD
    for kind in (WAITING, RUNNING, LOST):
        yield f'<rect class="{kind}" x="{x}" y="{y - 10}" width="18" height="10"/>'
        yield f'<text class="soft" x="{x + 24}" y="{y}">{kind}</text>'
        x += 100
    yield f'<line class="save" x1="{x + 4}" x2="{x + 4}" y1="{y - 11}" y2="{y + 2}"/>'
    yield f'<text class="soft" x="{x + 14}" y="{y}">save</text>'
    yield f'<path class="notice" d="M{x + 84} {y - 2} l-4 -6 h8 z"/>'
    yield f'<text class="soft" x="{x + 94}" y="{y}">notice</text>'


def _told(row: Row) -> str:
    """Say what a row shows, for whoever points at it."""
    steps = f", steps {row.steps[0]} to {row.steps[1]}" if row.steps else ""
    lost = f", {row.steps_lost} lost" if row.steps_lost else ""
    return f"attempt {row.label}: {row.how}{steps}{lost}; {'; '.join(map(_span, row.pieces))}"


def _span(piece: Piece) -> str:
    return (
        f"{piece.kind} {_time(piece.begin_s)} to {_time(piece.end_s)}, {format_duration(piece.end_s - piece.begin_s)}"
    )


def _table_row(row: Row) -> str:
    ran = next((piece for piece in row.pieces if piece.kind == RUNNING), None)
    lost = next((piece for piece in row.pieces if piece.kind == LOST), None)
    cells = [
        row.label,
        row.job,
        _time(ran.begin_s) if ran else "",
        format_duration(ran.end_s - ran.begin_s) if ran else "",
        f"{row.steps[0]} to {row.steps[1]}" if row.steps else "",
        str(len(row.saves)),
        f"{row.steps_lost} steps, {format_duration(lost.end_s - lost.begin_s)}" if lost else "",
        row.how,
    ]
    return f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in cells)}</tr>"


def _time(at_s: float) -> str:
    return f"{iso(at_s)[:19]}Z"


def _text(text: str) -> str:
    """Return text that is nothing but text, in SVG and HTML alike."""
    return visible(text).translate(_ESCAPES)
