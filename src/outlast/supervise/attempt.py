"""One attempt: from the start of the command to the end of the last process that came from it."""

from __future__ import annotations

import math
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from subprocess import Popen
from typing import TYPE_CHECKING, NamedTuple

from outlast.clock import Clock, iso
from outlast.errors import PREEMPTED
from outlast.policy.restart import Cause
from outlast.supervise import tree
from outlast.supervise.control import Control
from outlast.supervise.events import Tell
from outlast.supervise.household import Household
from outlast.supervise.inbox import Bell, Inbox, Meaning
from outlast.supervise.placing import Placing
from outlast.supervise.terms import Refusal, Terms
from outlast.supervise.window import Window

if TYPE_CHECKING:
    from outlast.supervise.courier import Courier

HURRY_S = 5.0
_SIGNALLED = 128
_LAUNCHERS = frozenset({b"srun"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What an attempt needs of its supervisor; the same for all of them.

    Attributes:
        placing: the job that it runs in; None outside of batch systems.
        bound: a deadline of ours for the whole job, in seconds since the epoch.
        terms: how files that the command saves are kept.
    """

    inbox: Inbox
    bell: Bell
    household: Household
    tell: Tell
    clock: Clock
    placing: Placing | None = None
    bound: float | None = None
    terms: Terms | None = None

    def job_deadline(self) -> float | None:
        """Return when all of this ends, in seconds since the epoch; None if nobody knows."""
        known = (self.bound, self.placing.deadline if self.placing else None)
        return min((deadline for deadline in known if deadline is not None), default=None)


class _Target(NamedTuple):
    """Processes that are to hear of something by a signal; 0: they see it in the control folder."""

    pids: tuple[int, ...]
    number: int

    def signal(self) -> None:
        for pid in self.pids if self.number else ():
            tree.send(pid, self.number)


class Attempt:
    """A started command.

    Attributes:
        late_notice: a notice came when the command had ended already: it is for whoever would start the next.
    """

    def __init__(
        self,
        process: Popen[bytes],
        control: Control,
        window: Window,
        around: Surroundings,
        courier: Courier | None = None,
    ) -> None:
        self.late_notice = False
        self._courier = courier
        self._process, self._control, self._window, self._around = process, control, window, around
        self._began_s = around.clock.monotonic()
        self._kill_s = window.kill_s
        self._cause = Cause.ITSELF
        self._is_hurried = self._is_refused = False

    def watch(self) -> tuple[int, Cause, float]:
        """Wait for the end, give notice and kill when it is time, and leave no process behind.

        Returns:
            The exit status as a shell gives it, why it ended, and after how many seconds.
        """
        self._wait()
        lasted_s = self._around.clock.monotonic() - self._began_s
        status = self._unmasked(self._status())
        cause = self._why(status)
        self._end_leftovers()
        return self._handed_in(status), cause, lasted_s

    # -- while it runs -----------------------------------------------------------------------------------

    def _wait(self) -> None:
        with tree.opened((self._process.pid,)) as descriptors:
            while self._process.poll() is None:
                self._around.household.reap(self._process.pid)
                now_s = self._around.clock.monotonic()
                if now_s >= self._kill_s:
                    self._kill()
                    return
                if now_s >= self._window.notice_s and self._cause is Cause.ITSELF:
                    self._give_notice(self._window.cause, "its time is over", why="deadline")
                next_s = self._kill_s if self._cause is not Cause.ITSELF else self._window.notice_s
                if self._courier:
                    next_s = min(next_s, self._courier.hear())
                    if self._courier.refusal is not None:
                        self._refuse(self._courier.refusal)
                        return
                self._listen((*descriptors, *self._others()), min(next_s, self._look()) - now_s)

    def _others(self) -> tuple[int, ...]:
        return (self._courier.descriptor,) if self._courier else ()

    def _refuse(self, refusal: Refusal) -> None:
        """End a program that must not go on: another attempt lives, or has taken over."""
        self._is_refused = True
        self._around.tell("refused", f"error: {refusal.text}", status=refusal.status)
        self._end_all(term_s=tree.TERM_S)

    def _handed_in(self, status: int) -> int:
        """Wait until what the program saved last is durable; return the status that the attempt has after all."""
        courier = self._courier
        if courier is None:
            return status
        courier.end(status)
        while not courier.is_over:
            again_s = courier.hear()
            self._listen((courier.descriptor,), again_s - self._around.clock.monotonic())
        if courier.refusal is not None and not self._is_refused:
            self._around.tell("refused", f"error: {courier.refusal.text}", status=courier.refusal.status)
        after = courier.close()
        return status if after is None else after

    def _look(self) -> float:
        """Ask the batch system, if it is time to; return when to ask again, by the monotonic clock."""
        placing = self._around.placing
        if placing is None:
            return math.inf
        now_s = self._around.clock.monotonic()
        if now_s >= placing.next_look_s:
            was_preempted = placing.is_preempted
            if placing.look():
                self._move_deadline()
            if placing.is_preempted and not was_preempted:
                self._give_notice(Cause.OUTSIDE, "the job is preempted", why="preemption")
        return placing.next_look_s

    def _move_deadline(self) -> None:
        clock, before = self._around.clock, self._window.deadline
        now_s = clock.monotonic()
        self._window = self._window.moved(self._around.job_deadline(), wall_s=clock.wall(), now_s=now_s)
        deadline = self._window.deadline
        if deadline == before:
            return
        self._kill_s = self._window.kill_s if self._cause is Cause.ITSELF else min(self._kill_s, self._window.kill_s)
        try:
            self._control.tell_deadline(deadline)
        except OSError as e:
            self._around.tell("warning", f"warning: the program cannot be told of its new deadline: {e}")
        when = "has no deadline any more" if deadline is None else f"ends at {iso(deadline)} now"
        self._around.tell("deadline", f"the job {when}", deadline=deadline)

    def _listen(self, descriptors: Sequence[int], timeout_s: float) -> bool:
        """Wait, and take in what signals say. Returns whether a person wants it to end now."""
        for number in self._around.inbox.wait(descriptors, timeout_s):
            now_s = self._around.clock.monotonic()
            meaning = self._around.bell.ring(number, now_s)
            if self._around.placing:
                self._around.placing.look_soon()  # what it means is in the batch system's books
            if self._process.poll() is not None:
                self.late_notice = True
                self._is_hurried |= meaning is Meaning.HURRY
            elif meaning is Meaning.NOTICE:
                self._kill_s = min(self._kill_s, now_s + self._window.grace_s)
                self._give_notice(Cause.OUTSIDE, signal.Signals(number).name, why="signal")
            elif meaning is Meaning.HURRY:
                self._hurry(now_s)
        return self._is_hurried

    def _give_notice(self, cause: Cause, reason: str, *, why: str) -> None:
        was_told = self._cause is not Cause.ITSELF
        self._cause = cause
        if was_told:  # it is leaving already; now also for another reason
            self._around.tell("notice", "", reason=reason, cause=why)
            return
        try:
            self._control.ask_to_stop(reason)
        except OSError as e:
            self._around.tell("warning", f"warning: the stop file cannot be written: {e}")
        target = self._target()
        text = f"notice ({reason}): asking process {target.pids[0]} to save and leave"
        said = signal.Signals(target.number).name if target.number else None
        self._around.tell("notice", text, reason=reason, cause=why, pid=target.pids[0], signal=said)
        target.signal()

    def _hurry(self, now_s: float) -> None:
        """Pass on a second signal; a third one kills."""
        self._kill_s = now_s if self._is_hurried else min(self._kill_s, now_s + HURRY_S)
        self._is_hurried = True
        target = self._target()
        self._around.tell("hurry", f"second signal: process {target.pids[0]} is to leave at once", pid=target.pids[0])
        target.signal()

    def _target(self) -> _Target:
        """Return whom to signal, and how: the program that registered, if it is below us, else the command.

        If it is not, it may be a step of the job: then srun passes on SIGUSR1, and at SIGTERM would have it killed.
        """
        program = self._control.program()
        if program is not None:
            is_ours = program.pid in self._around.household.alive()
            if is_ours or not program.hears_signals:
                return _Target((program.pid,), signal.SIGTERM if program.hears_signals else 0)
        if program is None and self._courier and self._courier.is_used:
            return _Target((self._process.pid,), 0)
        launchers = self._around.household.named(_LAUNCHERS)
        if launchers:
            return _Target(tuple(launchers), signal.SIGUSR1)
        return _Target((self._process.pid,), signal.SIGTERM)

    # -- its end -----------------------------------------------------------------------------------------

    def _kill(self) -> None:
        if self._cause is Cause.ITSELF:
            self._cause = self._window.cause
        self._around.tell("kill", "it did not leave in time: killing it", pid=self._process.pid)
        self._end_all(term_s=0.0)

    def _status(self) -> int:
        code = self._process.poll()
        if code is None:
            return _SIGNALLED + signal.SIGKILL  # killed, and stuck in the kernel
        return code if code >= 0 else _SIGNALLED - code

    def _unmasked(self, status: int) -> int:
        """Return 85 for a status that hides one: of a shell that went on after the program had saved and left.

        `python train.py | tee log` ends with the status of `tee`, `python train.py; date` with that of `date`; torchrun
        with 1 if any of its workers has another one than 0.
        """
        if status not in (0, PREEMPTED) and self._control.has_left():
            text = f"the command ended with {status}, but the program in it has saved and left: taken as 85"
            self._around.tell("warning", f"warning: {text}")
            return PREEMPTED
        program, report = self._control.program(), self._control.progress()
        is_done = (report is not None and report.done) or self._control.is_done()
        saves_files = self._courier is not None and self._courier.is_used
        if status != 0 or is_done or (program is None and not saves_files):
            return status
        was_asked = self._cause is not Cause.ITSELF or self._control.is_leaving_for_good()
        if not was_asked and (program is None or program.pid == self._process.pid):
            return status  # its own word
        text = "the command ended with 0, but the program in it is not done: taken as 85"
        self._around.tell("warning", f"warning: {text} (in a shell: exec, or set -o pipefail)")
        return PREEMPTED

    def _why(self, status: int) -> Cause:
        if self._cause is Cause.OUTSIDE or status != PREEMPTED:
            return self._cause
        if self._control.is_leaving_for_good():
            return Cause.LEAVE
        if self._window.deadline is not None and self._window.cause is Cause.OUTSIDE:
            return Cause.OUTSIDE  # it left in time before the end of the job: the next job goes on
        return self._cause

    def _end_leftovers(self) -> None:
        left_s = max(0.0, self._kill_s - self._around.clock.monotonic())
        self._end_all(term_s=min(self._window.grace_s, tree.TERM_S, left_s))

    def _end_all(self, *, term_s: float) -> None:
        stuck = tree.end(self._around.household.alive, term_s=term_s, wait=self._listen)
        self._process.poll()
        self._around.household.reap(self._process.pid)
        if stuck:
            text = f"warning: processes that cannot be killed stay behind: {', '.join(map(str, stuck))}"
            self._around.tell("left", text, pids=stuck)
