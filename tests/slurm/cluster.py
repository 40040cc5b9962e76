"""A Slurm of the tests' own: slurmctld, slurmd and munge as installed, on machines made of namespaces.

    with Cluster(folder) as cluster:
        job = cluster.submit("#!/bin/sh\nhostname\n")
        cluster.wait_for(job, "COMPLETED")

Jobs belong to an ordinary user who exists on these machines only. All machines share the folder, as they would a
network file system, and each has a /tmp of its own. Needs root; see `problem`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from slurm.ground import USER, Ground, free_user
from slurm.machine import Machine
from slurm.settings import FRONT, SHARED, Settings

LIMIT_S = 120.0  # how long an event may be waited for: far longer than any takes
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "PREEMPTED", "NODE_FAIL", "DEADLINE", "OUT_OF_MEMORY")
_LOOK_S = 0.1
_PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "scontrol", "ip", "nsenter", "unshare")
_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
_REPOSITORY = Path(__file__).resolve().parents[2]
_LOG_BYTES = 6000
_FIELD = re.compile(r"(\S+?)=(.*?)(?= \S+?=|$)")

Job = dict[str, str]


def problem() -> str:
    """Say what is missing here for a cluster, or nothing."""
    if os.geteuid() != 0:
        return "root, to make machines of namespaces"
    missing = [name for name in _PROGRAMS if not shutil.which(name, path=_SYSTEM_PATH)]
    return f"{', '.join(missing)} (tests/tools installs them)" if missing else ""


def until(condition: Callable[[], object], found: Callable[[], object] = str, limit_s: float = LIMIT_S) -> None:
    """Wait until something is true. Raises AssertionError, with what was found instead, if it does not come."""
    end_s = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end_s:
            raise AssertionError(f"waited {limit_s:.0f} s in vain; {found()}")
        time.sleep(_LOOK_S)


class Cluster:
    """A cluster that runs between `with` and its end.

    Attributes:
        folder: what all machines share; `home` in it belongs to the user.
        front: the machine of slurmctld, where users submit.
        nodes: the nodes that are on, by name.
        user: the ordinary user's numbers: its own and its group's.
    """

    def __init__(self, folder: Path, settings: Settings | None = None) -> None:
        self.folder = folder.resolve()
        self.home = self.folder / "home"
        self.settings = settings or Settings()
        self.nodes: dict[str, Machine] = {}
        self.user = free_user()
        self._ground = Ground(folder=self.folder, settings=self.settings, user=self.user, sources=_REPOSITORY)

    def __enter__(self) -> Self:
        self._ground.lay_out()
        self.front = Machine(FRONT, self._ground.front_script(), log=self._log("front"))
        try:
            for name in self.settings.names:
                self.boot(name, wait=False)
            self._await_nodes(self.settings.names)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End everything: all nodes are within the front machine. Only files are left."""
        self.front.power_off()
        for node in self.nodes.values():
            node.power_off()  # it is gone; its descriptors are not
        self.nodes.clear()

    # -- commands ----------------------------------------------------------------------------------------

    def call(
        self, *argv: str, env: Mapping[str, str] | None = None, folder: Path | None = None, text: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as the user on the front machine, with `text` on its standard input."""
        where = folder or self.home
        return self.front.run(argv, user=self.user, env=self.environment(**(env or {})), folder=where, text=text)

    def ask(self, *argv: str, env: Mapping[str, str] | None = None, folder: Path | None = None, text: str = "") -> str:
        """Run a command as `call` does; it must succeed. Returns what it printed."""
        return _printed(self.call(*argv, env=env, folder=folder, text=text))

    def order(self, *argv: str) -> str:
        """Run a command as the operator; it must succeed. Returns what it printed."""
        env = {"PATH": _SYSTEM_PATH, "LANG": "C.UTF-8", "SLURM_TIME_FORMAT": "%s"}
        return _printed(self.front.run(argv, env=env))

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of the user's commands, and so of jobs: this Python, and the sources of this checkout."""
        return {
            "HOME": str(self.home),
            "USER": USER,
            "LOGNAME": USER,
            "LANG": "C.UTF-8",
            "PATH": f"{os.path.realpath(sys.prefix)}/bin:{_SYSTEM_PATH}",
            "PYTHONPATH": str(_REPOSITORY / "src"),
            **more,
        }

    def make_folder(self, name: str) -> Path:
        """Make a folder of the user's."""
        folder = self.home / name
        folder.mkdir(parents=True)
        os.chown(folder, *self.user)
        return folder

    # -- jobs --------------------------------------------------------------------------------------------

    def submit(
        self, script: str, *options: str, folder: Path | None = None, env: Mapping[str, str] | None = None
    ) -> str:
        """Submit a job script with options of sbatch. Returns the job's id."""
        return self.ask("sbatch", "--parsable", *options, folder=folder, env=env, text=script).strip()

    def job(self, number: str) -> Job:
        """What `scontrol show job` says of a job, by field, times in seconds since 1970; of an array its first task."""
        return self.jobs(number)[0]

    def jobs(self, number: str) -> list[Job]:
        """The same of every task of an array."""
        return [dict(_FIELD.findall(line)) for line in self.order("scontrol", "show", "job", "-o", number).splitlines()]

    def wait_for(self, number: str, what: str | Callable[[Job], object]) -> Job:
        """Wait until a job is in a state, or a condition on its fields is true. Returns its fields."""
        found: Job = {}

        def is_there() -> bool:
            found.update(self.job(number))
            return found["JobState"] == what if isinstance(what, str) else bool(what(found))

        until(is_there, lambda: found)
        return found

    def wait_for_restart(self, number: str, count: int = 1) -> Job:
        """Wait until a job runs that was requeued so many times."""
        return self.wait_for(number, lambda job: job["JobState"] == "RUNNING" and int(job["Restarts"]) >= count)

    def wait_for_end(self, number: str) -> Job:
        """Wait until a job has ended for good, however."""
        return self.wait_for(number, lambda job: job["JobState"] in ENDED)

    def queue(self, partitions: str = SHARED) -> list[str]:
        """The ids of the user's jobs that wait, run, or are just ending; tasks of an array one by one."""
        return self.order("squeue", "--noheader", "--array", f"--partition={partitions}", "--format=%i").split()

    def requeue(self, number: str) -> None:
        """Requeue a job, as an operator does."""
        self.order("scontrol", "requeue", number)

    def cancel(self, *numbers: str) -> None:
        """Cancel jobs, as their user does."""
        self.ask("scancel", *numbers)

    def signal(self, number: str, name: str, *, to: str = "--batch") -> None:
        """Send a signal to a job: to the batch script, or with `--full` to all of it. A stand-in for a time limit's."""
        self.ask("scancel", f"--signal={name}", *([to] if to else []), number)

    def clear(self) -> None:
        """Cancel all jobs, and have all nodes on, in the network, and idle: as after the start; but what is apart."""
        jobs = self.queue()
        if jobs:
            self.order("scancel", *jobs)
        for name, state in self.states().items():
            self.heal(name)
            if state.endswith("*") and name in self.nodes:
                self.power_off(name)  # silent: slurmctld hears of it sooner when it starts anew
            if name not in self.nodes:
                self.boot(name, wait=False)
            if state in ("down", "drain", "drng"):
                self.resume(name)
        until(lambda: not self.queue(), self.queue)
        self._await_nodes(self.settings.names[:-1])

    def configure(self, settings: Settings) -> None:
        """Let the whole cluster have other settings."""
        self.settings = settings
        (self.folder / "etc" / "slurm.conf").write_text(settings.conf(self.folder))
        self.order("scontrol", "reconfigure")

    # -- nodes -------------------------------------------------------------------------------------------

    def states(self) -> dict[str, str]:
        """The state of each node, as `sinfo` puts it: idle, mix, alloc, comp, down, drain, with * if it is silent."""
        lines = self.order("sinfo", "--noheader", "--Node", "--format=%N %t").splitlines()
        return dict(line.split() for line in lines)

    def drain(self, node: str) -> None:
        """Let a node take no more jobs."""
        self.order("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")

    def set_down(self, node: str) -> None:
        """Declare a node down: its jobs are requeued at once."""
        self.order("scontrol", "update", f"nodename={node}", "state=down", "reason=test")

    def resume(self, node: str) -> None:
        """Let a node take jobs again."""
        self.order("scontrol", "update", f"nodename={node}", "state=resume")

    def power_off(self, node: str) -> None:
        """Take a node's power: all that ran there is gone when this returns. Slurm finds out by itself."""
        self.nodes.pop(node).power_off()

    def boot(self, node: str, *, wait: bool = True) -> None:
        """Switch a node on."""
        self.front.run(["ip", "link", "delete", f"to-{node}"])  # of the time before; mostly gone by itself
        self.nodes[node] = Machine(
            node,
            self._ground.node_script(node),
            log=self._log(node),
            work=f"slurmd -D -N {node} >/dev/null 2>&1 & wait",
            inside=self.front,
        )
        if wait:
            self._await_nodes([node])

    def cut(self, node: str) -> None:
        """Cut a node from the network. What runs there goes on, and still sees the shared folder."""
        self.order("ip", "link", "set", f"to-{node}", "down")

    def heal(self, node: str) -> None:
        """Give a node that is on its network back. Slurm takes half a minute to find out; `welcome` is quicker."""
        if node in self.nodes:
            self.order("ip", "link", "set", f"to-{node}", "up")

    def welcome(self, node: str) -> None:
        """Declare a node that was down fit again, and wait until it takes jobs."""

        def is_back() -> bool:
            if self.states()[node].startswith("down"):
                self.front.run(["scontrol", "update", f"nodename={node}", "state=resume"])
            return self.states()[node] == "idle"

        until(is_back, self.states)

    # -- when a test fails ---------------------------------------------------------------------------------

    def logs(self, folder: Path | None = None) -> str:
        """The ends of the logs, and of what the jobs of a folder have printed."""
        printed = sorted((folder or self.home).rglob("*.out"))
        files = [*sorted((self.folder / "log").iterdir()), *printed]
        return "\n".join(f"--- {path.relative_to(self.folder)}\n{_end(path)}" for path in files if path.is_file())

    # -- its parts -------------------------------------------------------------------------------------------

    def _log(self, name: str) -> Path:
        return self.folder / "log" / f"{name}.log"

    def _await_nodes(self, names: Sequence[str]) -> None:
        until(lambda: {self.states()[name] for name in names} == {"idle"}, self.states)


def _printed(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, f"{done.args} ended with {done.returncode}: {done.stderr}{done.stdout}"
    return done.stdout


def _end(path: Path) -> str:
    return path.read_bytes()[-_LOG_BYTES:].decode(errors="replace")
