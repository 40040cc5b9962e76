"""`outlast timeline`: the attempts of a run over time: waiting, running, saves, lost work. From files alone."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from outlast.cli import arguments, output

if TYPE_CHECKING:
    from outlast.cli.rows import Chart

_EPILOG = """\
Times are UTC. When a job waited is known where `outlast run` could ask the batch system.
The file must not exist. It needs nothing else to be looked at, and follows the reader's light or dark theme.

examples:
  outlast timeline ckpts/net                      in the terminal
  outlast timeline ckpts/net --html net.html      a page to keep, or to send
"""


def add(verbs: arguments.Verbs[argparse.ArgumentParser]) -> None:
    parser = arguments.verb(verbs, "timeline", epilog=_EPILOG)
    arguments.add_store(parser)
    files = parser.add_mutually_exclusive_group()
    files.add_argument("--svg", metavar="FILE", help="write an SVG picture")
    files.add_argument("--html", metavar="FILE", help="write an HTML page")
    parser.add_argument("--ascii", action="store_true", help="draw with ASCII characters only")


def main(args: argparse.Namespace) -> int:
    from outlast.cli import newfile, rows

    out = args.svg or args.html
    if out is not None:
        newfile.check_place(out)
    path, chart = _chart(args)
    document = {"store": path, **rows.document(chart), "out": out}
    if out is not None:
        from outlast.cli import svgchart

        text = svgchart.svg(chart) if args.svg else svgchart.html(chart)
        size = newfile.write(out, [text.encode()])
        if not args.json:
            output.say(f"{out}: {len(chart.rows)} rows, {size} bytes")
    if args.json:
        output.as_json(document)
    elif out is None:
        _draw(chart, as_ascii=args.ascii)
    return 0


def _chart(args: argparse.Namespace) -> tuple[str, Chart]:
    from outlast.backends import Posix
    from outlast.cli import rows, standing
    from outlast.clock import SYSTEM
    from outlast.store.glance import is_for_jobs_alone

    backend = Posix(arguments.store_path(args))
    if backend.exists() and is_for_jobs_alone(backend):
        past, path = standing.past_of_jobs(backend.root), backend.root
        told = standing.state(past, is_done=False, is_saved=False)
    else:
        store = arguments.open_store(args)
        past, path = standing.past_of(store, is_live=store.live() is not None), store.path
        told = standing.state(past, is_done=store.finished() is not None, is_saved=past.saved is not None)
    reason = f", {told['reason']}" if told["reason"] else ""
    return path, rows.chart(f"{path}: {told['state']}{reason}", past, now_s=SYSTEM.wall())


def _draw(chart: Chart, *, as_ascii: bool) -> None:
    import shutil

    from outlast.cli import textchart

    marks = textchart.ASCII if as_ascii or not _can_print("".join(textchart.UNICODE.values())) else textchart.UNICODE
    for line in textchart.lines(chart, width=shutil.get_terminal_size().columns, marks=marks):
        print(line)


def _can_print(text: str) -> bool:
    import sys

    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return False
    return True
