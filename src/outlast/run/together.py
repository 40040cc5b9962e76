"""One checkpoint of all ranks: each writes its part, rank 0 publishes when all are durable.

That they are is told over the connections between the ranks, not by files in the store: a listing may be a minute old
on network storage, and of a rank that died no file would ever tell.

A leaf that is bit for bit the same as on rank 0 is written by rank 0 alone (a replicated model and optimizer); what is
not is that rank's own (its random state, its place in its data). Nobody has to say which is which. A box of a larger
array is written by the first rank that holds it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from outlast.backends import Posix
from outlast.backends.base import Spare
from outlast.backends.effort import IO
from outlast.clock import Clock
from outlast.errors import OutlastError, StorageError, UsageError
from outlast.format import ranks, rows
from outlast.format.chunks import chunk_bytes_of
from outlast.format.digest import hexdigest
from outlast.format.model import LeafBytes, Manifest, Node
from outlast.format.names import CheckpointName
from outlast.run.team import SAVER, Team, same
from outlast.store import Committed, Draft, PartWriter, Share, Writer
from outlast.store.digests import Digests


class Together:
    """The writer of one rank: what it commits, all ranks commit.

    Args:
        team: the ranks.
        parts: writes this rank's.
        writer: publishes; on rank 0.
        backend: the store's storage.
        clock: time.
        digest: how digests are taken.
        store: the store's id.
        io: how hard that may work.
    """

    def __init__(
        self,
        team: Team,
        parts: PartWriter,
        writer: Writer | None,
        *,
        backend: Posix,
        clock: Clock,
        digest: str,
        store: str,
        io: IO,
    ) -> None:
        self._team, self._parts, self._writer = team, parts, writer
        self._backend, self._clock, self._digest, self._store, self._io = backend, clock, digest, store, io
        self._committed: Committed | None = None

    @property
    def has_spare(self) -> bool:
        return self._parts.has_spare

    def hurry(self) -> None:
        self._parts.hurry()

    def overwrite(self, spare: Spare | None) -> None:
        self._parts.overwrite(spare)

    def close(self) -> None:
        self._parts.close()

    def refuse(self, step: int, error: OutlastError) -> None:
        """Tell the others, who begin to save, that this rank cannot."""
        try:
            self._team.exchange(SAVER, _begin(step), error=error)
        except OutlastError:
            return  # the caller raises its own

    def agrees(self, once_more: bool) -> bool:  # noqa: FBT001  (a fact, not a switch)
        """Return whether all try once more, as rank 0 has it."""
        return bool(self._team.exchange(SAVER, "once more", once_more, decide=same))

    def commit(self, draft: Draft) -> Committed:
        """Write this rank's part and have the checkpoint of all ranks published. Raises on all ranks what one raises.

        Raises: as `Writer.commit`, and RanksError.
        """
        began_s = self._clock.monotonic()
        boxes = [[leaf.path, leaf.offset, leaf.shape] for leaf in draft.leaves if leaf.offset is not None]
        mine = {"bytes": sum(leaf.data.nbytes for leaf in draft.leaves), "boxes": boxes}
        begun = self._team.exchange(SAVER, _begin(draft.step), mine, decide=self._begun(draft.step))
        name = CheckpointName.parse(begun["name"])
        assert name is not None, f"rank 0 has begun {begun['name']!r}"
        if self._writer is None:
            return self._write(name, draft, begun, began_s)
        with self._writer.clearing(name):
            return self._write(name, draft, begun, began_s)

    def _begun(self, step: int) -> Callable[[list[Any]], Any]:
        def decide(values: list[Any]) -> Any:
            assert self._writer is not None, "rank 0 has a writer"
            chunk_bytes = chunk_bytes_of(sum(value["bytes"] for value in values))
            drop = _duplicates([value["boxes"] for value in values])
            return {"name": self._writer.begin(step).format(), "chunk_bytes": chunk_bytes, "drop": drop}

        return decide

    def _write(self, name: CheckpointName, draft: Draft, begun: dict[str, Any], began_s: float) -> Committed:
        chunk_bytes, drop = begun["chunk_bytes"], set(begun["drop"][self._team.rank])
        if chunk_bytes != chunk_bytes_of(sum(leaf.data.nbytes for leaf in draft.leaves)):
            draft = replace(draft, since=None)  # the chunks that were compared have another length
        draft = replace(draft, leaves=_without(draft.leaves, drop))
        marks = {component: _mark(node) for component, node in draft.tree.items()}
        position = _mark(draft.position)
        digests = Digests(draft.leaves, self._digest, chunk_bytes)
        own = self._marks(draft.leaves, digests)
        shown = {"leaves": own, "tree": marks, "position": position} if self._writer else None
        first = self._team.exchange(SAVER, f"digests of {name.format()}", shown, decide=same)
        value: dict[str, Any] = {}
        if self._writer is None:
            draft = _own(draft, own, first["leaves"], self._team.rank)
            digests = Digests(draft.leaves, self._digest, chunk_bytes)
            value["tree"] = {name: draft.tree[name] for name in marks if marks[name] != first["tree"].get(name)}
            value["position"] = None if position == first["position"] else [draft.position]
        share, error = self._part(name, draft, digests)
        if marks.keys() != first["tree"].keys():
            error = UsageError(f"the state has other components than that of rank 0: {', '.join(sorted(marks))}")
        told = value | {"share": None if share is None else _rows(share)}
        publish = self._published(name, draft, share, began_s)
        answer = self._team.exchange(SAVER, f"parts of {name.format()}", told, error=error, decide=publish)
        assert share is not None, "a rank without a share has brought an error"
        self._parts.keep(name, share, draft.number)
        committed, self._committed = self._committed, None
        return committed or self._seen(name, draft, share, answer)

    def _part(self, name: CheckpointName, draft: Draft, digests: Digests) -> tuple[Share | None, OutlastError | None]:
        try:
            share = self._parts.write(name, draft, digests)
            self._backend.sync(name.format())
        except (FileNotFoundError, FileExistsError) as e:
            return None, StorageError(f"{name.format()} was changed by somebody else while it was written: {e}")
        except OutlastError as e:
            return None, e
        return share, None

    def _published(
        self, name: CheckpointName, draft: Draft, share: Share | None, began_s: float
    ) -> Callable[[list[Any]], Any]:
        def decide(values: list[Any]) -> Any:
            assert self._writer is not None, "rank 0 has a writer"
            assert share is not None, "rank 0 has brought its share"
            chunk_bytes = share.chunk_bytes
            shares = [share, *(_share(value["share"], chunk_bytes) for value in values[1:])]
            whole = replace(
                draft,
                tree={
                    one: ranks.table([_of(value, one, node) for value in values]) for one, node in draft.tree.items()
                },
                position=ranks.table([(value.get("position") or [draft.position])[0] for value in values]),
            )
            self._committed = self._writer.publish(name, whole, shares, began_s)
            return {"bytes": self._committed.written_bytes, "manifest_bytes": self._committed.manifest_bytes}

        return decide

    def _seen(self, name: CheckpointName, draft: Draft, share: Share, answer: dict[str, Any]) -> Committed:
        """Return what another rank than 0 knows of a checkpoint: its own share of it."""
        manifest = Manifest(
            store=self._store,
            step=name.step,
            attempt=name.attempt,
            revision=name.revision,
            done=draft.done,
            created="",
            chunk_bytes=share.chunk_bytes,
            parts=share.parts,
            leaves=share.leaves,
            tree=draft.tree,
            position=draft.position,
            ranks=self._team.world,
            digest=self._digest,
        )
        return Committed(
            name=name,
            manifest=manifest,
            manifest_bytes=answer["manifest_bytes"],
            written_bytes=share.written_bytes,
            seconds_s=0.0,
        )

    def _marks(self, leaves: Sequence[LeafBytes], digests: Digests) -> dict[str, str]:
        """Return, for each leaf that is no box, what tells it from another: its digest, dtype and shape."""
        found = {}
        for number, leaf in enumerate(leaves):
            if leaf.offset is None:
                text = "".join([leaf.dtype, str(leaf.shape), *digests.take_all(number, self._io.workers)])
                found[leaf.path] = hexdigest(text.encode(), self._digest)
        return found


def _begin(step: int) -> str:
    return f"save of step {step}"


def _mark(node: Node) -> str:
    return hexdigest(json.dumps(node, separators=(",", ":")).encode(), "sha256")


def _duplicates(boxes: Sequence[Sequence[Any]]) -> list[list[int]]:
    """Return, for each rank, which of its boxes an earlier rank writes, and which have nothing in them."""
    seen: set[str] = set()
    found: list[list[int]] = []
    for of_rank in boxes:
        drop = []
        for number, (path, offset, shape) in enumerate(of_rank):
            key = json.dumps([path, offset])
            if 0 in shape or key in seen:
                drop.append(number)
            seen.add(key)
        found.append(drop)
    return found


def _without(leaves: Sequence[LeafBytes], drop: set[int]) -> list[LeafBytes]:
    """Leave out some of the boxes, by their number among the boxes."""
    found, number = [], -1
    for leaf in leaves:
        number += leaf.offset is not None
        if leaf.offset is None or number not in drop:
            found.append(leaf)
    return found


def _own(draft: Draft, own: dict[str, str], first: dict[str, str], rank: int) -> Draft:
    """Leave out what rank 0 writes; give what differs from it a path of this rank's own."""
    leaves: list[LeafBytes] = []
    changed: dict[str, bytes] = {}
    for leaf in draft.leaves:
        path = leaf.path
        if leaf.offset is None:
            if own[path] == first.get(path):
                continue
            path = ranks.own_path(path, rank)
        if leaf.path in draft.changed:
            changed[path] = draft.changed[leaf.path]
        leaves.append(leaf if leaf.path == path else replace(leaf, path=path))
    return replace(draft, leaves=leaves, changed=changed)


def _of(value: dict[str, Any], name: str, node: Node) -> Node:
    return value.get("tree", {}).get(name, node)


def _rows(share: Share) -> dict[str, Any]:
    return {
        "parts": [rows.part_row(part) for part in share.parts],
        "leaves": [rows.leaf_row(leaf) for leaf in share.leaves],
        "bytes": share.written_bytes,
    }


def _share(table: dict[str, Any], chunk_bytes: int) -> Share:
    return Share(
        parts=tuple(rows.part(row) for row in table["parts"]),
        leaves=tuple(rows.leaf(row) for row in table["leaves"]),
        written_bytes=table["bytes"],
        chunk_bytes=chunk_bytes,
    )
