"""What must hold between the values of a manifest, whoever made it: checked after reading and before writing."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Collection, Iterable, Sequence
from reprlib import repr as short

from outlast.errors import DamageError
from outlast.format import codecs, features, nodes, ranks
from outlast.format.digest import KNOWN, SIGNABLE, are_digests, is_digest
from outlast.format.dtypes import itemsize
from outlast.format.model import Codec, Extent, Leaf, Manifest, Part, StoredFile
from outlast.format.names import ATTEMPT_LIMIT, STEP_LIMIT, CheckpointName, check_relative, part_rank
from outlast.format.places import by_path, check_lengths
from outlast.format.rows import INT_LIMIT
from outlast.format.safetensors import MAX_HEADER_BYTES

MAX_CHUNK_BYTES = 1 << 30
MAX_DIMENSIONS = 64
MAX_RANKS = 1 << 24
MAX_LEAVES = 1 << 18
_MAX_SPLIT_AXES = 4
_HEADER_PREFIX_BYTES = 8
_ALIGN = 8
_CREATED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?Z")


def check(manifest: Manifest) -> None:
    """Raise DamageError for the first rule of `spec/store-v1.md` that does not hold."""
    _check_head(manifest)
    for part in manifest.parts:
        _check_part(part, manifest)
    for leaf in manifest.leaves:
        _check_leaf(leaf, manifest)
    for file in manifest.files:
        _check_file(file, manifest)
    _check_different("part", [part.path for part in manifest.parts])
    _check_different("file", [file.at for file in manifest.files])
    _check_different("file", [(file.component, file.path) for file in manifest.files])
    _check_extents(manifest)
    _check_boxes(manifest.leaves)
    leaves = ranks.leaves_of({leaf.path: leaf for leaf in manifest.leaves}, None)
    if not isinstance(manifest.tree, dict) or "$" in manifest.tree:
        raise DamageError("tree is not a table of components")
    has_ties = nodes.check({name: ranks.flat(node, manifest.ranks) for name, node in manifest.tree.items()}, leaves)
    check_lengths(manifest.tree)
    if has_ties:
        by_path(ranks.tree_of(manifest.tree, 0))  # those of another rank when they are asked for
    if nodes.check(ranks.flat(manifest.position, manifest.ranks), leaves):
        raise DamageError("position holds a node of the kind 'same', which has its place in the tree alone")


def _check_head(manifest: Manifest) -> None:
    if not is_digest(manifest.store):
        raise DamageError(f"store is {short(manifest.store)}, expected 32 hex digits")
    if manifest.digest not in KNOWN:
        raise DamageError(f"digest is {short(manifest.digest)}, expected one of {', '.join(sorted(KNOWN))}")
    if manifest.is_signed and manifest.digest not in SIGNABLE:
        expected = " or ".join(sorted(SIGNABLE))
        raise DamageError(f"it is signed, and its digest is {manifest.digest}, expected {expected}")
    used = features.used(manifest.digest, manifest.leaves, manifest.tree, manifest.position)
    if sorted(manifest.requires) != sorted(used):
        raise DamageError(f"it requires {short(list(manifest.requires))}, and uses {list(used)}")
    if not _CREATED.fullmatch(manifest.created):
        raise DamageError(f"created is {short(manifest.created)}, expected a time in UTC, ISO 8601")
    for name, value, least, limit in (
        ("step", manifest.step, 0, STEP_LIMIT),
        ("attempt", manifest.attempt, 1, ATTEMPT_LIMIT),
        ("revision", manifest.revision, 0, ATTEMPT_LIMIT),
        ("ranks", manifest.ranks, 1, MAX_RANKS),
        ("chunk_bytes", manifest.chunk_bytes, 1, MAX_CHUNK_BYTES + 1),
        ("the number of leaves", len(manifest.leaves), 0, MAX_LEAVES + 1),
    ):
        if not least <= value < limit:
            raise DamageError(f"{name} is {value}, expected {least} to {limit - 1}")
    for name, number in manifest.metrics.items():
        if not math.isfinite(number):
            raise DamageError(f"metric {name[:40]} is {number}, expected a finite number")


def _check_part(part: Part, manifest: Manifest) -> None:
    name = _below_checkpoint(part.path, manifest)
    if part_rank(name) != part.rank or part.rank >= manifest.ranks:
        raise DamageError(f"{part.path}: rank {part.rank} of {manifest.ranks} does not fit its name")
    if not _HEADER_PREFIX_BYTES < part.header_bytes <= min(part.size_bytes, MAX_HEADER_BYTES + _HEADER_PREFIX_BYTES):
        raise DamageError(f"{part.path}: a header of {part.header_bytes} bytes in a file of {part.size_bytes}")
    if part.header_bytes % _ALIGN or not is_digest(part.header_digest, manifest.digest):
        raise DamageError(f"{part.path}: its header's length is no multiple of 8, or its digest has no such form")


def _below_checkpoint(path: str, manifest: Manifest) -> str:
    """Return what of a path is below a checkpoint's directory: this one's, or an older one's."""
    check_relative(path)
    folder, _, name = path.partition("/")
    owner = CheckpointName.parse(folder)
    if owner is None or not 1 <= owner.attempt <= manifest.attempt:
        raise DamageError(f"{path[:200]} is not in the directory of this or an older attempt's checkpoint")
    return name


