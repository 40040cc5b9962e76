"""Entering what is not a loader: by arithmetic, by its own state, or by reading with a warning."""

# ruff: noqa: NPY002  (the global generator, as users have it)
from __future__ import annotations

import functools
import json
import math
import random
from array import array
from collections.abc import Sequence

import numpy as np
import pytest
import torch

import outlast
from outlast.errors import CaptureError, MismatchError, UsageError
from outlast.run import draws, marks
from outlast.run.iterables import resume
from outlast.run.packing import pack, unpack
from outlast.run.position import Positions


class Walk:
    """Iterates like a run; keeps a position after each pass."""

    def __init__(self, saved=None):
        self.positions, self.saves, self.said = Positions(), [], []
        if saved:
            self.positions.load(json.loads(saved[0]))
            draws.put_back(draws.shared(), saved[1])

    def save(self):
        self.saves.append((json.dumps(self.positions.dump()), draws.take(draws.shared())))

    def iterate(self, source, name="item"):
        with self.positions.enter(name) as loop:
            for item in resume(source, loop, notice_pending=bool, warn=self.said.append):
                yield item
                loop.advance()
                self.save()


class OldStyle:
    """A sequence by the old protocol."""

    def __init__(self):
        self.reads = []

    def __getitem__(self, index):
        if index >= 5:
            raise IndexError
        self.reads.append(index)
        return index * 10


SEQUENCES = {
    "list": lambda: [3, 1, 4, 1, 5],
    "tuple": lambda: (3, 1, 4),
    "range": lambda: range(7, 1, -2),
    "str": lambda: "abcd",
    "bytes": lambda: b"abcd",
    "array": lambda: array("i", [1, 2, 3]),
    "numpy": lambda: np.arange(12).reshape(4, 3),
    "tensor": lambda: torch.arange(4),
    "old style": OldStyle,
    "empty": list,
}


def plain(items):
    return [item.tolist() if hasattr(item, "tolist") else item for item in items]


@pytest.mark.parametrize("make", SEQUENCES.values(), ids=SEQUENCES.keys())
def test_sequences_go_on_by_arithmetic(make):
    undisturbed = Walk()
    whole = plain(undisturbed.iterate(make()))
    assert whole == plain(make())
    for done, saved in enumerate(undisturbed.saves, 1):
        resumed = Walk(saved)
        assert plain(resumed.iterate(make())) == whole[done:]
        assert resumed.said == []


def test_what_was_seen_of_a_sequence_is_not_read():
    undisturbed = Walk()
    list(undisturbed.iterate(OldStyle()))
    source = OldStyle()
    assert list(Walk(undisturbed.saves[2]).iterate(source)) == [30, 40]
    assert source.reads == [3, 4]


def test_a_sequence_that_grows_is_followed():
    source = [1]
    seen = []
    for item in Walk().iterate(source):
        seen.append(item)
        if len(source) < 4:
            source.append(item + 1)
    assert seen == [1, 2, 3, 4]


def test_a_sequence_that_has_shrunk_is_a_mismatch():
    undisturbed = Walk()
    list(undisturbed.iterate([1, 2, 3, 4]))
    with pytest.raises(MismatchError, match="item#0 had 4 items behind it at the save, there are 2 now"):
        list(Walk(undisturbed.saves[-1]).iterate([1, 2]))


def test_sets_are_refused():
    for source in ({"a", "b"}, frozenset("ab"), {"a": 1}.keys()):
        with pytest.raises(UsageError, match="another order in each process"):
            list(Walk().iterate(source))


def test_another_kind_of_source_is_a_mismatch():
    undisturbed = Walk()
    list(undisturbed.iterate([1, 2, 3]))
    with pytest.raises(MismatchError, match="was over 'sequence' data at the save, it is over 'iterable' data now"):
        list(Walk(undisturbed.saves[0]).iterate(iter([1, 2, 3])))
    positions = Positions()
    positions.enter("item", 5).advance()
    with pytest.raises(MismatchError, match="was over 'a range' data"):
        list(Walk((json.dumps(positions.dump()), {})).iterate([1, 2, 3]))


