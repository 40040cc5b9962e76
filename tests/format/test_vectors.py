"""The vectors of the specification: what every reader must accept and refuse, by our reader and by the schema."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from outlast.errors import DamageError, OutlastError, SignatureError, VersionError
from outlast.format.envelope import seal
from outlast.format.manifest import decode, encode
from outlast.format.signing import WITHOUT_KEY, SigningKey, Trust

SPEC = Path(__file__).resolve().parents[2] / "spec"
VECTORS = SPEC / "vectors"
INDEX = json.loads((VECTORS / "index.json").read_bytes())
SCHEMA = json.loads((SPEC / "manifest-v1.schema.json").read_bytes())
WHOLE = Draft202012Validator(SCHEMA)
ERRORS = {"damage": DamageError, "version": VersionError, "signature": SignatureError}
KEY = SigningKey(bytes.fromhex(INDEX["key"]))
IDS = set(re.findall(r"\*\*(S-\d\d)\*\*", (SPEC / "store-v1.md").read_text()))


def named(rows):
    return [pytest.param(row, id=row["file"].partition("/")[2].removesuffix(".json")) for row in rows]


def load_maker():
    spec = importlib.util.spec_from_file_location("vectors_make", VECTORS / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("row", named(INDEX["valid"]))
def test_valid_ones_are_read_and_written_alike(row):
    manifest = decode((VECTORS / row["file"]).read_bytes(), row["file"])
    again = encode(manifest)
    assert decode(again) == manifest
    assert encode(decode(again)) == again


@pytest.mark.parametrize("row", named(INDEX["valid"]))
def test_the_schema_takes_valid_ones(row):
    WHOLE.validate(json.loads((VECTORS / row["file"]).read_bytes()))


@pytest.mark.parametrize("row", named(INDEX["invalid"]))
def test_invalid_ones_are_refused_with_the_right_kind_of_error(row):
    with pytest.raises(OutlastError) as caught:
        decode((VECTORS / row["file"]).read_bytes(), row["file"])
    assert type(caught.value) is ERRORS[row["error"]]
    assert row["file"] in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("reader", ["with_key", "without_key"])
@pytest.mark.parametrize("row", named(INDEX["signed"]))
def test_signed_ones_are_judged_by_the_key(row, reader):
    trust = Trust(key=KEY) if reader == "with_key" else WITHOUT_KEY
    data = (VECTORS / row["file"]).read_bytes()
    if row[reader] == "ok":
        manifest = decode(data, row["file"], trust)
        assert encode(manifest, KEY if manifest.is_signed else None)
    else:
        with pytest.raises(OutlastError) as caught:
            decode(data, row["file"], trust)
        assert type(caught.value) is ERRORS[row[reader]]
        assert row["file"] in str(caught.value)


@pytest.mark.parametrize("row", named(row for row in INDEX["signed"] if row["without_key"] == "ok"))
def test_the_schema_takes_what_carries_a_signature(row):
    WHOLE.validate(json.loads((VECTORS / row["file"]).read_bytes()))


@pytest.mark.parametrize("row", named(row for row in INDEX["invalid"] if row["schema"]))
def test_the_schema_refuses_what_it_can(row):
    assert not WHOLE.is_valid(json.loads((VECTORS / row["file"]).read_bytes()))


def test_only_the_digest_is_wrong_where_the_digest_is_the_rule():
    """All others are sealed: they reach the rule that they break."""
    for row in INDEX["invalid"]:
        with pytest.raises(OutlastError) as caught:
            decode((VECTORS / row["file"]).read_bytes(), row["file"])
        by_envelope = re.search("digest does not match|which no whole table has", str(caught.value))
        assert bool(by_envelope) == (row["rule"] == "S-08"), row["file"]


def test_the_vectors_on_disk_are_those_that_make_builds():
    built = load_maker().build()
    on_disk = {str(p.relative_to(VECTORS)) for p in VECTORS.rglob("*.json")}
    assert on_disk == set(built)
    assert [name for name, data in built.items() if (VECTORS / name).read_bytes() != data] == []


def test_every_cited_rule_stands_in_the_specification():
    cited = {rule for row in INDEX["valid"] for rule in row["rules"]}
    cited |= {row["rule"] for row in [*INDEX["invalid"], *INDEX["signed"]]}
    assert cited <= IDS
    assert sorted(IDS) == [f"S-{n:02d}" for n in range(1, len(IDS) + 1)]


def test_the_schema_is_one_and_knows_the_other_tables():
    Draft202012Validator.check_schema(SCHEMA)
    about = {"format": "outlast-store", "version": 1, "store": "0" * 32, "created": "2026-11-24T03:00:00.000Z"}
    line = {"seq": 0, "at": "2026-11-24T03:00:00.000Z", "event": "claim", "pid": 1}
    for name, table, wrong in (("store", about, "version"), ("line", line, "event")):
        schema = Draft202012Validator({"$defs": SCHEMA["$defs"], "$ref": f"#/$defs/{name}"})
        schema.validate(json.loads(seal(table)))
        assert not schema.is_valid({**json.loads(seal(table)), wrong: 2})
        assert not schema.is_valid(table), "without its digest"
