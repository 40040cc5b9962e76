"""The record of a job, one file for each time that the batch system placed it: lines <-> events. Pure.

Nothing that a restart depends on stands in it: it tells people how attempts began and ended. So what a reader does
not know it passes over, and what it cannot believe it counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from outlast.clock import from_iso, iso
from outlast.errors import DamageError, UsageError
from outlast.format.envelope import seal, unseal

PLACED, START, DEADLINE, NOTICE, END, DECISION = "placed", "start", "deadline", "notice", "end", "decision"
LOCAL = "local"
ENDING = ".jsonl"
MAX_LINE_BYTES = 256 << 10
MAX_CHARS = 500  # of a text
MAX_TAIL = 20  # lines of the output
MAX_WORDS = 64  # of the command
_MAX_NAME = 200
_COUNT_LIMIT = 1 << 63
_LONGEST_S = 1e10

_TEXT, _TEXTS, _COUNT, _TIME, _LENGTH, _FLAG = "text", "texts", "count", "time", "length", "flag"
_FIELDS = {
    PLACED: {
        "system": _TEXT, "job": _TEXT, "task": _TEXT, "restarts": _COUNT, "partition": _TEXT, "host": _TEXT,
        "pid": _COUNT, "boot": _TEXT, "submitted": _TIME, "eligible": _TIME, "began": _TIME, "deadline": _TIME,
        "command": _TEXTS, "total_s": _LENGTH, "step": _COUNT, "output": _TEXT, "previous": _TEXT,
    },
    START: {"attempt": _COUNT, "pid": _COUNT, "deadline": _TIME},
    DEADLINE: {"deadline": _TIME, "reason": _TEXT},
    NOTICE: {"reason": _TEXT, "cause": _TEXT},
    END: {
        "attempt": _COUNT, "status": _COUNT, "cause": _TEXT, "progress": _FLAG, "step": _COUNT, "lasted_s": _LENGTH,
        "tail": _TEXTS, "printed_bytes": _COUNT,
    },
    DECISION: {"what": _TEXT, "reason": _TEXT, "successor": _TEXT, "status": _COUNT, "after_s": _LENGTH},
}  # fmt: skip
_NEEDED = {PLACED: ("system",), START: ("attempt",), NOTICE: ("cause",), END: ("status",), DECISION: ("what",)}
_MOST = {"command": MAX_WORDS, "tail": MAX_TAIL}

_NAME = re.compile(
    r"(?:(local)-([A-Za-z0-9.-]+)"
    r"|([a-z][a-z0-9]{0,15})-([A-Za-z0-9.-]+?)(?:_([A-Za-z0-9.-]+))?\.r(0|[1-9][0-9]{0,8}))"
)
_UNSAFE = re.compile(r"[^A-Za-z0-9.-]+")
_SYSTEM = re.compile(r"[a-z][a-z0-9]{0,15}")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class JobName:
    """The name of a placing: `slurm-1234.r0`, of an array's task `slurm-1234_7.r2`, `local-node3-4711-1764417600`.

    Attributes:
        system: the batch system; `local` without one.
        job: its number there; without a batch system the host, the process and the second in which it began.
        task: the task of a job array; else empty.
        restarts: how often the job was requeued before.
    """

    system: str
    job: str
    task: str = ""
    restarts: int = 0

    @classmethod
    def of(cls, system: str, job: str, task: str = "", restarts: int = 0) -> Self:
        """Return the name of a batch job's placing. Characters that no name can hold become "-".

        Args:
            system: the batch system, in lower case.
            job: the job's number; with or without its task.
            task: which task of an array; empty if it is none.
            restarts: how often it was requeued before.

        Raises:
            UsageError: no name can be made of it.
        """
        number = _UNSAFE.sub("-", job.removesuffix(f"_{task}") if task else job)
        name = cls(system=system, job=number, task=_UNSAFE.sub("-", task), restarts=restarts)
        if system == LOCAL or cls.parse(name.format()) != name:
            message = f"no name of a job can be made of {system!r}, {job!r}, {task!r} and {restarts}"
            raise UsageError(message, hint="give the batch system, the job's number, how often it was requeued")
        return name

    @classmethod
    def local(cls, host: str, pid: int, wall_s: float) -> Self:
        """Return the name of what was started without a batch system."""
        return cls(system=LOCAL, job=f"{_UNSAFE.sub('-', host)[:100]}-{pid}-{int(wall_s)}")

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read a name; None for any other text."""
        match = _NAME.fullmatch(text) if len(text) <= _MAX_NAME else None
        if match is None:
            return None
        if match[1]:
            return cls(system=LOCAL, job=match[2])
        if match[3] == LOCAL:
            return None
        return cls(system=match[3], job=match[4], task=match[5] or "", restarts=int(match[6]))

    def format(self) -> str:
        """Return the name as its file has it, without the ending."""
        if self.system == LOCAL:
            return f"{LOCAL}-{self.job}"
        task = f"_{self.task}" if self.task else ""
        return f"{self.system}-{self.job}{task}.r{self.restarts}"

    @property
    def is_batch(self) -> bool:
        """Whether a batch system placed it."""
        return self.system != LOCAL

    @property
    def number(self) -> str:
        """Return the job's number as its batch system writes it: `1234`, `1234_7`."""
        return f"{self.job}_{self.task}" if self.task else self.job

    def is_again(self, other: JobName) -> bool:
        """Whether this is a later placing of the same job."""
        return (self.system, self.number) == (other.system, other.number) and self.restarts > other.restarts


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLog:
    """What the record of a placing says.

    Attributes:
        name: whose.
        events: in order; each has `event` and `at`, and of its other members those that are known.
        damaged: lines that are not what was written; a torn last one is not counted.
    """

    name: JobName
    events: tuple[dict[str, Any], ...]
    damaged: int

    def first(self, event: str) -> dict[str, Any] | None:
        """Return the first event of a kind."""
        return next((e for e in self.events if e["event"] == event), None)

    def last(self, event: str) -> dict[str, Any] | None:
        """Return the last event of a kind."""
        return next((e for e in reversed(self.events) if e["event"] == event), None)

    @property
    def placed(self) -> dict[str, Any]:
        """Return where and when it was placed; empty if that cannot be read."""
        return self.first(PLACED) or {}

    @property
    def began(self) -> str:
        """Return since when it ran, as far as it says."""
        return str(self.placed.get("began") or next((e["at"] for e in self.events), ""))

    @property
    def deadline(self) -> str:
        """Return until when it may run, by the latest word; empty if there is no end."""
        told = [e for e in self.events if e["event"] in (PLACED, DEADLINE)]
        return str(told[-1].get("deadline", "")) if told else ""


