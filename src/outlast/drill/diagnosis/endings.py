"""What shows in how attempts end: after a notice, on a full disk, with a second copy, after the run was done."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from outlast.drill.diagnosis.catalogue import found
from outlast.drill.diagnosis.finding import Finding, Outcome
from outlast.drill.diagnosis.reference import Reference
from outlast.drill.trace.model import Attempt, FileOp, Handler, Save, Step
from outlast.errors import PREEMPTED

_KILLED = 137
_THREAD = "Exception in thread"
_BY_SIGNAL = 128
_WORKERS = re.compile(
    r"DataLoader worker|multiprocessing[/.]\w+|BrokenProcessPool|BrokenPipeError|ConnectionResetError"
)
_DEFAULTS = ("0", "1", "None", "Handlers.SIG_DFL", "Handlers.SIG_IGN", "default_int_handler")


def ended(reference: Reference, outcome: Outcome, attempts: Sequence[Attempt]) -> Finding | None:
    """Say what is wrong in the way in which attempts ended, whatever came of it."""
    if outcome.wound in ("notice", "notice-group", "deadline"):
        return _noticed(outcome, attempts)
    if outcome.wound == "after-done":
        return _again(reference, outcome, attempts)
    if outcome.wound == "full-disk" and any(end.wounded and _THREAD in end.said for end in outcome.attempts):
        text = "the error of a save in the background was never raised: the program went on without a checkpoint"
        return found("background-error", text)
    return None


def _noticed(outcome: Outcome, attempts: Sequence[Attempt]) -> Finding | None:
    if any(save.in_handler for attempt in attempts for save in attempt.of(Save)):
        text = (
            "it saves inside the signal handler, in the middle of a step: what is saved may be of no one step, or hang"
        )
        return found("saves-in-handler", text)
    for attempt, end in zip(attempts, outcome.attempts, strict=False):
        if end.wounded and 0 < end.status < _BY_SIGNAL and end.status != PREEMPTED and _WORKERS.search(end.said):
            text = "the notice ended worker processes, and the loop died of that before it could save"
            return found("workers-die", text)
        handlers = {each.signal for each in attempt.of(Handler) if each.name not in _DEFAULTS}
        if end.wounded and end.status == _KILLED and handlers:
            return _too_late(attempt)
    return None


def _too_late(attempt: Attempt) -> Finding:
    events = [event for event in attempt.events if isinstance(event, (Step, Save, FileOp))]
    last = events[-1] if events else None
    if isinstance(last, FileOp) and last.op == "write":
        name = os.path.basename(last.path)
        return found(
            "save-too-slow", f"it was killed while it still wrote {name}: the save takes longer than the grace"
        )
    number = next((event.step for event in reversed(events) if isinstance(event, Step)), None)
    text = "it heard the notice, but went on until it was killed: the flag is not looked at where it was"
    return found("notice-ignored", text, step=number)


def _again(reference: Reference, outcome: Outcome, attempts: Sequence[Attempt]) -> Finding | None:
    done = attempts[-1].steps(reference.by) if len(attempts) > 1 else ()
    if not done or (outcome.done and not outcome.differing and done[0].step in reference.numbers[1:]):
        return None  # the steps since its last checkpoint, to the same results, are no fault
    did = "began anew with" if done[0].step == reference.first else "once more did"
    text = f"started again after it was done, it {did} step {done[0].step}: nothing says that it is done"
    return found("no-done-marker", text, step=done[0].step)


def left(reference: Reference, outcome: Outcome, attempts: Sequence[Attempt]) -> Finding:
    """Say what is likely where the end differs, but no step does."""
    changes = [op for attempt in attempts for op in attempt.of(FileOp)]
    appended = {os.path.basename(op.path) for op in changes if op.op == "append"}
    rows = [name for name in outcome.differing if os.path.basename(name) in appended]
    names = ", ".join(outcome.differing[:5])
    if outcome.wound == "second-copy":
        return found(
            "two-writers", f"two copies of the job wrote the same files: {names or 'it did not come to its end'}"
        )
    if outcome.wound == "full-disk":
        return found("disk-full-unnoticed", f"the disk was full, and the program went on as if it had saved: {names}")
    if rows:
        text = f"rows in {rows[0]} are there twice: it is appended to, and the steps since the checkpoint come again"
        return found("rows-twice", text)
    last = attempts[-1] if len(attempts) > 1 else None
    if (
        last is not None
        and not last.steps(reference.by)
        and reference.numbers
        and outcome.done
        and reference.trace.is_recorded
    ):
        text = f"the program says that it is done before its result is durable: {names}"
        return found("result-before-durable", text)
    if not outcome.done:
        status = outcome.attempts[-1].status if outcome.attempts else None
        return found("not-recovered", f"it did not come to its end after the fault (last status: {status})")
    return found("differs", f"the end is not that of the undisturbed run ({names}), though no traced step differs")


def torn_output(outcome: Outcome, attempts: Sequence[Attempt]) -> Finding | None:
    """Say that output which a fault tore was not written again."""
    early, late = [
        {_short(op) for attempt in part for op in attempt.of(FileOp)} for part in (attempts[:1], attempts[1:])
    ]
    renamed = {os.path.basename(op.to) for op in attempts[0].of(FileOp) if op.op in ("rename", "link")}
    torn = [name for name in outcome.differing if os.path.basename(name) in early - late - renamed]
    if not torn or not outcome.done:
        return None
    return found("output-taken-for-done", f"the fault tore {torn[0]}, and it counts as done because it exists")


def _short(op: FileOp) -> str:
    return os.path.basename(op.path) if op.op == "write" else ""
