"""PyTorch: tensors, modules, optimizers, generators. With `cuda`, which it uses, what imports PyTorch.

Bytes move between tensor memory and the snapshot without NumPy, which knows no bfloat16 and no float8.
"""

from __future__ import annotations

import contextlib
import ctypes
import inspect
import math
import operator
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch

from outlast.capture.adapter import (
    Adapter,
    Copies,
    Facts,
    Fixed,
    GlobalRng,
    LeafAdapter,
    LeafSpec,
    Refused,
    Several,
    Shape,
    Target,
    Within,
)
from outlast.capture.adapters import dtensor
from outlast.capture.adapters.cuda import OVERLAP, Overlap
from outlast.capture.pool import Pool
from outlast.capture.strides import order_of, strides_of
from outlast.errors import DamageError
from outlast.format.model import Node

_NAMES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64", "complex64", "complex128", "bfloat16",
    "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu",
)  # fmt: skip
_DTYPES: dict[str, torch.dtype] = {name: getattr(torch, name) for name in _NAMES if hasattr(torch, name)}
_NAMED = {dtype: name for name, dtype in _DTYPES.items()}
_SPARSE = (torch.sparse_coo, torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc)
_COMPILED_FROM = "_orig_mod"  # of what torch.compile makes of a module: its own state_dict puts this before each name
_FIXED = (torch.dtype, torch.device, torch.layout, torch.memory_format)


def _memory(tensor: torch.Tensor) -> memoryview:
    """Return the memory of a contiguous CPU tensor."""
    size = tensor.numel() * tensor.element_size()
    return memoryview((ctypes.c_char * size).from_address(tensor.data_ptr())).cast("B")


class Filled(Target):
    """A live tensor, filled in place; or a new one on the CPU. It then requires a gradient or not, as the saved one."""

    __slots__ = ("_held", "_requires_grad", "_tensor", "_value")

    def __init__(self, tensor: torch.Tensor, *, requires_grad: bool) -> None:
        self._value = tensor
        self._tensor = dtensor.local(tensor)
        self._held = self._tensor
        self._requires_grad = requires_grad

    def own_bytes(self, size_bytes: int) -> int:
        return 0 if _is_plain(self._tensor) else size_bytes

    def open(self) -> memoryview:
        if not self._tensor.numel():
            return memoryview(bytearray())
        if not _is_plain(self._tensor):
            self._held = torch.empty(self._tensor.shape, dtype=self._tensor.dtype)
        return _memory(self._held)

    def close(self) -> None:
        if self._held is not self._tensor:
            self._tensor.detach().copy_(self._held)
            self._held = self._tensor

    def value(self) -> Any:
        tensor = self._value
        if tensor.requires_grad != self._requires_grad and tensor.is_leaf and _is_differentiable(tensor):
            tensor.requires_grad_(self._requires_grad)
        return tensor


def _is_differentiable(tensor: torch.Tensor) -> bool:
    return (tensor.dtype.is_floating_point or tensor.dtype.is_complex) and not tensor.is_inference()


def _is_plain(tensor: torch.Tensor) -> bool:
    return tensor.device.type == "cpu" and tensor.is_contiguous() and not tensor.is_conj() and not tensor.is_neg()


class Tensors(Several):
    """Many dense tensors. Not of other types: these may mean anything by a tensor's attributes."""

    types = frozenset({torch.Tensor, torch.nn.Parameter})

    def suits(self, values: Sequence[Any]) -> bool:
        return all(value.numel() and not value.is_meta for value in values)

    def facts(self, values: Sequence[Any]) -> Facts | None:
        if not all(value.layout is torch.strided and not value.is_nested for value in values):
            return None  # these know no strides and no address
        addresses = list(map(torch.Tensor.data_ptr, values))
        told = tuple(list(map(get, values)) for get in _TOLD)
        return Facts(told, addresses) if all(addresses) else None

    def identities(self, facts: Facts) -> list[Hashable]:
        devices, *others, _ = facts.told
        return list(zip(devices, facts.addresses, *others, strict=True))


