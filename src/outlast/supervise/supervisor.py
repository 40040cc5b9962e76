"""Supervising a command on this machine: attempt after attempt, until it is done or starting again is of no use."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from outlast.clock import SYSTEM
from outlast.errors import PREEMPTED, OutlastError, UsageError
from outlast.policy import restart
from outlast.supervise import containers, tree
from outlast.supervise.attempt import Attempt, Surroundings
from outlast.supervise.control import Control
from outlast.supervise.events import Tell, sentences
from outlast.supervise.household import Household
from outlast.supervise.inbox import Bell, Inbox
from outlast.supervise.placing import Placing
from outlast.supervise.prctl import adopting_orphans
from outlast.supervise.terms import RESTORE, SAVE, STEP, SUPERVISOR, Refusal, Terms
from outlast.supervise.window import Window, plan

if TYPE_CHECKING:
    from outlast.supervise.courier import Courier

CONTROL, DEADLINE = "OUTLAST_CONTROL", "OUTLAST_DEADLINE"
STORE = "OUTLAST_STORE"
KEY_FILE = "OUTLAST_KEY_FILE"
_DEFAULT_RULES = restart.Rules()


def supervise(
    command: Sequence[str | bytes],
    *,
    env: Mapping[str, str] | None = None,
    time_s: float | None = None,
    grace_s: float | None = None,
    rules: restart.Rules = _DEFAULT_RULES,
    tell: Tell = sentences,
    placing: Placing | None = None,
    bound: float | None = None,
    terms: Terms | None = None,
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
        placing: the job that all this runs in.
        bound: seconds since the epoch at which it is to be over, besides what the job and OUTLAST_DEADLINE say.
        terms: how files that the command saves are kept; None keeps none.

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
        env = tree.environment() if env is None else env
        around = Surroundings(
            inbox=inbox,
            bell=Bell(),
            household=household,
            tell=tell,
            clock=SYSTEM,
            placing=placing,
            terms=terms,
            bound=min((one for one in (bound, _given_deadline(env, tell)) if one is not None), default=None),
        )
        supervisor = _Supervisor(command, env, time_s, grace_s, around)
        try:
            return supervisor.run(rules)
        finally:
            tree.end(household.alive, term_s=0.0)  # nothing is left but after an error of ours


class _Refused(Exception):  # noqa: N818  (what happened, not what is wrong)
    """The command must not be started."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.text)
        self.refusal = refusal


