"""`outlast prune`: apply a retention to a run that is not live."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from outlast.cli import arguments, output
from outlast.errors import UsageError
from outlast.terminal import visible

_STRAY = "does not count: no newer attempt took it over"


def add(verbs: arguments.Verbs[argparse.ArgumentParser]) -> None:
    parser = arguments.verb(
        verbs,
        "prune",
        epilog="Reads the newest checkpoint back first (and older ones, until one is good): never removes the newest,\n"
        "nor the newest that is good. Removes nothing while any manifest is unreadable (status 3),\n"
        "nor while the run is live (status 5).",
    )
    arguments.add_store(parser)
    parser.add_argument("--keep", type=int, default=3, metavar="N", help="keep the newest N (default 3)")
    parser.add_argument("--every", type=int, metavar="K", help="also keep those of every K-th step")
    best = "also keep the best by a metric: the highest, or with --best=-METRIC the lowest"
    parser.add_argument("--best", metavar="METRIC", help=best)
    parser.add_argument("--bytes", metavar="SIZE", help="keep no more bytes than this (e.g. 50GiB)")
    parser.add_argument("--files", type=int, metavar="N", help="keep no more files than this")
    parser.add_argument(
        "--quarantine",
        action="store_true",
        help="first set checkpoints aside whose manifest is damaged, or signed otherwise than the others",
    )
    parser.add_argument("-n", "--dry-run", action="store_true", help="only say what would go, and why")


def main(args: argparse.Namespace) -> int:
    from outlast.policy import retention
    from outlast.store import Pruner, held
    from outlast.units import format_size, parse_size

    keep = retention.Keep(
        newest=args.keep,
        every=args.every,
        best=args.best,
        bytes=parse_size(args.bytes) if args.bytes else None,
        files=args.files,
    )
    store = arguments.open_store(args)
    quarantined: list[str] = []
    strays = [found.name for found in store.scan() if found.committed and not found.counts]
    if args.dry_run:
        decision, known = _decide(store, keep, [held(*store.sized(name)) for name in store.checkpoints()])
    else:
        lease = store.claim(role="prune", waiting=_waiting)
        outcome = "failed"
        try:
            pruner = Pruner(lease, store=store.id)
            quarantined = _set_aside(store, pruner) if args.quarantine else []
            counted, _ = pruner.look()
            decision, known = _decide(store, keep, counted)
            pruner.remove([one.name for one in counted if one.name.format() in decision.remove])
            outcome = "pruned"
        finally:
            lease.end(outcome)
    rows = [
        {
            "checkpoint": one.name.format(),
            "bytes": one.own_bytes,
            "removed": one.name.format() in decision.remove,
            "reason": decision.reasons.get(one.name.format(), ""),
        }
        for one in known
    ]
    rows += [{"checkpoint": name.format(), "bytes": None, "removed": True, "reason": _STRAY} for name in strays]
    if args.json:
        output.as_json({"store": store.path, "dry_run": args.dry_run, "checkpoints": rows, "quarantined": quarantined})
        return 0
    for name in quarantined:
        output.say(f"{name}: its manifest is damaged; moved to quarantine")
    gone = "would go" if args.dry_run else "removed"
    output.table(
        [
            [
                r["checkpoint"],
                "" if r["bytes"] is None else format_size(r["bytes"]),
                gone if r["removed"] else "kept",
                r["reason"],
            ]
            for r in rows
        ],
        ["checkpoint", "on disk", "", "reason"],
    )
    return 0


def _waiting(owner: str, is_first: bool) -> None:  # noqa: FBT001  (a callback)
    if is_first:
        text = f"the last attempt ({owner}) did not say that it ended: watching it for a minute at most"
        print(f"outlast: {visible(text)}", file=sys.stderr)


def _set_aside(store: Any, pruner: Any) -> list[str]:
    """Quarantine the checkpoints whose manifest is not what was written; return their names.

    What is not signed with our key goes only where something is: else it is the key that is wrong.
    """
    from outlast.errors import DamageError, SignatureError

    bad: dict[Any, DamageError] = {}
    is_our_key = False
    for found in store.scan():
        if found.committed:
            try:
                is_our_key |= store.read(found)[0].is_signed
            except DamageError as e:
                bad[found.name] = e
    aside = [name for name, e in bad.items() if is_our_key or not isinstance(e, SignatureError)]
    for name in aside:
        pruner.quarantine(name, str(bad[name]).split("\n", 1)[0])
    return [name.format() for name in aside]


def _decide(store: Any, keep: Any, counted: Any) -> tuple[Any, Any]:
    from outlast.policy import retention
    from outlast.run.saver import as_held

    _check_metric(keep.best, counted)
    good = _newest_good(store, counted)
    return retention.decide(keep, [as_held(one, good.get(one.name)) for one in counted]), counted


def _check_metric(best: str | None, counted: Any) -> None:
    """Refuse a metric that no checkpoint has: most likely it is mistyped, and the best one would go."""
    metrics = {metric for one in counted for metric in one.metrics}
    if best is not None and counted and best.lstrip("-") not in metrics:
        known = ", ".join(sorted(metrics)) or "none"
        raise UsageError(f"no checkpoint has the metric {best.lstrip('-')!r}", hint=f"there are: {known}")


def _newest_good(store: Any, counted: Any) -> dict[Any, bool]:
    """Read checkpoints back, newest first, until one is good; return what was found."""
    found = {}
    for one in counted:
        manifest = store.manifest(one.name)
        size_bytes = sum(leaf.size_bytes for leaf in manifest.leaves) + sum(f.size_bytes for f in manifest.files)
        with store.source(manifest) as source, output.progress(size_bytes, one.name.format()) as told:
            found[one.name] = next(iter(source.damages(told)), None) is None
        if found[one.name]:
            break
    return found
