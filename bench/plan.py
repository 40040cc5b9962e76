"""Rounds: each measures the limits and every peer, in an order of its own, so that noise hits all alike."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import peers
from bench.measure import Job

ROOT = Path(__file__).parents[1]
Cell = dict[str, Any]
_LIMITS_EVERY = 4  # peers: the machine changes its pace while a round goes on


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured.

    Attributes:
        rounds: how often everything is.
        states: names of states.
        loops: names of loops.
        peers: names of peers.
        folder: where peers write, on the storage to be measured. A folder of its own is made in it, and removed.
        scale: of the states' sizes; 1 is full.
        repeats: saves in the steady state, of one process.
        stretch_s: how long a loop runs without and with saves, in turn.
        limit_s: after so long a process is ended, and its figures are missing.
    """

    rounds: int
    states: tuple[str, ...]
    loops: tuple[str, ...]
    peers: tuple[str, ...]
    folder: str
    scale: float
    repeats: int
    stretch_s: float
    limit_s: float


def cells(plan: Plan) -> Iterator[Cell]:
    """Measure, and yield one cell after the other: a job, its round, and `figures`, or `missing` or `failed`."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=plan.folder) as scratch:
        for number in range(plan.rounds):
            for cell in _round(plan, number, scratch):
                yield {**cell, "round": number}


def _round(plan: Plan, number: int, scratch: str) -> Iterator[Cell]:
    order = list(plan.peers)
    random.Random(number).shuffle(order)
    for state in plan.states:
        for turn, peer in enumerate(order):
            if turn % _LIMITS_EVERY == 0:
                yield _alone(plan, scratch, "limits", state, "")
            yield from _saved_and_restored(plan, scratch, state, peer)
    for loop in plan.loops:
        for peer in order:
            yield _alone(plan, scratch, "loop", loop, peer)
    if "outlast" in plan.peers:
        yield _alone(plan, scratch, "boundary", "", "outlast")


def _saved_and_restored(plan: Plan, scratch: str, state: str, peer: str) -> Iterator[Cell]:
    folder = _empty(scratch)
    saved = _measured(plan, scratch, kind="save", state=state, peer=peer, folder=folder)
    yield saved
    if "figures" in saved:
        restored = _measured(plan, scratch, kind="restore", state=state, peer=peer, folder=folder)
        yield _judged(restored, saved["figures"]["digest"])


def _judged(restored: Cell, digest: str) -> Cell:
    """Take the figures away from a peer that brought back something else than was saved."""
    figures = restored.get("figures")
    if figures is None or figures["digest"] == figures["warm_digest"] == digest:
        return restored
    rest = {key: value for key, value in restored.items() if key != "figures"}
    return {**rest, "failed": "what was restored is not what was saved"}


def _alone(plan: Plan, scratch: str, kind: str, state: str, peer: str) -> Cell:
    return _measured(plan, scratch, kind=kind, state=state, peer=peer, folder=_empty(scratch))


def _empty(scratch: str) -> str:
    folder = os.path.join(scratch, "saved")
    shutil.rmtree(folder, ignore_errors=True)
    os.mkdir(folder)
    return folder


def _measured(plan: Plan, scratch: str, *, kind: str, state: str, peer: str, folder: str) -> Cell:
    job = Job(
        kind=kind,
        state=state,
        peer=peer,
        folder=folder,
        scale=plan.scale,
        repeats=plan.repeats,
        stretch_s=plan.stretch_s,
    )
    cell = {key: value for key, value in _run(job, scratch, plan.limit_s).items() if key != "folder"}
    print(_line(cell), file=sys.stderr, flush=True)
    return cell


def _run(job: Job, scratch: str, limit_s: float) -> Cell:
    asked, answer = Path(scratch, "job.json"), Path(scratch, "answer.json")
    asked.write_text(json.dumps(asdict(job)))
    answer.unlink(missing_ok=True)
    command = [sys.executable, "-m", "bench.work", str(asked), str(answer)]
    try:
        status, said = _ended(command, scratch, limit_s)
    except subprocess.TimeoutExpired:
        return {**asdict(job), "failed": f"not done after {limit_s:g} s"}
    if status or not answer.exists():
        lines = said.strip().splitlines() or [f"status {status}"]
        return {**asdict(job), "failed": lines[-1][:200], "said": "\n".join(lines[-20:])}
    return json.loads(answer.read_text())


def _ended(command: list[str], folder: str, limit_s: float) -> tuple[int, str]:
    """Run to the end and return status and stderr. Whatever breaks this off ends all processes that it started."""
    with subprocess.Popen(
        command,
        cwd=folder,
        env=_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            _, said = process.communicate(timeout=limit_s)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return process.returncode, said


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OUTLAST_")}
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    quiet = {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "JAX_PLATFORMS": "cpu",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONWARNINGS": "ignore",
    }
    return kept | quiet | {"PYTHONPATH": path}


def _line(cell: Cell) -> str:
    what = f"{cell['state']:>8} {cell['kind']:<8} {cell['peer']:<14}"
    if "figures" not in cell:
        return what + (cell.get("failed") or cell["missing"])
    times = {key: value for key, value in cell["figures"].items() if key.endswith("_s") or key == "slowdown"}
    return what + "  ".join(f"{key} {value:.3g}" for key, value in times.items())


def check(plan: Plan) -> None:
    """Refuse names that nobody knows.

    Raises:
        SystemExit: with what is known.
    """
    from bench import loops, states

    for asked, known in ((plan.states, states.RECIPES), (plan.loops, loops.NAMES), (plan.peers, peers.NAMES)):
        if strange := set(asked) - set(known):
            raise SystemExit(f"{', '.join(sorted(strange))}: expected some of {', '.join(known)}")
