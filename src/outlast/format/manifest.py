"""The manifest: encoding, and decoding with every rule of `spec/store-v1.md` checked. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from reprlib import repr as short
from typing import Any, TypeVar

from outlast import collector
from outlast.errors import CaptureError, DamageError, VersionError
from outlast.format import features, rows, rules
from outlast.format.digest import BLAKE3, HEX_CHARS, NAME, STRONG, has_blake3
from outlast.format.envelope import MAX_BYTES, Text, open_sealed, parse_sealed, seal_body, weigh
from outlast.format.model import Manifest
from outlast.format.nodes import EXACT_INT
from outlast.format.signing import MEMBER, WITHOUT_KEY, SigningKey, Trust, is_signed, tail

Row = TypeVar("Row")

KEY = "manifest_digest"
FORMAT = "outlast-checkpoint"
VERSION = 1
EXTENSION = "x-"
_DIGEST_CHARS = len(KEY) + HEX_CHARS + 8  # `,"manifest_digest":"..."}` and a newline
_ENDS_IN = 256  # characters in which a signature and the digest lie
HEAD_BYTES = 512  # in which `is_unfinished` looks
_UNFINISHED = re.compile(
    rb'\{"format":"outlast-checkpoint","version":1,"requires":\[(?:"blake3"|"zstd"|,)*\],"store":"[0-9a-f]*",'
    rb'"step":[0-9]+,"attempt":[0-9]+,"revision":[0-9]+,"done":false,'
)
MAX_MEMBERS = 1 << 16  # of `metrics` and of `writer`
_FIELDS = {
    "format", "version", "requires", "store", "step", "attempt", "revision", "done", "created", "writer", "ranks",
    "digest", "chunk_bytes", "parts", "leaves", "files", "tree", "position", "metrics",
}  # fmt: skip


def digest_for(key: SigningKey | None) -> str:
    """Return the kind of digest that a writer with this key, or with none, takes of chunks and headers."""
    if key is None:
        return NAME
    return BLAKE3 if has_blake3() else STRONG


def encode(manifest: Manifest, key: SigningKey | None = None) -> bytes:
    """Return the manifest's file, signed if there is a key, and sealed; a part, leaf or file a line.

    Raises:
        CaptureError: it would break a rule of the format, so that no reader would accept it.
    """
    try:
        rules.check(replace(manifest, is_signed=key is not None))
        body = _body(manifest)
        data = seal_body(body + tail(body, key) if key else body, KEY)
        weigh(data, "its manifest")
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


def decode(data: bytes | bytearray, path: str = "manifest.json", trust: Trust = WITHOUT_KEY) -> Manifest:
    """Read a manifest's file.

    Raises:
        DamageError: any byte or rule is broken.
        SignatureError: it is whole, and not signed as `trust` demands.
        VersionError: it is whole, and needs a newer outlast or a package that is not here.
    """
    return read(opened(data, path, trust), path)


def opened(data: bytes | bytearray, path: str, trust: Trust) -> Text:
    """Return a manifest's text for `read`: its digest and signature are checked before a parser sees it."""
    return open_sealed(data, KEY, path, judge=trust.check)


@collector.paused()
def read(text: Text, path: str = "manifest.json") -> Manifest:
    """Read the text of a manifest whose digest was checked. Raises as `decode`."""
    table = parse_sealed(text, KEY, path)
    try:
        _check_signature(table, text.text)
        requires = _check_version(table, path)
        manifest = _manifest(table, requires)
        rules.check(manifest)
    except DamageError as e:
        raise DamageError(f"{path}: {e.args[0]}", path=path) from None
    return manifest


def is_unfinished(head: bytes | bytearray) -> bool:
    """Say whether a manifest that begins so cannot be that of a run that was done, be it whole or not.

    It is so if it begins as ours do and says it there, for a member that stands twice is refused. If not, only reading
    it will tell.
    """
    return _UNFINISHED.match(head) is not None


def _check_signature(table: dict[str, Any], text: str) -> None:
    """Check that the signature stands where it is looked for, or nowhere: elsewhere nobody checks it."""
    ends_in = text[-_ENDS_IN:-_DIGEST_CHARS].encode(errors="replace")
    if (MEMBER in table) != is_signed(ends_in):
        raise DamageError(f"its {MEMBER} is not at the end, or not 64 hex digits")


def _check_version(table: dict[str, Any], path: str) -> tuple[str, ...]:
    """Return the features that it needs: all are known and can be used here."""
    if table.get("format") != FORMAT:
        raise DamageError(f"format is {short(table.get('format'))}, expected {FORMAT}")
    version = rows.integer(table.get("version"), "version", 1)
    if version > VERSION:
        raise VersionError(f"{path} has format {version}, this outlast knows {VERSION}", hint="upgrade outlast")
    requires = rows.strings(table.get("requires"), "requires")
    features.check(requires, path)
    found = {name for name in table if not name.startswith(EXTENSION)} - {MEMBER}
    if found != _FIELDS:
        raise DamageError(f"unknown fields {short(sorted(found - _FIELDS))}, missing fields {sorted(_FIELDS - found)}")
    return requires


def _manifest(table: dict[str, Any], requires: tuple[str, ...]) -> Manifest:
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
        parts=_rows(table, "parts", rows.part),
        leaves=_rows(table, "leaves", rows.leaf),
        files=_rows(table, "files", rows.file),
        tree=table["tree"],
        position=table["position"],
        metrics={name: _number(value, name) for name, value in _table(table["metrics"], "metrics").items()},
        writer={name: rows.string(value, "writer") for name, value in _table(table["writer"], "writer").items()},
        ranks=rows.integer(table["ranks"], "ranks"),
        digest=rows.string(table["digest"], "digest"),
        requires=requires,
        is_signed=MEMBER in table,
    )


def _rows(table: dict[str, Any], name: str, read_row: Callable[[Any], Row]) -> tuple[Row, ...]:
    """Read the rows, and let go of each once it is read: they take as much memory as what is made of them."""
    left = rows.items(table.pop(name), name)
    left.reverse()
    return tuple([read_row(left.pop()) for _ in range(len(left))])


def _table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DamageError(f"{where} is {short(value)}, expected an object")
    if len(value) > MAX_MEMBERS:
        raise DamageError(f"{where} has {len(value)} members, the limit is {MAX_MEMBERS}")
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
        _lines("parts", map(rows.part_row, manifest.parts)),
        _lines("leaves", map(rows.leaf_row, manifest.leaves)),
        _lines("files", map(rows.file_row, manifest.files)),
        f'"tree":{_json(manifest.tree)}',
        f'"position":{_json(manifest.position)}',
        f'"metrics":{_json(manifest.metrics)}',
    ]
    return ",\n".join(pieces).encode()


def _lines(name: str, table: Iterable[dict[str, Any]]) -> str:
    """Return the rows as lines; each is let go of once it is written."""
    return f'"{name}":[' + ",\n".join(map(_json, table)) + "]"


_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
