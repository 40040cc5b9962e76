"""How one run stands: a document for programs, and the lines that people read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from outlast.cli import output
from outlast.clock import SYSTEM, iso
from outlast.terminal import visible
from outlast.units import format_duration

if TYPE_CHECKING:
    from outlast.format.jobs import JobLog
    from outlast.store import Store
    from outlast.store.history import Attempt, History
    from outlast.store.progress import Outlook, Progress

RUNNING, DONE, GAVE_UP, WAITING = "running", "done", "gave up", "waiting for its next job"
NOT_BEGUN, NOTHING_SAVED, STOPPED = "not begun", "nothing saved", "waiting to be started again"
_LEAST_S = 1.0  # of lost time, to be worth a line


def document(store: Store) -> dict[str, Any]:
    """Look at a store, and return all that can be said of its run."""
    from outlast.store.progress import outlook

    now_s = SYSTEM.wall()
    names = store.checkpoints()
    live = store.live()
    past = past_of(store, is_live=live is not None)
    newest, where = _newest(store) if names else (None, None)
    is_done = newest["done"] if newest else past.last is not None and past.last.outcome == DONE
    return {
        "store": store.path,
        **state(past, is_done=is_done, is_saved=newest is not None),
        "live": live.record() if live else None,
        "newest": newest,
        "checkpoints": len(names),
        **ahead(where, past, outlook(where, past, now_s=now_s) if not is_done else None),
        "steps_lost": past.steps_lost,
        "lost_s": round(past.lost_s, 3),
        "attempts": [_attempt(one) for one in past.attempts],
        "jobs": [_job(log) for log in past.jobs],
        "quarantined": list(store.quarantined()),
    }


def not_begun(path: str) -> dict[str, Any]:
    """Return what can be said of a run that is a folder for jobs so far."""
    past = past_of_jobs(path)
    return {
        "store": path,
        **state(past, is_done=False, is_saved=False),
        "live": None,
        "newest": None,
        "checkpoints": 0,
        **ahead(None, past, None),
        "steps_lost": 0,
        "lost_s": round(past.lost_s, 3),
        "attempts": [_attempt(one) for one in past.attempts],
        "jobs": [_job(log) for log in past.jobs],
        "quarantined": [],
    }


def past_of(store: Store, *, is_live: bool) -> History:
    """Return what became of a store's run; `is_live`: its last attempt lives."""
    from outlast.store.glance import living, signs
    from outlast.store.history import history

    logs, records = store.attempts(), store.jobs()
    _, seen = signs(store.backend, SYSTEM, logs)
    live = logs[-1].attempt if is_live and logs else 0
    return history(logs, records, live=live, alive=living(records, SYSTEM.wall()), signs=seen)


def past_of_jobs(path: str) -> History:
    """Return what became of a run that is a folder for jobs so far."""
    from outlast.backends import Posix
    from outlast.store.glance import living
    from outlast.store.history import history
    from outlast.store.jobs import job_logs

    records = job_logs(Posix(path))
    return history([], records, alive=living(records, SYSTEM.wall()))


def state(past: History, *, is_done: bool, is_saved: bool) -> dict[str, str]:
    """Return in what state a run is, and why."""
    from outlast.store.endings import Ending

    last, decision = past.last, past.decision or {}
    what, reason = decision.get("what"), str(decision.get("reason", ""))
    if last is not None and last.ending is Ending.RUNNING:
        return {"state": RUNNING, "reason": ""}
    if is_done or (last is not None and not is_saved and last.ending is Ending.DONE):
        return {"state": DONE, "reason": ""}
    if what == "give-up":
        return {"state": GAVE_UP, "reason": reason}
    if what in ("requeue", "successor"):
        job = decision.get("successor")
        return {"state": WAITING, "reason": f"job {job}" if job else reason}
    if last is None and not is_saved:
        return {"state": NOT_BEGUN, "reason": ""}
    return {"state": STOPPED if is_saved else NOTHING_SAVED, "reason": reason}


def ahead(where: Progress | None, past: History, to_come: Outlook | None) -> dict[str, Any]:
    """Return how far a run is, and what is to come."""
    saved = past.saved
    rate = past.steps_per_s
    return {
        "progress": None
        if where is None
        else {
            "step": where.step,
            "steps_total": where.steps_total,
            "share": where.share,
            "loops": [{"name": name, "done": done, "total": total} for name, done, total in where.loops],
        },
        "saved": {"at": iso(saved[0]), "step": saved[1]} if saved else None,
        "steps_per_s": rate,
        "deadline": time(past.deadline_s),
        "remaining_s": to_come.remaining_s if to_come else None,
        "expected_end": time(to_come.end_s) if to_come else None,
        "jobs_to_come": to_come.jobs if to_come else None,
    }


def time(wall_s: float | None) -> str | None:
    """Return a time for a document; None if there is none, or it is beyond all calendars."""
    try:
        return None if wall_s is None else iso(wall_s)
    except (OverflowError, ValueError, OSError):
        return None


def _newest(store: Store) -> tuple[dict[str, Any], Progress]:
    from outlast.errors import DamageError, StorageError
    from outlast.format.names import CheckpointName
    from outlast.store.progress import progress

    try:
        manifest = store.newest()
    except (DamageError, StorageError) as e:
        name = store.find(None)
        told = {"checkpoint": name.format(), "step": name.step, "problem": e.args[0], "done": False}
        return told, progress(name.step, None, done=False)
    name = CheckpointName(step=manifest.step, attempt=manifest.attempt, revision=manifest.revision)
    told = {
        "checkpoint": name.format(),
        "step": manifest.step,
        "created": manifest.created,
        "done": manifest.done,
        "metrics": manifest.metrics,
    }
    return told, progress(manifest.step, manifest.position, done=manifest.done)


