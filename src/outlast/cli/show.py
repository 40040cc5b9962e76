"""`outlast show`: what is inside a checkpoint."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from outlast.cli import arguments, output

_MOST_VALUES = 1 << 16  # in a table for people
_SHORT = 61  # characters or items, of which 60 characters are shown


def add(verbs: arguments.Verbs[argparse.ArgumentParser]) -> None:
    parser = arguments.verb(verbs, "show")
    arguments.add_store(parser)
    parser.add_argument("--checkpoint", "-c", metavar="NAME", help="a checkpoint or a step (default: the newest)")


def main(args: argparse.Namespace) -> int:
    from outlast.format.names import CheckpointName
    from outlast.units import format_size

    store = arguments.open_store(args)
    manifest = store.manifest(store.find(args.checkpoint)) if args.checkpoint is not None else store.newest()
    name = CheckpointName(step=manifest.step, attempt=manifest.attempt, revision=manifest.revision).format()
    leaves = [_leaf(leaf) for leaf in manifest.leaves]
    if args.json:
        output.as_json(
            {
                "store": store.path,
                "checkpoint": name,
                "step": manifest.step,
                "attempt": manifest.attempt,
                "created": manifest.created,
                "done": manifest.done,
                "digest": manifest.digest,
                "signed": manifest.is_signed,
                "signature_checked": manifest.is_signed and store.trust.key is not None,
                "metrics": manifest.metrics,
                "position": manifest.position,
                "parts": [{"path": p.path, "bytes": p.size_bytes, "rank": p.rank} for p in manifest.parts],
                "leaves": leaves,
                "files": [{"component": f.component, "path": f.path, "bytes": f.size_bytes} for f in manifest.files],
                "tree": manifest.tree,
            }
        )
        return 0
    output.say(f"{name}  step {manifest.step}, saved {manifest.created}{', done' if manifest.done else ''}")
    if manifest.is_signed or store.trust.key:
        output.say(_signature(manifest, store.trust))
    if manifest.metrics:
        output.say("metrics: " + ", ".join(f"{k}={v:g}" for k, v in manifest.metrics.items()))
    rows = [[leaf["path"], leaf["dtype"], _shape(leaf["shape"]), _size(leaf)] for leaf in leaves]
    values = list(islice(values_of(manifest.tree, ""), _MOST_VALUES + 1))
    rows += [[path, "value", "", text] for path, text in dict(values[:_MOST_VALUES]).items()]
    rows += [[f"{f.component}/{f.path}", "file", "", format_size(f.size_bytes)] for f in manifest.files]
    output.table(sorted(rows), ["leaf", "type", "shape", "size or value"])
    if len(values) > _MOST_VALUES:
        output.say(f"and more than {_MOST_VALUES} values: --json shows them all")
    return 0


def _signature(manifest: Any, trust: Any) -> str:
    if not manifest.is_signed:
        return "not signed"
    return "signed with this key" if trust.key else "signed, not checked: OUTLAST_KEY_FILE is not set"


def _leaf(leaf: Any) -> dict[str, Any]:
    found = {"path": leaf.path, "dtype": leaf.dtype, "shape": list(leaf.shape), "bytes": leaf.size_bytes}
    if leaf.offset is not None:
        found |= {"global_shape": list(leaf.global_shape), "offset": list(leaf.offset)}
    if leaf.codec is not None:
        found |= {"codec": leaf.codec.name, "width": leaf.codec.width, "stored_bytes": leaf.stored_bytes}
    return found


def _size(leaf: dict[str, Any]) -> str:
    """Say how long a leaf is, and how much of that is stored where it is compressed."""
    from outlast.units import format_size

    size = format_size(leaf["bytes"])
    return f"{size}, {leaf['codec']} {format_size(leaf['stored_bytes'])}" if "codec" in leaf else size


def _shape(shape: list[int]) -> str:
    return "x".join(map(str, shape)) if shape else "()"


def values_of(node: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield the plain values of a tree by path; leaves have rows of their own."""
    if isinstance(node, dict):
        yield from _values_in(node, path)
    elif isinstance(node, list) and any(isinstance(item, (dict, list)) for item in node):
        for index, inner in enumerate(node):
            yield from values_of(inner, f"{path}/{index}")
    else:
        yield path, _short(node)


def _values_in(node: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    from outlast.format.paths import segment

    if "$" not in node:
        for key, inner in node.items():
            yield from values_of(inner, f"{path}/{segment(key)}" if path else segment(key))
    elif "leaf" not in node and node["$"] != "same":
        inner = node.get("state", node.get("fields", node.get("items")))
        if inner is None:
            yield path, _short({k: v for k, v in node.items() if k != "$"})
        else:
            yield from values_of(inner, path)


def _short(value: Any) -> str:
    text = json.dumps(value[:_SHORT] if isinstance(value, (str, list)) else value)
    limit = 60
    return text if len(text) <= limit else text[: limit - 3] + "..."
