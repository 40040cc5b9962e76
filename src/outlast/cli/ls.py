"""`outlast ls`: the checkpoints of a run."""

from __future__ import annotations

import argparse
from typing import Any

from outlast.cli import arguments, output


def add(verbs: arguments.Verbs[argparse.ArgumentParser]) -> None:
    parser = arguments.verb(verbs, "ls")
    arguments.add_store(parser)
    parser.add_argument("--all", action="store_true", help="also what does not count: unfinished, fenced, damaged")


def main(args: argparse.Namespace) -> int:
    store = arguments.open_store(args)
    scanned = [found for found in store.scan() if not found.is_gone]
    listed = [_row(store, found) for found in scanned if found.counts or found.unreadable or args.all]
    rows = [row for row in listed if row is not None]
    if args.json:
        output.as_json({"store": store.path, "checkpoints": rows, "quarantined": list(store.quarantined())})
        return 0
    output.table(
        [
            [r["name"], r["step"], r["attempt"], _size(r["bytes"]), _size(r["own_bytes"]), r["created"], r["state"]]
            for r in rows
        ],
        ["checkpoint", "step", "attempt", "state size", "on disk", "saved at", "status"],
    )
    if store.quarantined():
        output.say(f"in quarantine: {', '.join(store.quarantined())}")
    return 0


def _row(store: Any, found: Any) -> dict[str, Any] | None:
    """Describe a checkpoint; None if a live run has removed it meanwhile."""
    from outlast.errors import DamageError, SignatureError, StorageError
    from outlast.store import held

    row: dict[str, Any] = {
        "name": found.name.format(),
        "step": found.name.step,
        "attempt": found.name.attempt,
        "counts": found.counts,
        "bytes": None,
        "own_bytes": None,
        "created": "",
        "done": False,
        "metrics": {},
    }
    if found.unreadable:
        return row | {"state": "cannot be read", "problem": found.unreadable}
    if not found.committed:
        return row | {"state": "unfinished"}
    try:
        manifest, manifest_bytes = store.read(found)
    except (DamageError, StorageError) as e:
        if not store.is_there(found):
            return None
        return row | {"state": "refused" if isinstance(e, SignatureError) else "damaged", "problem": str(e)}
    state = "done" if manifest.done else "committed" if found.counts else "fenced: does not count"
    return row | {
        "bytes": sum(leaf.size_bytes for leaf in manifest.leaves) + sum(f.size_bytes for f in manifest.files),
        "own_bytes": held(manifest, manifest_bytes).own_bytes,
        "created": manifest.created,
        "done": manifest.done,
        "metrics": manifest.metrics,
        "state": state,
    }


def _size(size_bytes: int | None) -> str:
    from outlast.units import format_size

    return "" if size_bytes is None else format_size(size_bytes)