def _check_leaf(leaf: Leaf, manifest: Manifest) -> None:
    if not leaf.path or nodes.is_long(leaf.path):
        raise DamageError(f"a leaf has the path {short(leaf.path)}: empty, or longer than {nodes.MAX_TEXT_BYTES} bytes")
    if len(leaf.shape) > MAX_DIMENSIONS:
        raise _wrong(leaf, f"it has {len(leaf.shape)} dimensions, the limit is {MAX_DIMENSIONS}")
    whose = ranks.owner(leaf.path)
    if whose is not None and whose[0] != leaf.rank:
        raise _wrong(leaf, f"it stands as that of rank {whose[0]}, and is of rank {leaf.rank}")
    item = itemsize(leaf.dtype)
    if math.prod(leaf.shape) * item != leaf.size_bytes:
        raise _wrong(leaf, f"{leaf.size_bytes} bytes do not fit dtype {leaf.dtype[:60]} and shape {list(leaf.shape)}")
    if not leaf.size_bytes and math.prod(filter(None, leaf.shape)) * item >= INT_LIMIT:
        raise _wrong(leaf, f"shape {list(leaf.shape)} is beyond any machine, although it is empty")
    if leaf.dtype in ("bytes", "utf8") and len(leaf.shape) != 1:
        raise _wrong(leaf, f"shape {list(leaf.shape)} of dtype {leaf.dtype}, expected one dimension")
    if leaf.rank >= manifest.ranks:
        raise _wrong(leaf, f"rank {leaf.rank} of {manifest.ranks}")
    if leaf.codec is not None:
        _check_codec(leaf, leaf.codec, manifest.chunk_bytes)
    if sum([extent.size_bytes for extent in leaf.extents]) != leaf.stored_bytes:
        raise _wrong(leaf, f"its extents do not add up to {leaf.stored_bytes} bytes")
    for extent in leaf.extents:
        _check_extent(extent, leaf, manifest.parts)
    _check_chunks(leaf, leaf.size_bytes, manifest)


