"""Copies of device tensors that go on while the program computes: a stream of their own, pinned memory, a late wait.

What a forward pass may change is copied before the snapshot returns. What only an optimizer's step changes (its
parameters and its state) is copied beside the next forward pass: a hook before that step has the device wait. That
nothing else changed it meanwhile is not hoped but checked, by PyTorch's version counters and by the sum of all words,
taken on the device at the step boundary and again of what has arrived.
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from outlast.capture.adapter import Copies
from outlast.capture.pool import Pool
from outlast.errors import ChangedError, OutlastError

LARGE_BYTES = 256 << 10  # smaller ones are waited for: a sum costs as much as the copy
_WORD_BYTES = 8
_PORTABLE = 1  # cudaHostRegisterPortable: pinned for every device

Pin = Callable[[int, int], Callable[[], None]]  # address, size -> what undoes it


class Event(Protocol):
    """A point in the work of a device."""

    def synchronize(self) -> None:
        """Return when the device has come there.

        Raises:
            RuntimeError: something before it failed.
        """


class Device(Protocol):
    """A device, as far as copies from it go: they run in order, beside what the program gives to it."""

    def begin(self) -> None:
        """Let the copies given from now on wait for all that the program has given to the device by now."""

    def copy(self, tensor: torch.Tensor, out: torch.Tensor) -> None:
        """Give a copy to host memory to the device, and return at once where that is pinned.

        Raises:
            RuntimeError: the device takes none.
        """

    def event(self) -> Event:
        """Return the point behind all copies that were given."""

    def hold(self, event: Event) -> None:
        """Let all that the program gives to the device from now on wait for a point in its copies."""


class Cuda:
    """A CUDA (or ROCm) device."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def begin(self) -> None:
        self._stream.wait_stream(torch.cuda.current_stream(self._device))

    def copy(self, tensor: torch.Tensor, out: torch.Tensor) -> None:
        with torch.cuda.stream(self._stream):
            out.copy_(tensor, non_blocking=True)

    def event(self) -> Event:
        event: Any = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]  # sleeps while waiting
        event.record(self._stream)
        return event  # type: ignore[no-any-return]

    def hold(self, event: Any) -> None:
        torch.cuda.current_stream(self._device).wait_event(event)


def pinned(address: int, size_bytes: int) -> Callable[[], None]:
    """Pin memory of our own, so that devices write to it directly; what cannot be pinned is only slower.

    PyTorch's pinned memory is not used: it rounds each block up to a power of two, up to twice the state.
    """
    runtime: Any = torch.cuda.cudart()  # type: ignore[no-untyped-call]
    if int(runtime.cudaHostRegister(address, size_bytes, _PORTABLE)) != 0:
        with contextlib.suppress(RuntimeError):  # the runtime tells its last error to whoever asks next: to us
            torch.zeros(1, device="cuda")
        return lambda: None
    return lambda: runtime.cudaHostUnregister(address)