def _attempt(one: Attempt) -> dict[str, Any]:
    from outlast.store.printed import last_lines

    return {
        "attempt": one.number,
        "role": one.role,
        "host": one.host,
        "pid": one.pid,
        "job": one.job,
        "placing": one.placing.format() if one.placing else None,
        "partition": one.partition,
        "began": iso(one.began_s) if one.began_s else "",
        "ended": iso(one.ended_s) if one.ended_s is not None and one.is_end_said else None,
        "lasted_s": round(one.ended_s - one.began_s, 3) if one.ended_s is not None and one.began_s else None,
        "from_step": one.from_step,
        "to_step": one.to_step,
        "saves": len(one.saved),
        "steps_lost": one.steps_lost,
        "lost_s": round(one.lost_s, 3),
        "outcome": one.outcome,
        "ending": one.ending.value,
        "how": one.how,
        "status": one.status,
        "tail": list(one.tail or (last_lines(one.printed) if one.printed else ())),
        "damaged_lines": one.damaged,
    }


def _job(log: JobLog) -> dict[str, Any]:
    placed = {name: value for name, value in log.placed.items() if name not in ("event", "at")}
    return {"name": log.name.format(), **placed, "deadline": log.deadline or None, "damaged_lines": log.damaged}


# -- for people --------------------------------------------------------------------------------------------


def lines(found: dict[str, Any]) -> list[str]:
    """Return a document as lines for people."""
    said = [*_facts(found), f"steps known to be lost: {found['steps_lost']}"]
    if found["lost_s"] >= _LEAST_S:
        said.append(f"work lost so far: {format_duration(found['lost_s'])}")
    table = _table(found["attempts"]) if found["attempts"] else []
    last_words = [] if found["state"] == DONE else _last_words(found["attempts"])
    return [visible(line) for line in said] + table + [visible(line) for line in last_words]


def _facts(found: dict[str, Any]) -> Iterator[str]:
    newest, live = found["newest"], found["live"]
    yield f"{found['store']}: {found['state']}{', ' + found['reason'] if found['reason'] else ''}"
    if newest:
        said = newest.get("problem") or newest["created"]
        yield f"newest checkpoint: {newest['checkpoint']} (step {newest['step']}), {said}"
        if newest.get("metrics"):
            yield "metrics: " + ", ".join(f"{k}={v:g}" for k, v in newest["metrics"].items())
    if found["progress"] and found["state"] != DONE and (told := _progress(found["progress"])):
        yield f"progress: {told}"
    if live:
        yield f"running: process {live['pid']} on {live['host']}{' ' + live['job'] if live['job'] else ''}"
    yield from _to_come(found)
    if found["quarantined"]:
        yield f"in quarantine: {', '.join(found['quarantined'])}"


def _progress(where: dict[str, Any]) -> str:
    """Say how far it is: `24 % of about 500 steps (epoch 3 of 20, batch 40 of 100)`."""
    loops = ", ".join(
        f"{one['name']} {one['done']}" + (f" of {one['total']}" if one["total"] is not None else "")
        for one in where["loops"]
    )
    if where["share"] is None:
        return loops
    total = f" of about {where['steps_total']} steps" if where["steps_total"] else ""
    return f"{share(where)}{total} ({loops})" if loops else f"{share(where)}{total}"


def share(where: dict[str, Any] | None) -> str:
    """Return how much is done in per cent: 100 only if all of it is."""
    part = where["share"] if where else None
    return "" if part is None else f"{min(99, int(100 * part)) if part < 1 else 100} %"


def _to_come(found: dict[str, Any]) -> Iterator[str]:
    from outlast.clock import from_iso

    now_s = SYSTEM.wall()
    if found["deadline"]:
        left_s = (from_iso(found["deadline"]) or now_s) - now_s
        yield f"next deadline: {found['deadline']} ({'in ' + format_duration(left_s) if left_s > 0 else 'over'})"
    if found["expected_end"]:
        jobs = found["jobs_to_come"]
        after = f", after {jobs} more job{'s' if jobs > 1 else ''}" if jobs else ""
        yield f"expected end: {found['expected_end']} (in {format_duration(found['remaining_s'])} of running{after})"
    elif found["remaining_s"] is not None:
        yield f"still needed: about {format_duration(found['remaining_s'])} of running"


def _table(attempts: list[dict[str, Any]]) -> list[str]:
    in_jobs = any(one["placing"] and not one["placing"].startswith("local-") for one in attempts)
    rows = [
        [
            "-" if one["attempt"] is None else one["attempt"],
            *([one["placing"] or "-"] if in_jobs else []),
            one["began"],
            f"{one['from_step']} -> {one['to_step']}" if one["attempt"] or one["to_step"] else "-",
            one["saves"],
            one["steps_lost"],
            one["how"] + (f"; {format_duration(one['lost_s'])} of work lost" if one["lost_s"] >= _LEAST_S else ""),
        ]
        for one in attempts
    ]
    headers = ["attempt", *(["job"] if in_jobs else []), "began", "steps", "saves", "lost", "ended"]
    return output.table_lines(rows, headers)


def _last_words(attempts: list[dict[str, Any]]) -> Iterator[str]:
    """Say what the last attempt that was not asked to end had printed at last."""
    last = next((one for one in reversed(attempts) if one["tail"]), None)
    if last:
        which = f"attempt {last['attempt']}" if last["attempt"] else "an attempt that never opened the store"
        yield f"last lines of {which} ({last['how']}):"
        yield from (f"  {line}" for line in last["tail"])
