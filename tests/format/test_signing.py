"""Signatures: S-66 to S-68. What is not signed by the key is refused before a parser has seen a byte of it."""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
import pickle
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.errors import CaptureError, DamageError, SignatureError
from outlast.format import envelope
from outlast.format.digest import STRONG, are_digests, hexdigest, is_digest
from outlast.format.envelope import seal_body
from outlast.format.manifest import KEY as MEMBER
from outlast.format.manifest import decode, encode
from outlast.format.signing import WITHOUT_KEY, SigningKey, Trust

from .manifests import small

SECRET = b"k" * 32
KEY, OTHER = SigningKey(SECRET), SigningKey(b"o" * 32)
TRUST = Trust(key=KEY)
MOVING = Trust(key=KEY, takes_unsigned=True)


def strong():
    """The small manifest with SHA-256 in place of every digest."""
    plain = small()
    wide = "ab" * 32
    return replace(
        plain,
        digest=STRONG,
        parts=tuple(replace(part, header_digest=wide) for part in plain.parts),
        leaves=tuple(replace(leaf, chunks=(wide,) * len(leaf.chunks)) for leaf in plain.leaves),
    )


SIGNED = encode(strong(), KEY)
BODY = SIGNED[: -len(f',"{MEMBER}":""}}\n') - 32]


@pytest.fixture
def parser(monkeypatch):
    """What JSON text any parser was given, or what looks at it before the parser does."""
    seen = []
    real = envelope.json.loads
    monkeypatch.setattr(envelope.json, "loads", lambda text, **more: seen.append(text) or real(text, **more))
    look = envelope._checked
    monkeypatch.setattr(envelope, "_checked", lambda data, path: seen.append(data) or look(data, path))
    return seen


def test_the_form_is_the_specified_one_s66():
    signed, _, found = BODY.rpartition(b',"manifest_hmac":')
    assert found == b'"' + hmac.new(SECRET, signed, hashlib.sha256).hexdigest().encode() + b'"'
    assert list(json.loads(SIGNED))[-2:] == ["manifest_hmac", "manifest_digest"]


def test_a_signed_one_comes_back_with_and_without_the_key_s67():
    for trust in (TRUST, MOVING, WITHOUT_KEY):
        found = decode(SIGNED, "m", trust)
        assert found == strong()
        assert found.is_signed
    assert not decode(encode(small())).is_signed


def test_the_parser_is_reached_where_the_signature_is_right(parser):
    """Else the tests below would show nothing."""
    decode(SIGNED, "m", TRUST)
    assert parser


@pytest.mark.parametrize("trust", [TRUST, MOVING])
@pytest.mark.parametrize(
    "bomb", [b'{"a":' + b"[" * 100_000, b'{"a":1e999', b'{"a":' + b"9" * 100_000, b"\xff\xfe{", b'{"\\ud800":1', b"{"]
)
def test_a_hostile_body_is_refused_before_it_is_parsed_s67(parser, bomb, trust):
    forged = bomb + BODY[-83:]
    with pytest.raises(SignatureError, match=r"^m is not signed with this key"):
        decode(seal_body(forged, MEMBER), "m", trust)
    assert parser == []


def test_what_is_not_signed_is_not_parsed_either_s67(parser):
    with pytest.raises(SignatureError, match=r"^m is not signed\n.*OUTLAST_TRUST_UNSIGNED"):
        decode(encode(small()), "m", TRUST)
    assert parser == []
    assert decode(encode(small()), "m", MOVING) == small()


def test_a_key_takes_only_its_own_s67():
    for trust in (Trust(key=OTHER), Trust(key=OTHER, takes_unsigned=True)):
        with pytest.raises(SignatureError, match="not signed with this key"):
            decode(SIGNED, "m", trust)


def test_every_flipped_bit_of_what_is_signed_is_noticed_s67(parser):
    """By an accident: the digest tells. By somebody who seals it again: the signature, wherever the bit is."""
    for at in range(len(BODY) * 8):
        flipped = bytearray(BODY)
        flipped[at // 8] ^= 1 << at % 8
        with pytest.raises(SignatureError):
            decode(seal_body(bytes(flipped), MEMBER), "m", TRUST)
        with pytest.raises(DamageError) as caught:
            decode(bytes(flipped) + SIGNED[len(BODY) :], "m", TRUST)
        assert type(caught.value) is DamageError, "damage, which may go to quarantine"
    assert parser == []


def test_every_flipped_bit_behind_it_is_damage_s09():
    for at in range(len(BODY) * 8, len(SIGNED) * 8):
        flipped = bytearray(SIGNED)
        flipped[at // 8] ^= 1 << at % 8
        with pytest.raises(DamageError):
            decode(bytes(flipped), "m", TRUST)


@given(st.binary(max_size=300), st.sampled_from([TRUST, MOVING]))
def test_any_bytes_are_refused_s67(data, trust):
    with pytest.raises(DamageError):
        decode(data, "m", trust)
    with pytest.raises(DamageError):
        decode(seal_body(data, MEMBER), "m", trust)


def test_signatures_are_compared_in_constant_time_s67(monkeypatch):
    compared = []
    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append(len(a)) or real(a, b))
    decode(SIGNED, "m", TRUST)
    assert compared == [64]


def test_weak_digests_are_not_signed_s68():
    with pytest.raises(CaptureError, match="it is signed, and its digest is xxh3-128"):
        encode(small(), KEY)


def test_the_strong_digest_of_the_standard_library_is_sha_256_s28():
    assert hexdigest(b"abc", STRONG) == hashlib.sha256(b"abc").hexdigest()
    assert is_digest("0" * 64, STRONG)
    assert not is_digest("0" * 32, STRONG)
    assert not is_digest("0" * 64)
    assert not are_digests(["0" * 64, "0" * 32], STRONG)


def test_a_key_shows_itself_nowhere():
    for text in (repr(KEY), str(KEY), repr(TRUST), f"{vars(TRUST) if hasattr(TRUST, '__dict__') else TRUST}"):
        assert "kkk" not in text
    for store in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="not to be stored"):
            store(KEY)
    with pytest.raises(ValueError, match="31 bytes") as caught:
        SigningKey(b"s" * 31)
    assert "sss" not in str(caught.value)
