"""HDF5 through h5py: one data set a leaf."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import h5py

from bench.peers.peer import Peer, nothing


class Hdf5(Peer):
    needs: ClassVar[tuple[str, ...]] = ("h5py",)
    in_place: ClassVar[bool] = True

    def write(self, path: str) -> Callable[[], float | None]:
        with h5py.File(os.path.join(path, "state.h5"), "w") as file:
            for name, array in self.state.arrays.items():
                file.create_dataset(name, data=array)
        return nothing

    def read(self, path: str) -> Mapping[str, Any]:
        with h5py.File(os.path.join(path, "state.h5"), "r") as file:
            for name, array in self.state.arrays.items():
                file[name].read_direct(array)
        return self.state.arrays


PEER = Hdf5
