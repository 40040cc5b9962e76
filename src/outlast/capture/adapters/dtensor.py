"""PyTorch's `DTensor`: each rank holds a box of a larger tensor (FSDP2, tensor parallelism). For the adapter `torch`.

What stands here works on what a rank holds itself; no rank is asked. `torch.distributed.tensor` is not imported
unless the program has: without it there are no such tensors.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from outlast.capture.adapter import Refused, Shape, Within
from outlast.format.model import Node

_PLAIN = frozenset({torch.Tensor, torch.nn.Parameter})
_PAIR = 2


def is_one(value: Any) -> bool:
    """Say whether a tensor is a DTensor."""
    if type(value) in _PLAIN:
        return False
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(value, module.DTensor)


def local(value: Any) -> Any:
    """Return what this rank holds of a DTensor; any other tensor itself."""
    if not is_one(value):
        return value
    held = value._local_tensor  # noqa: SLF001  (to_local makes another object, and a node of autograd)
    return getattr(held, "elem", held)


def within(value: Any) -> Within | None:
    """Return which box of the whole this rank holds; None if it holds all.

    Raises:
        Refused: the ranks hold summands of it.
    """
    if not is_one(value):
        return None
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    if any(placement.is_partial() for placement in value.placements):
        raise Refused("is a DTensor of which each rank holds a summand", "redistribute it: Replicate() or Shard(dim)")
    shape, offset = compute_local_shape_and_global_offset(value.shape, value.device_mesh, value.placements)
    if tuple(shape) != tuple(local(value).shape):
        raise Refused("is a DTensor whose local part is no box of it", "redistribute it: Replicate() or Shard(dim)")
    return None if tuple(shape) == tuple(value.shape) else Within(tuple(value.shape), tuple(offset))


def numbered(optimizer: torch.optim.Optimizer, state: Mapping[Any, Any]) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield the DTensors among an optimizer's parameters of which it keeps nothing yet, by the number in its state."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    return ((n, one) for n, one in enumerate(parameters) if n not in state and is_one(one))


def places(
    parameters: Mapping[int, torch.Tensor], state: Node, shapes: Callable[[str], Shape | None]
) -> dict[int, dict[str, torch.Tensor]]:
    """Return new tensors for what was saved of parameters and has their shape, on the same ranks as they."""
    found: dict[int, dict[str, torch.Tensor]] = {}
    saved = state.get("state") if isinstance(state, dict) else None
    pairs = saved.get("items", ()) if isinstance(saved, dict) else ()
    for pair in pairs:
        number, kept = pair if isinstance(pair, list) and len(pair) == _PAIR else (None, None)
        if not isinstance(number, int) or number not in parameters or not isinstance(kept, dict):
            continue
        parameter = parameters[number]
        alike = [key for key, node in kept.items() if _shape(node, shapes) == tuple(parameter.shape)]
        found[number] = {key: torch.empty_like(parameter, requires_grad=False) for key in alike}
    return found


def _shape(node: Node, shapes: Callable[[str], Shape | None]) -> Shape | None:
    path = node.get("leaf") if isinstance(node, dict) and node.get("$") == "tensor" else None
    return shapes(path) if isinstance(path, str) else None
