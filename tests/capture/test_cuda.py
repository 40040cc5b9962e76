"""Copies beside the program: when they are waited for, and that no change in between goes unnoticed.

On the CPU a thread stands for the device, and can be stopped in the middle; where there is a GPU, it is tried as well.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.optim import optimizer as optimizers

from outlast.capture.adapters import cuda
from outlast.capture.adapters.cuda import LARGE_BYTES, Cuda, Overlap
from outlast.capture.adapters.torch import ModuleAdapter, OptimizerAdapter, TensorAdapter
from outlast.capture.behind import Behind
from outlast.capture.kinds import Kinds
from outlast.capture.pending import Pending
from outlast.capture.pool import Pool
from outlast.capture.registry import Registry
from outlast.capture.walk import Walk
from outlast.errors import ChangedError, OutlastError

pytestmark = pytest.mark.torch

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
SIDE = 300  # a matrix of these sides is large
assert SIDE * SIDE * 4 > LARGE_BYTES


class Passed:
    """A point in the work of a thread."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.error: RuntimeError | None = None

    def come(self, error: RuntimeError | None) -> None:
        self.error = error
        self._event.set()

    def synchronize(self) -> None:
        assert self._event.wait(60)
        if self.error:
            raise self.error


class Beside:
    """A thread that copies, and stops before those tensors that are `blocked` until the gate is open.

    `log` tells what happened in which order. The gate is opened by the first who waits for such a tensor: so who does
    not wait goes on before it is copied.
    """

    def __init__(self) -> None:
        self.log: list[str] = []
        self.blocked: set[int] = set()
        self.broken: set[int] = set()
        self._gate = threading.Event()
        self._has_blocked = False
        self.until_held = False
        self._work: queue.SimpleQueue[Callable[[], None] | Passed] = queue.SimpleQueue()
        self._error: RuntimeError | None = None
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            job = self._work.get()
            if isinstance(job, Passed):
                job.come(self._error)
                continue
            try:
                job()
            except RuntimeError as error:
                self._error = error

    def block(self, *tensors: torch.Tensor, until_held: bool = False) -> None:
        self._gate.clear()
        self.until_held = until_held
        self._has_blocked = False
        self.blocked = {tensor.data_ptr() for tensor in tensors}

    def begin(self) -> None:
        self.log.append("begin")

    def copy(self, tensor: torch.Tensor, out: torch.Tensor) -> None:
        self._has_blocked = self._has_blocked or tensor.data_ptr() in self.blocked

        def do() -> None:
            if tensor.data_ptr() in self.broken:
                raise RuntimeError("an illegal memory access was encountered")
            if tensor.data_ptr() in self.blocked:
                assert self._gate.wait(60)
                self.log.append("copied")
            out.copy_(tensor)

        self._work.put(do)

    def event(self) -> Passed:
        event = Passed()
        self._work.put(event)
        return _Opening(event, self) if self._has_blocked else event

    def hold(self, event: Any) -> None:
        self.log.append("hold")
        self.open()
        event.synchronize()

    def open(self) -> None:
        self._gate.set()


class _Opening(Passed):
    def __init__(self, event: Passed, device: Beside) -> None:
        self._inner, self._device = event, device

    def synchronize(self) -> None:
        if not self._device.until_held:
            self._device.open()
        self._inner.synchronize()


