"""torch.distributed.checkpoint on our store, by processes with gloo: durable, verified, resharded, fenced."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import outlast
from nursery import Nursery

Ranks = Callable[..., list[dict]]
PROGRAM = Path(__file__).with_name("dcp_program.py")

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


@pytest.fixture
def ranks(nursery: Nursery) -> Ranks:
    """Runs one of the programs on so many ranks, and returns what each said."""
    return lambda what, store, world, *more: nursery.run(PROGRAM, what, store, *more, world=world)


def flip(store: Path, part: str, checkpoint: int = 0) -> None:
    """Turn a bit of the last byte of a part of a checkpoint, the newest first."""
    name = outlast.Store(store).checkpoints()[checkpoint].format()
    path = store / name / part
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_save_on_four_load_on_two_and_one(ranks: Ranks, tmp_path: Path) -> None:
    saved = ranks("save", tmp_path / "store", 4, 3)
    assert len(saved) == 4
    assert (tmp_path / "store" / "step-000000003.a0001" / "part-00003.safetensors").exists()
    for world in (2, 1):
        for one in ranks("load", tmp_path / "store", world):
            assert one["step"] == 3
            assert one["state"] == saved[0]["state"]
            assert one["plain"] == {"step": 7, "names": ["a", "b"], "lr": 0.5}
    store = outlast.Store(tmp_path / "store")
    manifest = store.newest()
    assert manifest.ranks == 4
    assert b"pickle" not in (tmp_path / "store" / "step-000000003.a0001" / "manifest.json").read_bytes()
    with store.source(manifest) as source:
        assert list(source.damages()) == []
    assert store.load("model.0.weight").tolist() == saved[0]["state"]["/model/0.weight"]


def test_damage_falls_back_or_raises(ranks: Ranks, tmp_path: Path) -> None:
    store = tmp_path / "store"
    ranks("save", store, 2, 1, 2)
    older = ranks("save", tmp_path / "older", 2, 1)[0]["state"]
    flip(store, "part-00001.safetensors")
    (found,) = {json.dumps(one) for one in ranks("strict", store, 2) if one.pop("rank") is not None}
    assert json.loads(found)["kinds"] == ["DamageError"]
    assert "differs from what was saved" in found
    for one in ranks("load", store, 2):
        assert one["step"] == 1
        assert one["state"] == older
        assert any("trying the one before" in text for text in one["heard"])


def test_a_rank_that_is_killed_in_a_save(nursery: Nursery, ranks: Ranks, tmp_path: Path) -> None:
    store = tmp_path / "store"
    running = nursery.start(PROGRAM, "killed", store, world=2)
    assert running.wait() == [0, -signal.SIGKILL], running.errors()
    assert running.said(0) == [{"rank": 0, "raised": "RuntimeError"}]
    assert [name.step for name in outlast.Store(store).checkpoints()] == [1]
    assert {one["step"] for one in ranks("load", store, 2)} == {1}


def test_async_save_is_of_that_moment(ranks: Ranks, tmp_path: Path) -> None:
    saved = ranks("async", tmp_path / "store", 2)
    assert ranks("load", tmp_path / "store", 2)[0]["state"] == saved[0]["state"]


def test_fenced(ranks: Ranks, tmp_path: Path) -> None:
    assert ranks("fenced", tmp_path / "store", 1) == [{"rank": 0, "kinds": ["FencedError"]}]
    assert outlast.Store(tmp_path / "store").newest().step == 2


def test_what_no_safe_reader_takes_is_refused_at_the_save(ranks: Ranks, tmp_path: Path) -> None:
    (one,) = ranks("unsafe", tmp_path / "store", 1)
    assert "restricted reader refuses" in one["text"]
    assert outlast.Store(tmp_path / "store").checkpoints() == ()
