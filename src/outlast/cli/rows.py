"""What a timeline shows: attempts as rows of pieces of time. Pure; how it is drawn is up to the charts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from outlast.clock import iso

if TYPE_CHECKING:
    from outlast.store.history import Attempt, History

WAITING, RUNNING, LOST = "waiting", "running", "lost"
NEXT = "next"


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A time of one kind: waiting in the queue, running, or running in vain. Seconds since the epoch."""

    kind: str
    begin_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One attempt, or the job that is waited for.

    Attributes:
        label: its number; "-" if it never opened the store.
        job: the record of its job; empty without one.
        pieces: in order; what was lost lies over the end of what ran.
        saves, notices: when they were.
        ending: how it ended, in a word, and
        how: in a sentence.
        steps: what it began with and what it had saved in the end.
        steps_lost: known to be lost.
    """

    label: str
    job: str
    pieces: tuple[Piece, ...]
    saves: tuple[float, ...] = ()
    notices: tuple[float, ...] = ()
    ending: str
    how: str
    steps: tuple[int, int] | None = None
    steps_lost: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A timeline.

    Attributes:
        title: whose, and in what state that run is.
        rows: oldest first.
        begin_s, end_s: what it spans.
    """

    title: str
    rows: tuple[Row, ...]
    begin_s: float
    end_s: float

    def share(self, at_s: float) -> float:
        """Return where a time lies between begin and end, from 0 to 1."""
        return min(1.0, max(0.0, (at_s - self.begin_s) / (self.end_s - self.begin_s)))


def chart(title: str, past: History, *, now_s: float) -> Chart:
    """Lay out a run's attempts; what is still under way goes on up to `now_s`."""
    rows: list[Row] = []
    queued = set()
    for one in past.attempts:
        if one.is_run and one.began_s:
            rows.append(_row(one, now_s, is_first=one.placing not in queued))
            queued.add(one.placing)
    rows += _waiting(past, now_s)
    begins = [piece.begin_s for row in rows for piece in row.pieces]
    ends = [piece.end_s for row in rows for piece in row.pieces]
    begin_s = min(begins, default=now_s)
    return Chart(title=title, rows=tuple(rows), begin_s=begin_s, end_s=max([begin_s + 1.0, *ends]))


def document(found: Chart) -> dict[str, Any]:
    """Return a timeline for programs."""
    return {
        "begin": iso(found.begin_s),
        "end": iso(found.end_s),
        "rows": [
            {
                "attempt": int(row.label) if row.label.isdecimal() else None,
                "placing": row.job,
                "pieces": [{"kind": p.kind, "begin": iso(p.begin_s), "end": iso(p.end_s)} for p in row.pieces],
                "saves": [iso(at_s) for at_s in row.saves],
                "notices": [iso(at_s) for at_s in row.notices],
                "from_step": row.steps[0] if row.steps else None,
                "to_step": row.steps[1] if row.steps else None,
                "steps_lost": row.steps_lost,
                "ending": row.ending,
                "how": row.how,
            }
            for row in found.rows
        ],
    }


def _row(one: Attempt, now_s: float, *, is_first: bool) -> Row:
    end_s = max(one.began_s, now_s if one.ended_s is None else one.ended_s)
    pieces = []
    if is_first and one.placed_s is not None and one.queued_s is not None and one.queued_s < one.placed_s:
        pieces.append(Piece(kind=WAITING, begin_s=one.queued_s, end_s=one.placed_s))
    pieces.append(Piece(kind=RUNNING, begin_s=one.began_s, end_s=end_s))
    if one.lost_s > 0:
        pieces.append(Piece(kind=LOST, begin_s=max(one.began_s, end_s - one.lost_s), end_s=end_s))
    return Row(
        label="-" if one.number is None else str(one.number),
        job=one.placing.format() if one.placing and one.placing.is_batch else "",
        pieces=tuple(pieces),
        saves=tuple(at_s for at_s, _ in one.saved if at_s),
        notices=one.noticed,
        ending=one.ending.value,
        how=one.how,
        steps=(one.from_step, one.to_step),
        steps_lost=one.steps_lost,
    )


def _waiting(past: History, now_s: float) -> list[Row]:
    """Return the row of the job that is waited for, if one is."""
    from outlast.store.starts import seconds

    decision = past.decision
    since_s = seconds(decision) if decision and decision.get("what") in ("requeue", "successor") else None
    if since_s is None or since_s >= now_s:
        return []
    piece = Piece(kind=WAITING, begin_s=since_s, end_s=now_s)
    job = str((decision or {}).get("successor", ""))
    return [Row(label=NEXT, job=job, pieces=(piece,), ending=WAITING, how="waiting for its next job")]
