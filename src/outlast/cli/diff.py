"""`outlast diff`: what changed between two checkpoints, by digest; no array is read."""

from __future__ import annotations

import argparse
from itertools import islice
from typing import Any

from outlast.cli import arguments, output

_MOST_VALUES = 1 << 16  # of each: who has more looks at `outlast show --json`


def add(verbs: arguments.Verbs[argparse.ArgumentParser]) -> None:
    parser = arguments.verb(
        verbs,
        "diff",
        epilog="exit status: 0 whether or not they differ. Of plain values the first 65,536 are compared.",
    )
    parser.add_argument("old", metavar="OLD", nargs="?", help="a checkpoint or a step (default: the one before NEW)")
    parser.add_argument("new", metavar="NEW", nargs="?", help="a checkpoint or a step (default: the newest)")
    arguments.add_store(parser, optional_after=True)
    parser.add_argument("--other", metavar="STORE", help="take NEW from another store")


def main(args: argparse.Namespace) -> int:
    from outlast.errors import NothingError, UsageError
    from outlast.store import Store

    store = arguments.open_store(args)
    other = Store(args.other) if args.other else store
    new = other.find(args.new)
    if args.old is None and not args.other:
        names = store.checkpoints()
        older = [name for name in names if name < new]  # a live run may have removed the new one
        if not older:
            raise NothingError(f"there is no checkpoint before {new.format()} in {store.path}")
        old = older[0]
    else:
        old = store.find(args.old)
    before, after = store.manifest(old), other.manifest(new)
    if before.digest != after.digest:
        kinds = f"{before.digest} and {after.digest}"
        hint = "export both, and compare the files"
        raise UsageError(
            f"the digests of the two are of different kinds, {kinds}: one was not signed, or without blake3",
            hint=hint,
        )
    rows = _rows(before, after)
    counts = {kind: sum(row["change"] == kind for row in rows) for kind in ("same", "changed", "added", "removed")}
    if args.json:
        output.as_json({"old": old.format(), "new": new.format(), "counts": counts, "changes": rows})
        return 0
    output.say(f"{old.format()} -> {new.format()}: " + ", ".join(f"{n} {kind}" for kind, n in counts.items()))
    output.table(
        [[row["path"], row["change"], row["detail"]] for row in rows if row["change"] != "same"],
        ["leaf", "change", "detail"],
    )
    return 0


def _rows(old: Any, new: Any) -> list[dict[str, Any]]:
    before, after = _contents(old), _contents(new)
    rows = []
    for path in sorted(before.keys() | after.keys()):
        if path not in after:
            change, detail = "removed", ""
        elif path not in before:
            change, detail = "added", ""
        elif before[path] == after[path]:
            change, detail = "same", ""
        else:
            change, detail = "changed", _detail(before[path], after[path])
        rows.append({"path": path, "change": change, "detail": detail})
    return rows


def _contents(manifest: Any) -> dict[str, Any]:
    from outlast.cli.show import values_of

    found: dict[str, Any] = {
        leaf.path if leaf.offset is None else f"{leaf.path}@{list(leaf.offset)}": (leaf.dtype, leaf.shape, leaf.chunks)
        for leaf in manifest.leaves
    }
    found |= {f"{f.component}/{f.path}": ("file", (f.size_bytes,), f.chunks) for f in manifest.files}
    return dict(islice(values_of(manifest.tree, ""), _MOST_VALUES)) | found  # a file may be called as a value is


def _detail(old: Any, new: Any) -> str:
    if not (isinstance(old, tuple) and isinstance(new, tuple)) or old[:2] != new[:2]:
        return f"{_brief(old)} -> {_brief(new)}"
    differing = sum(a != b for a, b in zip(old[2], new[2], strict=True))
    return f"{differing} of {len(new[2])} chunks"


def _brief(content: Any) -> str:
    return f"{content[0]}{list(content[1])}" if isinstance(content, tuple) else str(content)
