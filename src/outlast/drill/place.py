"""The folder of one run: the copy that it works in, and what stands beside it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from outlast.backends.drilled import DRILL
from outlast.drill.origin import Origin
from outlast.drill.supervised import PATHS
from outlast.drill.trace import environment as traced

_NOT_FOR_US = (
    "OUTLAST_CONTROL",
    "OUTLAST_SUPERVISOR",
    "OUTLAST_DEADLINE",
    "OUTLAST_EVENTS",
    "OUTLAST_REOPEN",
    "OUTLAST_TAKEOVER",
    "OUTLAST_TRACE",
    "OUTLAST_TRACE_KILL",
    "OUTLAST_TRACE_ATTEMPT",
    DRILL,
)

_OUR_PLACE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # where our package lies


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Paths of a run.

    Args:
        root: its folder; all that the run writes lies below it.
        work: the command's working directory, a copy of the user's.
        command: it, with what it names in the user's folder as it is in the copy.
        is_traced: the recorder is to be in its Python processes; that takes time.
    """

    root: str
    work: str
    command: tuple[str, ...]
    is_traced: bool = True

    @property
    def store(self) -> str:
        """Return what OUTLAST_STORE names."""
        return os.path.join(self.disk, "store")

    @property
    def disk(self) -> str:
        """Return the folder that stands for the shared disk: the working folder and the store lie in it."""
        return os.path.join(self.root, "disk")

    @property
    def local(self) -> str:
        """Return the folder that stands for the node's own disk: TMPDIR, and the control folders."""
        return os.path.join(self.root, "node")

    @property
    def drill(self) -> str:
        """Return the folder of the drill's own files."""
        return os.path.join(self.root, "drill")

    @property
    def trace(self) -> str:
        return os.path.join(self.drill, "trace.jsonl")

    @property
    def stdout(self) -> str:
        return os.path.join(self.drill, "stdout")

    @property
    def stderr(self) -> str:
        return os.path.join(self.drill, "stderr")

    def environment(self, env: Mapping[str, str], *, kill: str = "", copy: str = "") -> dict[str, str]:
        """Return the environment of this run's supervisors.

        Args:
            env: the user's.
            kill: a fault for the recorder in the program.
            copy: the name of a second copy of the job, whose trace is not to mix with the first one's.
        """
        plain = {name: value for name, value in env.items() if name not in _NOT_FOR_US}
        found = traced(f"{self.trace}{copy}", plain, kill=kill) if self.is_traced else plain
        paths = {PATHS: found["PYTHONPATH"]} if "PYTHONPATH" in found else {}
        return {
            **found,
            **paths,
            "PYTHONPATH": os.pathsep.join([_OUR_PLACE, *([env["PYTHONPATH"]] if env.get("PYTHONPATH") else [])]),
            "OUTLAST_STORE": self.store,
            "TMPDIR": os.path.join(self.local, "tmp"),
            "XDG_RUNTIME_DIR": os.path.join(self.local, "runtime"),
            "PWD": self.work,
            DRILL: self.drill,
        }

    def renew_local(self) -> None:
        """Give the run another node: nothing is left of what lay on the disk of the one before."""
        shutil.rmtree(self.local, ignore_errors=True)
        for name in ("tmp", "runtime"):
            os.makedirs(os.path.join(self.local, name), mode=0o700)


def make(root: str, origin: Origin, command: Sequence[str]) -> Place:
    """Make a run's folder, with a copy of the user's files in it."""
    os.makedirs(root, mode=0o700)
    work = origin.copy_to(os.path.join(root, "disk", "at"))
    place = Place(root=root, work=work, command=tuple(origin.there(command, work)))
    os.mkdir(place.drill, 0o700)
    place.renew_local()
    return place