class Shuffling:
    """Draws its order when it is iterated."""

    def __init__(self, size=6):
        self.size = size

    def __iter__(self):
        order = random.sample(range(self.size), self.size)
        order = [order[i] for i in np.random.permutation(self.size)]
        yield from (order[i] for i in torch.randperm(self.size))


ITERABLES = {
    "iterable": Shuffling,
    "generator": lambda: (n * n for n in range(6)),
    "iterator": lambda: iter("abcdef"),
    "dict": lambda: {"a": 1, "b": 2, "c": 3},
    "enumerate": lambda: enumerate("abc"),
}


@pytest.mark.parametrize("make", ITERABLES.values(), ids=ITERABLES.keys())
def test_iterables_are_read_again_with_one_warning(make):
    def draw():
        return torch.rand(()).item(), random.random(), np.random.random()

    undisturbed = Walk()
    whole = [(item, draw()) for _ in range(1) for item in undisturbed.iterate(make())]
    for done, saved in enumerate(undisturbed.saves, 1):
        random.seed(99)
        torch.manual_seed(99)
        resumed = Walk(saved)
        assert [(item, draw()) for item in resumed.iterate(make())] == whole[done:]
        assert len(resumed.said) == 1
        assert f"only by reading: reading {done} items again" in resumed.said[0]


def test_a_wrapper_is_told_to_go_outside():
    class Bar:
        def __init__(self, iterable):
            self.iterable = iterable

        def __iter__(self):
            return iter(self.iterable)

    undisturbed = Walk()
    list(undisturbed.iterate(Bar([1, 2])))
    resumed = Walk(undisturbed.saves[0])
    assert list(resumed.iterate(Bar([1, 2]))) == [2]
    assert "put the wrapper around run.iterate" in resumed.said[0]


def test_an_iterable_that_has_shrunk_is_a_mismatch():
    undisturbed = Walk()
    list(undisturbed.iterate(Shuffling(6)))
    with pytest.raises(MismatchError, match="had 6 items behind it at the save, there are 4 now"):
        list(Walk(undisturbed.saves[-1]).iterate(Shuffling(4)))


@pytest.mark.parametrize("make", [lambda: [5, 6, 7], Shuffling], ids=["sequence", "iterable"])
def test_a_loop_inside_the_pass_gets_its_item_again(make):
    def walk(walk):
        return [(item, part) for item in walk.iterate(make()) for part in walk.iterate([0, 1], "part")]

    undisturbed = Walk()
    whole = walk(undisturbed)
    at = 0
    for saved in undisturbed.saves:
        position = json.loads(saved[0])
        at = position["steps"]
        assert walk(Walk(saved)) == whole[at:]
    assert at == len(whole)


class Stateful:
    """Counts the calls that it gets."""

    def __init__(self, size=5):
        self.size, self.at, self.calls = size, 0, []

    def __iter__(self):
        self.calls.append("iter")
        while self.at < self.size:
            self.at += 1
            yield self.at - 1
        self.at = 0

    def state_dict(self):
        return {"at": self.at, "note": ("x", None)}

    def load_state_dict(self, state):
        assert state["note"] == ("x", None)
        self.calls.append(f"load {state['at']}")
        self.at = state["at"]


def test_stateful_objects_are_told_before_they_are_iterated():
    undisturbed = Walk()
    assert list(undisturbed.iterate(Stateful())) == [0, 1, 2, 3, 4]
    for done, saved in enumerate(undisturbed.saves, 1):
        source = Stateful()
        assert list(Walk(saved).iterate(source)) == list(range(done, 5))
        assert source.calls == [f"load {done}", "iter"]