class Slow(Cuda):
    """A GPU that takes its time for the tensors that are blocked."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self.blocked: set[int] = set()

    def block(self, *tensors: torch.Tensor, until_held: bool = False) -> None:  # long enough, here
        self.blocked = {tensor.data_ptr() for tensor in tensors}

    def copy(self, tensor: torch.Tensor, out: torch.Tensor) -> None:
        if tensor.data_ptr() in self.blocked:
            with torch.cuda.stream(self._stream):
                torch.cuda._sleep(200_000_000)
        super().copy(tensor, out)


class Tensors(TensorAdapter):
    """Those of the CPU as if they lay elsewhere."""

    def address(self, value: Any) -> None:
        return None


class Rig:
    """A model in training on a device, and what copies from it."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        torch.manual_seed(1)
        self.device: Any = Beside() if kind == "cpu" else Slow(torch.device("cuda", 0))
        self.overlap = Overlap(kind, lambda _: self.device, cuda.pinned if kind == "cuda" else lambda *_: lambda: None)
        self.model = torch.nn.Sequential(torch.nn.Linear(SIDE, SIDE), torch.nn.BatchNorm1d(SIDE)).to(kind)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.1)
        self.weight = self.model[0].weight
        registry = Registry()
        self.plug_ins = (Tensors(self.overlap), ModuleAdapter(), OptimizerAdapter())
        registry.plug(self.plug_ins)
        self.kinds = Kinds(registry)
        self.pool = Pool()

    def forward(self) -> torch.Tensor:
        return self.model(torch.eye(4, SIDE, device=self.kind)).pow(3).mean()

    def step(self) -> None:
        self.optimizer.zero_grad()
        self.forward().backward()
        self.optimizer.step()

    def heard(self) -> Rig:
        """Have one snapshot and a step, so that the optimizer is known; its state is there then."""
        self.taken().finish()
        self.step()
        return self

    def pending(self) -> list[Pending]:
        walk = Walk(self.kinds)
        walk.tree({"model": self.model, "optimizer": self.optimizer})
        return walk.pending

    def taken(self, *, overlaps: bool = True) -> Behind:
        behind = Behind(self.pending(), self.pool, overlaps=overlaps)
        behind.ready()
        return behind

    def bytes_of(self, tensor: torch.Tensor) -> bytes:
        return bytes(tensor.detach().cpu().reshape(-1).view(torch.uint8).tolist())

    @property
    def is_late(self) -> bool:
        """Whether a copy is under way that goes on behind its snapshot."""
        return any(copies._late for copies in self.overlap._active)

    @property
    def is_heard(self) -> bool:
        return self.optimizer in self.overlap._heard

    def bytes(self) -> dict[str, bytes]:
        """Return what a copy has to hold."""
        return {leaf.path: copied(leaf) for leaf in self.pending() if leaf.far}


def copied(leaf: Pending) -> bytes:
    out = bytearray(leaf.size_bytes)
    leaf.copy(memoryview(out))
    return bytes(out)


def held(behind: Behind) -> dict[str, bytes]:
    return {leaf.path: bytes(leaf.data) for leaf in behind.leaves}


@pytest.fixture(params=DEVICES)
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    made = Rig(request.param)
    yield made
    made.overlap.leave(made.pool)


def test_the_first_snapshot_is_complete_when_it_returns(rig: Rig) -> None:
    expected = rig.bytes()
    rig.device.block(rig.weight)
    taken = rig.taken()
    with torch.no_grad():
        rig.weight.add_(1)  # nobody has heard of an optimizer: nothing may be left for later
    taken.finish()
    assert held(taken) == expected
    assert "model/0.weight" in expected


def test_the_step_waits_for_the_copy_and_not_the_forward_pass(rig: Rig) -> None:
    rig.heard()
    expected = rig.bytes()
    rig.device.block(rig.weight)
    taken = rig.taken()
    loss = rig.forward()
    if rig.kind == "cpu":
        assert "copied" not in rig.device.log
    loss.backward()
    rig.optimizer.step()
    if rig.kind == "cpu":
        assert rig.device.log[-2:] == ["hold", "copied"]
    rig.step()
    taken.finish()
    assert held(taken) == expected
    assert rig.bytes()["model/0.weight"] != expected["model/0.weight"]
    assert rig.overlap.overlaps


