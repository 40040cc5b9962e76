"""No batch system: a machine on which a run goes on in the background, whoever logs out."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import ClassVar

from outlast.errors import UsageError
from outlast.supervise.batch.client import Ask
from outlast.supervise.batch.script import comment
from outlast.supervise.batch.system import Job, Order, Refused, Sight, Unreachable

VARIABLE = "OUTLAST_LOCAL_JOB"
_DETACH = os.path.join(os.path.dirname(__file__), "detach.py")
_LIMIT_S = 30.0


class Local:
    """This machine. A job is a process, in a session of its own; its id is that of the process."""

    name: ClassVar[str] = "local"
    submits: ClassVar[str] = "bash"
    signs: ClassVar[tuple[str, ...]] = ()
    warns: ClassVar[bool] = True  # there is no end to warn of

    def __init__(self, ask: Ask | None = None) -> None:
        del ask  # there is nobody to ask

    def find(self, env: Mapping[str, str]) -> Job | None:
        number = env.get(VARIABLE, "")
        return Job(system=self.name, id=number) if number.isdecimal() else None

    def see(self, job: Job) -> Sight:
        del job
        return Sight(requeues=False)

    def requeue(self, job: Job) -> None:
        raise Refused(f"nothing on this machine starts job {job.id} again: start the same command when it is time")

    def status(self, status: int) -> int:
        return status

    def script(self, order: Order) -> str:
        if order.options:
            text = f"there is no batch system here that takes options: {shlex.join(order.options)}"
            raise UsageError(text, hint="leave them out, or name a batch system")
        if order.time_s is not None:
            text = "there is no batch system here that ends a job after some time"
            raise UsageError(text, hint="leave the time out; `outlast run --time` plays one")
        folder = shlex.quote(os.path.join(order.store, "jobs"))
        lines = ["#!/bin/bash", *map(comment, order.notes), ""]
        lines += [f'mkdir -p -- {folder} && exec >>{folder}/"${VARIABLE}.out" 2>&1 || exit 1']
        lines += [f"exec {shlex.join(order.command)}"]
        return "\n".join(lines) + "\n"

    def submit(self, script: str, options: Sequence[str] = (), *, after: Job | None = None) -> str:
        """Start a script in the background, in the folder where we are."""
        if after:
            raise Refused(f"on a machine without a batch system nothing waits for the end of job {after.id}")
        if options:
            raise Refused(f"there is no batch system here that takes options: {shlex.join(options)}")
        if not os.path.isfile(script) or not os.access(script, os.R_OK):
            raise Refused(f"{script}: no such file, or it cannot be read")
        command = [sys.executable, "-I", "-S", _DETACH, VARIABLE, "/bin/bash", os.path.abspath(script)]
        try:
            done = subprocess.run(  # noqa: S603  (our own program, which starts the user's script)
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                start_new_session=True,
                timeout=_LIMIT_S,
                check=False,
            )
        except (subprocess.TimeoutExpired, OSError) as e:
            raise Unreachable(f"the job cannot be started: {e}") from e
        number = done.stdout.decode(errors="replace").strip()
        if done.returncode != 0 or not number.isdecimal():
            raise Refused(f"the job cannot be started: {done.stderr.decode(errors='replace').strip()}")
        return number

    def successor(self, job: Job) -> str | None:
        del job
        return None  # nothing waits here
