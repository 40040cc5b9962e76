"""Carries what a program saves into the store while its supervisor waits: spec/process-v1.md, section 10.

The supervisor's own thread must hear signals at once and kill in time, so whatever waits for the storage is done here,
in a thread of its own: the claim, the restore before the start, takes, requests, the end. What is to be told is told by
the supervisor's thread (`hear`), which also beats.
"""

from __future__ import annotations

import os
import stat
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from outlast.backends import Posix
from outlast.clock import SYSTEM, Clock
from outlast.errors import (
    DONE,
    FAILED,
    PREEMPTED,
    CaptureError,
    FencedError,
    OutlastError,
    StorageError,
    UsageError,
)
from outlast.policy.restart import Report
from outlast.store import HEARTBEAT_S, Store
from outlast.store import files as taking
from outlast.store.layout import SAVES
from outlast.supervise import saves
from outlast.supervise.asking import Asking
from outlast.supervise.control import Control
from outlast.supervise.events import Tell
from outlast.supervise.terms import RESTORE, SAVE, STEP, Refusal, Terms

if TYPE_CHECKING:
    from outlast.supervise.custody import Custody

_SOON_S, _LATER_S = 0.1, 1.0  # between two looks: while something is expected, and else
_EXPECTED_S = 5.0
_LISTEN_S = 2.0  # how often the store's control directory is listed: a network call on shared storage
_AGAIN_S = 5.0  # after a take that the storage refused
_LAST_TRIES, _AGAIN_AT_END_S = 3, 1.0


def begins_with_files(terms: Terms, clock: Clock = SYSTEM) -> bool:
    """Say whether the run is one of a program that saves files: then the claim comes before the start.

    Whatever is wrong with the store the program will meet, and say it better; or the claim, if it saves files.
    """
    try:
        store = Store(terms.store, clock=clock)
        for found in store.scan():
            with suppress(FileNotFoundError):  # a live attempt has pruned it: ask the one before
                if found.counts:
                    return taking.is_of_files(store.backend, found.name)
        return any(saves.is_of_files(log) for log in store.attempts())
    except OutlastError:
        return False


class _Aborted(Exception):  # noqa: N818  (what happened, not what is wrong)
    """The supervisor was told to leave before the command was started."""