def test_stateful_objects_come_back_between_epochs_too():
    class Epochs(Stateful):
        """Begins each epoch elsewhere."""

        def __init__(self):
            super().__init__()
            self.epoch = 0

        def __iter__(self):
            self.epoch += 1
            yield from (10 * self.epoch + i for i in range(2))

        def state_dict(self):
            return {"at": self.epoch, "note": ("x", None)}

        def load_state_dict(self, state):
            self.epoch = state["at"]

    def walk(walk, source):
        return [(e, item) for e in walk.iterate(range(3), "epoch") for item in walk.iterate(source)]

    undisturbed = Walk()
    whole = walk(undisturbed, Epochs())
    between = undisturbed.saves[2]
    assert json.loads(between[0])["steps"] == 2
    assert walk(Walk(between), Epochs()) == whole[2:]


def test_a_finished_loop_gives_nothing():
    positions = Positions()
    outer = positions.enter("epoch", 2)
    with positions.enter("item") as loop:
        list(resume([1, 2], loop, notice_pending=bool, warn=print))
    again = Positions()
    with positions.enter("rest", 2) as rest:
        rest.advance()
        again.load(positions.dump())
    again.enter("epoch", 2)
    with again.enter("item") as loop:
        assert list(resume([1, 2], loop, notice_pending=bool, warn=print)) == []
    assert outer.done == 0


VALUES = [
    None, True, 3, -(2**70), 0.1, math.inf, "text", b"\0\xff", [1, [2]], (1, ("a",)), {"a": 1, 2: (3,)}, [], {}, b"",
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_come_back_from_json(value):
    back = unpack(json.loads(json.dumps(pack(value))))
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "bfloat16", "bool"])
def test_tensors_come_back(dtype):
    for shape in ((), (3,), (2, 0)):
        value = torch.ones(shape, dtype=getattr(torch, dtype))
        back = unpack(json.loads(json.dumps(pack(value))))
        assert back.dtype == value.dtype
        assert torch.equal(back, value)


def test_arrays_come_back():
    value = np.arange(6, dtype=">i4").reshape(2, 3).T
    back = unpack(json.loads(json.dumps(pack(value))))
    assert (back == value).all()
    assert back.shape == value.shape


def test_what_does_not_fit_into_a_position_is_refused():
    with pytest.raises(CaptureError, match="a/b/0: a object cannot be kept"):
        pack({"b": [object()]}, "a")
    with pytest.raises(CaptureError, match="2097152 bytes are too many"):
        pack(bytes(2 << 20), "a")
    nested = []
    for _ in range(60):
        nested = [nested]
    with pytest.raises(CaptureError, match="nested more than"):
        pack(nested)


@pytest.mark.parametrize(
    "node", [[], {}, {"int": 1, "float": "0x1p0"}, {"int": "x"}, {"no": 1}, {"bytes": "!"}, {"dict": [1]}]
)
def test_what_was_not_packed_is_a_mismatch(node):
    with pytest.raises(MismatchError, match="not understood"):
        unpack(node)


def test_owned_generators_are_found_and_others_left_alone():
    class Holder:
        def __init__(self):
            self.inner = {"rng": np.random.default_rng(1)}
            self.list = [random.Random(2), random.SystemRandom()]
            self.self = self
            self.gen = torch.Generator()
            self.old = np.random.RandomState(4)

    holder = Holder()
    found = draws.owned(holder, "x")
    held = [name for name in found if ":" not in name]  # and those of this module
    assert sorted(held) == ["x.gen", "x.inner.rng", "x.list.0", "x.old"]
    states = draws.unpacked(json.loads(json.dumps(draws.packed(draws.take(found)))))
    first = (holder.inner["rng"].random(), holder.list[0].gauss(), holder.old.standard_normal())
    draws.put_back(found, states)
    assert first == (holder.inner["rng"].random(), holder.list[0].gauss(), holder.old.standard_normal())


# -- the same data as at the save -------------------------------------------------------------------------