class Memory:
    """Host memory for the copies of one snapshot at a time, pinned as long as it stays.

    Args:
        pin: pins a range.
    """

    def __init__(self, pin: Pin) -> None:
        self._pin = pin
        self._pool = Pool()
        self._size_bytes = 0
        self._unpin: Callable[[], None] | None = None

    def __del__(self) -> None:
        self._release_pin()  # before the mapping goes

    def divide(self, sizes_bytes: list[int]) -> list[memoryview]:
        """Return a writable view for each size. Those of the snapshot before are released.

        Raises:
            BufferError: one of them is still being read (a mistake of the caller).
            MemoryError: there is no room.
        """
        needed_bytes = sum(-(-size // _WORD_BYTES) * _WORD_BYTES for size in sizes_bytes)
        if needed_bytes > self._size_bytes:
            self._release_pin()  # before the mapping goes
        views = self._pool.divide(sizes_bytes)
        if needed_bytes > self._size_bytes:
            self._unpin = self._pin(_address(views[0]), needed_bytes)
            self._size_bytes = needed_bytes
        return views

    def _release_pin(self) -> None:
        unpin, self._unpin, self._size_bytes = self._unpin, None, 0
        if unpin:
            unpin()


def _address(view: memoryview) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(view))


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A tensor that is copied.

    Args:
        path: the leaf's.
        tensor: an alias of its own: it keeps the memory, and shares the version, whatever the program's one becomes.
        out: the host memory, of its shape and dtype.
        version: when the copy began; None if the copy is waited for at once.
    """

    path: str
    tensor: torch.Tensor
    out: torch.Tensor
    version: int | None


class Overlapped(Copies):
    """The copies of one snapshot.

    Args:
        memory: where they go: kept as long as a device may write to it.
        views: its parts.
        ended: is told when the devices write no more.
        doubted: is told that the program has changed what was copied.
    """

    def __init__(
        self,
        memory: Memory,
        views: list[memoryview],
        *,
        ended: Callable[[Copies], None],
        doubted: Callable[[], None],
    ) -> None:
        self.memory = memory
        self.views = views
        self._ended, self._doubted = ended, doubted
        self._due: list[Event] = []
        self._rest: list[tuple[Device, Event]] = []
        self._late: list[Source] = []
        self._sums: list[tuple[torch.Tensor, torch.Tensor]] = []  # on the device, and here
        self._moved: list[str] | None = None
        self._lock = threading.Lock()

    def give(self, device: Device, due: Sequence[Source], late: Sequence[Source], sums: torch.Tensor) -> None:
        """Give copies to a device: first those that are waited for at once.

        Args:
            device: it.
            due: what the program may change as soon as the snapshot returns.
            late: what only the next optimizer's step changes.
            sums: host memory for as many sums.

        Raises:
            OutlastError: it takes none.
        """
        with _failing("the copies from the device could not begin"):
            found = torch.stack([words(source.tensor) for source in late]) if late else None
            device.begin()
        try:
            _each(device, due)
        finally:
            self._due.append(device.event())
        if found is None:
            return
        self._late.extend(late)
        self._sums.append((found, sums))  # held: the program's stream would get its memory before it is copied
        try:
            device.copy(found, sums)
            _each(device, late)
        finally:
            self._rest.append((device, device.event()))

    def ready(self) -> None:
        with _failing():
            for event in self._due:
                event.synchronize()
        if not self._rest:
            self._ended(self)

    def settle(self) -> None:
        """Have the devices wait for the copies before they update what these read. In the program's thread."""
        self._compare_versions()
        for device, event in self._rest:
            device.hold(event)

    def finish(self) -> None:
        self.wait()
        changed = self._compare_versions() or self._compare_sums()
        self._late, self._sums = [], []
        if changed:
            self._doubted()
            raise _changed(changed)

    def wait(self) -> None:
        """Return when the devices write no more to the memory.

        Raises:
            OutlastError: a copy failed.
        """
        with contextlib.ExitStack() as all_of_them:
            all_of_them.callback(self._ended, self)
            all_of_them.enter_context(_failing())
            for event in (*self._due, *(event for _, event in self._rest)):
                all_of_them.callback(event.synchronize)  # also after one has failed

    def _compare_versions(self) -> list[str]:
        """Return what was changed before the copy ended, or before the optimizer's step, which waits for it."""
        with self._lock:
            if self._moved is None:
                self._moved = [one.path for one in self._late if one.tensor._version != one.version]  # noqa: SLF001
            return self._moved

    def _compare_sums(self) -> list[str]:
        """Return what has not arrived as it was at the step boundary, whoever has changed it."""
        sums = [number for _, found in self._sums for number in found.tolist()]
        return [one.path for one, found in zip(self._late, sums, strict=True) if int(words(one.out)) != found]


def _each(device: Device, sources: Sequence[Source]) -> None:
    for source in sources:
        with _failing(f"{source.path} could not be copied from the device"):
            device.copy(source.tensor, source.out)


@contextlib.contextmanager
def _failing(what: str = "the copies from the device failed") -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise OutlastError(f"{what}: {error}", hint="nothing was saved; see what the device says") from error


def _changed(paths: list[str]) -> ChangedError:
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return ChangedError(
        f"{paths[0]}{more} changed between the step boundary and the optimizer's step, while it was copied",
        hint="that save is lost; from now on a save waits for its copies, which costs some time",
    )


def words(tensor: torch.Tensor) -> torch.Tensor:
    """Return the sum of a contiguous tensor's bytes, taken as words: a number on its device."""
    flat = tensor.reshape(-1).view(torch.uint8)
    end = flat.numel() // _WORD_BYTES * _WORD_BYTES
    total = flat[:end].view(torch.int64).sum()
    return total if end == flat.numel() else total + flat[end:].sum()


class Overlap:
    """Begins the copies of snapshots, and knows which optimizers say before they change something.

    Args:
        device_type: of the tensors that it takes.
        device_of: makes what copies from a device.
        pin: pins host memory.

    Attributes:
        overlaps: whether copies may go on behind a snapshot. False once the program has changed what was copied.
    """

    def __init__(self, device_type: str, device_of: Callable[[torch.device], Device], pin: Pin) -> None:
        self.overlaps = True
        self._device_type = device_type
        self._device_of = device_of
        self._devices: dict[torch.device, Device] = {}
        self._pin = pin
        self._memories: weakref.WeakKeyDictionary[Pool, Memory] = weakref.WeakKeyDictionary()
        self._heard: weakref.WeakSet[torch.optim.Optimizer] = weakref.WeakSet()
        self._hook: Any = None
        self._active: list[Overlapped] = []

    def takes(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor is copied here."""
        return tensor.device.type == self._device_type and tensor.numel() > 0

    def start(self, paths: Sequence[str], tensors: Sequence[torch.Tensor], *, pool: Pool, overlaps: bool) -> Overlapped:
        """Begin to copy tensors. What was begun before for the same pool ends first, whatever came of it.

        Args:
            paths: their names.
            tensors: on devices.
            pool: whose snapshot it is.
            overlaps: whether some may be copied behind the snapshot.

        Raises:
            OutlastError: a device takes no copies.
            MemoryError: there is no room on the host.
        """
        memory = self._memories.get(pool)
        if memory is None:
            memory = self._memories[pool] = Memory(self._pin)
        self._quieten(memory)
        self._listen()
        sizes = [tensor.numel() * tensor.element_size() for tensor in tensors]
        *views, room = memory.divide([*sizes, _WORD_BYTES * len(tensors)])
        copies = Overlapped(memory, views, ended=self._ended, doubted=self._doubted)
        self._active.append(copies)
        patient = self._changed_in_steps_only() if overlaps and self.overlaps else frozenset()
        sources = [_source(*one, patient) for one in zip(paths, tensors, views, strict=True)]
        sums = _shown(room, torch.int64)
        for place in dict.fromkeys(tensor.device for tensor in tensors):
            here = [source for source in sources if source.tensor.device == place]
            late = [source for source in here if source.version is not None]
            due = [source for source in here if source.version is None]
            copies.give(self._device(place), due, late, sums[: len(late)])
            sums = sums[len(late) :]
        return copies

    def _ended(self, copies: Copies) -> None:
        self._active = [one for one in self._active if one is not copies]

    def _doubted(self) -> None:
        self.overlaps = False

    def leave(self, pool: Pool) -> None:
        """Give a pool's memory back, once nobody reads or writes it; after the last one, let go of the hook."""
        memory = self._memories.pop(pool, None)
        if memory is not None:
            self._quieten(memory)
        if not self._memories and self._hook is not None:
            self._hook.remove()
            self._hook = None
            self._heard.clear()

    def _quieten(self, memory: Memory) -> None:
        """Wait for copies whose snapshot is gone: the memory must be free."""
        for copies in [one for one in self._active if one.memory is memory]:
            with contextlib.suppress(OutlastError):
                copies.wait()

    def _listen(self) -> None:
        if self._hook is None:
            self._hook = register_optimizer_step_pre_hook(self._before_step)

    def _before_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:  # noqa: ARG002
        self._heard.add(optimizer)
        for copies in self._active:
            copies.settle()

    def _changed_in_steps_only(self) -> frozenset[int]:
        """Return the identities of the parameters and states of the optimizers that were heard."""
        found: set[int] = set()
        for optimizer in self._heard:
            found.update(id(parameter) for group in optimizer.param_groups for parameter in group["params"])
            states = (state.values() for state in optimizer.state.values() if isinstance(state, dict))
            found.update(id(value) for values in states for value in values if isinstance(value, torch.Tensor))
        return frozenset(found)

    def _device(self, place: torch.device) -> Device:
        if place not in self._devices:
            self._devices[place] = self._device_of(place)
        return self._devices[place]


def _source(path: str, tensor: torch.Tensor, view: memoryview, patient: frozenset[int]) -> Source:
    is_late = id(tensor) in patient and view.nbytes >= LARGE_BYTES and _is_summed(tensor)
    out = _shown(view, tensor.dtype).view(tensor.shape)
    version = tensor._version if is_late else None  # noqa: SLF001
    return Source(path=path, tensor=tensor.detach(), out=out, version=version)


def _shown(view: memoryview, dtype: torch.dtype) -> torch.Tensor:
    """Return memory as a tensor that does not keep the view from being released."""
    memory = (ctypes.c_char * view.nbytes).from_address(_address(view))
    return torch.frombuffer(memory, dtype=torch.uint8).view(dtype)


def _is_summed(tensor: torch.Tensor) -> bool:
    """Whether its words can be summed where it lies, and its version is counted."""
    is_plain = tensor.is_contiguous() and not tensor.is_conj() and not tensor.is_neg() and not tensor.is_inference()
    return is_plain and tensor.storage_offset() * tensor.element_size() % _WORD_BYTES == 0


OVERLAP = Overlap("cuda", Cuda, pinned)
