"""The picture: for each state (or loop) and figure one mark a peer, on a logarithmic scale; further left is better."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

from bench import peers
from bench.ratios import Medians, medians

mpl.use("svg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter

_OF_STATES = (
    ("stall", "stall, × memcpy"),
    ("durable", "durable, × fio's write"),
    ("cold", "cold restore, × fio's read"),
    ("warm", "warm restore, × memcpy"),
)
_OURS, _OTHERS, _LINE = "#0b6e4f", "#7c8796", "#bbbbbb"
_HEIGHT, _WIDTH = 2.9, 3.4  # inches, of one panel


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Write the picture as SVG; the same figures give the same file."""
    found = medians(results["cells"])
    mpl.rcParams.update({"svg.hashsalt": "outlast", "svg.fonttype": "none", "font.size": 7})
    rows = [[(state, *figure) for figure in _OF_STATES] for state in results["states"]]
    rows += [[(loop, "lost", "loop's time lost by a save, × memcpy") for loop in results["loops"]]]
    rows = [row for row in rows if row]
    width = max(map(len, rows))
    figure, places = plt.subplots(
        len(rows), width, figsize=(_WIDTH * width, _HEIGHT * len(rows)), squeeze=False, layout="constrained"
    )
    for row, panels in zip(rows, places, strict=True):
        for place, panel in zip(panels, [*row, *[None] * (width - len(row))], strict=True):
            _panel(place, found, panel, results["peers"])
    figure.savefig(path, format="svg", metadata={"Date": None})
    plt.close(figure)


def _panel(place: Any, found: Medians, panel: tuple[str, str, str] | None, names: list[str]) -> None:
    if panel is None:
        place.set_axis_off()
        return
    state, figure, says = panel
    known = [(name, value) for name in reversed(names) if (value := found.get(state, name, figure) or 0) > 0]
    for at, (name, value) in enumerate(known):
        colour = _OURS if name in peers.OURS else _OTHERS
        place.plot([value], [at], "o", color=colour, markersize=4)
        place.annotate(f"{value:.2g}", (value, at), (5, 0), textcoords="offset points", va="center", color=colour)
    place.set_yticks(range(len(known)), [name for name, _ in known])
    place.set_title(f"{state}: {says}")
    _axes(place)


def _axes(place: Any) -> None:
    place.axvline(1, color=_LINE, linewidth=0.8)
    place.set_xscale("log")
    place.margins(x=0.25)
    place.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    place.xaxis.set_minor_formatter(FuncFormatter(lambda _, __: ""))
    place.grid(axis="y", color=_LINE, linewidth=0.3)
    for spine in ("top", "right"):
        place.spines[spine].set_visible(False)
