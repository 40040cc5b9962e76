"""Zarr: one array a leaf, chunks and compression as they come."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import zarr

from bench.peers.peer import Peer, nothing


class Group(Peer):
    needs: ClassVar[tuple[str, ...]] = ("zarr",)

    def write(self, path: str) -> Callable[[], float | None]:
        zarr.save_group(os.path.join(path, "state.zarr"), **self.state.arrays)
        return nothing

    def read(self, path: str) -> Mapping[str, Any]:
        group = zarr.open_group(os.path.join(path, "state.zarr"), mode="r")
        return {name: group[name][...] for name in self.state.arrays}


PEER = Group
