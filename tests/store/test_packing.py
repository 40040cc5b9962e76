"""What goes into a part and what an older one holds: whatever changes, the extents put the leaf together again."""

from __future__ import annotations

import random
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.format.model import Extent, Leaf, LeafBytes, Part
from outlast.format.safetensors import parse_header
from outlast.store.packing import SHARED_FROM_BYTES, Range, Table, Written, fresh, header, ranges

CHUNK = 16 << 10
PART = Part(
    path="step-000000001.a0001/part-00000.safetensors", rank=0, size_bytes=1 << 40, header_bytes=8, header_digest=""
)


def leaf(data: bytes, path: str = "x") -> LeafBytes:
    return LeafBytes(path=path, dtype="uint8", shape=(len(data),), data=memoryview(data))


def written(data: bytes, extents: list[Extent], parts: list[Part]) -> Written:
    row = Leaf(path="x", dtype="uint8", shape=(len(data),), size_bytes=len(data), extents=tuple(extents), chunks=())
    return Written(row, tuple(parts))


class Files:
    """Parts in memory."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}

    def read(self, extents: tuple[Extent, ...], parts: list[Part]) -> bytes:
        return b"".join(self.data[parts[e.part].path][e.at : e.at + e.size_bytes] for e in extents)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(
        st.sampled_from([0, 5, SHARED_FROM_BYTES, SHARED_FROM_BYTES + 1, 5 * CHUNK, 9 * CHUNK + 77]), max_size=4
    ),
    saves=st.integers(1, 7),
    lean=st.integers(0, 4),
    seed=st.integers(0, 999),
)
def test_after_any_changes_the_extents_give_every_leaf_back(sizes, saves, lean, seed):
    """And no part is leant on more often than is allowed, and what is new is written once."""
    draw = random.Random(seed)
    files, age, known = Files(), {}, {}
    states = [bytearray(draw.randbytes(size)) for size in sizes]
    for save in range(saves):
        before = [bytes(state) for state in states]
        if save:
            for state in states:
                for _ in range(draw.randrange(3)):
                    if state:
                        state[draw.randrange(len(state))] ^= 1 + draw.randrange(255)
        leaves = [leaf(bytes(state), f"x{number}") for number, state in enumerate(states)]

        def same(number, _old, before=before):
            pieces = range(0, len(states[number]), CHUNK)
            return bytes(states[number][at : at + CHUNK] == before[number][at : at + CHUNK] for at in pieces)

        young = {path for path, count in age.items() if count < lean}
        cut = [
            ranges(one, known.get(one.path), partial(same, number), lambda p, y=young: p.path in y, CHUNK)
            for number, one in enumerate(leaves)
        ]
        head, entries = header(leaves, fresh(cut), {}, 8)
        data = head + b"".join(bytes(leaves[e.number].data[e.begin : e.end]) for e in entries)
        own = Part(path=f"{save}", rank=0, size_bytes=len(data), header_bytes=len(head), header_digest="")
        files.data[own.path] = data
        parse_header(data, len(data))  # strict: no holes, no overlaps
        table = Table(own, entries, CHUNK)
        extents = [table.extents(number, found, None) for number, found in enumerate(cut)]
        assert sum(e.size_bytes for found in extents for e in found if e.part == 0) == len(data) - len(head)
        assert [files.read(found, table.parts) for found in extents] == [bytes(state) for state in states]
        age = {p.path: 0 if p is own else age[p.path] + 1 for p in table.parts}
        assert all(count <= lean for count in age.values())
        known = {
            one.path: written(bytes(one.data), list(found), [table.parts[e.part] for e in found])
            for one, found in zip(leaves, extents, strict=True)
        }


def old_of(data: bytes) -> Written:
    return written(data, [Extent(part=0, at=8, size_bytes=len(data))], [PART])


def test_only_the_chunks_that_changed_are_new():
    data = bytes(10 * CHUNK)
    found = ranges(
        leaf(data), old := old_of(data), lambda _: bytes([1, 1, 0, 1, 1, 1, 0, 0, 1, 1]), lambda _: True, CHUNK
    )
    assert [(one.begin // CHUNK, one.end // CHUNK, one.old is old) for one in found] == [
        (0, 2, True),
        (2, 3, False),
        (3, 6, True),
        (6, 8, False),
        (8, 10, True),
    ]


def test_what_is_small_or_has_another_form_is_written_whole():
    small, data = bytes(SHARED_FROM_BYTES - 1), bytes(5 * CHUNK)
    whole = (Range(begin=0, end=len(data), old=None),)
    yes = lambda _: bytes([1]) * 5  # noqa: E731
    assert ranges(leaf(small), old_of(small), yes, lambda _: True, CHUNK)[0].old is None
    assert ranges(leaf(data), None, yes, lambda _: True, CHUNK) == whole
    assert ranges(leaf(data), old_of(data), lambda _: None, lambda _: True, CHUNK) == whole
    assert ranges(leaf(data), old_of(data), lambda _: bytes(5), lambda _: True, CHUNK) == whole
    other = LeafBytes(path="x", dtype="int8", shape=(len(data),), data=memoryview(data))
    assert ranges(other, old_of(data), yes, lambda _: True, CHUNK) == whole


def test_nothing_is_compared_with_a_part_that_may_not_be_leant_on():
    def never(_old):
        raise AssertionError

    data = bytes(5 * CHUNK)
    assert ranges(leaf(data), old_of(data), never, lambda _: False, CHUNK)[0].old is None


def test_a_leaf_in_too_many_pieces_is_written_whole():
    data = bytes(9000 * 8)
    flags = bytes([1, 0]) * 4500
    found = ranges(leaf(data), old_of(data), lambda _: flags, lambda _: True, 8)
    assert found == (Range(begin=0, end=len(data), old=None),)


def test_a_range_stands_in_the_part_as_bytes_under_its_leafs_name():
    data = bytes(4 * CHUNK)
    cut = ranges(leaf(data), old_of(data), lambda _: bytes([1, 0, 1, 1]), lambda _: True, CHUNK)
    head, _ = header([leaf(data)], fresh([cut]), {"format": "outlast"}, 4096)
    assert len(head) == 4096
    found = parse_header(head + bytes(CHUNK), 4096 + CHUNK)
    assert found == {f"x[{CHUNK}:{2 * CHUNK}]": ("U8", (CHUNK,), 4096, 4096 + CHUNK)}