_TOLD: tuple[Callable[[Any], Any], ...] = (
    *map(operator.attrgetter, ("device", "dtype", "shape")),
    *(torch.Tensor.stride, torch.Tensor.is_conj, torch.Tensor.is_neg),
    operator.attrgetter("requires_grad"),
)


class TensorAdapter(LeafAdapter):
    """Dense tensors and parameters, on any device.

    Args:
        overlap: copies those of a device beside the program.
    """

    kind = "tensor"
    types = (torch.Tensor,)
    several = Tensors()

    def __init__(self, overlap: Overlap = OVERLAP) -> None:
        self._overlap = overlap

    def describe(self, value: Any) -> LeafSpec:
        value = dtensor.local(value)
        _check(value)
        size = value.numel() * value.element_size()
        return LeafSpec(dtype=_NAMED[value.dtype], shape=tuple(value.shape), size_bytes=size)

    def within(self, value: Any) -> Within | None:
        return dtensor.within(value)

    def identity(self, value: Any) -> Hashable | None:
        value = dtensor.local(value)
        if value.is_nested or value.layout != torch.strided or not value.numel() or value.is_meta:
            return None
        place = value.device, value.data_ptr(), value.dtype
        return *place, value.shape, value.stride(), value.is_conj(), value.is_neg()

    def copy(self, value: Any, out: memoryview) -> None:
        value = dtensor.local(value)
        if value.numel():
            flat = torch.frombuffer(out, dtype=torch.uint8)
            flat.view(value.dtype).view(value.shape).copy_(value.detach())  # no copy between, whatever its strides

    def address(self, value: Any) -> int | None:
        value = dtensor.local(value)
        is_plain = value.device.type == "cpu" and value.is_contiguous() and not value.is_conj() and not value.is_neg()
        return int(value.data_ptr()) if is_plain else None

    def is_far(self, value: Any) -> bool:
        return self._overlap.takes(dtensor.local(value))

    def start(self, paths: Sequence[str], values: Sequence[Any], *, pool: Pool, overlaps: bool) -> Copies:
        return self._overlap.start(paths, list(map(dtensor.local, values)), pool=pool, overlaps=overlaps)

    def leave(self, pool: Pool) -> None:
        self._overlap.leave(pool)

    def attributes(self, value: Any) -> dict[str, Node]:
        local = dtensor.local(value)
        order = order_of(local.shape, local.stride(), 1)
        return {"requires_grad": bool(value.requires_grad)} | ({"order": order} if order else {})

    def view(self, value: Any) -> Any:
        return value.detach()

    def fillable(self, value: Any) -> bool:
        value = dtensor.local(value)
        expanded = any(step == 0 and size > 1 for size, step in zip(value.shape, value.stride(), strict=True))
        return not expanded

    def target(self, live: Any | None, spec: LeafSpec, node: Node) -> Target:
        return Filled(live if live is not None else _new(spec, node), requires_grad=node.get("requires_grad") is True)


def _new(spec: LeafSpec, node: Node) -> torch.Tensor:
    dtype = _DTYPES.get(spec.dtype)
    if dtype is None:
        raise ValueError(f"this PyTorch has no dtype {spec.dtype!r}")
    if math.prod(spec.shape) * dtype.itemsize != spec.size_bytes:
        raise DamageError(f"a tensor {spec.dtype}{list(spec.shape)} cannot have {spec.size_bytes} bytes")
    try:
        return torch.empty_strided(spec.shape, strides_of(spec.shape, node), dtype=dtype)
    except RuntimeError as error:
        raise ValueError(f"this process cannot hold it: {error}") from error


