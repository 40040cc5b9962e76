"""numpy.savez: one archive, not compressed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bench.peers.peer import Peer, nothing


class Savez(Peer):
    def write(self, path: str) -> Callable[[], float | None]:
        np.savez(os.path.join(path, "state.npz"), **self.state.arrays)
        return nothing

    def read(self, path: str) -> Mapping[str, Any]:
        with np.load(os.path.join(path, "state.npz")) as archive:
            return {name: archive[name] for name in archive.files}


PEER = Savez