class _ToldBefore(Exception):  # noqa: N818
    """A notice came before the command was started."""


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
        self._history: list[restart.Attempt] = []
        self._reached: dict[str, int] = {}
        self._is_warned = False

    def run(self, rules: restart.Rules) -> int:
        """Start attempts until the rules say that it is over. Returns the exit status."""
        while True:
            try:
                has_late_notice = self._attempt()
            except tree.StartError as e:
                return self._cannot_start(e)
            except _Refused as e:
                return self._refused(e.refusal)
            except _ToldBefore:
                return self._leave("notice before the start")
            decision = restart.decide(self._history, rules)
            self._tell_decision(decision)
            if not isinstance(decision, restart.Restart):
                return decision.status
            if has_late_notice or self._around.inbox.sleep(decision.after_s):
                return self._leave("notice between two attempts")
            if self._is_taken_away():
                return self._leave("the batch system gives the place to somebody else")
            deadline = self._around.job_deadline()
            if deadline is not None and self._around.clock.wall() >= deadline:
                return self._leave("the job ends before the next attempt")

    def _is_taken_away(self) -> bool:
        """Say whether the job is about to end, after a program that has left by itself: a step of it was told alone."""
        placing = self._around.placing
        if placing is None or self._history[-1].status != PREEMPTED:
            return False
        placing.look()
        sight = placing.sight
        return sight is not None and (sight.preempted or sight.requeued or sight.cancelled)

    def _attempt(self) -> bool:
        """Start the command and see it through. Returns whether a notice came after its end."""
        clock, placing = self._around.clock, self._around.placing
        if placing is not None and clock.monotonic() >= placing.next_look_s:
            placing.look()
        control = Control()
        courier = None
        try:
            courier = self._courier(control)
            window = plan(
                wall_s=clock.wall(),
                now_s=clock.monotonic(),
                time_s=self._time_s,
                grace_s=self._grace_s,
                job_deadline=self._around.job_deadline(),
            )
            process = tree.start(self._command, self._environment(control, window, courier))
            number = len(self._history) + 1
            self._around.tell("start", attempt=number, pid=process.pid, deadline=window.deadline)
            attempt = Attempt(process, control, window, self._around, courier)
            status, cause, lasted_s = attempt.watch()
            report = (courier.report if courier else None) or control.progress()
            self._record(status, cause, lasted_s, report)
        finally:
            if courier is not None and not courier.is_over:
                courier.abort()
                courier.close()
            control.remove()
        return attempt.late_notice

    def _courier(self, control: Control) -> Courier | None:
        """Return who keeps the files that the command saves, when it may be started; None if nobody can."""
        if self._around.terms is None:
            return None
        from outlast.supervise.courier import Courier, begins_with_files

        try:
            courier = Courier(self._around.terms, control, self._around.tell, self._around.clock)
        except OutlastError as e:
            if begins_with_files(self._around.terms, self._around.clock):  # it would begin anew, and save nothing
                raise _Refused(Refusal(status=e.exit_status, text=str(e))) from e
            self._around.tell("warning", f"warning: files that the program saves are not kept: {e}")
            return None
        is_told = False
        while not courier.is_ready:
            again_s = courier.hear() - self._around.clock.monotonic()
            if self._around.inbox.wait((courier.descriptor,), again_s):
                is_told = True
                courier.abort()
        if courier.refusal is None and not is_told:
            courier.hear()
            return courier
        courier.abort()
        courier.close()
        if is_told:
            raise _ToldBefore
        assert courier.refusal
        raise _Refused(courier.refusal)

    def _environment(self, control: Control, window: Window, courier: Courier | None) -> dict[str, str]:
        env = {**self._env, CONTROL: control.folder, SUPERVISOR: str(os.getpid())}
        for name in (SAVE, RESTORE, STEP):  # of a supervisor above us
            env.pop(name, None)
        env |= courier.environment() if courier else {}
        env.pop(DEADLINE, None)
        if window.deadline is not None:
            env[DEADLINE] = f"{window.deadline:.3f}"
        seen = [control.folder, *(env[name] for name in (STORE, KEY_FILE) if env.get(name))]
        return env | containers.passed(self._command, env, seen)

    def _record(self, status: int, cause: restart.Cause, lasted_s: float, report: restart.Report | None) -> None:
        worked_s = lasted_s if cause is restart.Cause.ITSELF else math.inf  # what was told to leave may be quick
        progress = restart.made_progress(report, self._reached, status, worked_s)
        if report is not None:
            self._reached[report.store] = report.step
            self._warn_of_another(report.store)
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

    def _warn_of_another(self, store: str) -> None:
        """Say, once, that the program saves elsewhere than in the store that it was given."""
        given = self._env.get(STORE, "")
        if not given or self._is_warned or os.path.realpath(given) == os.path.realpath(store):
            return
        self._is_warned = True
        hint = f"name that one with --store, or have the program open os.environ['{STORE}']"
        self._around.tell("warning", f"warning: the program saves in {store}, not in {given} ({STORE}): {hint}")

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

    def _refused(self, refusal: Refusal) -> int:
        self._around.tell("finish", f"error: {refusal.text}", status=refusal.status, reason=refusal.text)
        return refusal.status

    def _cannot_start(self, error: tree.StartError) -> int:
        status = restart.NOT_FOUND if error.is_missing else restart.CANNOT_RUN
        self._around.tell("finish", f"error: {error}", status=status, reason=str(error))
        return status


def _given_deadline(env: Mapping[str, str], tell: Tell) -> float | None:
    """Return the deadline that we ourselves were given, by a job script or another supervisor."""
    given = env.get(DEADLINE, "")
    if not given:
        return None
    try:
        deadline = float(given)
    except ValueError:
        deadline = math.nan
    if math.isfinite(deadline) and deadline > SYSTEM.wall():
        return deadline
    tell("warning", f"warning: {DEADLINE}={given!r} is not a time to come in seconds since the epoch: not used")
    return None
