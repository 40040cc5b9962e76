"""What a client is asked for, case by case. Each waits for events, never for a time to pass."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from outlast.clock import SYSTEM
from outlast.errors import PREEMPTED
from outlast.store import Store
from outlast.testing.conformance.rig import BOUND_S, Failed, Rig, Supervised, Unfit, environment, kill
from outlast.testing.conformance.watch import Watch

_POLL_S = 0.01


def undisturbed(rig: Rig) -> None:
    """It runs to its end, exits with 0 and is done."""
    rig.fresh("undisturbed")
    rig.result = rig.finish()
    if Store(rig.store).finished() is None:
        raise Failed("it exited with 0, and its run is not done")


def again(rig: Rig) -> None:
    """Done is done: once more, it is not even started."""
    rig.use("undisturbed")
    if Store(rig.store).finished() is None:
        undisturbed(rig)
    run = rig.start()
    started = [event for event in run.rest() if event["event"] == "start"]
    if run.status() != 0 or started:
        raise Failed("it was started although it was done")


def first(rig: Rig) -> None:
    """It starts with nothing, makes the save folder, and saves when asked to; then it goes on."""
    rig.fresh("first")
    run = rig.start()
    pid = run.until("start")["pid"]
    _await_folder(run, pid)
    _saved(run, pid)
    if run.process.poll() is not None:
        raise Failed("it was asked to save, and ended")
    more = _saved(run, pid)
    if more["attempt"] != 1:
        raise Failed("it was asked to save, and was started again")


def stop(rig: Rig) -> None:
    """Asked to stop, it saves and exits with 85; the next start goes on from there."""
    rig.fresh("stop")
    step = _stopped(rig)
    run = rig.start()
    restored = run.until("restored")["step"]
    if restored != step:
        raise Failed(f"it went on from step {restored}, its last save was of step {step}")
    pid = run.until("start")["pid"]
    _await_folder(run, pid)
    later = _saved(run, pid)["step"]
    if later <= step:
        raise Failed(f"it was started with the state of step {step}, and then saved step {later}")


def person(rig: Rig) -> None:
    """`outlast stop` has it save and leave; it is not started again."""
    rig.fresh("person")
    run = rig.start()
    _await_folder(run, run.until("start")["pid"])
    _claimed(run, rig)
    rig.ask("stop")
    if run.status() != PREEMPTED:
        raise Failed(f"status {run.status()} after `outlast stop`, expected {PREEMPTED}")
    if not Store(rig.store).checkpoints():
        raise Failed("it left with 85, and had saved nothing")


def killed(rig: Rig) -> None:
    """Killed, it loses nothing that was saved: it is started again with the last save."""
    rig.fresh("killed")
    run = rig.start()
    pid = run.until("start")["pid"]
    _await_folder(run, pid)
    step = _saved(run, pid)["step"]
    kill(pid)
    restored = run.until("restored")["step"]
    if restored < step:
        raise Failed(f"step {step} was saved, and it was started again with step {restored}")
    run.until("start")


def writing(rig: Rig) -> None:
    """Killed again and again while it saves, nothing is lost and nothing is torn."""
    rest = rig.kills
    while rest:
        rig.fresh("writing")
        rest -= _killed_in_saves(rig, rest)
        if Store(rig.store).quarantined():
            raise Failed("a checkpoint was damaged")


def both(rig: Rig) -> None:
    """Killed together with its supervisor, it goes on from what was committed."""
    rig.fresh("both")
    run = rig.start()
    pid = run.until("start")["pid"]
    _await_folder(run, pid)
    step = _saved(run, pid)["step"]
    run.kill()
    run = rig.start()
    restored = run.until("restored")["step"]
    if restored < step:
        raise Failed(f"step {step} was committed, and it was started again with step {restored}")
    run.until("start")


def damaged(rig: Rig) -> None:
    """Where the newest checkpoint is damaged it goes on from the one before, which it was given whole."""
    rig.fresh("damaged")
    older, newer = _stopped(rig), _stopped(rig)
    name = next(one for one in Store(rig.store).checkpoints() if one.step == newer)
    victim = Path(rig.store, max(Store(rig.store).manifest(name).files, key=lambda file: file.size_bytes).at)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.chmod(0o600)
    victim.write_bytes(data)
    run = rig.start()
    restored = run.until("restored")["step"]
    if restored != older:
        raise Failed(f"the damaged step is {newer}, the one before {older}, it was started with {restored}")
    pid = run.until("start")["pid"]
    _await_folder(run, pid)
    _saved(run, pid)


def busy(rig: Rig) -> None:
    """Asked to save while the supervisor is behind, it saves again, and the highest step is taken."""
    rig.fresh("busy")
    run = rig.start()
    pid = run.until("start")["pid"]
    save = _await_folder(run, pid)
    _claimed(run, rig)
    run.tell(signal.SIGSTOP)
    control = Path(environment(pid)["OUTLAST_CONTROL"])
    steps: set[int] = set()
    with Watch(save) as watch:
        for _ in range(2):
            (control / "save").touch()
            _await(lambda: not (control / "save").exists(), "it does not remove the file `save`")
            before = max(steps, default=-1)
            _await(lambda least=before: max(_whole(save), default=-1) > least, "it was asked to save, and did not")  # type: ignore[misc]
            steps = _whole(save)
        torn = [name for name in watch.made_in_place() if name.isdigit()]
    if torn:
        raise Failed(f"it makes {torn[0]!r} in its place and fills it there, instead of renaming what is whole")
    run.tell(signal.SIGCONT)
    committed = run.until("committed")["step"]
    if committed < max(steps):
        raise Failed(f"steps {sorted(steps)} were there, and {committed} was taken")


def same(rig: Rig) -> None:
    """Stopped and killed on its way, it ends with the same result."""
    if rig.result is None:
        undisturbed(rig)
    rig.fresh("same")
    _stopped(rig)
    run = rig.start()
    pid = run.until("start")["pid"]
    _await_folder(run, pid)
    _saved(run, pid)
    kill(pid)
    run.until("restored")
    _await_folder(run, run.until("start")["pid"])
    run.tell(signal.SIGTERM)
    if run.status() != PREEMPTED:
        raise Failed(f"status {run.status()} after a notice, expected {PREEMPTED}")
    result = rig.finish()
    if result != rig.result:
        raise Failed(f"undisturbed its last line is {rig.result!r}, interrupted it is {result!r}")


def clean(rig: Rig) -> None:
    """Nothing of it stays behind in the store but checkpoints."""
    rig.fresh("clean")
    _stopped(rig)
    left = [str(path) for path in rig.store.glob("saves/*")]
    if left:
        raise Failed(f"left in the store: {left}")


CASES: dict[str, Callable[[Rig], None]] = {
    case.__name__: case
    for case in (undisturbed, again, first, stop, person, killed, writing, both, damaged, busy, same, clean)
}


def _killed_in_saves(rig: Rig, kills: int) -> int:
    """Kill it while it saves; return how often: at least once, and fewer times than wanted if it came to its end."""
    run = rig.start("--tries", str(kills + 5))
    for number in range(kills):
        try:
            least, restored = _killed_in_a_save(run)
        except (Failed, Unfit):
            if number and run.status() == 0:
                return number
            raise
        if restored < least:
            raise Failed(f"kill {number + 1}: step {least} was whole, it was started again with {restored}")
    return kills


def _killed_in_a_save(run: Supervised) -> tuple[int, int]:
    """Return which step was whole when it was killed, at least, and which one it was started again with.

    It saves undisturbed first: without progress the supervisor would wait longer from one attempt to the next.
    """
    pid = run.until("start")["pid"]
    _await_folder(run, pid)
    step = _saved(run, pid)["step"]
    seen = _await_write(run, pid)
    kill(pid)
    end = run.until("end")
    return max(step, seen, end["step"] or -1), run.until("restored")["step"]


def _stopped(rig: Rig) -> int:
    """Start it, give notice, and return the step that it saved."""
    run = rig.start()
    _await_folder(run, run.until("start")["pid"])
    run.tell(signal.SIGTERM)
    events = run.rest()
    if run.status() != PREEMPTED:
        raise Failed(f"status {run.status()} after a notice, expected {PREEMPTED}")
    if any("taken as 85" in event["text"] for event in events):
        raise Failed(f"it saved, and exited with 0, expected {PREEMPTED}")
    steps = [event["step"] for event in events if event["event"] == "committed"]
    if not steps:
        raise Failed("it left with 85, and had saved nothing")
    return int(steps[-1])


def _saved(run: Supervised, pid: int) -> dict[str, Any]:
    """Ask for a save; return what the supervisor says of it."""
    (Path(environment(pid)["OUTLAST_CONTROL"]) / "save").touch()
    found = run.until("committed")
    found["attempt"] = int(found["checkpoint"].rpartition(".a")[2].partition(".")[0])
    return found


def _claimed(run: Supervised, rig: Rig) -> None:
    def is_claimed() -> bool:
        _check_alive(run)
        return rig.store.joinpath("outlast.json").exists() and Store(rig.store).live() is not None

    _await(is_claimed, "its run was not claimed")


def _await_folder(run: Supervised, pid: int) -> Path:
    """Wait until it has made its save folder."""
    folder = Path(environment(pid)["OUTLAST_SAVE"])

    def is_made() -> bool:
        _check_alive(run)
        return folder.is_dir()

    _await(is_made, "it does not make the folder OUTLAST_SAVE")
    return folder


def _await_write(run: Supervised, pid: int) -> int:
    """Ask it to save, and wait until it has begun to; return the highest step that is whole, -1 if none is."""
    about = environment(pid)
    control, save = Path(about["OUTLAST_CONTROL"]), Path(about["OUTLAST_SAVE"])
    (control / "save").touch()

    def has_begun() -> bool:
        _check_alive(run)
        return not (control / "save").exists() or bool(_names(save))

    _await(has_begun, "it was asked to save, and did not begin to")
    return max(_whole(save), default=-1)


def _whole(save: Path) -> set[int]:
    return {int(name) for name in _names(save) if name.isdigit()}


def _names(save: Path) -> list[str]:
    try:
        return os.listdir(save)
    except FileNotFoundError:
        return []


def _check_alive(run: Supervised) -> None:
    if run.process.poll() == 0:
        raise Unfit("it was done before it could be asked for anything: let it take some seconds")
    if run.process.poll() is not None:
        raise Failed(f"it ended with status {run.process.returncode}")


def _await(is_so: Callable[[], bool], or_else: str) -> None:
    until_s = SYSTEM.monotonic() + BOUND_S
    while not is_so():
        if SYSTEM.monotonic() > until_s:
            raise Failed(f"{or_else} within {BOUND_S:.0f} s")
        SYSTEM.sleep(_POLL_S)
