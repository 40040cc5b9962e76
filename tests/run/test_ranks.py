"""Real trainings on two ranks, DDP and FSDP2: killed, told to leave, damaged, and bit-identical in the end."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import outlast
from nursery import WAIT_S, Nursery, Ranks
from run.holding import Hold

PROGRAM = Path(__file__).with_name("ranks_program.py")
EPOCHS, BATCHES = 3, 8

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


def start(nursery: Nursery, store: Path, kind: str, *, world: int = 2, epochs: int = EPOCHS, **env: str) -> Ranks:
    return nursery.start(PROGRAM, store, kind, epochs, world=world, env=env)


def batches(ranks: Ranks, rank: int) -> list[tuple[int, int, float]]:
    return [(one["epoch"], one["first"], one["loss"]) for one in ranks.said(rank) if "first" in one]


def until_saved(path: Path, ranks: Ranks) -> None:
    """Wait until a checkpoint counts."""
    until_s = time.monotonic() + WAIT_S
    while not (path / "outlast.json").exists() or not outlast.Store(path).checkpoints():
        assert time.monotonic() < until_s, ranks.errors()
        time.sleep(0.01)


def final(path: Path) -> dict[str, Any]:
    """What the last checkpoint holds, of all ranks."""
    store = outlast.Store(path)
    manifest = store.newest()
    assert manifest.done
    with store.source(manifest) as source:
        assert list(source.damages()) == []
    leaves = {(leaf.path, leaf.offset): leaf.chunks for leaf in manifest.leaves}
    return {"leaves": leaves, "tree": manifest.tree, "position": manifest.position, "metrics": manifest.metrics}


@pytest.fixture(scope="module", params=["ddp", "fsdp"])
def undisturbed(request, nursery: Nursery, tmp_path_factory) -> tuple[str, dict[str, Any], list[list[Any]]]:
    """The kind, the end, and the batches of both ranks."""
    store = tmp_path_factory.mktemp("undisturbed") / "store"
    ranks = start(nursery, store, request.param)
    assert ranks.wait() == [0, 0], ranks.errors()
    seen = [batches(ranks, 0), batches(ranks, 1)]
    assert [len(one) for one in seen] == [EPOCHS * BATCHES] * 2
    assert seen[0] != seen[1]
    return request.param, final(store), seen


def test_a_notice_to_one_rank(undisturbed, nursery: Nursery, tmp_path: Path) -> None:
    kind, end, seen = undisturbed
    hold = Hold(tmp_path / "hold")
    hold.at(3)
    first = start(nursery, tmp_path / "store", kind, EVERY="10min", HOLD=str(hold.path))
    for rank in (0, 1):
        first.until(rank, 1 + 3)
    first.kill(1, signal.SIGTERM)
    assert first.wait() == [85, 85], first.errors()
    counts = [len(batches(first, rank)) for rank in (0, 1)]
    assert counts[0] == counts[1] < EPOCHS * BATCHES
    assert "rank 1: signal SIGTERM: saving and leaving" in first.errors()
    second = start(nursery, tmp_path / "store", kind)
    assert second.wait() == [0, 0], second.errors()
    for rank in (0, 1):  # nothing twice, nothing skipped
        assert batches(first, rank) + batches(second, rank) == seen[rank]
    assert final(tmp_path / "store") == end


def test_one_rank_killed_then_all(undisturbed, nursery: Nursery, tmp_path: Path) -> None:
    kind, end, seen = undisturbed
    hold = Hold(tmp_path / "hold")
    hold.at(11)
    first = start(nursery, tmp_path / "store", kind, HOLD=str(hold.path))
    first.until(1, 1 + 11)
    until_saved(tmp_path / "store", first)
    first.kill(1)
    hold.release()
    statuses = first.wait()
    assert statuses[1] == -signal.SIGKILL
    assert statuses[0] == 1, first.errors()
    hold.at(7)
    second = start(nursery, tmp_path / "store", kind, HOLD=str(hold.path))
    second.until(0, 1 + 7)
    for rank in (0, 1):
        second.kill(rank)
    assert second.wait() == [-signal.SIGKILL] * 2
    third = start(nursery, tmp_path / "store", kind)
    assert third.wait() == [0, 0], third.errors()
    assert "restored step" in third.errors()
    for rank in (0, 1):
        rest = batches(third, rank)
        assert 0 < len(rest) < EPOCHS * BATCHES
        assert rest == seen[rank][-len(rest) :]
    assert final(tmp_path / "store") == end
    again = start(nursery, tmp_path / "store", kind)  # it is done: all know
    assert again.wait() == [0, 0], again.errors()
    assert [again.said(rank) for rank in (0, 1)] == [[], []]


@pytest.mark.parametrize("env", [{}, {"LEAVE": "1"}], ids=["raises", "exits"])
def test_a_rank_that_fails_has_all_fail(nursery: Nursery, tmp_path: Path, env: dict[str, str]) -> None:
    ranks = start(nursery, tmp_path / "store", "ddp", FAIL_AT="7", **env)
    assert ranks.wait() == [1, 7 if env else 1], ranks.errors()
    assert env or "ValueError: as asked" in ranks.errors()
    assert outlast.Store(tmp_path / "store").checkpoints()[0].step >= 5
    (end,) = [log.last("ended") for log in outlast.Store(tmp_path / "store").attempts()]
    assert end is not None
    assert end["outcome"] == "failed"


def test_a_flipped_bit_in_one_rank_s_part_has_all_fall_back(nursery: Nursery, tmp_path: Path) -> None:
    store = tmp_path / "store"
    first = start(nursery, store, "fsdp", epochs=2)
    assert first.wait() == [0, 0], first.errors()
    newest, older = outlast.Store(store).checkpoints()[:2]
    part = store / newest.format() / "part-00001.safetensors"
    data = bytearray(part.read_bytes())
    data[-1] ^= 1
    part.write_bytes(data)
    second = start(nursery, store, "fsdp", epochs=2, OUTLAST_REOPEN="1")
    assert second.wait() == [0, 0], second.errors()
    assert f"{newest.format()} is damaged" in second.errors()
    assert f"going on from step {older.step}" in second.errors()
    assert [one.partition("-")[0] for one in outlast.Store(store).quarantined()] == [newest.format().partition("-")[0]]
    assert len(batches(second, 1)) == 2 * BATCHES - older.step


def test_another_number_of_ranks(nursery: Nursery, tmp_path: Path) -> None:
    """What all ranks hold alike, or in boxes, fits any number; what each has of its own is refused."""
    store = tmp_path / "store"
    first = start(nursery, store, "fsdp", epochs=1, PLAIN="1")
    assert first.wait() == [0, 0], first.errors()
    saved = outlast.Store(store)
    weight, step = saved.load("model/0.weight"), saved.newest().step
    assert weight.shape == (50, 64)
    second = start(nursery, store, "fsdp", world=3, epochs=2, PLAIN="1", OUTLAST_REOPEN="1", EVERY="10min")
    assert second.wait() == [0, 0, 0], second.errors()
    assert f"restored step {step}" in second.errors()
    assert saved.newest().ranks == 3
    assert (saved.load("model/0.weight", str(step)) == weight).all()
    alone = start(nursery, store, "plain", world=1, epochs=3, PLAIN="1", OUTLAST_REOPEN="1")
    assert alone.wait() == [0], alone.errors()
    own = tmp_path / "own"
    assert start(nursery, own, "fsdp", epochs=1).wait() == [0, 0]
    refused = start(nursery, own, "fsdp", world=3, epochs=2, OUTLAST_REOPEN="1")
    assert refused.wait() == [2, 2, 2], refused.errors()
    assert "was saved by 2 ranks, there are 3 now, and each rank had its own model, rank, rng" in refused.errors()


def _port() -> int:
    """Return a free port that the kernel gives to nobody: rank 0 takes it only when it has imported PyTorch."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for port in range(first - 1 - os.getpid() % 1000, 1024, -1):  # two test runs begin to look at different places
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


def test_the_example(nursery: Nursery, tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "examples" / "pytorch-ddp" / "train.py"
    port = _port()
    ranks = nursery.start(example, world=2, env={"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}, cwd=tmp_path)
    assert ranks.wait() == [0, 0], ranks.errors()
    assert ranks.outs[0].read_text().startswith("loss ")
    assert outlast.Store(tmp_path / "ckpts" / "digits").newest().ranks == 2
