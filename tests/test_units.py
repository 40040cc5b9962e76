"""Durations and sizes, as people write and read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.errors import UsageError
from outlast.units import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10min", 600),
        ("30s", 30),
        ("1h30m", 5400),
        ("2d", 172800),
        ("90", 90),
        (90, 90),
        (1.5, 1.5),
        (0, 0),
        ("0", 0),
        ("1.5h", 5400),
        (" 10 min ", 600),
        ("1 h 30 min", 5400),
        ("500ms", 0.5),
        ("1w", 604800),
        ("2 Hours", 7200),
        ("1h 1m 1s", 3661),
        ("0.1s", 0.1),
    ],
)
def test_durations_are_read(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds, rel=1e-15)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "min",
        "-5",
        "-1min",
        "5 parsecs",
        "1h1h",
        "1m1min",
        "10 20",
        "1h30",
        "1,5h",
        "1e5",
        "0x10",
        "\u0661\u0660s",
        "inf",
        "nan",
        "1..5s",
        "9" * 400,
        -1,
        math.inf,
        math.nan,
        True,
        False,
    ],
)
def test_what_is_no_duration_is_refused_by_its_text(text):
    with pytest.raises(UsageError) as caught:
        parse_duration(text)
    assert f"{text!r} is not a duration" in str(caught.value)
    assert '"10min"' in caught.value.hint


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4GiB", 4 << 30),
        ("500MB", 500_000_000),
        ("4096", 4096),
        (4096, 4096),
        (0, 0),
        ("0", 0),
        ("1.5k", 1536),
        ("1K", 1024),
        ("2G", 2 << 30),
        ("1 TiB", 1 << 40),
        ("1tb", 10**12),
        ("1PiB", 1 << 50),
        ("12B", 12),
        ("0.1kB", 100),
        ("0.3kB", 300),
    ],
)
def test_sizes_are_read(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    [
        "",
        "GiB",
        "-1",
        "1.5",
        "1.5B",
        "4 GiBs",
        "1G1M",
        "1e9",
        "1_000",
        "\u0663",
        "9" * 19 + "P",
        "9000P1",
        -1,
        2**63,
        True,
        1.5,
    ],
)
def test_what_is_no_size_is_refused_by_its_text(text):
    with pytest.raises(UsageError) as caught:
        parse_size(text)
    assert f"{text!r} is not a size" in str(caught.value)
    assert '"4GiB"' in caught.value.hint


@given(st.text())
def test_any_text_is_read_or_refused(text):
    for parse in (parse_duration, parse_size):
        try:
            assert parse(text) >= 0
        except UsageError:
            continue


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.00041, "0.41 ms"),
        (0.41, "0.41 s"),
        (59.99, "60 s"),
        (378, "6.3 min"),
        (7560, "2.1 h"),
        (1e6, "11.6 d"),
        (1e9, "11574 d"),
        (-30, "-30 s"),
    ],
)
def test_durations_are_written(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (512, "512 B"),
        (1536, "1.5 KiB"),
        (1023, "0.999 KiB"),
        (1023 << 10, "0.999 MiB"),
        (3 << 29, "1.5 GiB"),
        (1 << 40, "1 TiB"),
        (5 << 60, "5120 PiB"),
    ],
)
def test_sizes_are_written(size, text):
    assert format_size(size) == text


@given(st.integers(0, 1 << 62))
def test_sizes_keep_three_figures_and_never_an_exponent(size):
    text = format_size(size)
    assert "e" not in text
    if size < 1000 << 50:
        assert parse_size(text.replace("PiB", "P")) == pytest.approx(size, rel=6e-3)


@given(st.floats(1e-3, 3e7))
def test_durations_keep_three_figures(seconds):
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=6e-3)