def drawn_anew(path, leave_at=None, kind=list):
    """The order of each epoch comes from a generator in the state, which has moved on when the program comes again."""
    state = {"rng": np.random.default_rng(0), "seen": []}
    with outlast.Run(path, state, every=10_000) as run:
        for _ in run.range(3, "epoch"):
            order = kind(state["rng"].permutation(10))
            for i in run.iterate(order, "batch"):
                state["seen"].append(int(i))
                if len(state["seen"]) == leave_at:
                    run.leave()
    return state["seen"]


@pytest.mark.parametrize(
    "kind", [np.asarray, torch.as_tensor, lambda order: order.tolist()], ids=["np", "torch", "list"]
)
def test_an_order_that_is_drawn_anew_goes_on_as_it_was(tmp_path, kind, capfd):
    expected = drawn_anew(tmp_path / "undisturbed", kind=kind)
    for at in (1, 10, 14, 29):
        with pytest.raises(outlast.Preempted):
            drawn_anew(tmp_path / f"at{at}", at, kind)
        assert drawn_anew(tmp_path / f"at{at}", kind=kind) == expected, at
    assert "going on with those of the save" in capfd.readouterr().err


def minibatches(path, make, leave_at=None):
    rng = np.random.default_rng(1)
    state = {"rng": rng, "seen": []}
    with outlast.Run(path, state, every=10_000) as run:
        for _ in run.range(3, "epoch"):
            order = rng.permutation(12)
            for batch in run.iterate(make(order), "batch"):
                state["seen"].append(np.asarray(batch).tolist())
                if len(state["seen"]) == leave_at:
                    run.leave()
    return state["seen"]


@pytest.mark.parametrize(
    "make",
    [
        lambda order: np.array_split(order, 5),
        lambda order: order.reshape(4, 3),
        lambda order: [order[i : i + 3] for i in range(0, 12, 3)],
        lambda order: [tuple(order[i : i + 3].tolist()) for i in range(0, 12, 3)],
        lambda order: list(enumerate(order.tolist())),
        lambda order: torch.tensor(order).reshape(6, 2),
    ],
    ids=["split", "rows", "slices", "tuples", "enumerated", "tensor"],
)
def test_minibatches_of_an_order_that_is_drawn_anew(tmp_path, make):
    expected = minibatches(tmp_path / "undisturbed", make)
    for at in (1, 5, 7, 11):
        with pytest.raises(outlast.Preempted):
            minibatches(tmp_path / f"at{at}", make, at)
        assert minibatches(tmp_path / f"at{at}", make) == expected, at


def shuffled_in_place(path, kind, leave_at=None):
    order = kind(range(8))
    state = {"r": random.Random(5), "seen": []}
    with outlast.Run(path, state, every=10_000) as run:
        for _ in run.range(4, "epoch"):
            state["r"].shuffle(order)
            for i in run.iterate(order, "item"):
                state["seen"].append(int(i))
                if len(state["seen"]) == leave_at:
                    run.leave()
    return state["seen"]


@pytest.mark.parametrize("kind", [list, np.array], ids=["list", "array"])
def test_an_order_that_is_shuffled_further_in_each_epoch(tmp_path, kind):
    expected = shuffled_in_place(tmp_path / "undisturbed", kind)
    for at in (3, 12, 20):
        with pytest.raises(outlast.Preempted):
            shuffled_in_place(tmp_path / f"at{at}", kind, at)
        assert shuffled_in_place(tmp_path / f"at{at}", kind) == expected, at


def split_inside(path, leave_at=None, before=False):
    torch.manual_seed(1)
    data = torch.utils.data.TensorDataset(torch.arange(20.0))
    split = torch.utils.data.random_split(data, [12, 8]) if before else None
    state = {"seen": [], "rng": outlast.RNG()}
    with outlast.Run(path, state, every=10_000) as run:
        train, _ = split or torch.utils.data.random_split(data, [12, 8])
        for _ in run.range(2, "epoch"):
            for (x,) in run.iterate(torch.utils.data.DataLoader(train, 4, shuffle=True), "batch"):
                state["seen"].append(x.tolist())
                if len(state["seen"]) == leave_at:
                    run.leave()
    return state["seen"]


