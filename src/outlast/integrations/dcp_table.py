"""DCP's metadata as JSON in a checkpoint's tree, and back: the stock writer pickles them, and pickle runs code."""

from __future__ import annotations

from typing import Any

import torch
from torch.distributed.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    TensorProperties,
    TensorStorageMetadata,
)

from outlast.errors import DamageError, UsageError
from outlast.format.model import Manifest, Node

COMPONENT = "dcp"
_VERSION = 1
_PAIR = 2


def encode(metadata: Metadata) -> dict[str, Node]:
    """Return the tree of a checkpoint with these metadata.

    Raises:
        UsageError: a planner of the user's own has added what JSON cannot hold.
    """
    state = [[name, _stored(one)] for name, one in metadata.state_dict_metadata.items()]
    planner = metadata.planner_data
    if planner is not None and not isinstance(planner, dict):
        raise UsageError(f"the planner's data are a {type(planner).__name__}, which is not kept as JSON")
    paths = None if planner is None else [[name, _keys(name, path)] for name, path in planner.items()]
    return {COMPONENT: {"version": _VERSION, "state": state, "planner": paths}}


def decode(manifest: Manifest) -> Metadata:
    """Return the metadata of a checkpoint.

    Raises:
        DamageError: it was not saved by DCP, or its table makes no sense.
    """
    table = manifest.tree.get(COMPONENT)
    where = f"the checkpoint of step {manifest.step}"
    if not isinstance(table, dict) or table.get("version") != _VERSION:
        raise DamageError(f"{where} was not saved by torch.distributed.checkpoint", hint="outlast.Run restores it")
    try:
        planner = table["planner"]
        return Metadata(
            state_dict_metadata={name: _metadata(one) for name, one in table["state"]},
            planner_data=None if planner is None else {name: tuple(path) for name, path in planner},
            storage_data={},
        )
    except (KeyError, TypeError, ValueError, RuntimeError) as e:
        raise DamageError(f"{where}: its table for torch.distributed.checkpoint makes no sense: {e}") from e


def dtype_name(dtype: torch.dtype) -> str:
    """Return the name of a dtype."""
    return str(dtype).removeprefix("torch.")


def dtype_of(name: str) -> torch.dtype:
    """Return the dtype of a name. Raises ValueError if PyTorch has none."""
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype):
        raise ValueError(f"this PyTorch has no dtype {name!r}")  # noqa: TRY004  (a wrong value of a file)
    return found


def _stored(one: TensorStorageMetadata | BytesStorageMetadata) -> Node:
    if isinstance(one, BytesStorageMetadata):
        return None
    return {
        "dtype": dtype_name(one.properties.dtype),
        "requires_grad": bool(one.properties.requires_grad),
        "size": list(one.size),
        "chunks": [[list(chunk.offsets), list(chunk.sizes)] for chunk in one.chunks],
    }


def _metadata(node: Node) -> TensorStorageMetadata | BytesStorageMetadata:
    if node is None:
        return BytesStorageMetadata()
    properties = TensorProperties(dtype=dtype_of(node["dtype"]), requires_grad=node["requires_grad"] is True)
    chunks = [ChunkStorageMetadata(torch.Size(offsets), torch.Size(sizes)) for offsets, sizes in node["chunks"]]
    return TensorStorageMetadata(properties=properties, size=torch.Size(node["size"]), chunks=chunks)


def _keys(name: str, path: Any) -> list[Any]:
    keys = list(path)
    if not all(type(key) in (str, int) for key in keys):
        raise UsageError(f"{name}: its place in the state dict is told by {path!r}: only texts and numbers are kept")
    return keys
