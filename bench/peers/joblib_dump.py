"""joblib, not compressed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import joblib

from bench.peers.peer import Peer, nothing


class Dump(Peer):
    needs: ClassVar[tuple[str, ...]] = ("joblib",)

    def write(self, path: str) -> Callable[[], float | None]:
        joblib.dump(self.state.arrays, os.path.join(path, "state.joblib"))
        return nothing

    def read(self, path: str) -> Mapping[str, Any]:
        return joblib.load(os.path.join(path, "state.joblib"))


PEER = Dump