def _check(tensor: torch.Tensor) -> None:
    if torch.nn.parameter.is_lazy(tensor):
        raise Refused("is a parameter of a lazy module without a shape", "run one forward pass first")
    if tensor.is_nested:
        raise Refused("is a nested tensor", "keep the tensors that it is made of, as a list: tensor.unbind()")
    if tensor.layout in _SPARSE:
        raise Refused(f"is a sparse tensor ({tensor.layout})", "keep its indices and values, or to_dense()")
    if tensor.layout != torch.strided:
        raise Refused(f"is a tensor of the layout {tensor.layout}", "keep it as a plain one: tensor.to_dense()")
    if tensor.is_meta:
        raise Refused("is a tensor on the meta device, without data", "materialize it first (to_empty)")
    if tensor.device.type == "cpu" and tensor.numel() and not tensor.data_ptr():
        raise Refused("has no memory: its storage was resized to nothing", "give it back its storage before a save")
    if hasattr(type(tensor), "__tensor_flatten__"):
        raise Refused(f"is a {type(tensor).__name__}, which is made of other tensors", "keep these, or register it")
    if tensor.dtype not in _NAMED or tensor.is_quantized:
        raise Refused(f"has the dtype {tensor.dtype}", "keep int_repr(), or convert it to a plain dtype")


class ModuleAdapter(Adapter):
    """`torch.nn.Module`: parameters, persistent buffers and extra state, by its own state_dict.

    A compiled module is the one that it was compiled from: the names are the same with and without `torch.compile`.
    """

    name = "torch.module"
    types = (torch.nn.Module,)
    exact_keys = True
    in_place = True

    def lower(self, value: Any) -> Any:
        value = getattr(value, _COMPILED_FROM, value)
        if _has_keep_vars(value):
            with contextlib.suppress(RuntimeError):  # a hook that cannot work with parameters: it will with tensors
                return dict(value.state_dict(keep_vars=True))
        return dict(value.state_dict())

    def restore(self, value: Any, saved: Any) -> Any:
        state = OrderedDict(saved)
        module = getattr(value, _COMPILED_FROM, value)
        state._metadata = getattr(module.state_dict(), "_metadata", None)  # type: ignore[attr-defined]  # noqa: SLF001
        module.load_state_dict(state, strict=True)
        return value


def _has_keep_vars(module: torch.nn.Module) -> bool:
    """Whether a module can show its parameters themselves: its class may have a state_dict of its own."""
    parameters = inspect.signature(module.state_dict).parameters.values()
    return any(one.name == "keep_vars" or one.kind is one.VAR_KEYWORD for one in parameters)


_SHAPES = "parameter_shapes"  # kept beside the optimizer's own state: it numbers its parameters, and no more
_NAMED_MISFITS = 3


class OptimizerAdapter(Adapter):
    """`torch.optim.Optimizer`: its state_dict, and what loading one changes put right."""

    name = "torch.optimizer"
    types = (torch.optim.Optimizer,)
    same_class = True

    def lower(self, value: Any) -> Any:
        return {**value.state_dict(), _SHAPES: _shapes(value)}

    def awaiting(self, value: Any, lowered: Any, state: Node, shapes: Callable[[str], Shape | None]) -> Any:
        """Make places for what the optimizer keeps of parameters that lie on several ranks: each its own box."""
        missing = dict(dtensor.numbered(value, lowered["state"]))
        return lowered | {"state": lowered["state"] | dtensor.places(missing, state, shapes)} if missing else lowered

    def restore(self, value: Any, saved: Any) -> Any:
        state = {name: item for name, item in saved.items() if name != _SHAPES}
        value.load_state_dict(state)
        for live, group in zip(value.param_groups, state["param_groups"], strict=True):
            for parameter, number in zip(live["params"], group["params"], strict=True):
                if number in state["state"]:
                    value.state[parameter] = _exact(value.state[parameter], state["state"][number], parameter)
        return value

    def compare(self, value: Any, state: Node) -> str:
        saved = [len(group["params"]) for group in state["param_groups"]]
        live = [len(group["params"]) for group in value.param_groups]
        if saved != live:
            return f"saved with {saved} parameters in its groups, the program has {live}"
        pairs = list(enumerate(zip(state["param_groups"], value.param_groups, strict=True)))
        names = [(index, one.get("param_names"), other.get("param_names")) for index, (one, other) in pairs]
        shapes = zip(state.get(_SHAPES, ()), _shapes(value), strict=False)
        return _misfit("is named", [row for row in names if row[1] and row[2]]) or _misfit(
            "has the shape", [(index, one, other) for index, (one, other) in enumerate(shapes)]
        )


