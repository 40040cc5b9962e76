"""`outlast doctor`: try the storage that a run is given, and say what can be promised on it."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from outlast.cli import arguments, output

_WAIT_S = 600.0


def add(verbs: arguments.Verbs[argparse.ArgumentParser]) -> None:
    parser = arguments.verb(
        verbs,
        "doctor",
        epilog="STORE may be a store, any directory, or one that is not there yet (its nearest parent is tried).\n"
        "What is tried is tried in a directory of its own, which is removed; a store's data are not touched, and a\n"
        "live run is not disturbed.\n"
        "exit status: 0 fit, warnings and all; 1 something that outlast relies on does not work: do not use it.\n"
        "What cannot be tried from here is said: whether sync reaches the disk, and what another node sees.",
    )
    arguments.add_store(parser)
    both = parser.add_mutually_exclusive_group()
    both.add_argument(
        "--other-node",
        action="store_true",
        help="also measure what another node sees; prints the command to run there, and waits 10 min for it",
    )
    both.add_argument("--answer", metavar="TOKEN", help="be that other node")


def main(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from outlast.backends import mounts
    from outlast.backends.probe import probe
    from outlast.errors import DONE, FAILED
    from outlast.policy import storage
    from outlast.supervise import quota

    place = path, tried = _place(arguments.store_path(args))
    said = _said_of_owner(path, tried)
    is_store = _is_store(tried)
    if args.answer:
        return _answer(tried, args.answer, as_json=args.json)
    with _ends_tidily():
        probes = probe(tried)
        met = _meet(tried) if args.other_node else None
        mount = mounts.find(path)
        quotas = quota.look(mount, tried)
    note = mounts.warning(mount, path, in_job=mounts.in_batch_job())
    verdict = storage.judge(mount, probes, quotas=quotas.quotas, place_warning=note, met=met)
    document = _document(place, mount, probes, quotas, verdict)
    document = {
        **document,
        "warnings": [*document["warnings"], *said],
        "is_store": is_store,
        "engines": _engines(),
        "other_node": asdict(met) if met else None,
    }
    if args.json:
        output.as_json(document)
    else:
        _print(document, [storage.describe(one) for one in quotas.quotas])
    return DONE if verdict.fit else FAILED


def _engines() -> list[dict[str, str]]:
    """Say of each transparent engine whether it can be used here, and how to get what is missing."""
    from dataclasses import asdict

    from outlast.errors import UsageError
    from outlast.supervise.engines import registry

    found = []
    for name in registry.known():
        try:
            found.append({"name": name, **asdict(registry.named(name).look())})
        except UsageError as e:
            found.append({"name": name, "version": "", "problem": str(e), "remedy": ""})
    return found


def _place(named: str) -> tuple[str, str]:
    """Return the store's path and the directory to try: itself, or the nearest parent that is there."""
    import os

    from outlast.backends import Posix, owners
    from outlast.errors import UsageError

    path = tried = Posix(named).root
    owners.check_way(path)
    while not os.path.lexists(tried):
        tried = os.path.dirname(tried)
    if not os.path.isdir(tried):
        raise UsageError(f"{tried} is not a directory", hint="name the directory that a run is to be given")
    return path, tried


def _said_of_owner(path: str, tried: str) -> tuple[str, ...]:
    """Return what a run would be warned of on a directory that is there. Raises UsageError where a run is refused."""
    from outlast.backends import Posix

    return Posix(tried).guard() if path == tried else ()


def _is_store(tried: str) -> bool:
    """Say whether a store is there already. Raises VersionError for one of a newer format: nothing is written to it."""
    from outlast.backends import Posix
    from outlast.errors import DamageError
    from outlast.store import catalog

    try:
        catalog.read_store(Posix(tried))
    except FileNotFoundError:
        return False
    except DamageError:
        return True  # verify says what is wrong with it
    return True


def _meet(tried: str) -> Any:
    """Ask for another node, and see what it sees."""
    import shlex
    import sys

    from outlast.backends import Posix, rally

    def invite(token: str) -> None:
        command = f"outlast doctor {shlex.quote(tried)} --answer {token}"
        print(f"outlast: on another node, within 10 min: {command}", file=sys.stderr, flush=True)

    return rally.call(Posix(tried), invite, wait_s=_WAIT_S)


def _answer(tried: str, token: str, *, as_json: bool) -> int:
    from outlast.backends import Posix, rally

    got = rally.answer(Posix(tried), token)
    if as_json:
        output.as_json({"store": tried, "answered": token, "got": got})
    else:
        print(f"answered; the other node says what was found ({got} of {rally.NAMES} names came here)")
    return 0


@contextmanager
def _ends_tidily() -> Iterator[None]:
    """Have SIGTERM and SIGHUP end us as Ctrl-C does, so that nothing is left behind."""

    def leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _document(place: tuple[str, str], mount: Any, probes: Any, quotas: Any, verdict: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "store": place[0],
        "tried": place[1],
        "fit": verdict.fit,
        "kind": verdict.kind.words,
        "reach": verdict.kind.reach,
        "mount": asdict(mount) if mount else None,
        "probes": [asdict(one) for one in probes],
        "promises": [asdict(one) for one in verdict.promises],
        "quotas": [asdict(one) for one in quotas.quotas],
        "warnings": list(verdict.warnings),
        "notes": [*verdict.notes, *([quotas.said] if quotas.said else [])],
    }


def _print(document: dict[str, Any], quotas: list[str]) -> None:
    mount = document["mount"]
    where = "" if document["store"] == document["tried"] else f" (not there yet: tried in {document['tried']})"
    print(f"{document['store']}{where}")
    if mount:
        about = f"{mount['source']}; {','.join(mount['options'])}"
        print(f"on {mount['type']} at {mount['point']}: {document['kind']} ({about})")
    else:
        print(document["kind"])
    print("\ntried:")
    for one in document["probes"]:
        print(f"  {one['outcome']:<8} {one['name']:<15} {one['said']}")
    print("\npromised here:")
    for one in document["promises"]:
        print(f"  {one['holds']:<8} {one['asks']}: {one['said']}")
    print("\nengines for programs that nobody may touch (outlast run --engine NAME):")
    for one in document["engines"]:
        state = f"{one['problem']}; {one['remedy']}" if one["problem"] else "can be used"
        print(f"  {one['name']:<8} {one['version']:<15} {state}")
    for title, lines in (("quota", quotas), ("warning", document["warnings"]), ("note", document["notes"])):
        for number, line in enumerate(lines):
            print(f"{'' if number else chr(10)}{title}: {line.removeprefix(f'{title}: ')}")
    print(f"\n{_conclusion(document)}")


def _conclusion(document: dict[str, Any]) -> str:
    failed = [one["name"] for one in document["probes"] if one["outcome"] == "failed"]
    if not document["fit"]:
        return f"NOT FIT: {', '.join(failed) or 'other-node'} failed. Give the run another directory."
    if document["warnings"]:
        return "fit, with the warnings above"
    return "fit"
