"""`outlast status`: progress, attempts and how they ended, last save, work lost. From files alone."""

from __future__ import annotations

import argparse
from typing import Any

from outlast.cli import arguments, output


def add(verbs: arguments.Verbs[argparse.ArgumentParser]) -> None:
    parser = arguments.verb(verbs, "status", "show a run's progress, attempts and last save")
    arguments.add_store(parser)


def main(args: argparse.Namespace) -> int:
    store = arguments.open_store(args)
    names = store.checkpoints()
    live = store.live()
    logs = store.attempts()
    attempts = [_attempt(log, live_attempt=logs[-1].attempt if live else 0) for log in logs]
    newest = _newest(store, names)
    document = {
        "store": store.path,
        "state": _state(newest, live),
        "live": live.record() if live else None,
        "newest": newest,
        "checkpoints": len(names),
        "steps_lost": sum(a["steps_lost"] for a in attempts),
        "attempts": attempts,
        "quarantined": list(store.quarantined()),
    }
    if args.json:
        output.as_json(document)
        return 0
    _print(document)
    return 0


def _newest(store: Any, names: Any) -> dict[str, Any] | None:
    from outlast.errors import DamageError, StorageError

    if not names:
        return None
    try:
        manifest = store.manifest(names[0])
    except (DamageError, StorageError) as e:
        return {"checkpoint": names[0].format(), "step": names[0].step, "problem": str(e), "done": False}
    return {
        "checkpoint": names[0].format(),
        "step": manifest.step,
        "created": manifest.created,
        "done": manifest.done,
        "metrics": manifest.metrics,
    }


def _state(newest: dict[str, Any] | None, live: Any) -> str:
    if live:
        return "running"
    if newest is None:
        return "nothing saved"
    return "done" if newest["done"] else "waiting to be started again"


def _attempt(log: Any, *, live_attempt: int) -> dict[str, Any]:
    claim, ended = log.first("claim") or {}, log.last("ended")
    began = (log.last("restored") or {}).get("step", 0)
    saved = (log.last("saved") or {}).get("step")
    reached = _reached(log)
    kept = saved if saved is not None else began
    role = claim.get("role", "run")
    if ended:
        outcome = f"{ended['outcome']}: {ended['reason']}" if ended.get("reason") else str(ended["outcome"])
        if ended.get("error"):
            outcome += f" ({ended['error']})"
    else:
        outcome = "running" if log.attempt == live_attempt else "killed or crashed"
    lost = max(0, reached - kept) if outcome != "running" and role == "run" else 0
    return {
        "attempt": log.attempt,
        "role": role,
        "host": claim.get("host", ""),
        "pid": claim.get("pid"),
        "job": claim.get("job", ""),
        "began": claim.get("at", ""),
        "ended": ended["at"] if ended else None,
        "from_step": began,
        "to_step": kept,
        "saves": sum(e["event"] == "saved" for e in log.events),
        "steps_lost": lost,
        "outcome": outcome,
        "damaged_lines": log.damaged,
    }


def _reached(log: Any) -> int:
    """Return the last step that the journal knows this attempt to have reached."""
    steps = [e["step"] for e in log.events if isinstance(e.get("step"), int)]
    steps += [row[0] for e in log.events if e["event"] == "metrics" for row in e.get("rows", [])]
    return max(steps, default=0)


def _print(document: dict[str, Any]) -> None:
    newest = document["newest"]
    print(f"{document['store']}: {document['state']}")
    if newest:
        said = newest.get("problem") or newest["created"]
        print(f"newest checkpoint: {newest['checkpoint']} (step {newest['step']}), {said}")
        if newest.get("metrics"):
            print("metrics: " + ", ".join(f"{k}={v:g}" for k, v in newest["metrics"].items()))
    if document["live"]:
        live = document["live"]
        print(f"running: process {live['pid']} on {live['host']}{' ' + live['job'] if live['job'] else ''}")
    if document["quarantined"]:
        print(f"in quarantine: {', '.join(document['quarantined'])}")
    print(f"steps known to be lost: {document['steps_lost']}")
    output.table(
        [
            [a["attempt"], a["began"], f"{a['from_step']} -> {a['to_step']}", a["saves"], a["steps_lost"], a["outcome"]]
            for a in document["attempts"]
        ],
        ["attempt", "began", "steps", "saves", "lost", "ended"],
    )
