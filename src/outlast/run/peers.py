"""A restore by several ranks: all go back to the same checkpoint, or none does; each takes what is its own."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from outlast.capture import is_allowed
from outlast.errors import MismatchError, NothingError, OutlastError, StorageError
from outlast.format import ranks
from outlast.format.model import Leaf, Manifest, Node
from outlast.format.names import CheckpointName
from outlast.run.team import LOOP, Team, same
from outlast.store import Store

_VISIBLE_WITHIN_S = 60.0
_POLL_S = 0.5


class Peers:
    """The ranks, while they restore.

    Args:
        team: they.
    """

    def __init__(self, team: Team) -> None:
        self._team = team
        self.rank, self.world = team.rank, team.world

    def propose(self, name: str) -> None:
        """On rank 0: say which checkpoint is tried next."""
        self._team.exchange(LOOP, "restore", name, decide=same)

    def proposed(self) -> str | None:
        """On other ranks: return which one is tried next; None if none is any more."""
        name = self._team.exchange(LOOP, "restore", decide=same)
        return None if name is None else str(name)

    def over(self, error: OutlastError | None) -> None:
        """On rank 0: no other one is tried. Raises the error, on all ranks."""
        self._team.exchange(LOOP, "restore", error=error, decide=same)

    def all_read(self, error: OutlastError | None) -> None:
        """Wait until all ranks have read what is theirs. Raises on all ranks what went wrong on one."""
        self._team.exchange(LOOP, "what was read", error=error)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a rank takes from a checkpoint."""

    tree: dict[str, Any]
    position: Node
    rank: int | None

    def leaves_of(self, leaves: Mapping[str, Leaf]) -> Mapping[str, Leaf]:
        """Return the leaves that the nodes name."""
        return leaves if self.rank is None else ranks.leaves_of(leaves, self.rank)


def view(manifest: Manifest, peers: Peers | None, allow: Collection[str]) -> View:
    """Return what this rank takes from a checkpoint.

    Raises:
        MismatchError: another number of ranks saved it, and they did not all hold the same.
    """
    rank, world = (peers.rank, peers.world) if peers else (0, 1)
    if not ranks.used(manifest.leaves, manifest.tree, manifest.position):
        return View(tree=manifest.tree, position=manifest.position, rank=None)
    if manifest.ranks == world:
        tree, position = ranks.tree_of(manifest.tree, rank), ranks.of_rank(manifest.position, rank)
        return View(tree=tree, position=position, rank=rank)
    own = ranks.differing(manifest)
    refused = sorted(name for name in own if not is_allowed(name, allow))
    saved = f"step {manifest.step} was saved by {manifest.ranks} ranks, there are {world} now"
    if refused:
        listed = ", ".join(f'"{name}"' for name in refused)
        hint = f"start as many ranks as then; or keep what the program has there: allow=[{listed}]"
        raise MismatchError(f"{saved}, and each rank had its own {', '.join(refused)}", hint=hint)
    if ranks.is_table(manifest.position):
        hint = "start as many ranks as then, and change their number where no loop over data is under way"
        raise MismatchError(f"{saved}, and each rank was at its own place in its data", hint=hint)
    tree = {name: node for name, node in manifest.tree.items() if name not in own}
    return View(tree=tree, position=manifest.position, rank=0)


def awaited(store: Store, name: str) -> tuple[Manifest, int]:
    """Read the manifest of a checkpoint that another rank sees: here the storage may show it up to a minute later."""
    wanted = CheckpointName.parse(name)
    assert wanted is not None, f"rank 0 has proposed {name!r}"
    until_s = time.monotonic() + _VISIBLE_WITHIN_S
    while True:
        try:
            return store.sized(wanted)
        except NothingError as e:
            if time.monotonic() > until_s:
                raise StorageError(f"{name} is not visible here, though it is on rank 0") from e
        time.sleep(_POLL_S)
