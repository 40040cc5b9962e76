"""`torch.distributed.checkpoint` on a store of ours: its saves become durable, verified, fenced and retained.

Each rank writes its part; the coordinator holds the run's lease and commits when all have. Nothing in the store is
pickled but the values that DCP itself turns into bytes, and these are only taken back by PyTorch's restricted reader.
"""

from __future__ import annotations

import dataclasses
import io as streams
import os
import pickle
import re
import threading
import warnings
import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn, Self

import torch
from torch import distributed
from torch.distributed.checkpoint import state_dict_loader, storage
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta
from torch.distributed.checkpoint.planner import (
    LoadItemType,
    LoadPlan,
    LoadPlanner,
    ReadItem,
    SavePlan,
    SavePlanner,
    WriteItem,
    WriteItemType,
)
from torch.distributed.checkpoint.storage import WriteResult
from torch.futures import Future

from outlast.backends import Posix
from outlast.backends.effort import DEFAULT, IO
from outlast.clock import SYSTEM
from outlast.errors import DamageError, NothingError, OutlastError, StorageError, UsageError
from outlast.format import manifest as manifests
from outlast.format.chunks import chunk_bytes_of
from outlast.format.model import Box, LeafBytes, Manifest
from outlast.format.names import CheckpointName
from outlast.format.ranks import owner
from outlast.integrations.dcp_table import decode, dtype_name, dtype_of, encode
from outlast.policy import retention
from outlast.policy.retention import Keep, parse_keep
from outlast.run.saver import as_held
from outlast.store import HEARTBEAT_S, Draft, PartWriter, Pruner, Share, Source, Store, Writer
from outlast.store.digests import Digests

__all__ = ["StorageReader", "StorageWriter", "load"]

_MAX_LEAN = 8
_STEP = re.compile(r"(?:.*[^0-9])?([0-9]{1,18})")


class _Order(NamedTuple):
    """What the coordinator tells each rank with its plan.

    Args:
        name: of the checkpoint, whose directory is there.
        rank: which part the rank writes.
        digest: how digests are taken.
        chunk_bytes: how long chunks are.
        committed: the checkpoint that was committed last, if this writer's coordinator committed one.
    """

    name: CheckpointName
    rank: int
    digest: str
    chunk_bytes: int
    committed: CheckpointName | None


class StorageWriter(storage.StorageWriter):
    """Saves of `dcp.save` and `dcp.async_save` as checkpoints of a store.

    Give the same writer to each save, and `close` it after the last (or use it in `with`): the coordinator holds the
    store's lease from the first save on. `checkpoint_id` is the step: a number, or a text that ends in one; without,
    each save is one step after the newest. Chunks that did not change since the save before are not written again.

    Args:
        store: directory on storage that all ranks share; made if missing.
        keep: which checkpoints to keep, as for `outlast.Run`.
        takeover: claim the store though its last attempt may live (it is fenced).
        io: threads, priority, rate, ways of writing.

    Raises (from `dcp.save`, in a CheckpointException on every rank):
        BusyError, FencedError: another writer has the store.
        StorageError, SpaceError: a part or the manifest could not be written. Nothing was committed.
        UsageError: a value of the state dict could not be taken back safely.
    """

    def __init__(
        self, store: str | os.PathLike[str], *, keep: int | Keep = 3, takeover: bool = False, io: IO = DEFAULT
    ) -> None:
        self._path, self._keep, self._takeover, self._io = os.fspath(store), parse_keep(keep), takeover, io
        self._step: int | None = None
        self._began_s = 0.0
        self._held: _Held | None = None
        self._parts: PartWriter | None = None
        self._last: tuple[CheckpointName, Share] | None = None

    # -- what DCP calls -----------------------------------------------------------------------------------

    def reset(self, checkpoint_id: str | os.PathLike[str] | None = None) -> None:
        self._step = None if checkpoint_id is None else _step_of(checkpoint_id)

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:  # noqa: FBT001
        del args
        if not kwargs.get("use_collectives", True):
            raise UsageError("use_collectives=False is not supported: a checkpoint is committed by one rank for all")
        if is_coordinator and self._held is None:
            self._held = _Held(self._path, takeover=self._takeover, keep=self._keep, io=self._io)
            weakref.finalize(self, self._held.end)

    def prepare_local_plan(self, plan: SavePlan) -> SavePlan:
        return plan

    def prepare_global_plan(self, plans: list[SavePlan]) -> list[SavePlan]:
        held = self._holding()
        self._began_s = held.store.clock.monotonic()
        orders = held.begin(self._step, plans)
        return [dataclasses.replace(plan, storage_data=order) for plan, order in zip(plans, orders, strict=True)]

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        order: _Order = plan.storage_data
        parts = self._part_writer(order)
        leaves = [_leaf(item, planner) for item in plan.items]
        draft = Draft(step=order.name.step, tree={}, leaves=leaves)
        share = parts.write(order.name, draft, Digests(leaves, order.digest, order.chunk_bytes))
        self._backend().sync(order.name.format())
        self._last = order.name, share
        sizes = [leaf.data.nbytes for leaf in leaves]
        results = [WriteResult(item.index, size, None) for item, size in zip(plan.items, sizes, strict=True)]
        if results:
            results[0] = dataclasses.replace(results[0], storage_data=share)
        future: Future[list[WriteResult]] = Future()
        future.set_result(results)
        return future

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """Commit: all ranks' parts are durable."""
        metadata.storage_data = {}
        metadata.storage_meta = self.storage_meta()
        self._holding().commit(metadata, [of[0].storage_data if of else None for of in results], self._began_s)

    def storage_meta(self) -> StorageMeta:
        return StorageMeta(checkpoint_id=self._path)

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:
        return _STEP.fullmatch(str(checkpoint_id)) is not None

    # -- the writer itself --------------------------------------------------------------------------------

    def close(self) -> None:
        """Give the lease back. The next save takes it again."""
        if self._held is not None:
            held, self._held = self._held, None
            held.end()
        self._parts = self._last = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        hint = "async_save(..., async_checkpointer_type=AsyncCheckpointerType.THREAD), which is the default"
        raise UsageError("a StorageWriter cannot go to another process: it holds the store's lease", hint=hint)

    def _holding(self) -> _Held:
        assert self._held is not None, "DCP has asked for a plan before it has set up the writer"
        return self._held

    def _backend(self) -> Posix:
        return self._held.store.backend if self._held else Posix(self._path)

    def _part_writer(self, order: _Order) -> PartWriter:
        if self._parts is None:
            lean = min(_MAX_LEAN, max(0, self._keep.newest - 2))
            self._parts = PartWriter(
                self._backend(), SYSTEM, digest=order.digest, rank=order.rank, lean=lean, io=self._io
            )
        if self._last and self._last[0] == order.committed:
            self._parts.keep(*self._last)
        self._last = None
        return self._parts