def _shapes(optimizer: torch.optim.Optimizer) -> list[list[list[int]]]:
    return [[list(parameter.shape) for parameter in group["params"]] for group in optimizer.param_groups]


def _misfit(verb: str, groups: list[tuple[int, Any, Any]]) -> str:
    """Say which parameters of which groups were others when the optimizer was saved."""
    found = [
        f"parameter {number} of group {index} {verb} {new}, it was {old} when it was saved"
        for index, saved, live in groups
        for number, (old, new) in enumerate(zip(saved, live, strict=True))
        if old != new
    ]
    more = f"; and {len(found) - _NAMED_MISFITS} more" if len(found) > _NAMED_MISFITS else ""
    return "; ".join(found[:_NAMED_MISFITS]) + more


def _exact(loaded: Any, saved: Any, parameter: torch.Tensor) -> Any:
    """Return the state as saved, on the loaded one's device: loading casts tensors, and spoils what is none."""
    if isinstance(saved, torch.Tensor):
        if not isinstance(loaded, torch.Tensor):
            return saved.to(device=parameter.device)
        return loaded if loaded.dtype == saved.dtype else saved.to(device=loaded.device)
    if isinstance(saved, dict):
        held = loaded if isinstance(loaded, dict) else {}
        return {key: _exact(held.get(key), item, parameter) for key, item in saved.items()}
    if isinstance(saved, (list, tuple)):
        fits = isinstance(loaded, (list, tuple)) and len(loaded) == len(saved)
        pairs = zip(loaded if fits else [None] * len(saved), saved, strict=True)
        return type(saved)(_exact(one, other, parameter) for one, other in pairs)
    return saved


class GeneratorAdapter(Adapter):
    """`torch.Generator` of any device."""

    name = "torch.Generator"
    types = (torch.Generator,)
    restored_last = True

    def lower(self, value: Any) -> Any:
        return {"device": value.device.type, "state": value.get_state()}

    def restore(self, value: Any, saved: Any) -> Any:
        value.set_state(saved["state"])
        return value

    def compare(self, value: Any, state: Node) -> str:
        saved, live = state["device"], value.device.type
        return "" if saved == live else f"saved from the device {saved}, the program has {live}"


class SizeAdapter(Adapter):
    """Shapes, as tuples."""

    name = "torch.Size"
    types = (torch.Size,)
    buildable = True

    def lower(self, value: Any) -> Any:
        return tuple(value)

    def restore(self, value: Any, saved: Any) -> Any:  # noqa: ARG002
        return torch.Size(saved)

    def build(self, saved: Any) -> Any:
        return torch.Size(saved)


class FixedAdapter(Adapter):
    """Dtypes, devices and layouts are part of the program."""

    name = "torch.fixed"
    types = _FIXED

    def lower(self, value: Any) -> Any:
        return Fixed(str(value))

    def restore(self, value: Any, saved: Any) -> Any:  # noqa: ARG002
        return value


def _uses_cuda() -> bool:
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


class TorchRng(GlobalRng):
    """The default generators of the CPU and, where CUDA is in use, of each of its devices."""

    name = "torch"

    def capture(self) -> Any:
        cuda = torch.cuda.get_rng_state_all() if _uses_cuda() else []
        return {"cpu": torch.get_rng_state(), "cuda": cuda}

    def restore(self, saved: Any) -> None:
        torch.set_rng_state(saved["cpu"])
        if not saved["cuda"]:
            return
        if torch.cuda.device_count() < len(saved["cuda"]):
            found, wanted = torch.cuda.device_count(), len(saved["cuda"])
            raise ValueError(f"saved with the generators of {wanted} CUDA devices, this process sees {found}")
        torch.cuda.set_rng_state_all(saved["cuda"])


ADAPTERS = (
    TensorAdapter(),
    ModuleAdapter(),
    OptimizerAdapter(),
    GeneratorAdapter(),
    SizeAdapter(),
    FixedAdapter(),
    TorchRng(),
)
