"""JSON lines -> a trace. What is torn or unknown is passed over."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from outlast.drill.trace.model import (
    BYS,
    Attempt,
    Event,
    FileOp,
    Handler,
    Held,
    Load,
    Look,
    Moved,
    Restored,
    Save,
    Step,
    Trace,
)
from outlast.drill.trace.recorder.lines import LINE, metrics


def read(path: Path) -> Trace:
    """Return the trace in a file; an empty one if there is none: nothing in the command was traced."""
    if not path.exists():
        return Trace()
    return parse(path.read_bytes().splitlines())


def parse(lines: Iterable[bytes]) -> Trace:
    """Return the trace that lines tell."""
    rows: dict[str, dict[int, list[dict[str, Any]]]] = {}
    kinds: dict[str, str] = {}
    for line in lines:
        row = _row(line)
        if row is None:
            continue
        if row["e"] == "kinds":
            kinds |= _texts(row.get("kinds"))
        else:
            rows.setdefault(str(row["a"]), {}).setdefault(row["p"], []).append(row)
    return Trace(attempts=tuple(_attempt(key, processes) for key, processes in rows.items()), kinds=kinds)


def printed(texts: Sequence[str], pattern: str = "") -> Trace:
    """Return what the lines that programs print tell, a text for each attempt: for those that have no recorder in them.

    Args:
        texts: what the attempts printed.
        pattern: a regular expression whose first group is the step's number; as for `environment`.
    """
    tells = re.compile(pattern or LINE, re.IGNORECASE)
    attempts = tuple(Attempt(key=str(number), events=tuple(_told(tells, text))) for number, text in enumerate(texts))
    paths = {path for attempt in attempts for step in attempt.of(Step) for path in step.leaves}
    return Trace(attempts=attempts, kinds=dict.fromkeys(paths, "metric"), is_recorded=False)


def _told(tells: re.Pattern[str], text: str) -> Iterator[Step]:
    for line in text.splitlines():
        match = tells.search(line)
        if match:
            leaves = {f"said:{name}": number for name, number in metrics(line)}
            yield Step(step=int(match[1]), by="line", leaves=leaves)


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:  # torn, or somebody else's
        return None
    is_ours = isinstance(row, dict) and isinstance(row.get("e"), str) and "a" in row and isinstance(row.get("p"), int)
    return row if is_ours else None


def _attempt(key: str, processes: dict[int, list[dict[str, Any]]]) -> Attempt:
    rows = min(processes.values(), key=_standing)
    found = [event for event in map(_event, rows) if event is not None]
    return Attempt(
        key=key,
        events=tuple(found),
        ended=any(row["e"] == "end" for row in rows),
        problems=tuple(str(row.get("text")) for each in processes.values() for row in each if row["e"] == "problem"),
        operations=sum(row["e"] == "file" for row in rows),
    )


def _standing(rows: list[dict[str, Any]]) -> tuple[bool, int]:
    """Return what tells the main process: it does steps, and its rank is the lowest."""
    rank = next((row.get("rank") for row in rows if row["e"] == "begin"), 0)
    return not any(row["e"] == "step" for row in rows), rank if isinstance(rank, int) else 0


def _event(row: dict[str, Any]) -> Event | None:
    try:
        return _EVENTS[row["e"]](row) if row["e"] in _EVENTS else None
    except (KeyError, TypeError, ValueError):  # another version's, or by hand
        return None


def _texts(value: object) -> dict[str, str]:
    return {str(path): str(text) for path, text in value.items()} if isinstance(value, dict) else {}


def _step(row: dict[str, Any]) -> Event:
    return Step(
        step=int(row["step"]),
        by=BYS[BYS.index(row["by"])],
        leaves=_texts(row.get("leaves")),
        batches=tuple(map(str, row.get("batches", ()))),
        before=_texts(row.get("before")),
    )


def _save(row: dict[str, Any]) -> Event:
    in_handler = bool(row.get("in_handler"))
    return Save(path=row["path"], how=row["how"], leaves=_texts(row.get("leaves")), in_handler=in_handler)


def _load(row: dict[str, Any]) -> Event:
    return Load(path=row["path"], how=row["how"], leaves=_texts(row.get("leaves")), error=row.get("error", ""))


def _file(row: dict[str, Any]) -> Event:
    return FileOp(op=row["op"], path=row["path"], to=row.get("to", ""), was=bool(row.get("was")))


_EVENTS: dict[str, Callable[[dict[str, Any]], Event]] = {
    "step": _step,
    "save": _save,
    "load": _load,
    "file": _file,
    "look": lambda row: Look(path=row["path"], found=bool(row["found"])),
    "held": lambda row: Held(name=row["name"], kind=row["kind"], in_state=bool(row["in_state"])),
    "asked": lambda row: Moved(name=row["name"], kind=row["kind"], way="asked"),
    "given": lambda row: Moved(name=row["name"], kind=row["kind"], way="given"),
    "restored": lambda row: Restored(step=int(row["step"])),
    "handler": lambda row: Handler(signal=int(row["signal"]), name=row["name"]),
}
