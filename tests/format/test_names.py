"""Names: S-01 to S-04."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.errors import DamageError, UsageError
from outlast.format.names import CheckpointName, check_relative, part_rank

numbers = st.builds(
    lambda step, attempt, revision: CheckpointName(step=step, attempt=attempt, revision=revision),
    st.integers(0, 10**18 - 1),
    st.integers(1, 10**9 - 1),
    st.integers(0, 10**9 - 1),
)


@given(numbers)
def test_names_come_back_s01(name):
    assert CheckpointName.parse(name.format()) == name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (CheckpointName(step=1200, attempt=3), "step-000001200.a0003"),
        (CheckpointName(step=0, attempt=1, revision=12), "step-000000000.a0001.r12"),
        (CheckpointName(step=10**9, attempt=10**4), "step-1000000000.a10000"),
    ],
)
def test_the_form_is_the_specified_one_s01(name, text):
    assert name.format() == text


@given(st.text(alphabet="step-0123456789.ar\n ") | st.from_regex(r"step-\d{7,12}\.a\d{3,6}(\.r\d{1,3})?"))
def test_each_name_has_one_form_s01(text):
    name = CheckpointName.parse(text)
    assert name is None or name.format() == text


@pytest.mark.parametrize(
    "text",
    [
        "step-1200.a0003",
        "step-0000001200.a0003",
        "step-000001200.a003",
        "step-000001200.a0000",
        "step-000001200.a00003",
        "step-000001200.a0003.r0",
        "step-000001200.a0003.r01",
        "step-000001200",
        "step-\u0660\u0660\u0660\u0660\u0660\u0661\u0662\u0660\u0660.a0003",
        "step-000001200.a0003\n",
        "step-" + "9" * 19 + ".a0003",
        ".trash-step-000001200.a0003",
        "",
    ],
)
def test_any_other_name_is_no_checkpoint_s01(text):
    assert CheckpointName.parse(text) is None


def test_the_newest_is_of_the_newest_attempt_s02():
    """Not of the highest step: an attempt that fell back is newer all the same."""
    rising = [(1, 0, 0), (1, 500, 0), (1, 500, 1), (2, 100, 0), (2, 100, 9), (2, 100, 10), (10, 3, 0)]
    names = [CheckpointName(attempt=a, step=s, revision=r) for a, s, r in rising]
    assert sorted([names[3], *names[:3], *names[4:]]) == names
    assert max(names).format() == "step-000000003.a0010"
    assert len({*names, *names}) == len(names)


@pytest.mark.parametrize(
    "wrong",
    [{"step": -1}, {"step": 10**18}, {"attempt": 10**9}, {"attempt": -1}, {"revision": -1}, {"revision": 10**9}],
)
def test_a_number_that_no_name_can_hold_is_refused_s01(wrong):
    with pytest.raises(UsageError, match=str(next(iter(wrong.values())))):
        CheckpointName(**{"step": 1, "attempt": 1, **wrong})


@pytest.mark.parametrize(
    ("name", "rank"),
    [
        ("part-00000.safetensors", 0),
        ("part-00012.safetensors", 12),
        ("part-123456.safetensors", 123456),
        ("part-0.safetensors", None),
        ("part-012345.safetensors", None),
        ("part-\u0660\u0660\u0660\u0660\u0660.safetensors", None),
        ("part-00000.safetensors\n", None),
        ("part-00000.bin", None),
    ],
)
def test_a_parts_name_gives_its_rank_s03(name, rank):
    assert part_rank(name) == rank


@pytest.mark.parametrize(
    "path", ["a", "a/b.c", "...", "a/..b", "naïve ☃", "a\\b", "-rf", "~", "a" * 255, "/".join(["a" * 255] * 16)]
)
def test_paths_inside_the_store_s04(path):
    check_relative(path)


@pytest.mark.parametrize(
    "path",
    [
        "", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a/..", "a\0b", "caf\udce9",
        "a" * 256, "é" * 128, "/".join(["a" * 255] * 16) + "/a",
    ],
)  # fmt: skip
def test_paths_that_leave_it_or_cannot_be_s04(path):
    with pytest.raises(DamageError, match=r"^m\.json: .* is not a path inside the store") as caught:
        check_relative(path, "m.json")
    assert caught.value.path == "m.json"
