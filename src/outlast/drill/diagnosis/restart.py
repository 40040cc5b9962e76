"""An attempt that does not go on from what the one before had saved: it fails, or begins anew."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from outlast.drill.diagnosis.catalogue import found
from outlast.drill.diagnosis.finding import Ended, Finding, Wound
from outlast.drill.diagnosis.reference import Resumed
from outlast.drill.trace.model import Attempt, FileOp, Load, Look, Save, Step

_REFUSED = re.compile(r"weights_only|WeightsUnpickler|allow_pickle|Unsupported (?:global|class|operand)", re.IGNORECASE)
_STALE = re.compile(r"FileExistsError|AssertionError.*tmp|File exists|\.(?:tmp|part|new)\b.*(?:exists|left)", re.DOTALL)
_ERROR = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception|Interrupt)\b.*|^Error\b.*|^error: .*", re.MULTILINE)
_TEARING: tuple[Wound, ...] = ("kill", "kill-in-save", "full-disk", "damage")


def saved_before(attempts: Sequence[Attempt]) -> bool:
    """Say whether a save was surely over before the end of one of these attempts: a step came after it."""
    for attempt in attempts:
        events = list(attempt.events)
        saves = [place for place, event in enumerate(events) if isinstance(event, Save) or _is_write(event)]
        if saves and any(isinstance(event, Step) for event in events[saves[0] :]):
            return True
    return False


def overwrites(attempts: Sequence[Attempt]) -> bool:
    """Say whether a file was written between two steps: that may be a save in a format that the recorder knows not."""
    for attempt in attempts:
        events = list(attempt.events)
        steps = [place for place, event in enumerate(events) if isinstance(event, Step)]
        between = events[steps[0] : steps[-1]] if steps else []
        if any(isinstance(event, FileOp) and event.op == "write" for event in between):
            return True
    return False


def finds_outputs(earlier: Sequence[Attempt], attempt: Attempt) -> bool:
    """Say whether an attempt loads nothing, but finds what the ones before wrote: it passes over what is done."""
    names = set(_names(earlier))
    looks = [event for event in _before_steps(attempt) if isinstance(event, Look)]
    is_found = any(look.found and _short(look.path) in names for look in looks)
    return is_found and not any(attempt.of(Load))


def _is_write(event: object) -> bool:
    return isinstance(event, FileOp) and event.op in ("rename", "link")


def crashed(earlier: Sequence[Attempt], attempt: Attempt, ended: Ended, wound: Wound) -> Finding:
    """Say why a later attempt failed by itself."""
    error = _error(attempt, ended)
    evidence = (f"the attempt after the fault ended with status {ended.status}: {error}",)
    path = _failed_path(attempt)
    cause, why = (
        _torn(earlier, path, wound) if path else ("fails-on-restart", "it does not start again after the fault")
    )
    is_torn = wound == "damage" or (wound in _TEARING and cause == "overwritten-in-place")  # NumPy says: it is pickled
    if not is_torn and (_REFUSED.search(ended.said) or _REFUSED.search(error)):
        text = f"what was saved cannot be loaded: the safe loader refuses it ({error})"
        return found("refused-by-loader", text, evidence=evidence)
    if _STALE.search(ended.said):
        text = f"a killed save left a file behind, and every start after it fails on that ({error})"
        return found("stale-temporary", text, evidence=evidence)
    return found(cause, f"{why} ({error})", evidence=evidence)


def _torn(earlier: Sequence[Attempt], path: str, wound: Wound) -> tuple[str, str]:
    name = _short(path)
    changes = [op for attempt in earlier for op in attempt.of(FileOp)]
    saved = {save.path for attempt in earlier for save in attempt.of(Save)}
    renamed = {op.to for op in changes if op.op in ("rename", "link")}
    gone = [op for op in changes if op.op in ("remove", "rename") and op.path == path]
    written = [op for op in changes if op.op == "write" and op.path == path]
    folders = {op.path for op in changes if op.op == "mkdir"}
    if written and path not in renamed and any(op.was for op in written):
        return "overwritten-in-place", f"the only copy, {name}, is overwritten in place: a kill in a save tears it"
    if wound == "damage":
        return "no-fallback", f"the newest checkpoint, {name}, is damaged, and the one before it is not tried"
    if os.path.dirname(path) in folders and (path not in saved or not gone):
        return (
            "unfinished-chosen",
            f"a checkpoint that was never finished is taken for the newest ({name} fails)",
        )
    if gone:
        return _window(name, is_replaced=path in renamed)
    if written:
        return "no-fallback", f"the fault tore {name}, and there is no older one to go on from"
    return "fails-on-restart", f"after the fault {name} cannot be read"


def _window(name: str, *, is_replaced: bool) -> tuple[str, str]:
    if is_replaced:
        text = f"the old {name} is removed before the new one is renamed to it: a kill in between leaves none"
        return "removed-before-renamed", text
    text = f"the old {name} is removed before the new one is durable: a kill in between leaves none"
    return "removed-too-early", text


def fresh(earlier: Sequence[Attempt], now: Resumed, wound: Wound) -> Finding:
    """Say why an attempt began anew, though there was something to go on from."""
    early = _before_steps(now.attempt)
    errors = [event for event in early if isinstance(event, Load) and event.error]
    loads = [event for event in early if isinstance(event, Load) and not event.error]
    if errors:
        name, error = _short(errors[-1].path), errors[-1].error
        if wound in _TEARING and wound != "kill":
            text = f"nothing was restored: {name} was torn ({error}), and the program started afresh without a word"
            return found("torn-then-afresh", text, step=now.first)
        text = f"nothing was restored: loading {name} failed ({error}), and the error was swallowed"
        return found("error-swallowed", text, step=now.first)
    if loads:
        text = f"nothing was restored: {_short(loads[-1].path)} is loaded, but the program begins at its first step"
        return found("not-read-back", text, step=now.first)
    written = _names(earlier)
    missed = [_short(event.path) for event in early if isinstance(event, Look) and not event.found]
    changes = [op for attempt in earlier for op in attempt.of(FileOp)]
    gone = [name for name in missed if name in written] or _removed(changes, written)
    if gone:
        is_replaced = any(op.op in ("rename", "link") and _short(op.to) == gone[0] for op in changes)
        cause, why = _window(gone[0], is_replaced=is_replaced)
        return found(cause, f"nothing was restored: {why}", step=now.first)
    if missed and written:
        text = f"nothing was restored: it looks for {_listed(missed)}, but writes {_listed(written)}"
        return found("other-name", text, step=now.first)
    text = "nothing was restored: it does not look for a checkpoint when it is started like the first time"
    return found("never-looks", text, step=now.first)


def _removed(changes: Sequence[FileOp], names: Sequence[str]) -> list[str]:
    """Return the newest of these files, if none of them was left in the end."""
    left: dict[str, bool] = {}
    for op in changes:
        for path in (op.path, op.to):
            left[_short(path)] = op.op not in ("remove", "rename") or path == op.to
    return list(names[-1:]) if names and not any(left.get(name, True) for name in names) else []


def _before_steps(attempt: Attempt) -> list[object]:
    events: list[object] = []
    for event in attempt.events:
        if isinstance(event, Step):
            break
        events.append(event)
    return events


def _names(attempts: Sequence[Attempt]) -> list[str]:
    """Return the names of what was saved, once each; else of what was written."""
    saves = [_short(save.path) for attempt in attempts for save in attempt.of(Save) if save.path]
    ops = [op for attempt in attempts for op in attempt.of(FileOp)]
    written = saves or [_short(op.path) for op in ops if op.op == "write"]
    named: dict[str, list[str]] = {}
    for op in ops:
        if op.op in ("rename", "link"):
            named.setdefault(_short(op.path), []).append(_short(op.to))
    return list(dict.fromkeys(name for each in written for name in named.get(each, [each])))


def _failed_path(attempt: Attempt) -> str:
    failed = [event.path for event in attempt.of(Load) if event.error]
    missed = [event.path for event in attempt.of(Look) if not event.found]
    return (failed or missed or [""])[-1]


def _error(attempt: Attempt, ended: Ended) -> str:
    lines = _ERROR.findall(ended.said)
    loads = [load.error for load in attempt.of(Load) if load.error]
    return (lines or loads or [f"status {ended.status}"])[-1][:200]


def _short(path: str) -> str:
    return os.path.basename(path)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(names[-3:]))
