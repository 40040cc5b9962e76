"""`outlast show`: what is inside a checkpoint."""

from __future__ import annotations

import argparse
import json
from typing import Any

from outlast.cli import arguments, output


def add(verbs: arguments.Verbs[argparse.ArgumentParser]) -> None:
    parser = arguments.verb(verbs, "show", "show what is inside a checkpoint")
    arguments.add_store(parser)
    parser.add_argument("--checkpoint", "-c", metavar="NAME", help="a checkpoint or a step (default: the newest)")


def main(args: argparse.Namespace) -> int:
    from outlast.units import format_size

    store = arguments.open_store(args)
    manifest = store.manifest(store.find(args.checkpoint))
    name = store.find(args.checkpoint).format()
    leaves = [_leaf(leaf) for leaf in manifest.leaves]
    values = dict(values_of(manifest.tree, ""))
    if args.json:
        output.as_json(
            {
                "store": store.path,
                "checkpoint": name,
                "step": manifest.step,
                "attempt": manifest.attempt,
                "created": manifest.created,
                "done": manifest.done,
                "metrics": manifest.metrics,
                "position": manifest.position,
                "parts": [{"path": p.path, "bytes": p.size_bytes, "rank": p.rank} for p in manifest.parts],
                "leaves": leaves,
                "files": [{"component": f.component, "path": f.path, "bytes": f.size_bytes} for f in manifest.files],
                "tree": manifest.tree,
            }
        )
        return 0
    print(f"{name}  step {manifest.step}, saved {manifest.created}{', done' if manifest.done else ''}")
    if manifest.metrics:
        print("metrics: " + ", ".join(f"{k}={v:g}" for k, v in manifest.metrics.items()))
    rows = [[leaf["path"], leaf["dtype"], _shape(leaf["shape"]), format_size(leaf["bytes"])] for leaf in leaves]
    rows += [[path, "value", "", text] for path, text in values.items()]
    rows += [[f"{f.component}/{f.path}", "file", "", format_size(f.size_bytes)] for f in manifest.files]
    output.table(sorted(rows), ["leaf", "type", "shape", "size or value"])
    return 0


def _leaf(leaf: Any) -> dict[str, Any]:
    found = {"path": leaf.path, "dtype": leaf.dtype, "shape": list(leaf.shape), "bytes": leaf.size_bytes}
    if leaf.offset is not None:
        found |= {"global_shape": list(leaf.global_shape), "offset": list(leaf.offset)}
    return found


def _shape(shape: list[int]) -> str:
    return "x".join(map(str, shape)) if shape else "()"


def values_of(node: Any, path: str) -> list[tuple[str, str]]:
    """List the plain values of a tree by path; leaves have rows of their own."""
    if isinstance(node, dict) and "$" not in node:
        return [row for key, inner in node.items() for row in values_of(inner, f"{path}/{key}" if path else key)]
    if isinstance(node, dict):
        if "leaf" in node or node["$"] == "same":
            return []
        inner = node.get("state", node.get("fields", node.get("items")))
        if inner is not None:
            return values_of(inner, path)
        return [(path, _short({k: v for k, v in node.items() if k != "$"}))]
    if isinstance(node, list):
        if all(not isinstance(item, (dict, list)) for item in node):
            return [(path, _short(node))]
        return [row for index, inner in enumerate(node) for row in values_of(inner, f"{path}/{index}")]
    return [(path, _short(node))]


def _short(value: Any) -> str:
    text = json.dumps(value)
    limit = 60
    return text if len(text) <= limit else text[: limit - 3] + "..."
