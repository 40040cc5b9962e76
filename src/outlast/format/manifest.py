"""The manifest: encoding, and decoding with every rule of `spec/store-v1.md` checked. No I/O."""

from __future__ import annotations

import json
from reprlib import repr as short
from typing import Any

from outlast.errors import CaptureError, DamageError, VersionError
from outlast.format import rows, rules
from outlast.format.envelope import MAX_BYTES, check_shape, seal_body, unseal
from outlast.format.model import Manifest
from outlast.format.nodes import EXACT_INT

KEY = "manifest_digest"
FORMAT = "outlast-checkpoint"
VERSION = 1
EXTENSION = "x-"
_FIELDS = {
    "format", "version", "requires", "store", "step", "attempt", "revision", "done", "created", "writer", "ranks",
    "digest", "chunk_bytes", "parts", "leaves", "files", "tree", "position", "metrics",
}  # fmt: skip


def encode(manifest: Manifest) -> bytes:
    """Return the manifest's file, sealed; a part, leaf or file a line.

    Raises:
        CaptureError: it would break a rule of the format, so that no reader would accept it.
    """
    try:
        rules.check(manifest)
        data = seal_body(_body(manifest), KEY)
        check_shape(data, "its manifest")
    except (DamageError, ValueError) as e:
        raise CaptureError(
            f"step {manifest.step} cannot be written as a checkpoint: {e}",
            hint="change the state where the message says; nothing was published",
        ) from e
    if len(data) > MAX_BYTES:
        raise CaptureError(
            f"step {manifest.step} needs a manifest of {len(data)} bytes, the limit is {MAX_BYTES}",
            hint="keep large values in arrays: the manifest holds only small ones",
        )
    return data


def decode(data: bytes, path: str = "manifest.json") -> Manifest:
    """Read a manifest's file.

    Raises:
        DamageError: any byte or rule is broken.
        VersionError: it is whole, and needs a newer outlast.
    """
    table = unseal(data, KEY, path)
    try:
        _check_version(table, path)
        manifest = _manifest(table)
        rules.check(manifest)
    except DamageError as e:
        raise DamageError(f"{path}: {e.args[0]}", path=path) from None
    return manifest


def _check_version(table: dict[str, Any], path: str) -> None:
    if table.get("format") != FORMAT:
        raise DamageError(f"format is {short(table.get('format'))}, expected {FORMAT}")
    version = rows.integer(table.get("version"), "version", 1)
    if version > VERSION:
        raise VersionError(f"{path} has format {version}, this outlast knows {VERSION}", hint="upgrade outlast")
    requires = rows.strings(table.get("requires"), "requires")
    if requires:
        names = ", ".join(name[:40] for name in requires[:5])
        raise VersionError(f"{path} needs features that this outlast does not know: {names}", hint="upgrade outlast")
    found = {name for name in table if not name.startswith(EXTENSION)}
    if found != _FIELDS:
        raise DamageError(f"unknown fields {short(sorted(found - _FIELDS))}, missing fields {sorted(_FIELDS - found)}")


def _manifest(table: dict[str, Any]) -> Manifest:
    if not isinstance(table["done"], bool):
        raise DamageError(f"done is {short(table['done'])}, expected true or false")
    return Manifest(
        store=rows.string(table["store"], "store"),
        step=rows.integer(table["step"], "step"),
        attempt=rows.integer(table["attempt"], "attempt"),
        revision=rows.integer(table["revision"], "revision"),
        done=table["done"],
        created=rows.string(table["created"], "created"),
        chunk_bytes=rows.integer(table["chunk_bytes"], "chunk_bytes"),
        parts=tuple([rows.part(row) for row in rows.items(table["parts"], "parts")]),
        leaves=tuple([rows.leaf(row) for row in rows.items(table["leaves"], "leaves")]),
        files=tuple([rows.file(row) for row in rows.items(table["files"], "files")]),
        tree=table["tree"],
        position=table["position"],
        metrics={name: _number(value, name) for name, value in _table(table["metrics"], "metrics").items()},
        writer={name: rows.string(value, "writer") for name, value in _table(table["writer"], "writer").items()},
        ranks=rows.integer(table["ranks"], "ranks"),
        digest=rows.string(table["digest"], "digest"),
    )


def _table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DamageError(f"{where} is {short(value)}, expected an object")
    return value


def _number(value: Any, name: str) -> float:
    if type(value) is float or (type(value) is int and abs(value) <= EXACT_INT):
        return float(value)
    raise DamageError(f"metric {name[:40]} is {short(value)}, expected a number")


def _body(manifest: Manifest) -> bytes:
    """Return the JSON text without its end: the digest follows."""
    head = {
        "format": FORMAT,
        "version": VERSION,
        "requires": manifest.requires,
        "store": manifest.store,
        "step": manifest.step,
        "attempt": manifest.attempt,
        "revision": manifest.revision,
        "done": manifest.done,
        "created": manifest.created,
        "writer": manifest.writer,
        "ranks": manifest.ranks,
        "digest": manifest.digest,
        "chunk_bytes": manifest.chunk_bytes,
    }
    pieces = [
        _json(head)[:-1],
        _lines("parts", [rows.part_row(part) for part in manifest.parts]),
        _lines("leaves", [rows.leaf_row(leaf) for leaf in manifest.leaves]),
        _lines("files", [rows.file_row(file) for file in manifest.files]),
        f'"tree":{_json(manifest.tree)}',
        f'"position":{_json(manifest.position)}',
        f'"metrics":{_json(manifest.metrics)}',
    ]
    return ",\n".join(pieces).encode()


def _lines(name: str, table: list[dict[str, Any]]) -> str:
    return f'"{name}":[' + ",\n".join(map(_json, table)) + "]"


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
