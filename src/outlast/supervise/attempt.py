"""One attempt: from the start of the command to the end of the last process that came from it."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from subprocess import Popen

from outlast.clock import Clock
from outlast.errors import PREEMPTED
from outlast.policy.restart import Cause
from outlast.supervise import tree
from outlast.supervise.control import Control
from outlast.supervise.events import Tell
from outlast.supervise.household import Household
from outlast.supervise.inbox import Bell, Inbox, Meaning
from outlast.supervise.window import Window

HURRY_S = 5.0
_SIGNALLED = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What an attempt needs of its supervisor; the same for all of them."""

    inbox: Inbox
    bell: Bell
    household: Household
    tell: Tell
    clock: Clock


class Attempt:
    """A started command.

    Attributes:
        late_notice: a notice came when the command had ended already: it is for whoever would start the next.
    """

    def __init__(self, process: Popen[bytes], control: Control, window: Window, around: Surroundings) -> None:
        self.late_notice = False
        self._process, self._control, self._window, self._around = process, control, window, around
        self._began_s = around.clock.monotonic()
        self._kill_s = window.kill_s
        self._cause = Cause.ITSELF
        self._is_hurried = False

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
        return status, cause, lasted_s

    # -- while it runs -----------------------------------------------------------------------------------

    def _wait(self) -> None:
        with tree.opened((self._process.pid,)) as descriptors:
            while self._process.poll() is None:
                self._around.household.reap()
                now_s = self._around.clock.monotonic()
                if now_s >= self._kill_s:
                    self._kill()
                    return
                if now_s >= self._window.notice_s and self._cause is Cause.ITSELF:
                    self._give_notice(self._window.cause, "its time is over")
                next_s = self._kill_s if self._cause is not Cause.ITSELF else self._window.notice_s
                self._listen(descriptors, next_s - now_s)

    def _listen(self, descriptors: Sequence[int], timeout_s: float) -> bool:
        """Wait, and take in what signals say. Returns whether a person wants it to end now."""
        for number in self._around.inbox.wait(descriptors, timeout_s):
            now_s = self._around.clock.monotonic()
            meaning = self._around.bell.ring(number, now_s)
            if self._process.poll() is not None:
                self.late_notice = True
                self._is_hurried |= meaning is Meaning.HURRY
            elif meaning is Meaning.NOTICE:
                self._kill_s = min(self._kill_s, now_s + self._window.grace_s)
                self._give_notice(Cause.OUTSIDE, signal.Signals(number).name)
            elif meaning is Meaning.HURRY:
                self._hurry(now_s)
        return self._is_hurried

    def _give_notice(self, cause: Cause, reason: str) -> None:
        was_told = self._cause is not Cause.ITSELF
        self._cause = cause
        if was_told:
            return  # it is leaving already; now also for another reason
        try:
            self._control.ask_to_stop(reason)
        except OSError as e:
            self._around.tell("warning", f"warning: the stop file cannot be written: {e}")
        target, hears = self._target()
        text = f"notice ({reason}): asking process {target} to save and leave"
        self._around.tell("notice", text, reason=reason, pid=target, signal="SIGTERM" if hears else None)
        if hears:
            tree.send(target, signal.SIGTERM)

    def _hurry(self, now_s: float) -> None:
        """Pass on a second signal; a third one kills."""
        self._kill_s = now_s if self._is_hurried else min(self._kill_s, now_s + HURRY_S)
        self._is_hurried = True
        target, hears = self._target()
        self._around.tell("hurry", f"second signal: process {target} is to leave at once", pid=target)
        if hears:
            tree.send(target, signal.SIGTERM)

    def _target(self) -> tuple[int, bool]:
        """Return whom to signal: the program that registered, if it is below us, else the command. Nobody else."""
        program = self._control.program()
        if program is None or program.pid not in self._around.household.alive():
            return self._process.pid, True
        return program.pid, program.hears_signals

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
        """Return 85 for a 0 that hides one: of a shell that went on after the program had saved and left.

        `python train.py | tee log` ends with the status of `tee`, `python train.py; date` with that of `date`.
        """
        program, report = self._control.program(), self._control.progress()
        if status != 0 or program is None or (report is not None and report.done):
            return status
        was_asked = self._cause is not Cause.ITSELF or self._control.is_leaving_for_good()
        if not was_asked and program.pid == self._process.pid:
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
        self._around.household.reap()
        if stuck:
            text = f"warning: processes that cannot be killed stay behind: {', '.join(map(str, stuck))}"
            self._around.tell("left", text, pids=stuck)