def test_another_split_of_a_loaders_data_is_a_mismatch(tmp_path):
    with pytest.raises(outlast.Preempted):
        split_inside(tmp_path / "s", 4)
    with pytest.raises(MismatchError, match="the loader's data are others than at the save") as caught:
        split_inside(tmp_path / "s")
    assert "make data before the run's block" in caught.value.hint
    expected = split_inside(tmp_path / "undisturbed", before=True)
    assert split_inside(tmp_path / "s", before=True) == expected  # where it was made before, it is the same


def test_the_data_of_each_epoch_are_looked_at_once(monkeypatch):
    """Again where they have changed, or are others, also at the same place in memory; each time where none can say."""
    looked = []
    checksum = marks._array_checksum
    monkeypatch.setattr(marks, "_array_checksum", lambda values: looked.append(len(values)) or checksum(values))

    def told(tensor):
        return marks.data_mark(torch.utils.data.TensorDataset(tensor))

    data = torch.arange(20.0)
    assert told(data) == told(data) == told(data)
    assert len(looked) == 1
    before = told(data)
    data[7] += 1
    assert told(data) != before
    assert len(looked) == 2
    data[7] -= 1
    assert told(data) == before == told(torch.arange(20.0))
    assert len(looked) == 4
    key = id(data)
    assert key in marks._known
    del data
    assert key not in marks._known
    with torch.inference_mode():
        frozen = torch.ones(3)
    told(frozen)
    told(frozen)
    assert len(looked) == 6


@pytest.mark.parametrize(("rows", "is_whole"), [(100, True), (20_000, False)])
def test_large_data_are_looked_at_in_part(monkeypatch, rows, is_whole):
    """Each of few rows, some of many; of each the beginning."""
    monkeypatch.setattr(marks, "_MOST_BYTES", 8 << 20)
    data = torch.zeros(rows, 300)
    before = marks.data_mark(torch.utils.data.TensorDataset(data))
    for row, column, is_seen in ((0, 0, True), (rows - 1, 255, is_whole), (0, 256, False), (8, 3, True)):
        data[row, column] = 1
        assert (marks.data_mark(torch.utils.data.TensorDataset(data)) != before) is is_seen, (row, column)
        data[row, column] = 0


def test_a_sequence_is_marked_at_a_save_and_not_before(tmp_path, monkeypatch):
    """So it costs nothing when nothing is due. One whose items may take long to read is marked as it is entered."""
    marked = []
    mark = marks.mark
    monkeypatch.setattr(marks, "mark", lambda source: marked.append(source) or mark(source))
    with outlast.Run(tmp_path / "s", {"x": 1}, every=10_000) as run:
        for _ in run.range(3, "epoch"):
            for _ in run.iterate(list(range(5)), "a"):
                pass
            for _ in run.iterate(np.zeros((50, 50)), "b"):
                pass
        assert marked == []
        for _ in run.iterate(slow := Items([1, 2, 3]), "c"):
            assert marked == [slow]
        for _ in run.iterate(large := np.zeros((3, 1 << 20)), "large"):
            assert marked[1] is large
        for index, _ in enumerate(run.iterate([7, 8], "d")):
            if index:
                run.save()
        assert marked[2] == [7, 8]


class Items(Sequence):
    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


