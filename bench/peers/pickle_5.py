"""pickle, protocol 5: what Python itself brings."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Mapping
from typing import Any

from bench.peers.peer import Peer, nothing


class Pickle(Peer):
    def write(self, path: str) -> Callable[[], float | None]:
        with open(os.path.join(path, "state.pickle"), "wb") as file:
            pickle.dump(self.state.arrays, file, protocol=5)
        return nothing

    def read(self, path: str) -> Mapping[str, Any]:
        with open(os.path.join(path, "state.pickle"), "rb") as file:
            return pickle.load(file)


PEER = Pickle
