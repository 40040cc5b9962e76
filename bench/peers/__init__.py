"""Who saves: one module a peer, imported only in the process that measures it. A package that is missing is told."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from bench.peers.peer import Peer
from bench.states import State

# name -> module, and what the class in it is given. The order is that of the tables.
_HOMES: dict[str, tuple[str, dict[str, Any]]] = {
    "outlast": ("outlast_run", {}),
    "outlast-fork": ("outlast_run", {"snapshot": "fork"}),
    "outlast-reuse": ("outlast_run", {"reuse": True}),
    "outlast-jax": ("outlast_run", {"in_jax": True}),
    "torch": ("torch_save", {}),
    "torch-fsync": ("torch_save", {"replace": True}),
    "dcp": ("dcp", {}),
    "dcp-async": ("dcp", {"is_async": True}),
    "dcp-kept": ("dcp", {"is_async": True, "is_kept": True}),
    "torchsnapshot": ("torchsnapshot_take", {}),
    "safetensors": ("safetensors_file", {}),
    "orbax": ("orbax_checkpointer", {}),
    "orbax-async": ("orbax_checkpointer", {"is_async": True}),
    "orbax-jax": ("orbax_checkpointer", {"is_async": True, "in_jax": True}),
    "tf": ("tf_checkpoint", {}),
    "numpy": ("numpy_savez", {}),
    "h5py": ("h5py_file", {}),
    "zarr": ("zarr_group", {}),
    "joblib": ("joblib_dump", {}),
    "pickle": ("pickle_5", {}),
}
SAYS = {
    "outlast": "`outlast.Run`, as it comes",
    "outlast-fork": '`snapshot="fork"`',
    "outlast-reuse": "`io=outlast.IO(reuse=True)`",
    "outlast-jax": "`outlast.Run`, JAX arrays, which are immutable: kept by reference",
    "torch": "`torch.save`",
    "torch-fsync": "`torch.save` to a temporary file, fsync, `os.replace`, fsync of the folder",
    "dcp": "`torch.distributed.checkpoint.save`",
    "dcp-async": "`torch.distributed.checkpoint.async_save`, as it comes",
    "dcp-kept": "the same with a `DefaultStager` that keeps its memory",
    "torchsnapshot": "`torchsnapshot.Snapshot.async_take`",
    "safetensors": "`save_file`",
    "orbax": "`Checkpointer` with `StandardCheckpointHandler`, NumPy arrays",
    "orbax-async": "`AsyncCheckpointer`, NumPy arrays",
    "orbax-jax": "`AsyncCheckpointer`, JAX arrays, which are immutable: kept by reference",
    "tf": "`tf.train.Checkpoint.write`",
    "numpy": "`numpy.savez`",
    "h5py": "one data set a leaf, as it comes",
    "zarr": "`zarr.save_group`, as it comes (compressed)",
    "joblib": "`joblib.dump`",
    "pickle": "`pickle.dump`, protocol 5",
}
NAMES = tuple(_HOMES)
OURS = tuple(name for name in NAMES if name.startswith("outlast"))


def find(name: str) -> Callable[[State, str], Peer]:
    """Return what makes the peer from a state and a folder.

    Raises:
        ImportError: its package is not installed, or has not what is to be measured.
    """
    module, options = _HOMES[name]
    made = import_module(f"bench.peers.{module}").PEER
    return lambda state, folder: made(state, folder, **options)