def test_rows_that_the_loop_itself_changes(tmp_path):
    """They are in the state: what they are at the save is what they are after the restart."""

    def doubled(path, leave_at=None):
        rows = np.arange(60_000.0).reshape(60, 1000)
        with outlast.Run(path, {"rows": rows}, every=10_000) as run:
            for index, row in enumerate(run.iterate(rows, "row")):
                np.multiply(row, 2, out=row)
                if index == leave_at:
                    run.leave()
        return rows

    with pytest.raises(outlast.Preempted):
        doubled(tmp_path / "s", 20)
    assert np.array_equal(doubled(tmp_path / "s"), 2 * np.arange(60_000.0).reshape(60, 1000))


def over(path, items, leave_at=None):
    seen = []
    with outlast.Run(path, {"x": 1}, every=10_000) as run:
        for item in run.iterate(items, "item"):
            seen.append(item)
            if len(seen) == leave_at:
                run.leave()
    return seen


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (["a", "b", "c"], ["a", "x", "c"]),
        ([(1, "a"), (2, "b")], [(2, "b"), (1, "a")]),
        (range(5), range(1, 6)),
        ([[i, i + 1] for i in range(9000)], [[i, i] for i in range(9000)]),
        (np.arange(30_000), np.arange(30_000) + 1),
        (np.arange(6.0), np.arange(6.0) + 1),
        (torch.arange(6.0).reshape(3, 2), torch.ones(3, 2)),
    ],
    ids=["texts", "pairs", "range", "many pairs", "large", "floats", "tensor"],
)
def test_other_data_are_a_mismatch(tmp_path, first, second):
    with pytest.raises(outlast.Preempted):
        over(tmp_path / "s", first, 1)
    with pytest.raises(MismatchError, match="is over other data than at the save"):
        over(tmp_path / "s", second)
    assert len(over(tmp_path / "s", first)) == len(first) - 1


def test_a_stream_that_gives_other_items_is_a_mismatch(tmp_path):
    with pytest.raises(outlast.Preempted):
        over(tmp_path / "s", iter("abcdef"), 3)
    with pytest.raises(MismatchError, match="gives other items than it gave before the save"):
        over(tmp_path / "s", iter("axcdef"))
    assert over(tmp_path / "s", iter("abcdef")) == ["d", "e", "f"]


class Augmenting:
    """Its items are random choices, read by index."""

    def __len__(self):
        return 5

    def __getitem__(self, index):
        return index + random.random()


def nested(path, leave_at=None):
    random.seed(5)
    state = {"rng": outlast.RNG(), "seen": []}
    with outlast.Run(path, state, every=10_000) as run:
        for item in run.iterate(Augmenting(), "item"):
            for _ in run.range(3, "inner"):
                state["seen"].append((item, random.random()))
                if len(state["seen"]) == leave_at:
                    run.leave()
    return state["seen"]


def test_an_item_that_is_read_again_makes_the_same_random_choices(tmp_path):
    expected = nested(tmp_path / "undisturbed")
    for at in range(1, 15):
        with pytest.raises(outlast.Preempted):
            nested(tmp_path / f"at{at}", at)
        assert nested(tmp_path / f"at{at}") == expected, at


GENERATOR = np.random.default_rng(1)


class Slotted:
    __slots__ = ("rng",)

    def __init__(self):
        self.rng = random.Random(1)

    def choose(self, x):
        return x + self.rng.random()


def closed(generator):
    return lambda x: x + generator.random()


class Holder:
    def __init__(self, held):
        self.boxes = [[(1, 2)] * 40] * 60 + [[i, str(i)] for i in range(4)]
        self.held = held


@pytest.mark.parametrize(
    "held",
    [
        functools.partial(Slotted.choose, Slotted()),
        Slotted().choose,
        Slotted(),
        closed(random.Random(2)),
        {"deep": [{"er": Slotted()}]},
    ],
    ids=["partial", "method", "slots", "closure", "deep"],
)
def test_generators_are_found_where_people_keep_them(held):
    found = draws.owned(Holder(held), "data")
    assert any(isinstance(source.held, random.Random) for source in found.values())
    assert any(source.held is GENERATOR for source in found.values()), "of the module of the class"
