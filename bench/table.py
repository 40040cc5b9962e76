"""The page: what was to be reached and what was, a table for each state, the loops, the machine. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench import loops, peers, states
from bench.ratios import Medians, medians, versions

Results = Mapping[str, Any]
_OTHERS = tuple(name for name in peers.NAMES if name not in peers.OURS)
_UNKNOWN = "–"

_INTRO = """# Benchmarks

Saving and restoring, side by side with every peer and with the machine's own limits, all in one run. `make bench` does
it again on your machine; `make bench WRITE=1` writes this page. Figures in files of JSON stay in `bench/results`.

    make bench                                          # everything, five rounds: some hours
    make bench ROUNDS=3 STATES="S M" PEERS="outlast pickle" LOOPS=
    make bench QUICK=1                                  # small states, one round: a few minutes, figures mean little
    make bench FOLDER=/scratch/me                       # measure that storage

"""
_HOW = """
## How it is measured

- A round measures each peer, in an order of its own, and the limits of the machine before every fourth. A figure is a
  ratio to the limits measured last; the tables show medians over the rounds. **m** is one single-threaded memcpy of the
  state between touched buffers, taken in the peer's own process right after; **w** is fio writing as many bytes into a
  new file, buffered, and syncing it; **r** is fio reading them cold.
- Each peer and state has a process of its own, restoring has another one. Steady state: the first save is not counted
  (with reuse of blocks: not before there are blocks to reuse). What changes between two saves does so in every element.
- **stall**: until `save` returns and the loop may go on and change the state. **durable**: from the start of the save
  until files and folders are synced, by the bench for peers that do not. For outlast that is what it
  takes for its choice of the interval. Removing old checkpoints is counted for nobody.
- **written**: bytes of files that are new or changed, as a share of the state. **files**: new ones in a save.
- **extra**: the peak of memory beyond that of the program with its state, while the state changes once during the save.
  Pages that a forked child holds alone are counted.
- **cold**, **warm**: restoring in a new process, with the kernel made to forget the files (`posix_fadvise`), or after
  reading them once. Into the live arrays where the peer can; the others make new ones, which are not copied further;
  of those that are only mapped, each page is touched.
  For outlast that is all of entering a run: the claim, the journal, the check of the state, reading and verifying.
- What came back is compared with what was saved, by digest; a peer that brings back something else has no figures.
- **Loops**: stretches with and without saves in turn; a save begins at the first boundary after the one before is
  durable. *slower*: how much longer a pass takes. *lost*: the loop's time that a save costs, in m.