def test_sums_are_taken_of_what_was_there_at_the_boundary(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    words, begin = cuda.words, rig.device.begin
    monkeypatch.setattr(cuda, "words", lambda tensor: (log.append("sum"), words(tensor))[1])
    rig.device.begin = lambda: (log.append("begin"), begin())[1]
    rig.heard()
    assert log == ["begin"]
    rig.taken().finish()
    assert log == ["begin", *["sum"] * 3, "begin", *["sum"] * 3]  # the weight and its two moments, there and here


def test_the_state_of_an_optimizer_is_copied_beside_too(rig: Rig) -> None:
    rig.heard()
    moment = rig.optimizer.state[rig.weight]["exp_avg"]
    expected = rig.bytes()
    rig.device.block(moment)
    taken = rig.taken()
    if rig.kind == "cpu":
        assert "copied" not in rig.device.log
    rig.step()
    taken.finish()
    assert held(taken) == expected


def test_what_a_forward_pass_changes_is_complete_when_the_snapshot_returns(rig: Rig) -> None:
    rig.model.register_buffer("memory", torch.ones(SIDE, SIDE, device=rig.kind))
    rig.heard()
    expected = rig.bytes()
    rig.device.block(rig.weight, rig.model.memory)
    taken = rig.taken()
    rig.forward()  # changes the running mean
    rig.model.memory.zero_()
    taken.finish()
    assert held(taken) == expected
    assert rig.bytes()["model/1.running_mean"] != expected["model/1.running_mean"]


def changed_in_place(weight: torch.Tensor) -> None:
    with torch.no_grad():
        weight[7, 7] += 1


def changed_past_the_version(weight: torch.Tensor) -> None:
    weight.data[7, 7] += 1


def exchanged(weight: torch.Tensor) -> None:
    """Change it so that the sum stays the same."""
    with torch.no_grad():
        weight[:2] = weight[:2].flip(0)


@pytest.mark.parametrize("change", [changed_in_place, changed_past_the_version, exchanged])
def test_a_change_while_it_is_copied_fails_that_save_and_the_next_one_waits(rig: Rig, change: Any) -> None:
    rig.heard()
    rig.device.block(rig.weight)
    taken = rig.taken()
    change(rig.weight)
    if rig.kind == "cuda":
        torch.cuda.synchronize()
    with pytest.raises(ChangedError, match=r"model/0\.weight changed between the step boundary") as caught:
        taken.finish()
    assert "from now on a save waits" in caught.value.hint
    expected = rig.bytes()
    rig.device.block(rig.weight)
    again = rig.taken()
    change(rig.weight)
    again.finish()
    assert held(again) == expected


def test_a_step_that_says_nothing_is_noticed(rig: Rig) -> None:
    rig.heard()
    rig.device.block(rig.weight)
    taken = rig.taken()
    undecorated = type(rig.optimizer).step.__wrapped__
    rig.forward().backward()
    undecorated(rig.optimizer)
    with pytest.raises(ChangedError, match="changed between"):
        taken.finish()


def test_other_data_in_the_place_of_those_that_are_copied_do_no_harm(rig: Rig) -> None:
    rig.heard()
    expected = rig.bytes()
    rig.device.block(rig.weight)
    taken = rig.taken()
    rig.weight.data = torch.zeros(SIDE, SIDE, device=rig.kind)
    others = [torch.full((SIDE, SIDE), float(number), device=rig.kind) for number in range(8)]
    assert len(others) == 8
    taken.finish()
    assert held(taken) == expected


def test_without_overlap_all_is_there_when_it_returns(rig: Rig) -> None:
    rig.heard()
    expected = rig.bytes()
    rig.device.block(rig.weight)
    taken = rig.taken(overlaps=False)
    changed_in_place(rig.weight)
    taken.finish()
    assert held(taken) == expected


def test_an_error_of_a_copy_surfaces() -> None:
    rig = Rig("cpu").heard()
    rig.device.broken = {rig.weight.data_ptr()}
    taken = rig.taken()
    with pytest.raises(OutlastError, match="the copies from the device failed: an illegal memory access"):
        taken.finish()
    due = Rig("cpu")
    due.device.broken = {due.weight.data_ptr()}
    with pytest.raises(OutlastError, match="illegal memory access"):
        due.taken()
    refusing = Rig("cpu")
    refusing.device.copy = lambda *_: torch.empty(2).reshape(3)
    with pytest.raises(OutlastError, match=r"model/0\.weight could not be copied from the device"):
        refusing.taken()
    for one in (rig, due, refusing):
        one.overlap.leave(one.pool)


def test_the_copies_of_all_devices_are_waited_for_though_one_fails() -> None:
    asked = []

    class Point:
        def synchronize(self) -> None:
            asked.append(self)
            raise RuntimeError("unspecified launch failure")

    ended: list[Any] = []
    copies = cuda.Overlapped(cuda.Memory(lambda *_: lambda: None), [], ended=ended.append, doubted=lambda: None)
    for device in (Beside(), Beside()):
        device.event = Point
        copies.give(device, [], [], torch.empty(0, dtype=torch.int64))
    with pytest.raises(OutlastError, match="unspecified launch failure"):
        copies.finish()
    assert len(asked) == 2
    assert ended == [copies]


def test_memory_is_used_again_only_when_nobody_writes_to_it() -> None:
    rig = Rig("cpu").heard()
    rig.device.block(rig.weight)
    rig.taken()  # and its end is never asked for
    rig.device.log.clear()
    rig.step()
    assert rig.device.log == ["hold", "copied"]
    rig.device.block(rig.weight)
    rig.taken()
    rig.device.log.clear()
    rig.device.blocked, expected = set(), rig.bytes()
    taken = rig.taken()
    assert rig.device.log == ["begin"]
    taken.finish()
    assert held(taken) == expected
    rig.overlap.leave(rig.pool)


@pytest.mark.parametrize("end", ["next", "close"])
def test_copies_without_an_end_are_waited_for(end: str) -> None:
    rig = Rig("cpu").heard()
    rig.device.block(rig.weight)
    rig.taken()
    rig.device.log.clear()
    if end == "next":
        rig.taken().finish()
        assert rig.device.log[:2] == ["copied", "begin"]
    rig.overlap.leave(rig.pool)
    assert rig.device.log[0] == "copied"


def test_views_of_an_earlier_snapshot_are_refused_not_read() -> None:
    rig = Rig("cpu")
    first = rig.taken()
    first.finish()
    rig.taken().finish()
    with pytest.raises(ValueError, match="released"):
        bytes(first.leaves[0].data)
    rig.overlap.leave(rig.pool)


def test_memory_is_pinned_once_and_let_go_before_it_goes() -> None:
    calls: list[tuple[str, int]] = []

    def pin(address: int, size_bytes: int) -> Callable[[], None]:
        assert address > 0
        calls.append(("pin", size_bytes))
        return lambda: calls.append(("unpin", size_bytes))

    memory = cuda.Memory(pin)
    for size in (1000, 500, 1000, 5000):
        views = memory.divide([size])
        views[0][:] = bytes(size)
    views[0].release()
    del memory
    assert calls == [("pin", 1000), ("unpin", 1000), ("pin", 5000), ("unpin", 5000)]


def hooks() -> int:
    return len(optimizers._global_optimizer_pre_hooks)


def test_the_hook_comes_with_the_first_copy_and_goes_with_the_last_pool() -> None:
    before = hooks()
    rig = Rig("cpu")
    assert hooks() == before
    rig.heard()
    rig.taken().finish()
    assert hooks() == before + 1
    other = Pool()
    Behind(rig.pending(), other, overlaps=False).finish()
    rig.overlap.leave(rig.pool)
    assert hooks() == before + 1
    rig.overlap.leave(other)
    rig.overlap.leave(other)
    assert hooks() == before


def test_pools_do_not_share_memory() -> None:
    rig = Rig("cpu").heard()
    expected = rig.bytes()
    taken = rig.taken()
    rig.step()
    other = Pool()
    Behind(rig.pending(), other, overlaps=False).finish()
    taken.finish()
    assert held(taken) == expected
    rig.overlap.leave(other)
    assert held(taken) == expected
    rig.overlap.leave(rig.pool)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["float32", "bfloat16", "complex64", "int8", "bool", "float8_e5m2"])
