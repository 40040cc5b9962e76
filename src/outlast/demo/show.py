"""The demo's director: starts the training again and again, and does to it what happens to jobs on a cluster."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from subprocess import PIPE
from typing import IO, Any

from outlast.clock import SYSTEM
from outlast.demo.train import EVERY, HOLD_AFTER, KILL_IN_WRITE
from outlast.errors import PREEMPTED, OutlastError, UsageError
from outlast.format.names import CheckpointName
from outlast.store import Store
from outlast.supervise import end_tree, environment, start

Say = Callable[[str], None]

_COMMITS_BEFORE_KILL = 2
_PARTS_BEFORE_TORN_WRITE = 9  # claim, adopt and a few saves: then a write of a part is cut in half
_LIMIT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One start of the program and how it ended."""

    title: str
    from_step: int
    to_step: int
    ended: str


class DemoError(OutlastError):
    """The demo did not go as it must: a fault of outlast, or of the machine."""


def play(*, backend: str | None, folder: str | None, as_json: bool) -> int:
    """Show it. Returns 0 if the wounded run's final state is bit-identical to the undisturbed one's."""
    chosen = backend or ("torch" if importlib.util.find_spec("torch") else "numpy")
    _check(chosen, folder)
    place = folder or tempfile.mkdtemp(prefix="outlast-demo-")
    try:
        return _play(chosen, place, as_json=as_json)
    finally:
        if folder is None:
            shutil.rmtree(place)


def _check(backend: str, folder: str | None) -> None:
    """Check that the demo can be shown.

    Raises:
        UsageError: a package is missing, or the folder is in use.
    """
    missing = [name for name in ("numpy", "sklearn", backend) if importlib.util.find_spec(name) is None]
    if missing:
        hint = "pip install 'outlast[demo]'" + (" torch" if "torch" in missing else "")
        raise UsageError(f"the demo needs {', '.join(dict.fromkeys(missing))}, which is not installed", hint=hint)
    if folder and os.path.lexists(folder) and not (os.path.isdir(folder) and not os.listdir(folder)):
        raise UsageError(f"{folder} is not an empty directory", hint="name one that is empty, or not there yet")


def _play(backend: str, place: str, *, as_json: bool) -> int:
    say = _be_silent if as_json else _print
    began_s = SYSTEM.monotonic()
    say(f"A network learns the handwritten digits of scikit-learn ({backend}). First undisturbed, then wounded.\n")
    undisturbed, wounded = os.path.join(place, "undisturbed"), os.path.join(place, "wounded")
    director = _Director(backend, say)
    scenes = [director.scene("undisturbed", undisturbed)]
    say("")
    scenes += [
        director.scene("killed with SIGKILL", wounded, kill_after_commits=_COMMITS_BEFORE_KILL),
        director.scene("killed in the middle of a save", wounded, torn=_PARTS_BEFORE_TORN_WRITE),
        director.scene("told to leave (SIGTERM)", wounded, notice_after_commits=1),
    ]
    say(f"    one bit of the newest checkpoint is flipped: {_flip_a_bit(wounded)}")
    scenes += [
        director.scene("after the damage, to the end", wounded),
        director.scene("started again though done", wounded),
    ]
    differing, compared = _compare(undisturbed, wounded)
    return _verdict(scenes, differing, compared, SYSTEM.monotonic() - began_s, as_json=as_json, say=say)


