"""The R examples under `outlast run`, R killed twenty times at random: the result is the same to the last bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ports import rkit
from proof.core import Harness

_KILLS = 20
_SIZES = {"mcmc": (100_000,), "bootstrap": (400, 2), "simulation": (700, 2)}


def cases() -> Iterator[str]:
    yield from _SIZES


def run(case: str, folder: Path) -> int:
    expected, lasted_s = rkit.example_alone(folder / "alone", case, *_SIZES[case])
    longest_s = 0.8 + 1.6 * lasted_s / _KILLS  # so that twenty of them are not enough to end
    told = rkit.example_killed(folder / "killed", case, *_SIZES[case], kills=_KILLS, longest_s=longest_s)
    assert told.killed >= _KILLS / 2, f"killed only {told.killed} times"
    assert told.status == 0, told.text
    assert told.result == expected
    return told.killed


HARNESS = Harness(cases=cases, run=run, sample=0, tools=("Rscript",))