class _Held:
    """The store in the coordinator's hands: the lease, with a thread that shows that we live, and what removes."""

    def __init__(self, path: str, *, takeover: bool, keep: Keep, io: IO) -> None:
        self.store = Store(path, create=True)
        self.lease = self.store.claim(takeover=takeover)
        self._keep = keep
        self._writer = Writer(self.lease, self.store.clock, store=self.store.id, io=io)
        self._pruner = Pruner(self.lease, store=self.store.id)
        self._name: CheckpointName | None = None
        self._committed: CheckpointName | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="outlast-dcp", daemon=True)
        self._thread.start()

    def begin(self, step: int | None, plans: Sequence[SavePlan]) -> list[_Order]:
        """Begin a checkpoint; return each rank's order."""
        if step is None:
            step = max((name.step for name in self.store.checkpoints()[:1]), default=-1) + 1
        self._name = self._writer.begin(step)
        chunk_bytes = chunk_bytes_of(sum(_size_bytes(item) for plan in plans for item in plan.items))
        digest = manifests.digest_for(self.lease.trust.key)
        return [_Order(self._name, rank, digest, chunk_bytes, self._committed) for rank in range(len(plans))]

    def commit(self, metadata: Metadata, shares: Sequence[Share | None], began_s: float) -> None:
        """Publish the checkpoint that was begun, then remove what is not kept."""
        assert self._name is not None, "DCP has finished a save that was not begun"
        chunk_bytes = max(share.chunk_bytes for share in shares if share) if any(shares) else chunk_bytes_of(0)
        nothing = Share(parts=(), leaves=(), written_bytes=0, chunk_bytes=chunk_bytes)
        draft = Draft(step=self._name.step, tree=encode(metadata), leaves=())
        with self._writer.clearing(self._name):
            whole = [share or nothing for share in shares]
        committed = self._writer.publish(self._name, draft, whole, began_s)
        self._committed = committed.name
        self._pruner.learn(committed.manifest, committed.manifest_bytes, is_durable=True)
        try:
            counted, _ = self._pruner.look()
            decision = retention.decide(
                self._keep, [as_held(one, one.name == committed.name or None) for one in counted]
            )
            self._pruner.remove([one.name for one in counted if one.name.format() in decision.remove])
        except (DamageError, StorageError) as e:
            warnings.warn(f"nothing was pruned in {self.store.path}: {e}", RuntimeWarning, stacklevel=2)

    def end(self) -> None:
        """Give the lease back, once."""
        if not self._over.is_set():
            self._over.set()
            self._thread.join()
            self.lease.end("done")

    def _beat(self) -> None:
        while not self._over.wait(HEARTBEAT_S):
            try:
                self.lease.beat()
            except OutlastError as e:
                warnings.warn(f"heartbeat: {e}", RuntimeWarning, stacklevel=1)