- F and W: outlast keeps ten checkpoints there, so that small ones may lean on a whole one.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A figure to reach. `reach` in the figure's own unit; `beat`: as a share of the best peer's instead."""

    says: str
    states: tuple[str, ...]
    figure: str
    peer: str = "outlast"
    reach: float | None = None
    beat: float | None = None
    unit: str = "× memcpy"


_ALL = ("S", "L", "M", "N", "F", "W")
_BIG = ("S", "L", "N")
_PART = ("F", "W")
GOALS = (
    Goal(says="stall", states=("S", "L"), figure="stall", reach=0.8),
    Goal(says="stall, fork", states=("S", "L"), figure="stall", peer="outlast-fork", reach=0.15),
    Goal(says="stall", states=("M",), figure="stall_s", reach=0.060, unit="s"),
    Goal(says="durable", states=_BIG, figure="durable", reach=0.8, unit="× fio's buffered write"),
    Goal(says="durable", states=_BIG, figure="durable_best", reach=1.15, unit="× fio's best write"),
    Goal(
        says="durable, reuse",
        states=_BIG,
        figure="durable",
        peer="outlast-reuse",
        reach=0.5,
        unit="× fio's buffered write",
    ),
    Goal(says="cold restore, verified", states=_BIG, figure="cold", reach=1.0, unit="× fio's cold read"),
    Goal(says="warm restore, verified", states=_BIG, figure="warm", reach=2.0),
    Goal(says="bytes of a save", states=_PART, figure="bytes", reach=0.011, unit="of the state"),
    Goal(says="time of a save", states=_PART, figure="durable_full", reach=0.15, unit="of a full save"),
    Goal(says="loop slower by", states=loops.NAMES, figure="slowdown", beat=0.5, unit="of a pass"),
    Goal(says="loop's time lost by a save", states=loops.NAMES, figure="lost", beat=0.5),
    Goal(says="extra memory beyond the changing state", states=_ALL, figure="extra_beyond_mb", reach=64, unit="MB"),
    Goal(says="files", states=_ALL, figure="files", reach=3, unit=""),
    Goal(says="boundary, nothing due", states=("",), figure="loop_boundary_s", reach=1e-6, unit="s"),
)


def page(results: Results) -> str:
    """Return the page as Markdown."""
    found = medians(results["cells"])
    parts = [_INTRO, _head(results), _goals(found, results), "![The same as a picture](benchmarks.svg)\n"]
    parts += [_state(found, state, results["peers"]) for state in results["states"]]
    if results["loops"]:
        parts.append(_loops(found, results))
    if results["states"]:
        parts.append(_limits(found, results))
    parts.append(_peers(results))
    return "\n".join(parts) + _HOW


# -- the parts -----------------------------------------------------------------------------------------------------


def _head(results: Results) -> str:
    size = "" if results["scale"] == 1 else f" **States are scaled to {results['scale']:g}: figures mean little.**"
    told = ", ".join(f"{name} {version}" for name, version in versions(results["cells"]).items())
    machine = "; ".join(f"{name}: {value}" for name, value in results["machine"].items())
    return f"{results['date']}, {results['rounds']} rounds.{size} {machine}.\n\nVersions: {told}.\n"


def _goals(found: Medians, results: Results) -> str:
    rows = [
        row
        for goal in GOALS
        for state in goal.states
        if not state or state in (*results["states"], *results["loops"])
        for row in [_goal(found, goal, state)]
    ]
    heads = ("figure", "of", "reach", "reached", "", "best peer")
    return "## Figures to reach\n\n" + _grid(heads, rows)


def _goal(found: Medians, goal: Goal, state: str) -> tuple[str, ...]:
    reached = found.get(state, goal.peer, goal.figure)
    best = found.best(state, _OTHERS, goal.figure)
    limit = goal.reach if goal.reach is not None else goal.beat * max(0, best[1]) if best and goal.beat else None
    verdict = "" if reached is None or limit is None else "yes" if reached <= limit else "**no**"
    return (
        goal.says,
        state,
        f"≤ {_number(limit)} {goal.unit}" if limit is not None else _UNKNOWN,
        _number(reached) if reached is not None else found.trouble(state, goal.peer) or _UNKNOWN,
        verdict,
        f"{best[0]} {_number(best[1])}" if best else _UNKNOWN,
    )


Show = Callable[[float], str]


def _number(value: float) -> str:
    if value and abs(value) < 0.001:
        return f"{value:.1e}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2g}"


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %"


def _ms(value: float) -> str:
    return f"{1000 * value:.3g} ms"


_COLUMNS: tuple[tuple[str, str, Show], ...] = (
    ("stall", "stall_s", _ms),
    ("stall ×m", "stall", _number),
    ("durable ×w", "durable", _number),
    ("written", "bytes", _percent),
    ("files", "files", _number),
    ("extra MB", "extra_mb", _number),
    ("cold ×r", "cold", _number),
    ("warm ×m", "warm", _number),
)
_OF_FULL = ("of a full save", "durable_full", _percent)


def _state(found: Medians, state: str, names: Iterable[str]) -> str:
    columns = (*_COLUMNS, _OF_FULL) if state in _PART else _COLUMNS
    rows = [_row(found, state, name, columns) for name in names]
    heads = ("", *(head for head, _, _ in columns))
    return f"## {state}: {states.RECIPES[state].says}\n\n" + _grid(heads, rows) + _troubles(found, state, names)


def _row(found: Medians, state: str, peer: str, columns: Sequence[tuple[str, str, Show]]) -> tuple[str, ...]:
    values = [(found.get(state, peer, figure), show) for _, figure, show in columns]
    return (peer, *(_UNKNOWN if value is None else show(value) for value, show in values))


def _troubles(found: Medians, state: str, names: Iterable[str]) -> str:
    said = [f"- {name or 'limits'}: {trouble}" for name in ("", *names) if (trouble := found.trouble(state, name))]
    return "\n" + "\n".join(said) + "\n" if said else ""


_LOOP_COLUMNS: tuple[tuple[str, str, Show], ...] = (
    ("slower", "slowdown", _percent),
    ("saves", "saves", _number),
    ("lost ×m", "lost", _number),
)


def _loops(found: Medians, results: Results) -> str:
    told = []
    for loop in results["loops"]:
        rows = [_row(found, loop, name, _LOOP_COLUMNS) for name in results["peers"]]
        heads = ("", *(head for head, _, _ in _LOOP_COLUMNS))
        told.append(f"**{loop}**: {loops.SAYS[loop]}\n\n{_grid(heads, rows)}{_troubles(found, loop, results['peers'])}")
    return "## Loops that save back to back\n\n" + "\n".join(told)


_LIMITS = (
    ("memcpy", "memcpy_gb_s"),
    ("write, new", "write_gb_s"),
    ("best write, new", "best_write_gb_s"),
    ("over blocks", "over_write_gb_s"),
    ("read, cold", "read_gb_s"),
    ("best read, cold", "best_read_gb_s"),
)


def _limits(found: Medians, results: Results) -> str:
    columns = [(head, figure, _number) for head, figure in _LIMITS]
    rows = [(state, *_row(found, state, "", columns)[1:]) for state in results["states"]]
    return "## The machine, in GB/s\n\n" + _grid(("", *(head for head, _ in _LIMITS)), rows)


def _peers(results: Results) -> str:
    return "## Who is who\n\n" + _grid(("", "measured as"), [(name, peers.SAYS[name]) for name in results["peers"]])


def _grid(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
