"""Supervising a command on this machine: attempt after attempt, until it is done or starting again is of no use."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping, Sequence

from outlast.clock import SYSTEM
from outlast.errors import PREEMPTED, UsageError
from outlast.policy import restart
from outlast.supervise import tree
from outlast.supervise.attempt import Attempt, Surroundings
from outlast.supervise.control import Control
from outlast.supervise.events import Tell, sentences
from outlast.supervise.household import Household
from outlast.supervise.inbox import Bell, Inbox
from outlast.supervise.prctl import adopting_orphans
from outlast.supervise.window import Window, plan

CONTROL, SUPERVISOR, DEADLINE = "OUTLAST_CONTROL", "OUTLAST_SUPERVISOR", "OUTLAST_DEADLINE"
_DEFAULT_RULES = restart.Rules()


def supervise(
    command: Sequence[str | bytes],
    *,
    env: Mapping[str, str] | None = None,
    time_s: float | None = None,
    grace_s: float | None = None,
    rules: restart.Rules = _DEFAULT_RULES,
    tell: Tell = sentences,
) -> int:
    """Run a command until it is done, restarting it, and leave no process behind.

    Call it from the main thread. Meanwhile it owns the notice signals and SIGCHLD, and every new child of this
    process counts as the command's: start none beside it. Children that were there before are left alone.

    Args:
        command: the program and its arguments, which arrive byte for byte.
        env: the environment of the command, to which the protocol's variables are added; None takes ours.
        time_s: give each attempt so long, then notice, grace and SIGKILL, and start the next.
        grace_s: from the notice to the kill, at most half of `time_s`. None: ten seconds before a deadline, and no
            bound after a signal.
        rules: when to start again and when to give up.
        tell: hears what happens.

    Returns:
        The exit status: the command's own, 85 if a notice came between two attempts, 86 if attempts made no
        progress, 126 or 127 if the command cannot be executed or found.

    Raises:
        UsageError: not the main thread, not Linux, or an empty command.
        OSError: no room for the control folder, or no more processes.
    """
    if not command:
        raise UsageError("there is no command to run")
    if sys.platform != "linux":
        raise UsageError(f"supervising needs Linux, and this is {sys.platform}")
    household = Household()
    with adopting_orphans(), Inbox() as inbox:
        around = Surroundings(inbox=inbox, bell=Bell(), household=household, tell=tell, clock=SYSTEM)
        supervisor = _Supervisor(command, tree.environment() if env is None else env, time_s, grace_s, around)
        try:
            return supervisor.run(rules)
        finally:
            tree.end(household.alive, term_s=0.0)  # nothing is left but after an error of ours


class _Supervisor:
    """Starts attempts and keeps their history."""

    def __init__(
        self,
        command: Sequence[str | bytes],
        env: Mapping[str, str],
        time_s: float | None,
        grace_s: float | None,
        around: Surroundings,
    ) -> None:
        self._command, self._env, self._around = command, env, around
        self._time_s, self._grace_s = time_s, grace_s
        self._job_deadline = _job_deadline(env, around)
        self._history: list[restart.Attempt] = []
        self._reached: dict[str, int] = {}

    def run(self, rules: restart.Rules) -> int:
        """Start attempts until the rules say that it is over. Returns the exit status."""
        while True:
            try:
                has_late_notice = self._attempt()
            except tree.StartError as e:
                return self._cannot_start(e)
            decision = restart.decide(self._history, rules)
            self._tell_decision(decision)
            if not isinstance(decision, restart.Restart):
                return decision.status
            if has_late_notice or self._around.inbox.sleep(decision.after_s):
                return self._leave("notice between two attempts")
            if self._job_deadline is not None and self._around.clock.wall() >= self._job_deadline:
                return self._leave("the job ends before the next attempt")

    def _attempt(self) -> bool:
        """Start the command and see it through. Returns whether a notice came after its end."""
        clock = self._around.clock
        window = plan(
            wall_s=clock.wall(),
            now_s=clock.monotonic(),
            time_s=self._time_s,
            grace_s=self._grace_s,
            job_deadline=self._job_deadline,
        )
        control = Control()
        try:
            process = tree.start(self._command, self._environment(control, window))
            number = len(self._history) + 1
            self._around.tell("start", attempt=number, pid=process.pid, deadline=window.deadline)
            attempt = Attempt(process, control, window, self._around)
            status, cause, lasted_s = attempt.watch()
            self._record(status, cause, lasted_s, control.progress())
        finally:
            control.remove()
        return attempt.late_notice

    def _environment(self, control: Control, window: Window) -> dict[str, str]:
        env = {**self._env, CONTROL: control.folder, SUPERVISOR: str(os.getpid())}
        env.pop(DEADLINE, None)
        if window.deadline is not None:
            env[DEADLINE] = f"{window.deadline:.3f}"
        return env

    def _record(self, status: int, cause: restart.Cause, lasted_s: float, report: restart.Report | None) -> None:
        worked_s = lasted_s if cause is restart.Cause.ITSELF else math.inf  # what was told to leave may be quick
        progress = restart.made_progress(report, self._reached, status, worked_s)
        if report is not None:
            self._reached[report.store] = report.step
        self._history.append(restart.Attempt(status=status, progress=progress, cause=cause, lasted_s=lasted_s))
        self._around.tell(
            "end",
            attempt=len(self._history),
            status=status,
            cause=cause.value,
            progress=progress,
            step=report.step if report else None,
            lasted_s=round(lasted_s, 3),
        )

    def _tell_decision(self, decision: restart.Decision) -> None:
        tell, number = self._around.tell, len(self._history)
        match decision:
            case restart.Restart(after_s=after_s, reason=reason):
                tell("restart", f"attempt {number}: {reason}", after_s=after_s, reason=reason)
            case restart.GiveUp(status=status, reason=reason):
                tell("give-up", f"gave up ({status}): {reason}", status=status, reason=reason)
            case restart.Finish(status=status, reason=reason):
                is_plain = status == 0 and number == 1
                tell("finish", "" if is_plain else f"attempt {number}: {reason}", status=status, reason=reason)

    def _leave(self, why: str) -> int:
        """Return the status that asks whoever started us to start us again."""
        self._around.tell("finish", f"{why}: run me again ({PREEMPTED})", status=PREEMPTED, reason=why)
        return PREEMPTED

    def _cannot_start(self, error: tree.StartError) -> int:
        status = restart.NOT_FOUND if error.is_missing else restart.CANNOT_RUN
        self._around.tell("finish", f"error: {error}", status=status, reason=str(error))
        return status


def _job_deadline(env: Mapping[str, str], around: Surroundings) -> float | None:
    """Return the deadline that we ourselves were given, by a job script or another supervisor."""
    given = env.get(DEADLINE, "")
    if not given:
        return None
    try:
        deadline = float(given)
    except ValueError:
        deadline = math.nan
    if math.isfinite(deadline) and deadline > around.clock.wall():
        return deadline
    around.tell("warning", f"warning: {DEADLINE}={given!r} is not a time to come in seconds since the epoch: not used")
    return None
