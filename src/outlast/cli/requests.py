"""Leaving a request for a live run, and waiting until it has been met. Not a verb: `stop` and `save` share it."""

from __future__ import annotations

import argparse

from outlast.cli import arguments, output
from outlast.clock import SYSTEM
from outlast.errors import FAILED
from outlast.store import Store
from outlast.units import parse_duration

_POLL_S = 0.2


def ask(args: argparse.Namespace, kind: str) -> int:
    """Ask, and wait if that was wished. Returns the exit status: 1 if the wait was in vain."""
    limit_s = parse_duration(args.wait) if args.wait else None
    store = arguments.open_store(args)
    before = store.checkpoints()[:1]
    store.request(kind, f"outlast {kind}")
    met = None
    if limit_s is not None:
        met = _await(store, kind, before, limit_s)
    newest = store.checkpoints()[:1]
    name = newest[0].format() if newest else None
    if args.json:
        output.as_json({"store": store.path, "request": kind, "met": met, "newest": name})
    elif met is None:
        print(f"asked the run on {store.path} to {'save and leave' if kind == 'stop' else 'save'} at its next step")
    else:
        print(f"{'done' if met else 'not done within the time'}; newest checkpoint: {name}")
    return FAILED if met is False else 0


def _await(store: Store, kind: str, before: tuple[object, ...], limit_s: float) -> bool:
    until = SYSTEM.monotonic() + limit_s
    while SYSTEM.monotonic() < until:
        met = store.live() is None if kind == "stop" else store.checkpoints()[:1] != before
        if met:
            return True
        SYSTEM.sleep(_POLL_S)
    return False
