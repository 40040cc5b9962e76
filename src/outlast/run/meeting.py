"""How the ranks of a run find each other: rank 0 leaves its address and a secret in the store's `control/`.

Through the store, since that is what all ranks have in common, with PyTorch or without, however they were started.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from outlast.errors import DamageError, OutlastError, RanksError, StorageError, UsageError
from outlast.run import wire
from outlast.run.team import Team
from outlast.run.wire import Wire
from outlast.store import Store
from outlast.store.layout import CONTROL, read_whole

_PREFIX = "ranks-"
_LIMIT_BYTES = 4096
_POLL_S = 0.05
_SLOW_POLL_S = 1.0
_PATIENCE_S = 600.0  # a first import of PyTorch on a thousand nodes; a listing that is a minute old
_TOLD_S = 20.0
_OF_A_LAUNCH = (
    *("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT"),
    *("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT", "MASTER_PORT"),
)
_BY_LAUNCHER = (  # rank and world as a launcher tells them; MASTER_ADDR and the like are not needed
    ("RANK", "WORLD_SIZE"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMIX_RANK", "PMIX_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
)


@dataclass(frozen=True, slots=True)
class Seat:
    """Which of how many ranks this process is."""

    rank: int
    world: int


def seat(ranks: bool | None, environ: Mapping[str, str] = os.environ) -> Seat:  # noqa: FBT001  (the user's own)
    """Return which rank this process is.

    Args:
        ranks: None: as PyTorch says, where the program has initialised it, else RANK and WORLD_SIZE. True: also as srun
            or mpirun say; they start sweeps of independent programs too, so these do not count unasked. False: alone.
        environ: the environment.

    Raises:
        UsageError: `ranks` is True, and nothing tells which one this is.
    """
    if ranks is False:
        return Seat(0, 1)
    torch = sys.modules.get("torch.distributed")
    if torch is not None and torch.is_available() and torch.is_initialized():
        return Seat(torch.get_rank(), torch.get_world_size())
    for names in _BY_LAUNCHER if ranks else _BY_LAUNCHER[:1]:
        rank, world = (environ.get(name, "") for name in names)
        if rank.isdecimal() and world.isdecimal() and int(rank) < int(world):
            return Seat(int(rank), int(world))
    if ranks:
        raise UsageError("ranks=True, but neither PyTorch nor the environment says which rank this is")
    return Seat(0, 1)


def meet(store: Store, seat: Seat, tell: Callable[[str], object]) -> Team:
    """Bring the ranks together; return when all are there.

    Args:
        store: that of the run. On rank 0 it is there; the others may have to wait until they can open it, see `opened`.
        seat: ours.
        tell: hears, once, that others are waited for.

    Raises:
        RanksError: others did not come.
    """
    return _host(store, seat, tell) if seat.rank == 0 else _join(store, seat, tell)


def opened(open_store: Callable[[], Store]) -> Store:
    """Open the store that rank 0 makes, as soon as it is there."""
    until_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return open_store()
        except OutlastError:
            if time.monotonic() > until_s:
                raise
        time.sleep(_POLL_S)


def _host(store: Store, seat: Seat, tell: Callable[[str], object]) -> Team:
    is_local = os.environ.get("LOCAL_WORLD_SIZE") == str(seat.world)
    secret = secrets.token_hex(32)
    with socket.create_server(("127.0.0.1" if is_local else "", 0), backlog=min(seat.world, 4096)) as server:
        path = _publish(store, server.getsockname()[1], secret, is_local=is_local)
        try:
            return Team(0, seat.world, _seated(server, secret, seat.world, tell))
        finally:
            with suppress(OutlastError, FileNotFoundError):
                store.backend.remove(path)


def _seated(server: socket.socket, secret: str, world: int, tell: Callable[[str], object]) -> dict[int, Wire]:
    wires: dict[int, Wire] = {}
    began_s = told_s = time.monotonic()
    server.settimeout(_SLOW_POLL_S)
    try:
        while len(wires) < world - 1:
            with suppress(TimeoutError):
                end, _ = server.accept()
                met = wire.answer(end, secret)
                if met is None:
                    end.close()
                else:
                    _sit(wires, *met, world)
            now_s = time.monotonic()
            missing = [rank for rank in range(1, world) if rank not in wires]
            if missing and now_s - began_s > _PATIENCE_S:
                hint = "ranks=False makes each process a run of its own; each then needs its own store"
                raise RanksError(f"{len(missing)} of {world} ranks did not come, rank {missing[0]} first", hint=hint)
            if missing and now_s - told_s > _TOLD_S:
                told_s = now_s
                tell(f"waiting for {len(missing)} of {world} ranks")
    except BaseException:
        for one in wires.values():
            one.close()
        raise
    return wires


def _sit(wires: dict[int, Wire], came: Wire, said: dict[str, Any], world: int) -> None:
    rank = said.get("rank")
    if said.get("world") != world or type(rank) is not int or not 0 < rank < world or rank in wires:
        came.close()
        raise RanksError(f"a process came as rank {rank} of {said.get('world')}; expected each of {world} once")
    wires[rank] = came


def _publish(store: Store, port: int, secret: str, *, is_local: bool) -> str:
    name = socket.gethostname()
    table = {"host": name, "is_local": is_local, "port": port, "secret": secret, "launch": _launch()}
    with suppress(FileExistsError):
        store.backend.make_dir(CONTROL)
    path = f"{CONTROL}/{_PREFIX}{secrets.token_hex(6)}.json"
    store.backend.create(path, [json.dumps(table).encode() + b"\n"])
    store.backend.sync(CONTROL)
    return path


def _join(store: Store, seat: Seat, tell: Callable[[str], object]) -> Team:
    began_s = told_s = time.monotonic()
    while True:
        for table in _tables(store):
            came = _connected(table, seat)
            if came is not None:
                return Team(seat.rank, seat.world, {0: came})
        now_s = time.monotonic()
        if now_s - began_s > _PATIENCE_S:
            hint = "ranks=False makes each process a run of its own; each then needs its own store"
            raise RanksError(f"rank {seat.rank} does not find rank 0 through {store.path}/{CONTROL}", hint=hint)
        if now_s - told_s > _TOLD_S:
            told_s = now_s
            tell(f"rank {seat.rank} waits for rank 0")
        time.sleep(_POLL_S if now_s - began_s < _TOLD_S else _SLOW_POLL_S)


def _connected(table: dict[str, Any], seat: Seat) -> Wire | None:
    host, port, secret = table.get("host"), table.get("port"), table.get("secret")
    if not isinstance(host, str) or type(port) is not int or not isinstance(secret, str):
        return None
    if table.get("launch") != _launch():
        return None  # another job on the same store: the two must not mix
    address = "127.0.0.1" if host == socket.gethostname() or table.get("is_local") is True else host
    return wire.connect((address, port), secret, {"rank": seat.rank, "world": seat.world})


def _launch() -> str:
    """Return what all ranks of one launch have in common, and no other launch has; as a digest."""
    text = "\0".join(os.environ.get(name, "") for name in _OF_A_LAUNCH)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _tables(store: Store) -> list[dict[str, Any]]:
    """Return what rank 0 has left, or an earlier one that was killed: then nobody answers there."""
    found = []
    with suppress(FileNotFoundError, StorageError):
        for entry in store.backend.list(CONTROL):
            if not entry.name.startswith(_PREFIX) or entry.kind != "file":
                continue
            with suppress(FileNotFoundError, DamageError, ValueError):
                table = json.loads(read_whole(store.backend, f"{CONTROL}/{entry.name}", _LIMIT_BYTES))
                if isinstance(table, dict):
                    found.append(table)
    return found
