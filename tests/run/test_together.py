"""One checkpoint of several ranks, played by threads on a real store: who writes what, and all or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from outlast.backends.effort import DEFAULT
from outlast.errors import FencedError, RanksError, SpaceError
from outlast.format import ranks
from outlast.format.model import LeafBytes
from outlast.run.team import Team
from outlast.run.together import Together
from outlast.store import Draft, PartWriter, Store, Writer
from run.test_team import on_all, teams

BIG = 1 << 17


class Ranks:
    """The writers of some ranks on one store."""

    def __init__(self, path: Path, world: int) -> None:
        self.store = Store(path, create=True)
        self.lease = self.store.claim()
        self.teams = teams(world)
        self.parts: list[PartWriter] = []
        self.writers = [self._writer(team) for team in self.teams]

    def _writer(self, team: Team) -> Together:
        clock, backend = self.store.clock, self.store.backend
        writer = Writer(self.lease, clock, store=self.store.id, lean=2) if team.rank == 0 else None
        parts = writer.parts if writer else PartWriter(backend, clock, digest="xxh3-128", rank=team.rank, lean=2)
        self.parts.append(parts)
        return Together(
            team, parts, writer, backend=backend, clock=clock, digest="xxh3-128", store=self.store.id, io=DEFAULT
        )

    def commit(self, *drafts: Draft) -> list[Any]:
        """Commit one draft on each rank; return what each got, or raised."""
        return on_all(self.teams, lambda team: self.writers[team.rank].commit(drafts[team.rank]))

    def close(self) -> None:
        for team in self.teams:
            team.close()
        self.lease.end("done")


@pytest.fixture
def two(tmp_path: Path):
    made = Ranks(tmp_path / "s", 2)
    yield made
    made.close()


def leaf(path: str, data: bytes, **more: Any) -> LeafBytes:
    return LeafBytes(path=path, dtype="uint8", shape=(len(data),), data=memoryview(data), **more)


def draft(step: int, rank: int, *, w: bytes = b"same", alike: bytes = b"u" * BIG) -> Draft:
    """`u` is alike on all ranks, `own` is not, `sharded` is in boxes; so with the values in the tree."""
    box = leaf("sharded", bytes([rank, step]) * BIG, global_shape=(4 * BIG,), offset=(rank * 2 * BIG,))
    names = ("u", "own", "sharded")
    tree = {name: {"$": "array", "leaf": name} for name in names} | {"rank": rank, "alike": 7}
    return Draft(
        step=step, tree=tree, leaves=[leaf("u", alike), leaf("own", w + bytes([rank])), box], position={"at": rank}
    )


def parts_of(store: Store) -> dict[int, int]:
    return {part.rank: part.size_bytes for part in store.newest().parts}


def test_what_is_alike_is_written_once(two: Ranks) -> None:
    gave = two.commit(draft(1, 0), draft(1, 1))
    assert [one.name.step for one in gave] == [1, 1]
    manifest = two.store.newest()
    assert (manifest.ranks, manifest.requires) == (2, ("ranks",))
    assert [(one.path, one.rank) for one in manifest.leaves] == [
        ("u", 0),
        ("own", 0),
        ("sharded", 0),
        ("%rank1/own", 1),
        ("sharded", 1),
    ]
    assert manifest.tree["alike"] == 7
    assert [ranks.tree_of(manifest.tree, rank)["rank"] for rank in (0, 1)] == [0, 1]
    assert [ranks.of_rank(manifest.position, rank) for rank in (0, 1)] == [{"at": 0}, {"at": 1}]
    with two.store.source(manifest) as source:
        assert list(source.damages()) == []
        assert source.read("sharded") == bytes([0, 1]) * BIG + bytes([1, 1]) * BIG
        assert source.read(ranks.leaves_of(source.leaves, 1)["own"].path) == b"same\x01"
    assert parts_of(two.store)[1] < 2 * BIG + 4096 < 3 * BIG < parts_of(two.store)[0]


def test_each_rank_leans_on_its_own_parts(two: Ranks) -> None:
    first, second = [draft(1, rank) for rank in (0, 1)], [draft(2, rank) for rank in (0, 1)]
    for one in second:
        one.leaves[2] = first[one.position["at"]].leaves[2]  # the boxes have not changed
    two.commit(*first)
    two.commit(*second)
    manifest = two.store.newest()
    older = [part.path for part in manifest.parts if part.path.startswith("step-000000001")]
    assert sorted(older) == [f"step-000000001.a0001/part-0000{rank}.safetensors" for rank in (0, 1)]
    with two.store.source(manifest) as source:
        assert list(source.damages()) == []
        assert source.read("sharded") == bytes([0, 1]) * BIG + bytes([1, 1]) * BIG


def test_what_one_cannot_write_nobody_publishes(two: Ranks, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise SpaceError("no space")

    two.commit(draft(1, 0), draft(1, 1))
    with monkeypatch.context() as patch:
        patch.setattr(two.parts[1], "write", full)
        gave = two.commit(draft(2, 0), draft(2, 1))
    assert [(type(one), str(one)) for one in gave] == [(SpaceError, "rank 1: no space")] * 2
    assert [name.step for name in two.store.checkpoints()] == [1]
    assert [found.name.step for found in two.store.scan()] == [1]  # what rank 0 had written is cleared away
    two.commit(draft(3, 0), draft(3, 1))
    assert two.store.newest().step == 3
    with two.store.source(two.store.newest()) as source:
        assert list(source.damages()) == []


def test_a_rank_that_cannot_begin_is_heard_by_all(two: Ranks) -> None:
    def work(team: Team) -> Any:
        if team.rank == 1:
            return two.writers[1].refuse(2, SpaceError("out of memory while saving"))
        return two.writers[0].commit(draft(2, 0))

    gave = on_all(two.teams, work)
    assert gave[1] is None
    assert (type(gave[0]), str(gave[0])) == (SpaceError, "rank 1: out of memory while saving")
    assert two.store.checkpoints() == ()


def test_ranks_at_different_steps_publish_nothing(two: Ranks) -> None:
    gave = two.commit(draft(1, 0), draft(2, 1))
    assert [type(one) for one in gave] == [RanksError] * 2
    assert two.store.checkpoints() == ()


def test_fenced_on_rank_0_is_fenced_on_all(two: Ranks) -> None:
    other = two.store.claim(takeover=True)
    gave = two.commit(draft(1, 0), draft(1, 1))
    assert [type(one) for one in gave] == [FencedError] * 2
    other.end("done")


def test_a_box_that_two_hold_is_written_by_the_first(two: Ranks) -> None:
    whole = [leaf("x", b"abcd", global_shape=(4,), offset=(0,)) for _ in (0, 1)]
    none = [leaf("y", b"", global_shape=(2,), offset=(2,)), leaf("y", b"ef", global_shape=(2,), offset=(0,))]
    tree = {name: {"$": "array", "leaf": name} for name in ("x", "y")}
    two.commit(*[Draft(step=1, tree=tree, leaves=[one, other]) for one, other in zip(whole, none, strict=True)])
    assert [(one.path, one.rank) for one in two.store.newest().leaves] == [("x", 0), ("y", 1)]
    with two.store.source(two.store.newest()) as source:
        assert (source.read("x"), source.read("y")) == (b"abcd", b"ef")
