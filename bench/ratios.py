"""From cells to figures that can be compared: ratios within a round, and their medians over the rounds. Pure."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Cell = Mapping[str, Any]
Figures = Mapping[str, Any]
Known = Callable[[Mapping[str, Figures]], float]

# figure -> how it follows from what was measured in one round: `save`, `restore`, `limits`, `loop`, by kind
FIGURES: dict[str, Known] = {
    "stall_s": lambda of: of["save"]["stall_s"],
    "stall": lambda of: of["save"]["stall_s"] / of["save"]["memcpy_s"],
    "durable": lambda of: of["save"]["durable_s"] / of["limits"]["write_s"],
    "durable_best": lambda of: of["save"]["durable_s"] / of["limits"]["best_write_s"],
    "durable_full": lambda of: of["save"]["durable_s"] / of["save"]["full_durable_s"],
    "bytes": lambda of: of["save"]["written_bytes"] / of["save"]["state_bytes"],
    "files": lambda of: of["save"]["files"],
    "extra_mb": lambda of: of["save"]["extra_bytes"] / 1e6,
    "extra_beyond_mb": lambda of: max(0, of["save"]["extra_bytes"] - of["save"]["changing_bytes"]) / 1e6,
    "cold": lambda of: of["restore"]["cold_s"] / of["limits"]["read_s"],
    "warm": lambda of: of["restore"]["warm_s"] / of["restore"]["memcpy_s"],
    "slowdown": lambda of: of["loop"]["slowdown"],
    "lost": lambda of: of["loop"]["lost_s"] / of["loop"]["memcpy_s"],
    "saves": lambda of: of["loop"]["saves"],
    "loop_boundary_s": lambda of: of["boundary"]["loop_boundary_s"],
    "due_s": lambda of: of["boundary"]["due_s"],
    **{
        f"{limit}_gb_s": lambda of, limit=limit: of["limits"]["state_bytes"] / of["limits"][f"{limit}_s"] / 1e9
        for limit in ("memcpy", "write", "best_write", "over_write", "read", "best_read")
    },
}


@dataclass(frozen=True, slots=True)
class Medians:
    """Medians by state (or loop), peer and figure; a peer's limits stand under every peer of the state."""

    values: Mapping[tuple[str, str], Mapping[str, float]]
    troubles: Mapping[tuple[str, str], str]

    def get(self, state: str, peer: str, figure: str) -> float | None:
        return self.values.get((state, peer), {}).get(figure)

    def trouble(self, state: str, peer: str) -> str | None:
        """Return why figures of this peer are missing; None if none are."""
        return self.troubles.get((state, peer))

    def best(self, state: str, peers: Iterable[str], figure: str) -> tuple[str, float] | None:
        """Return who has the lowest value, and the value."""
        known = [(value, peer) for peer in peers if (value := self.get(state, peer, figure)) is not None]
        return (min(known)[1], min(known)[0]) if known else None


def medians(cells: Iterable[Cell]) -> Medians:
    """Take the median over the rounds of each figure that follows from what was measured in that round."""
    measured, troubles = _by_turn(cells)
    taken: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for (_, state, peer), kinds in measured.items():
        for figure, follows in FIGURES.items():
            try:
                value = follows(kinds)
            except KeyError:  # was not measured for this one
                continue
            taken[state, peer][figure].append(value)
    values = {
        key: {figure: statistics.median(several) for figure, several in figures.items()}
        for key, figures in taken.items()
    }
    return Medians(values=values, troubles=troubles)


_Measured = dict[tuple[tuple[int, int], str, str], dict[str, Figures]]


def _by_turn(cells: Iterable[Cell]) -> tuple[_Measured, dict[tuple[str, str], str]]:
    """Bring together what belongs to one turn of a peer: its own figures, and the limits measured last before them."""
    measured: _Measured = defaultdict(dict)
    limits: dict[str, Figures] = {}
    troubles: dict[tuple[str, str], str] = {}
    turn = 0
    for cell in cells:
        state, peer = cell["state"], cell["peer"]
        if cell["kind"] == "limits":
            turn += 1
            limits[state] = cell.get("figures", {})
        if "figures" in cell:
            kinds = measured[(cell["round"], turn), state, peer]
            kinds |= {"limits": limits.get(state, {}), cell["kind"]: cell["figures"]}
        elif "missing" in cell:
            troubles[state, peer] = cell["missing"]
        else:
            troubles[state, peer] = f"{cell['kind']} failed: {cell['failed']}"
    return measured, troubles


def versions(cells: Iterable[Cell]) -> dict[str, str]:
    """Return the versions of all distributions that took part."""
    found: dict[str, str] = {}
    for cell in cells:
        found |= cell.get("figures", {}).get("versions", {})
    return dict(sorted(found.items()))