def _check_codec(leaf: Leaf, codec: Codec, chunk_bytes: int) -> None:
    if codec.name != codecs.ZSTD or codec.width not in codecs.WIDTHS:
        raise _wrong(leaf, f"its codec is {short(codec.name)} of width {codec.width}, which is none")
    count = -(-leaf.size_bytes // chunk_bytes)
    if not count or len(codec.sizes) != count or chunk_bytes > codecs.MAX_CHUNK_BYTES:
        raise _wrong(leaf, f"{len(codec.sizes)} stored lengths of {count} chunks of {chunk_bytes} bytes")
    lengths = codecs.chunk_lengths(leaf.size_bytes, chunk_bytes, count)
    if lengths[0] % codec.width or lengths[-1] % codec.width:
        raise _wrong(leaf, f"its chunks are not of whole items of {codec.width} bytes")
    for size, length in zip(codec.sizes, lengths, strict=True):
        if not size <= length <= size * codecs.MAX_RATIO:
            raise _wrong(leaf, f"a chunk of {length} bytes is stored as {size}")


def _wrong(leaf: Leaf, what: str) -> DamageError:
    return DamageError(f"leaf {leaf.path[:200]}: {what}")


def _check_extent(extent: Extent, leaf: Leaf, parts: Sequence[Part]) -> None:
    if extent.part >= len(parts):
        raise _wrong(leaf, f"it names part {extent.part} of {len(parts)}")
    part = parts[extent.part]
    if extent.at < part.header_bytes or extent.at + extent.size_bytes > part.size_bytes:
        raise _wrong(leaf, f"bytes {extent.at} to {extent.at + extent.size_bytes} are outside the data of {part.path}")


def _check_chunks(one: Leaf | StoredFile, size_bytes: int, manifest: Manifest) -> None:
    expected = -(-size_bytes // manifest.chunk_bytes)
    if len(one.chunks) != expected:
        raise DamageError(f"{_name(one)}: {len(one.chunks)} digests, expected {expected}")
    if not are_digests(one.chunks, manifest.digest):
        raise DamageError(f"{_name(one)}: a digest does not have the form of {manifest.digest}")


def _name(one: Leaf | StoredFile) -> str:
    return f"leaf {one.path[:200]}" if isinstance(one, Leaf) else one.at


def _check_file(file: StoredFile, manifest: Manifest) -> None:
    check_relative(file.path)
    below = _below_checkpoint(file.at, manifest)
    folder, _, rest = below.partition("/")
    component, _, path = rest.partition("/")
    if folder != "files" or not component or path != file.path:
        raise DamageError(f"{file.at[:200]} is not at files/COMPONENT/{file.path[:200]} of a checkpoint")
    nodes.check(file.component, {})
    _check_chunks(file, file.size_bytes, manifest)


def _check_different(what: str, found: Collection[object]) -> None:
    if len(set(found)) != len(found):
        seen: set[object] = set()
        twice = next(one for one in found if one in seen or seen.add(one))  # type: ignore[func-returns-value]
        raise DamageError(f"{what} {str(twice)[:200]} stands twice")


def _check_extents(manifest: Manifest) -> None:
    """No byte is named twice: so no manifest asks for more memory than its parts have bytes."""
    found = sorted([(e.part, e.at, e.size_bytes) for leaf in manifest.leaves for e in leaf.extents])
    for (part, at, size), (next_part, next_at, _) in itertools.pairwise(found):
        if part == next_part and at + size > next_at:
            raise DamageError(f"{manifest.parts[part].path}: bytes from {next_at} are named twice")


def _check_boxes(leaves: Iterable[Leaf]) -> None:
    """A path is that of one whole leaf, or of boxes that tile one array."""
    boxes: dict[str, list[Leaf]] = {}
    wholes = []
    for leaf in leaves:
        if leaf.offset is None and leaf.global_shape is None:
            wholes.append(leaf.path)
        else:
            boxes.setdefault(leaf.path, []).append(leaf)
    _check_different("leaf", wholes)
    for path in wholes:
        if path in boxes:
            raise DamageError(f"leaf {path[:200]} is both whole and in boxes")
    for found in boxes.values():
        _check_tiling(found)


def _check_tiling(boxes: Sequence[Leaf]) -> None:
    first = boxes[0]
    whole = first.global_shape or ()
    for box in boxes:
        if box.dtype != first.dtype or box.global_shape != whole:
            raise _wrong(box, "its boxes disagree about dtype or global shape")
        if box.offset is None or not len(box.offset) == len(box.shape) == len(whole):
            raise _wrong(box, f"a box of {list(box.shape)} at {box.offset} in {list(whole)}: dimensions differ")
        if any(at + size > full for at, size, full in zip(box.offset, box.shape, whole, strict=True)):
            raise _wrong(box, f"a box of {list(box.shape)} at {list(box.offset)} is not inside {list(whole)}")
    if sum([math.prod(box.shape) for box in boxes]) != math.prod(whole) or not _is_tiled(boxes, whole):
        raise _wrong(first, f"its {len(boxes)} boxes do not cover {list(whole)} exactly once")


def _is_tiled(boxes: Sequence[Leaf], whole: tuple[int, ...]) -> bool:
    """Say whether boxes of the right total volume tile the whole.

    Corners decide: they cancel in pairs everywhere but at the whole's own corners if and only if every point
    is covered an odd number of times; with the volume right, that is once.
    """
    split = [axis for axis, full in enumerate(whole) if any(box.shape[axis] != full for box in boxes)]
    if len(split) > _MAX_SPLIT_AXES:
        raise _wrong(boxes[0], f"it is split along {len(split)} axes, the limit is {_MAX_SPLIT_AXES}")
    odd: set[tuple[int, ...]] = set()
    for box in boxes:
        at = box.offset or ()
        odd ^= _corners([(at[axis], at[axis] + box.shape[axis]) for axis in split])
    return odd == _corners([(0, whole[axis]) for axis in split])


def _corners(sides: Sequence[tuple[int, int]]) -> set[tuple[int, ...]]:
    if any(low == high for low, high in sides):
        return set()
    return set(itertools.product(*sides))