class StorageReader(storage.StorageReader):
    """Loads with `dcp.load` what `StorageWriter` saved, on any number of ranks; each byte is checked.

    Args:
        store: its directory.
        step: which checkpoint, a number or a name; None: the newest. A damaged one is an error: see `load`.
        io: how many threads read, and how.

    Raises (from `dcp.load`, in a CheckpointException on every rank):
        DamageError: bytes are not what was saved.
        UsageError: a value was saved as bytes that PyTorch's restricted reader refuses.
    """

    def __init__(self, store: str | os.PathLike[str], step: int | str | None = None, *, io: IO = DEFAULT) -> None:
        self._path, self._wanted, self._io = os.fspath(store), None if step is None else str(step), io
        self._store: Store | None = None
        self._manifest: Manifest | None = None

    def reset(self, checkpoint_id: str | os.PathLike[str] | None = None) -> None:
        if checkpoint_id is not None:
            self._wanted = str(checkpoint_id)

    def read_metadata(self) -> Metadata:  # with kwargs, DCP would ask for that of one rank
        store = self._store = Store(self._path)
        self._manifest = store.newest() if self._wanted is None else store.manifest(store.find(self._wanted))
        metadata = decode(self._manifest)
        metadata.storage_meta = StorageMeta(checkpoint_id=self._path)
        return metadata

    def set_up_storage_reader(self, metadata: Metadata, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:  # noqa: FBT001
        del metadata, is_coordinator, args, kwargs

    def prepare_local_plan(self, plan: LoadPlan) -> LoadPlan:
        return dataclasses.replace(plan, storage_data=_name_of(self._read_manifest()))

    def prepare_global_plan(self, plans: list[LoadPlan]) -> list[LoadPlan]:
        names = sorted({plan.storage_data.format() for plan in plans})
        if len(names) > 1:
            hint = "a save was committed meanwhile, or a listing is old: name the step"
            raise UsageError(
                f"the ranks see different newest checkpoints in {self._path}: {', '.join(names)}", hint=hint
            )
        return plans

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> Future[None]:
        assert self._store is not None, "DCP reads before it has asked for the metadata"
        with self._store.source(self._read_manifest(), self._io) as source:
            _fill(source, [item for item in plan.items if item.type is not LoadItemType.BYTE_IO], planner)
            for item in plan.items:
                if item.type is LoadItemType.BYTE_IO:
                    planner.load_bytes(item, _safe(item.storage_index.fqn, bytes(source.read(item.storage_index.fqn))))
        future: Future[None] = Future()
        future.set_result(None)
        return future

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:
        del checkpoint_id
        return True

    def _read_manifest(self) -> Manifest:
        assert self._manifest is not None, "DCP plans before it has asked for the metadata"
        return self._manifest


def load(
    state_dict: dict[str, Any],
    store: str | os.PathLike[str],
    *,
    process_group: distributed.ProcessGroup | None = None,
    planner: LoadPlanner | None = None,
    io: IO = DEFAULT,
) -> int:
    """Load the newest checkpoint that verifies, on all ranks the same one; return its step.

    As `dcp.load` with a `StorageReader`, but damage on any rank has all go on to the next older one, with a warning.

    Args:
        state_dict: as for `dcp.load`.
        store: the directory.
        process_group: the ranks; None: all.
        planner: as for `dcp.load`.
        io: how many threads read, and how.

    Raises:
        NothingError: there is no checkpoint.
        DamageError: none is good.
        CheckpointException: what else goes wrong on any rank, as `dcp.load` raises it.
    """
    path = os.fspath(store)
    said: list[str] = []
    for name in _candidates(path, process_group):
        try:
            state_dict_loader.load(
                state_dict,
                storage_reader=StorageReader(path, name, io=io),
                process_group=process_group,
                planner=planner,
                no_dist=not _is_distributed(),
            )
        except CheckpointException as e:
            if not all(_is_damage(failure[0]) for failure in e.failures.values()):
                raise
            said.append(f"{name}: {next(iter(e.failures.values()))[0]}")
            warnings.warn(f"{said[-1]}; trying the one before", RuntimeWarning, stacklevel=2)
            continue
        step = CheckpointName.parse(name)
        assert step is not None, f"{name} was listed as a checkpoint"
        return step.step
    if said:
        raise DamageError(f"no checkpoint in {path} is good: {'; '.join(said[:3])}", path=path)
    raise NothingError(f"there is no checkpoint in {path}")


def _candidates(path: str, group: distributed.ProcessGroup | None) -> list[str]:
    """Return the checkpoints, newest first, as the first rank sees them."""
    found: list[Any] = [None]
    is_first = not _is_distributed() or distributed.get_rank(group) == 0
    if is_first:
        try:
            found = [[name.format() for name in Store(path).checkpoints()]]
        except OutlastError as e:
            found = [e]
    if _is_distributed():
        distributed.broadcast_object_list(found, group=group, group_src=0)
    if isinstance(found[0], OutlastError):
        raise found[0]
    names: list[str] = found[0]
    return names


def _is_distributed() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _is_damage(error: BaseException) -> bool:
    # Of metadata that cannot be read DCP keeps the text alone.
    return isinstance(error, (DamageError, StorageError)) or (
        isinstance(error, AssertionError) and "metadata" in str(error)
    )


def _step_of(checkpoint_id: str | os.PathLike[str]) -> int:
    match = _STEP.fullmatch(os.fspath(checkpoint_id) if not isinstance(checkpoint_id, int) else str(checkpoint_id))
    if match is None:
        raise UsageError(f"checkpoint_id={checkpoint_id!r}: expected a step, or a text that ends in one")
    return int(match[1])


def _name_of(manifest: Manifest) -> CheckpointName:
    return CheckpointName(step=manifest.step, attempt=manifest.attempt, revision=manifest.revision)


def _size_bytes(item: WriteItem) -> int:
    if item.tensor_data is None:
        return max(0, item.bytes_io_data.nbytes) if item.bytes_io_data else 0
    return int(item.tensor_data.chunk.sizes.numel()) * item.tensor_data.properties.dtype.itemsize


def _leaf(item: WriteItem, planner: SavePlanner) -> LeafBytes:
    name = item.index.fqn
    if not name or owner(name):
        raise UsageError(f"{name!r} cannot be the name of a leaf")
    value: Any = planner.resolve_data(item)
    if item.type is WriteItemType.BYTE_IO:
        data = value.getbuffer() if isinstance(value, streams.BytesIO) else memoryview(bytes(value))
        _safe(name, bytes(data))
        return LeafBytes(path=name, dtype="bytes", shape=(data.nbytes,), data=data)
    assert item.tensor_data is not None, "DCP describes each tensor that it has us write"
    whole, chunk = tuple(item.tensor_data.size), item.tensor_data.chunk
    tensor = value.detach().resolve_conj().resolve_neg().cpu().contiguous()
    is_box = tuple(chunk.sizes) != whole
    return LeafBytes(
        path=name,
        dtype=dtype_name(tensor.dtype),
        shape=tuple(tensor.shape),
        data=_memory(tensor),
        global_shape=whole if is_box else None,
        offset=tuple(chunk.offsets) if is_box else None,
    )


def _memory(tensor: torch.Tensor) -> memoryview:
    """Return the bytes of a contiguous tensor of the CPU: a view."""
    if not tensor.numel():
        return memoryview(bytearray())
    array: Any = tensor.reshape(-1).view(torch.uint8).numpy()
    return memoryview(array).cast("B")


def _fill(source: Source, items: Sequence[ReadItem], planner: LoadPlanner) -> None:
    """Read all tensors at once: into their places, where these are as the bytes are, else beside them."""
    placed = []
    for item in items:
        leaf = source.leaf(item.storage_index.fqn)
        target = planner.resolve_tensor(item).detach()
        first = item.storage_index.offset or (0,) * len(leaf.shape)
        offset = tuple(at + more for at, more in zip(first, item.storage_offsets, strict=True))
        box = Box(leaf.path, offset, tuple(item.lengths))
        if tuple(target.shape) != box.shape:
            raise UsageError(f"{leaf.path}: DCP wants {list(box.shape)}, the program has {list(target.shape)} there")
        dtype = dtype_of(leaf.dtype)
        is_plain = target.device.type == "cpu" and target.is_contiguous() and target.dtype == dtype
        held = target if is_plain and not (target.is_conj() or target.is_neg()) else torch.empty(box.shape, dtype=dtype)
        placed.append((item, target, held, box))
    source.fill([(box, _memory(held)) for _, _, held, box in placed])
    for item, target, held, _ in placed:
        if held is not target:
            target.copy_(held)
        planner.commit_tensor(item, target)


def _safe(name: str, data: bytes) -> streams.BytesIO:
    """Return bytes that PyTorch itself makes of the value that they hold, read by its restricted reader.

    The planners read them without restriction; what they get is made here, of plain values and tensors.

    Raises:
        UsageError: they hold something else.
    """
    try:
        value = torch.load(streams.BytesIO(data), weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, RuntimeError, EOFError) as e:
        first = str(e).split("\n", 1)[0]
        hint = (
            "keep plain values and tensors in the state dict, or name the class by torch.serialization.add_safe_globals"
        )
        raise UsageError(f"{name} holds what PyTorch's restricted reader refuses: {first}", hint=hint) from e
    stream = streams.BytesIO()
    torch.save(value, stream)
    stream.seek(0)
    return stream