def test_every_form_of_tensor_arrives_as_it_is_stored(device: str, name: str) -> None:
    raw = torch.arange(64 * 8, dtype=torch.int64).to(torch.uint8)
    dtype = getattr(torch, name)
    plain = ((raw % 2).view(dtype) if name == "bool" else raw.view(dtype)).reshape(8, -1).to(device)
    tensors = [plain, plain.t(), plain[1:, 1::2], plain[0, 1], plain.reshape(-1)[3:]]
    if dtype.is_complex:
        tensors += [plain.conj(), plain.conj().imag]
    rig = Rig(device)
    walk = Walk(rig.kinds)
    walk.tree({"t": tensors})
    behind = Behind(walk.pending, rig.pool, overlaps=True)
    behind.ready()
    assert held(behind) == {leaf.path: copied(leaf) for leaf in walk.pending}
    rig.overlap.leave(rig.pool)


@pytest.mark.parametrize("size", [8, 13, 4096])
def test_the_sum_of_words_tells_any_changed_byte(size: int) -> None:
    data = torch.arange(size, dtype=torch.int64).to(torch.uint8)
    seen = {int(cuda.words(data))}
    for index in range(size):
        other = data.clone()
        other[index] += 1
        seen.add(int(cuda.words(other)))
    assert int(cuda.words(data)) == int(cuda.words(data.clone()))
    assert len(seen) > min(size, 8)


def test_tensors_of_the_cpu_are_not_far() -> None:
    assert not TensorAdapter().is_far(torch.zeros(3))
    assert Behind([], Pool(), overlaps=True).leaves == ()
