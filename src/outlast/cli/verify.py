"""`outlast verify`: read everything back and check it. Changes nothing."""

from __future__ import annotations

import argparse
from typing import Any

from outlast.cli import arguments, output


def add(verbs: arguments.Verbs[argparse.ArgumentParser]) -> None:
    parser = arguments.verb(
        verbs,
        "verify",
        epilog="exit status: 0 all is as it was saved, 3 damage found, 4 there is no checkpoint.\nChanges nothing.",
    )
    arguments.add_store(parser)
    parser.add_argument("--checkpoint", "-c", metavar="NAME", help="only this checkpoint or step")


def main(args: argparse.Namespace) -> int:
    from outlast.errors import DAMAGE

    store = arguments.open_store(args)
    wanted = store.find(args.checkpoint) if args.checkpoint else None
    found = [f for f in store.scan() if f.committed or (f.unreadable and not f.is_gone)]
    found = [f for f in found if wanted is None or f.name == wanted]
    problems = [] if wanted else _problems_of_store(store)
    if not found and not problems:
        _nothing(store)
    verified = [_verify(store, one) for one in found]
    results = [result for result in verified if result is not None]
    damaged = bool(problems) or any(result["damage"] for result in results)
    if args.json:
        output.as_json({"store": store.path, "good": not damaged, "checkpoints": results, "problems": problems})
        return DAMAGE if damaged else 0
    for result in results:
        output.say(f"{result['checkpoint']}  {'DAMAGED' if result['damage'] else 'good'}")
        for damage in result["damage"]:
            output.say(f"    {damage['what']}")
    for problem in problems:
        output.say(f"{problem['path']}  DAMAGED")
        output.say(f"    {problem['what']}")
    return DAMAGE if damaged else 0


def _nothing(store: Any) -> None:
    from outlast.errors import DamageError, NothingError

    aside = store.quarantined()
    if aside:
        raise DamageError(
            f"there is no checkpoint in {store.path}; {len(aside)} in quarantine: {', '.join(aside[:5])}",
            path="quarantine",
            hint="what is in quarantine was found damaged; the files are as they were found",
        )
    raise NothingError(f"there is no checkpoint in {store.path}", hint="see: outlast status")


def _verify(store: Any, found: Any) -> dict[str, Any] | None:
    """Read a checkpoint back; None if a live run has removed it meanwhile."""
    damage = _damage(store, found)
    if damage and not found.unreadable and not store.is_there(found):
        return None
    return {"checkpoint": found.name.format(), "damage": damage}


def _damage(store: Any, found: Any) -> list[dict[str, str]]:
    from outlast.errors import DamageError, StorageError

    if found.unreadable:
        return [{"path": found.name.format(), "leaf": "", "what": found.unreadable}]
    try:
        manifest, _ = store.read(found)
    except (DamageError, StorageError) as e:
        return [{"path": getattr(e, "path", ""), "leaf": "", "what": e.args[0]}]
    total = sum(leaf.size_bytes for leaf in manifest.leaves) + sum(f.size_bytes for f in manifest.files)
    with store.source(manifest) as source, output.progress(total, found.name.format()) as told:
        return [{"path": d.path, "leaf": d.leaf, "what": d.what} for d in source.damages(told)]


def _problems_of_store(store: Any) -> list[dict[str, str]]:
    """Return damage outside of checkpoints: in outlast.json and in the journals."""
    from outlast.errors import DamageError
    from outlast.store import catalog
    from outlast.store.layout import STORE, journal_path

    problems = []
    try:
        named = catalog.read_store(store.backend)["store"]
        if named != store.id:
            problems.append({"path": STORE, "what": f"{STORE} says {named}: it belongs to another store"})
    except FileNotFoundError:
        problems.append({"path": STORE, "what": f"{STORE} is gone"})
    except DamageError as e:
        problems.append({"path": STORE, "what": e.args[0]})
    for log in store.attempts(metrics=True):
        if log.damaged:
            what = f"{log.damaged} lines are not what was written, or not in their place: they are not heard"
            problems.append({"path": journal_path(log.attempt), "what": what})
        elif not log.is_of(store.id):
            problems.append({"path": journal_path(log.attempt), "what": "it belongs to another store"})
    return problems