def line(at_s: float, event: str, fields: dict[str, Any]) -> bytes:
    """Return one sealed line of a record.

    Args:
        at_s: now, in seconds since the epoch.
        event: its kind.
        fields: its members. None is left out. Times may be given in seconds since the epoch; texts and lists are cut to
            what a record may hold.
    """
    assert event in _FIELDS, f"no record has an event {event!r}"
    known = _FIELDS[event]
    assert not set(fields) - set(known), f"no {event} has {sorted(set(fields) - set(known))}"
    told = {name: _fitted(name, known[name], value) for name, value in fields.items() if value is not None}
    kept = {name: value for name, value in told.items() if value is not None}
    assert not (wrong := [name for name, value in kept.items() if not _is_a(known[name], value)]), f"{event}: {wrong}"
    return seal({"at": iso(at_s), "event": event, **kept})


def read(name: JobName, data: bytes | bytearray, path: str = "") -> JobLog:
    """Read a record. Lines that cannot be believed are counted, a torn last one is passed over."""
    events: list[dict[str, Any]] = []
    damaged = 0
    for text in _lines(bytes(data)):
        try:
            event = _event(text, path)
        except DamageError:
            damaged += 1
        else:
            events += [event] if event else []
    return JobLog(name=name, events=tuple(events), damaged=damaged)


def _lines(data: bytes) -> Iterator[bytes]:
    *whole, _torn = data.split(b"\n")
    return (text for text in whole if text)


def _event(text: bytes, path: str) -> dict[str, Any] | None:
    """Return an event with the members that are known; None for one of a kind that is not. Raises DamageError."""
    if len(text) >= MAX_LINE_BYTES:
        raise DamageError(f"{path}: a line of {len(text)} bytes, the limit is {MAX_LINE_BYTES}", path=path)
    found = unseal(text + b"\n", path=path)
    kind, at = found.get("event"), found.get("at")
    if not isinstance(kind, str) or not isinstance(at, str) or from_iso(at) is None:
        raise DamageError(f"{path}: a line without event or time", path=path)
    if kind not in _FIELDS:
        return None
    known = {name: found[name] for name in _FIELDS[kind] if name in found}
    for name, value in known.items():
        if not _is_a(_FIELDS[kind][name], value):
            raise DamageError(f"{path}: {kind} with {name} = {str(value)[:40]!r}, expected a {_FIELDS[kind][name]}")
    if missing := [name for name in _NEEDED.get(kind, ()) if name not in known]:
        raise DamageError(f"{path}: {kind} without {', '.join(missing)}", path=path)
    return {"event": kind, "at": at, **known}


def _is_a(kind: str, value: Any) -> bool:
    match kind:
        case "text":
            return isinstance(value, str)
        case "texts":
            return isinstance(value, list) and all(isinstance(one, str) for one in value)
        case "time":
            return isinstance(value, str) and from_iso(value) is not None
        case "count":
            return type(value) is int and 0 <= value < _COUNT_LIMIT
        case "length":
            return type(value) in (int, float) and 0 <= value <= _LONGEST_S
        case _:
            return type(value) is bool


def _fitted(name: str, kind: str, value: Any) -> Any:
    """Return a value as a record holds it; None for a time or length that is none."""
    if kind == _TEXT:
        return _cut(str(value))
    if kind == _TEXTS:
        most = _MOST[name]
        texts = [_cut(str(one)) for one in value]
        return texts[-most:] if name == "tail" else texts[:most]
    if kind == _TIME and not isinstance(value, str):
        try:
            return iso(value)
        except (OverflowError, ValueError, OSError):
            return None
    if kind == _LENGTH:
        return value if 0 <= value <= _LONGEST_S else None
    return value


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 1] + "…"
