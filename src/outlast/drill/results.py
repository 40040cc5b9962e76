"""What a run came to: the final state of its stores, the metrics of each step, the files that are named, its output."""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from outlast.drill.origin import Origin
from outlast.drill.place import Place
from outlast.drill.wounds import stores
from outlast.format.model import Leaf, Manifest, Node
from outlast.format.paths import segment
from outlast.format.ranks import RANKS, own_path
from outlast.store import Store
from outlast.store.journal import METRICS, AttemptLog

_GENERATORS = ("rng",)  # the adapter of outlast.RNG()
_BUNDLE = "tensorflow.checkpoint"
_BLOCK_BYTES = 1 << 20

Row = tuple[int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The newest checkpoint of a store.

    Args:
        store: its name: its path, relative to the run's folder.
        path: where it lies.
        step: its step.
        done: it is marked as the last.
        leaves: by path.
        values: the plain values, by path, as JSON.
        generators: paths of components that stand for the global random generators.
        bundles: `tf.train.Checkpoint` objects, kept in TensorFlow's own format: their files' nodes, by path.
        metrics: by step and name, what was logged in the end; of what was done again only the last.
        again: the steps at which attempts went on: what is logged on the way back into a loop is logged there.
    """

    store: str
    path: str
    step: int
    done: bool
    leaves: Mapping[str, Leaf]
    values: Mapping[str, str]
    generators: tuple[str, ...] = ()
    bundles: Mapping[str, Node] = field(default_factory=dict)
    metrics: Mapping[Row, tuple[Any, ...]] = field(default_factory=dict)
    again: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """All that is compared of a run.

    Args:
        work: its working folder, for looking closer.
        states: of its stores, by their path.
        files: digests of the files that the user names, by path.
        lines: what it printed.
    """

    work: str
    states: Mapping[str, State]
    files: Mapping[str, str]
    lines: tuple[str, ...] = ()


def collect(place: Place, patterns: Sequence[str], *, stdout: bool) -> Results:
    """Look at what a run has left.

    Raises:
        OutlastError: a store cannot be read, or has no good checkpoint.
    """
    states = [_state(path, place.root) for path in stores(place.root)]
    names = sorted({name for pattern in patterns for name in matches(place, pattern)})
    lines: tuple[str, ...] = ()
    if stdout:
        with open(place.stdout, encoding="utf-8", errors="replace") as file:
            lines = tuple(file.read().splitlines())
    return Results(
        work=place.work,
        states={state.store: state for state in states},
        files={name: _digest(os.path.join(place.work, name)) for name in names},
        lines=lines,
    )


def matches(place: Place, pattern: str) -> list[str]:
    """Return the files of a run's working folder that a pattern names."""
    found = glob.glob(pattern, root_dir=place.work, recursive=True)
    return [name for name in found if os.path.isfile(os.path.join(place.work, name))]


def made(place: Place, origin: Origin) -> list[str]:
    """Return the files that a run has made."""
    found = (
        os.path.relpath(os.path.join(at, name), place.work) for at, _, names in os.walk(place.work) for name in names
    )
    return sorted(set(found) - set(origin.files))


def _state(path: str, root: str) -> State:
    store = Store(path)
    manifest = store.newest()
    logs = store.attempts(metrics=True)
    metrics, again = _metrics(logs)
    return State(
        store=os.path.relpath(path, root),
        path=path,
        step=manifest.step,
        done=manifest.done,
        leaves={
            leaf.path if leaf.offset is None else f"{leaf.path}@{list(leaf.offset)}": leaf for leaf in manifest.leaves
        },
        values=dict(_values(manifest)),
        generators=tuple(_generators(manifest.tree)),
        bundles={
            path: node["state"]
            for path, node in _nodes(manifest.tree, "")
            if isinstance(node, dict) and node.get("$") == "adapter" and node["name"] == _BUNDLE
        },
        metrics=metrics,
        again=again,
    )


def _values(manifest: Manifest) -> Iterator[tuple[str, str]]:
    yield from _flat(manifest.tree)
    for file in manifest.files:
        yield f"{file.component}/{file.path}", json.dumps([file.size_bytes, list(file.chunks)])


def _flat(tree: Any) -> Iterator[tuple[str, str]]:
    """Yield the plain values of a tree by path; arrays are leaves and left out."""
    for path, node in _nodes(tree, ""):
        if not isinstance(node, dict):
            if not _holds_more(node):
                yield path, json.dumps(node)
        elif node.get("$", RANKS) not in (RANKS, "same") and "leaf" not in node and _inner(node) is None:
            yield path, json.dumps({key: value for key, value in node.items() if key != "$"})


def _nodes(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the nodes of a tree by path, each before what is in it."""
    yield path, node
    if isinstance(node, list):
        for index, inner in enumerate(node) if _holds_more(node) else ():
            yield from _nodes(inner, f"{path}/{index}")
    elif isinstance(node, dict):
        if "$" not in node:
            for key, inner in node.items():
                yield from _nodes(inner, f"{path}/{segment(key)}" if path else segment(key))
        elif node["$"] == RANKS:
            for index, inner in enumerate(node["nodes"]):
                rank = node["of"].index(index)  # the first of those that hold it
                yield from _nodes(inner, own_path(path, rank) if rank else path)
        elif (inner := _inner(node)) is not None:
            yield from _nodes(inner, path)


def _inner(node: Mapping[str, Any]) -> Any:
    if "leaf" in node or node["$"] == "same":
        return None
    return node.get("state", node.get("fields", node.get("items")))


def _holds_more(node: Any) -> bool:
    return isinstance(node, list) and any(isinstance(item, (dict, list)) for item in node)


def _generators(tree: Any) -> Iterator[str]:
    for name, node in tree.items() if isinstance(tree, dict) else ():
        ranks = node["nodes"] if isinstance(node, dict) and node.get("$") == RANKS else [node]
        if all(isinstance(one, dict) and one.get("$") == "adapter" and one.get("name") in _GENERATORS for one in ranks):
            yield segment(name)


def _metrics(logs: Iterable[AttemptLog]) -> tuple[dict[Row, tuple[Any, ...]], frozenset[int]]:
    """Join the rows of all attempts: an attempt that goes on at a step takes back what was logged from there on."""
    found: dict[Row, list[Any]] = {}
    again = set()
    for log in logs:
        restored = log.last("restored")
        begin = restored["step"] if restored else 0
        if log.first("restored") or log.first("started"):
            again.add(begin)
            found = {row: values for row, values in found.items() if row[0] < begin}
        for event in log.events:
            for step, values in event.get("rows", ()) if event["event"] == METRICS else ():
                for name, value in values.items():
                    found.setdefault((step, name), []).append(value)
    return {row: tuple(values) for row, values in found.items()}, frozenset(again)


def _digest(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
