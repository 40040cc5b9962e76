"""The envelope: S-08 to S-15. Whatever bytes come, only DamageError may go."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from outlast.errors import DamageError
from outlast.format import envelope
from outlast.format.envelope import MAX_DEPTH, load, parse, seal, seal_body, unseal, weigh

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)  # fmt: skip
tables = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), values, min_size=1)


@given(tables.filter(lambda table: "digest" not in table))
@example({"\\": '"[{', '"': '\\"]', "\\\\": '\\\\"'})
@example({"a": "naïve ☃ 𝄞 \0 \u2028"})
def test_what_is_sealed_comes_back_s08_s15(table):
    data = seal(table)
    assert data.endswith(b'"}\n')
    assert data.count(b"\n") == 1
    found = unseal(data)
    assert found == table
    assert json.dumps(found) == json.dumps(table), "the order, and -0.0"
    assert list(json.loads(data)) == [*table, "digest"]


def test_the_form_is_the_specified_one_s08():
    assert seal({"a": 1}) == b'{"a":1,"digest":"61a0fe76ffe4dee06812ff298dd1912b"}\n'


def test_every_flipped_bit_and_every_cut_is_damage_s09():
    data = seal({"a": [1, 2.5, "x"], "b": None})
    for at in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[at // 8] ^= 1 << at % 8
        with pytest.raises(DamageError, match=r"f\.json differs from what was written"):
            unseal(bytes(flipped), path="f.json")
    for size in range(len(data)):
        with pytest.raises(DamageError):
            unseal(data[:size])
    with pytest.raises(DamageError):
        unseal(data + b"\n")


@given(st.binary(max_size=200))
def test_any_bytes_are_damage_s09(data):
    with pytest.raises(DamageError):
        unseal(data)


@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:\\ue01.-ntd8 ').map(str.encode))
@example(b'{"a":"\\ud800')
@example(b'{"\\ud800":1')
@example(b'{"a":' + b"[" * 100_000)
@example(b'{"a":' + b'{"":' * 100_000)
@example(b'{"a":' + b'"[' * 1000)
@example(b'{"a":[' + b"\\[" * 1000 + b'"' + b"]" * 2001)
@example(b'{"a":' + b"9" * 100_000)
@example(b'{"a":1e' + b"9" * 100_000)
@example(b"{")
@example(b'{"a":1}')
@example(b"\xef\xbb\xbf{")
@example(b"\xff\xfe{\0")
def test_sealed_rubbish_is_damage_or_a_table(body):
    """With a right digest the parser is reached: it must not do anything else than refuse."""
    try:
        found = unseal(seal_body(body))
    except DamageError:
        return
    json.dumps(found, ensure_ascii=False, allow_nan=False).encode()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"a":1,"a":1}', "a key stands twice"),
        ('{"a":{"b":1,"\\u0062":2}}', "a key stands twice"),
        ('{"a":NaN}', "NaN is not a number"),
        ('{"a":-Infinity}', "-Infinity is not a number"),
        ('{"a":1e999}', "1e999 is too large"),
        ('{"a":123456789012345678901}', "a whole number of 21 digits"),
        ('{"a":"\\udc80"}', "surrogates not allowed"),
        ("[1]", "is not a table"),
        ("1", "is not a table"),
        ("", "is not a valid table"),
        ('{"a":1}x', "is not a valid table"),
        ("{" * 5, "is not a valid table"),
        ('{"a":]}', "is not a valid table"),
        ("{" * 200, "nests deeper than 128, or is not a table"),
    ],
)
def test_json_is_read_strictly_s12_s13(text, what):
    with pytest.raises(DamageError, match=f"^f.json.*{what}"):
        parse(text.encode(), "f.json")


def test_surrogate_pairs_are_text_s12():
    assert load(b'"\\ud834\\udd1e"') == "\U0001d11e"
    assert load(b'"\\\\ud834"') == "\\ud834"


@pytest.mark.parametrize("brackets", [("[", "]"), ('{"a":', "}")])
def test_the_depth_is_bounded_s14(brackets):
    opening, closing = brackets
    text = opening * (MAX_DEPTH - 1) + '"[[[[{{{{"' + closing * (MAX_DEPTH - 1)
    assert load(f'{{"t":{text}}}'.encode())
    with pytest.raises(DamageError, match="nests deeper than 128"):
        load(f'{{"t":{opening}{text}{closing}}}'.encode())


def test_brackets_in_strings_are_no_depth_s14():
    for text in ("[" * 1000, '\\"[' * 500, "\\\\", '\\\\\\"' + "{" * 999):
        assert load(f'{{"a":"{text}"}}'.encode())


def test_deep_text_never_reaches_the_parser_s14(monkeypatch):
    """However the brackets are hidden: the parser would recurse."""
    monkeypatch.setattr(envelope.json, "loads", lambda *_, **__: pytest.fail("parsed"))
    hiding = ["", '"\\""', '"\\\\"', '"\\\\\\""', '"]"', '"a\\\\",']
    for prefix in hiding:
        for suffix in ("", "]" * 500, '"' + "]" * 500, '\\"' + "]" * 500, "\\" + "]" * 500):
            with pytest.raises(DamageError, match="nests deeper"):
                load(b"[" + prefix.encode() + b"," + b"[" * 500 + suffix.encode())


WEIGHTS = [
    ("{}", 2 + 160 + 44, "an object, which is a value"),
    ('{"a":1}', 7 + 1 + 160 + 44 + 24 + 64, "a member, its name, and a byte inside of a string"),
    ('{"a":1,"b":2}', 13 + 2 + 160 + 2 * 44 + 2 * (24 + 64), "two members"),
    ("[]", 2 + 64 + 44, "an array"),
    ('["a","bc"]', 10 + 3 + 64 + 2 * 44 + 2 * 32, "two strings"),
    ('["\\"\\\\","]"]', 12 + 5 - 4 + 4 + 64 + 2 * 44 + 2 * 32, "quotes and brackets in strings"),
    ('["é"]', 4 * (6 + 2) + 64 + 44 + 32, "beyond ASCII a byte counts four times"),
    ('["\\u0041"]', 4 * (10 + 6) + 64 + 44 + 32, "and with escapes"),
]


@pytest.mark.parametrize(("text", "weight"), [row[:2] for row in WEIGHTS], ids=[row[2] for row in WEIGHTS])
def test_what_a_table_weighs_s14(text, weight):
    assert weigh(text.encode(), "")[0] == weight


def test_the_weight_is_the_same_wherever_blocks_end_s14(monkeypatch):
    text = json.dumps(
        [{"a\\b": ['"', "x" * 9, {"a": -1.5}]}, "é", {"c": {"a": []}, " d ": "\\\\"}] * 3, indent=1
    ).encode()
    whole = weigh(text, "")
    for size in range(1, 40):
        monkeypatch.setattr(envelope, "_BLOCK_BYTES", size)
        assert weigh(text, "") == whole


@pytest.mark.parametrize("item", ['""', "1", "[]", "{}", '"\\""'])
def test_the_weight_is_bounded_s14(item, monkeypatch):
    text = f"[{','.join([item] * 50)}]".encode()
    weight, _ = weigh(text, "")
    monkeypatch.setattr(envelope, "_LIGHT_BYTES", 0)  # below that size nothing is weighed
    monkeypatch.setattr(envelope, "MAX_WEIGHT", weight)
    assert len(load(text)) == 50
    monkeypatch.setattr(envelope, "MAX_WEIGHT", weight - 1)
    with pytest.raises(DamageError, match=f"weighs {weight} with all its values, the limit is {weight - 1}"):
        load(text)


def test_a_name_that_stands_often_weighs_once_s14(monkeypatch):
    """Counted only where the table would be too heavy else."""
    text = json.dumps([{"name": 1, "other": 2}] * 20, indent=1).encode()
    every, members = weigh(text, "")
    assert members == 40
    for size in (7, 1 << 20):
        monkeypatch.setattr(envelope, "_BLOCK_BYTES", size)
        monkeypatch.setattr(envelope, "MAX_WEIGHT", every - 38 * 64)
        assert weigh(text, "")[0] == every - 38 * 64
        monkeypatch.setattr(envelope, "MAX_WEIGHT", every - 38 * 64 - 1)
        with pytest.raises(DamageError, match="weighs"):
            weigh(text, "")


def test_the_size_is_bounded_s14(monkeypatch):
    data = seal({"a": "x" * 100})
    monkeypatch.setattr(envelope, "MAX_BYTES", len(data) - 1)
    with pytest.raises(DamageError, match="which no whole table has"):
        unseal(data)


def test_the_digest_stands_once_beside_something_s10():
    for body in (b"{", b'{"digest":1', b'{"a":1,"\\u0064igest":2'):
        with pytest.raises(DamageError):
            unseal(seal_body(body))
    for table in ({}, {"digest": 1}):
        with pytest.raises(ValueError, match="a table to be sealed"):
            seal(table)


def test_what_has_no_utf8_form_does_not_stop_a_journal():
    assert unseal(seal({"file": "caf\udce9"})) == {"file": "caf?"}


def test_a_float_that_is_not_finite_is_never_written_s12():
    with pytest.raises(ValueError, match="not JSON compliant"):
        seal({"a": float("nan")})


def test_what_is_not_weighed_could_not_be_too_heavy_s14():
    """Brackets are the heaviest that a byte can be; keys stand twice, and depth counts, in small tables too."""
    text = b"[" * (envelope._LIGHT_BYTES // 2) + b"{" * (envelope._LIGHT_BYTES // 2)
    assert 4 * (2 + 44 + 160) * len(text) <= envelope.MAX_WEIGHT
    for size in (0, envelope._LIGHT_BYTES + 1):
        with pytest.raises(DamageError, match="a key stands twice"):
            load(b'{"a":1,"a":2' + b" " * size + b"}")
        with pytest.raises(DamageError, match="nests deeper"):
            load(b" " * size + b"[" * 129 + b"]" * 129)
