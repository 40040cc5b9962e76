"""Who this process is, so that another one can tell whether it still lives. Reads /proc and the job's number."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

_START_FIELD = 19  # proc(5): starttime is field 22, the 20th after the name

_JOBS = (  # scheduler, its variables for job, array task and restart count
    ("slurm", "SLURM_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT"),
    ("pbs", "PBS_JOBID", "", ""),
    ("lsf", "LSB_JOBID", "LSB_JOBINDEX", ""),
    ("flux", "FLUX_JOB_ID", "", ""),
    ("sge", "JOB_ID", "SGE_TASK_ID", "RESTARTED"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A process on a machine. `start` is its start time in clock ticks since boot; `pid_space` its namespace."""

    host: str
    boot: str
    pid: int
    start: str
    pid_space: str
    job: str = ""
    restart: int = 0

    def record(self) -> dict[str, Any]:
        """Return it as plain values for the journal. Nothing of the environment but the job's number."""
        return asdict(self)


def me() -> Identity:
    """Return this process's identity."""
    job, restart = _job()
    return Identity(
        host=os.uname().nodename,
        boot=_read("/proc/sys/kernel/random/boot_id"),
        pid=os.getpid(),
        start=start_of(os.getpid()),
        pid_space=_link("/proc/self/ns/pid"),
        job=job,
        restart=restart,
    )


def from_record(record: dict[str, Any]) -> Identity | None:
    """Read an identity back from a journal line; None if it is not one."""
    try:
        return Identity(
            host=str(record["host"]),
            boot=str(record["boot"]),
            pid=int(record["pid"]),
            start=str(record["start"]),
            pid_space=str(record["pid_space"]),
            job=str(record.get("job", "")),
            restart=int(record.get("restart", 0)),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def is_alive(other: Identity, mine: Identity) -> bool | None:
    """Say whether that process lives; None where this process cannot see it (another node or container)."""
    if (other.host, other.boot, other.pid_space) != (mine.host, mine.boot, mine.pid_space) or not other.boot:
        return None
    start = start_of(other.pid)
    return bool(start) and start == other.start


def _job() -> tuple[str, int]:
    for name, job, task, restart in _JOBS:
        number = os.environ.get(job)
        if number:
            index = os.environ.get(task, "") if task else ""
            count = os.environ.get(restart, "0") if restart else "0"
            if name == "slurm" and index:  # a task has a number of its own, too, which its commands do not go by
                number = os.environ.get("SLURM_ARRAY_JOB_ID") or number
            task_part = f"_{index}" if index and index != "undefined" else ""
            return f"{name}:{number}{task_part}", int(count) if count.isdecimal() else 0
    return "", 0


def start_of(pid: int) -> str:
    """Return the process's start time, or '' if it is gone or only a zombie entry is left."""
    stat = _read(f"/proc/{pid}/stat")
    fields = stat[stat.rfind(")") + 2 :].split()  # the name before it may hold anything
    if len(fields) <= _START_FIELD or fields[0] in ("Z", "X"):
        return ""
    return fields[_START_FIELD]


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