def _print(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def _be_silent(text: str) -> None:
    del text


class _Director:
    def __init__(self, backend: str, say: Say) -> None:
        self._backend, self._say = backend, say

    def scene(
        self,
        title: str,
        store: str,
        *,
        kill_after_commits: int = 0,
        notice_after_commits: int = 0,
        torn: int = 0,
    ) -> Scene:
        """Start the program, watch its events, strike, and wait for its end."""
        self._say(f"--> {title}")
        env = environment() | {"OUTLAST_EVENTS": "json", "OUTLAST_STORE": "", "OMP_NUM_THREADS": "1"}
        commits = kill_after_commits or notice_after_commits
        if torn:
            env[KILL_IN_WRITE] = str(torn)
        if commits:  # it is so soon done that it waits for the strike
            env[HOLD_AFTER] = str(commits * EVERY + 1)
        command = [sys.executable, "-m", "outlast.demo.train", store, "--backend", self._backend]
        read, write = os.pipe()
        with open(read, "rb") as held, open(write, "wb") as hold:
            process = start(command, env, stdin=held, stdout=PIPE, stderr=PIPE)

            def strike() -> None:
                process.send_signal(signal.SIGKILL if kill_after_commits else signal.SIGTERM)
                hold.close()

            try:
                assert process.stderr is not None
                from_step, to_step = self._watch(process.stderr, strike, commits)
                said = process.communicate(timeout=_LIMIT_S)[0].decode().strip()
            finally:
                end_tree(process.pid, term_s=0)
        ended = _describe(process.returncode)
        expected = -signal.SIGKILL if kill_after_commits or torn else PREEMPTED if notice_after_commits else 0
        if process.returncode != expected:
            raise DemoError(f"the scene '{title}' ended with {ended}, expected {_describe(expected)}")
        self._say(f"    {ended}{': ' + said if said else ''}\n")
        return Scene(title=title, from_step=from_step, to_step=to_step, ended=ended)

    def _watch(self, events: IO[bytes], strike: Callable[[], None], strike_after: int) -> tuple[int, int]:
        """Pass on what it says, and strike after so many commits. Returns the first and the last step saved."""
        from_step = to_step = commits = 0
        for line in events:
            try:
                event = json.loads(line)
            except ValueError:
                self._say(f"    {line.decode(errors='replace').rstrip()}")
                continue
            if event["event"] in ("restored", "done"):
                from_step = to_step = event["step"]
            if event["event"] == "committed":
                commits, to_step = commits + 1, event["step"]
            if event["event"] in ("restored", "warning", "notice", "done") and "does not outlive" not in event["text"]:
                self._say(f"    {event['text']}")
            if event["event"] == "committed" and commits == strike_after:
                strike()
        return from_step, to_step


def _describe(status: int) -> str:
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}{' (saved, run me again)' if status == PREEMPTED else ''}"


def _flip_a_bit(path: str) -> str:
    """Flip one bit in the middle of the newest checkpoint's part, as a bad disk does; return where."""
    name = Store(path).checkpoints()[0].format()
    part = os.path.join(path, name, "part-00000.safetensors")
    at = os.path.getsize(part) * 2 // 3
    with open(part, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 4]))
    return f"{name}, byte {at}"


def _compare(undisturbed: str, wounded: str) -> tuple[list[str], int]:
    """Compare the final states leaf by leaf; return what differs, and how many values were compared."""
    first, second = (_final(Store(path)) for path in (undisturbed, wounded))
    differing = [name for name in sorted(first.keys() | second.keys()) if first.get(name) != second.get(name)]
    return differing, len(first)


def _final(store: Store) -> dict[str, Any]:
    name: CheckpointName = store.checkpoints()[0]
    manifest = store.manifest(name)
    with store.source(manifest) as source:
        found: dict[str, Any] = {leaf.path: bytes(source.read(leaf.path)) for leaf in manifest.leaves}
    return found | {"(values)": json.dumps(manifest.tree), "(step)": manifest.step, "(metrics)": manifest.metrics}


def _verdict(
    scenes: list[Scene], differing: list[str], compared: int, seconds_s: float, *, as_json: bool, say: Say
) -> int:
    if as_json:
        table = [{"title": s.title, "from_step": s.from_step, "to_step": s.to_step, "ended": s.ended} for s in scenes]
        document = {"identical": not differing, "differing": differing, "scenes": table, "seconds": round(seconds_s, 1)}
        print(json.dumps(document, indent=2))  # noqa: T201
        return 1 if differing else 0
    from tabulate import tabulate

    rows = [[s.title, f"{s.from_step} -> {s.to_step}", s.ended] for s in scenes]
    say(tabulate(rows, headers=["start", "saved steps", "end"], tablefmt="plain", disable_numparse=True))
    if differing:
        say(f"\nNOT identical: {', '.join(differing[:10])} differ after {seconds_s:.0f} s")
        return 1
    say(f"\nBit-identical: all {compared} parts of the final state are as in the undisturbed run ({seconds_s:.0f} s).")
    return 0