class Courier:
    """Serves one attempt of a command.

    Args:
        terms: store, interval, retention.
        control: the attempt's folder.
        tell: hears what happens, in the thread that calls `hear`.

    Attributes:
        descriptor: readable when there is something to `hear`.
        refusal: set when the program must be ended.

    Raises:
        OutlastError: no folder for saves can be made.
    """

    def __init__(self, terms: Terms, control: Control, tell: Tell, clock: Clock = SYSTEM) -> None:
        self.refusal: Refusal | None = None
        self._terms, self._control, self._tell, self._clock = terms, control, tell, clock
        self._asking = Asking(terms.every, clock)
        self._backend = Posix(terms.store)
        self._backend.make_root()
        with suppress(FileExistsError):
            self._backend.make_dir(SAVES)
        self._token = saves.new_token()
        self._folder = saves.save_folder(terms.store, self._token)
        self._custody: Custody | None = None
        self._told: deque[tuple[str, str, Mapping[str, Any]]] = deque()
        self._is_ready, self._is_over = threading.Event(), threading.Event()
        self._stop, self._abort = threading.Event(), threading.Event()
        self._status: int | None = None
        self._is_lost = False
        self._beat_s = self._listen_s = clock.monotonic()
        self._again_s = 0.0
        self._reason = ""
        self._trouble = ""
        self._awaited_s = clock.monotonic() + _EXPECTED_S
        self.descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread = threading.Thread(target=self._run, name="outlast-courier", daemon=True)
        self._thread.start()

    # -- the supervisor's thread -----------------------------------------------------------------------------

    @property
    def is_ready(self) -> bool:
        """Whether the command may be started, or never: then there is a refusal."""
        return self._is_ready.is_set()

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self._is_over.is_set()

    @property
    def is_used(self) -> bool:
        """Whether the program has said that it saves files."""
        return os.path.lexists(self._folder)

    @property
    def report(self) -> Report | None:
        """Return the last commit of this attempt; None if there was none."""
        return self._custody.report if self._custody else None

    def environment(self) -> dict[str, str]:
        """Return what the command is given, when it is started."""
        self._await()
        env = {SAVE: self._folder}
        restored = self._custody.restored if self._custody else None
        if restored is not None:
            env |= {RESTORE: restored.folder, STEP: str(restored.step)}
        return env

    def hear(self) -> float:
        """Tell what there is to tell, and show that the attempt lives; return when to come again, monotonic."""
        with suppress(BlockingIOError):
            os.eventfd_read(self.descriptor)
        while self._told:
            event, text, fields = self._told.popleft()
            self._tell(event, text, **fields)
        now_s, custody = self._clock.monotonic(), self._custody
        if custody is not None and not self._is_over.is_set() and now_s - self._beat_s >= HEARTBEAT_S:
            self._beat_s = now_s
            with suppress(OutlastError):  # the next take will say it
                custody.beat()
        return now_s + HEARTBEAT_S

    def abort(self) -> None:
        """Give up before the start."""
        self._abort.set()
        self._stop.set()

    def end(self, status: int) -> None:
        """Take what is there, and close. The program has ended, with this status; `is_over` tells when that is done."""
        self._status = status
        self._stop.set()

    def close(self) -> int | None:
        """Let go after the end. Returns the status that the attempt ended with after all."""
        self._thread.join()
        self.hear()
        os.close(self.descriptor)
        if self.refusal is not None:
            return self.refusal.status
        return FAILED if self._is_lost and self._status == DONE else self._status

    # -- its own ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        outcome, has_ended = "failed", False
        try:
            if begins_with_files(self._terms, self._clock):
                self._open(is_fresh=False)
            self._is_ready.set()
            self._wake()
            while not self._stop.wait(self._pause_s()):
                self._look()
            if not self._abort.is_set():
                outcome = self._finish()
            has_ended = True
        except _Aborted:
            outcome, has_ended = "preempted", True
        except FencedError as e:
            has_ended = self._is_passed_down()
            if not has_ended:
                self.refusal = Refusal(status=e.exit_status, text=str(e))
        except OutlastError as e:
            self.refusal = Refusal(status=e.exit_status, text=str(e))
        except (OSError, MemoryError) as e:
            self.refusal = Refusal(status=FAILED, text=f"{type(e).__name__}: {e}")
        finally:
            if not has_ended and self.refusal is None:  # a fault of ours, on its way to stderr
                self.refusal = Refusal(status=FAILED, text="nobody keeps the files of the program any more")
            self._close(outcome)
            self._is_over.set()
            self._is_ready.set()
            self._wake()

    def _open(self, *, is_fresh: bool) -> None:
        from outlast.supervise.custody import Custody  # what writes: most programs' files never come here

        self._custody = Custody.open(
            self._terms.store,
            tell=self._say,
            token=self._token,
            keep=self._terms.keep,
            clock=self._clock,
            heed=self._heed,
            waiting=self._waiting,
            fresh=is_fresh,
        )
        self._asking.learn(self._custody.past())

    def _pause_s(self) -> float:
        """Return how long nobody looks. On shared storage a look is a network call."""
        is_expected = self._asking.is_waiting or self._custody is None
        return _SOON_S if is_expected and self._clock.monotonic() < self._awaited_s else _LATER_S

    def _await(self) -> None:
        self._awaited_s = max(self._awaited_s, self._clock.monotonic() + _EXPECTED_S)

    def _look(self) -> None:
        """Do what there is to do, once."""
        if self._custody is None:
            if not self._is_made():
                return
            self._open(is_fresh=True)
        now_s = self._clock.monotonic()
        if self._control.has_heard():
            self._asking.heard()
        self._take()
        if now_s - self._listen_s >= _LISTEN_S:
            self._listen_s = now_s
            self._guarded("requests cannot be heard", self._listen)
        if self._is_made() and self._asking.is_due():
            self._ask("a periodic save is due")

    def _is_made(self) -> bool:
        """Say whether the program has made its folder. Raises UsageError if it is something else."""
        try:
            mode = os.lstat(self._folder).st_mode
        except OSError:
            return False
        if stat.S_ISDIR(mode):
            return True
        raise UsageError(f"{SAVE} was made as something else than a directory: {self._folder}", hint="mkdir -p")

    def _is_passed_down(self) -> bool:
        """Say whether a supervisor below us serves the command, which has left nothing with us."""
        if self._custody is None or self.is_used:
            return False
        return self._stop.is_set() or self._custody.is_passed_down()

    def _listen(self) -> None:
        assert self._custody
        self._custody.check()
        for kind, reason in self._custody.requests():
            if kind == "stop":
                self._reason = reason
                with suppress(OSError):  # the folder is gone: so is the attempt
                    self._control.leave(reason)
                    self._control.ask_to_stop(reason)
                self._say(
                    "notice", f"notice ({reason}): asking the program to save and leave", reason=reason, cause="person"
                )
            else:
                self._ask(reason)

    def _ask(self, reason: str) -> None:
        self._asking.asked()
        self._await()
        with suppress(OSError):  # the folder is gone: so is the attempt
            self._control.ask_to_save(reason)

    def _take(self, *, is_last: bool = False) -> bool:
        """Take the highest step that is there. Returns whether nothing is left to take."""
        seen_s = self._clock.monotonic()
        if seen_s < self._again_s and not is_last:
            return False
        if not self._guarded("a save could not be committed", self._take_highest):
            self._again_s = self._clock.monotonic() + _AGAIN_S
            return False
        return True

    def _take_highest(self) -> None:
        found = self._saves()
        if not found:
            return
        (step, entry), custody = found[-1], self._custody
        assert custody
        last = custody.last.name.step if custody.last else 0
        if step < last:
            self._warn(f"a save of step {step} came after one of step {last}: not taken")
            self._drop(entry)
        else:
            self._take_one(custody, entry, step)
        for _, older in found[:-1]:
            self._drop(older)

    def _take_one(self, custody: Custody, entry: str, step: int) -> None:
        seen_s = self._clock.monotonic()
        try:
            custody.take(entry, step)
        except (UsageError, CaptureError) as e:
            self._warn(f"the save of step {step} is not taken: {e}")
            self._drop(entry)
        else:
            self._await()
            self._asking.saved(seen_s=seen_s, took_s=self._clock.monotonic() - seen_s)

    def _saves(self) -> list[tuple[int, str]]:
        """Return the whole saves that are there, the highest step last."""
        try:
            found = [entry.name for entry in self._backend.list(f"{SAVES}/{self._token}")]
        except FileNotFoundError:
            return []
        return sorted((int(name), name) for name in found if name.isascii() and name.isdigit())

    def _drop(self, entry: str) -> None:
        with suppress(StorageError, FileNotFoundError):
            taking.remove_tree(self._backend, f"{SAVES}/{self._token}/{entry}")

    def _finish(self) -> str:
        """Take the last save, and mark it if the run is done. Returns the attempt's outcome."""
        is_done = self._status == DONE
        if self._custody is None:
            if not self.is_used and not self._control.is_done():
                return ""
            self._open(is_fresh=True)
        custody = self._custody
        assert custody
        tries = _LAST_TRIES
        while not self._take(is_last=True) and (tries := tries - 1) >= 0:
            self._clock.sleep(_AGAIN_AT_END_S)
        if tries < 0:
            self._is_lost = True
            self._warn(f"the last save was not committed; it is left in {self._folder} until the next attempt begins")
        elif is_done:
            custody.finish()
            return "done"
        return "preempted" if self._status == PREEMPTED else "failed"

    def _close(self, outcome: str) -> None:
        custody = self._custody
        if custody is None:
            with suppress(OutlastError, FileNotFoundError):
                saves.clear(self._backend, self._token)
            return
        fields = {"reason": self._reason} if self._reason else {}
        custody.close(outcome, keeps=self._is_lost, **fields)

    def _guarded(self, what: str, work: Callable[[], None]) -> bool:
        """Do a piece of work with the storage; say trouble once, for it may pass. Returns whether it was done."""
        try:
            work()
        except StorageError as e:
            if str(e) != self._trouble:
                self._trouble = str(e)
                self._warn(f"{what} now: {e}")
                if self._custody is not None:
                    self._custody.note(
                        "save failed" if work == self._take_highest else "note", text=str(e), kind=e.kind
                    )
            return False
        self._trouble = ""
        return True

    def _warn(self, text: str) -> None:
        self._say("warning", f"warning: {text}")

    def _heed(self) -> None:
        if self._abort.is_set():
            raise _Aborted

    def _waiting(self, owner: str, is_first: bool) -> None:  # noqa: FBT001  (a callback)
        """Hear that the claim waits for a sign of life of an attempt that may be dead."""
        self._heed()
        if is_first:
            text = f"the last attempt ({owner}) did not say that it ended: watching it for a minute at most"
            self._say("waiting", text)

    def _say(self, event: str, text: str = "", **fields: Any) -> None:
        self._told.append((event, text, fields))
        self._wake()

    def _wake(self) -> None:
        os.eventfd_write(self.descriptor, 1)
