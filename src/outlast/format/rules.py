"""What must hold between the values of a manifest, whoever made it: checked after reading and before writing."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Collection, Iterable, Sequence
from reprlib import repr as short

from outlast.errors import DamageError
from outlast.format import nodes
from outlast.format.digest import NAME, are_digests, is_digest
from outlast.format.dtypes import itemsize
from outlast.format.model import Extent, Leaf, Manifest, Part, StoredFile
from outlast.format.names import ATTEMPT_LIMIT, STEP_LIMIT, CheckpointName, check_relative, part_rank
from outlast.format.places import by_path
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
    leaves = {leaf.path: leaf for leaf in manifest.leaves}
    if not isinstance(manifest.tree, dict) or "$" in manifest.tree:
        raise DamageError("tree is not a table of components")
    if nodes.check(manifest.tree, leaves):
        by_path(manifest.tree)
    if nodes.check(manifest.position, leaves):
        raise DamageError("position holds a node of the kind 'same', which has its place in the tree alone")


def _check_head(manifest: Manifest) -> None:
    if not is_digest(manifest.store):
        raise DamageError(f"store is {short(manifest.store)}, expected 32 hex digits")
    if manifest.digest != NAME:
        raise DamageError(f"digest is {short(manifest.digest)}, expected {NAME}")
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
    if part.header_bytes % _ALIGN or not is_digest(part.header_digest):
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
    if not leaf.path or len(leaf.path.encode(errors="replace")) > nodes.MAX_TEXT_BYTES:
        raise DamageError(f"a leaf has the path {short(leaf.path)}: empty, or longer than {nodes.MAX_TEXT_BYTES} bytes")
    if len(leaf.shape) > MAX_DIMENSIONS:
        raise _wrong(leaf, f"it has {len(leaf.shape)} dimensions, the limit is {MAX_DIMENSIONS}")
    item = itemsize(leaf.dtype)
    if math.prod(leaf.shape) * item != leaf.size_bytes:
        raise _wrong(leaf, f"{leaf.size_bytes} bytes do not fit dtype {leaf.dtype[:60]} and shape {list(leaf.shape)}")
    if not leaf.size_bytes and math.prod(filter(None, leaf.shape)) * item >= INT_LIMIT:
        raise _wrong(leaf, f"shape {list(leaf.shape)} is beyond any machine, although it is empty")
    if leaf.dtype in ("bytes", "utf8") and len(leaf.shape) != 1:
        raise _wrong(leaf, f"shape {list(leaf.shape)} of dtype {leaf.dtype}, expected one dimension")
    if leaf.rank >= manifest.ranks:
        raise _wrong(leaf, f"rank {leaf.rank} of {manifest.ranks}")
    if sum([extent.size_bytes for extent in leaf.extents]) != leaf.size_bytes:
        raise _wrong(leaf, f"its extents do not add up to {leaf.size_bytes} bytes")
    for extent in leaf.extents:
        _check_extent(extent, leaf, manifest.parts)
    _check_chunks(f"leaf {leaf.path[:200]}", leaf.chunks, leaf.size_bytes, manifest.chunk_bytes)


def _wrong(leaf: Leaf, what: str) -> DamageError:
    return DamageError(f"leaf {leaf.path[:200]}: {what}")


def _check_extent(extent: Extent, leaf: Leaf, parts: Sequence[Part]) -> None:
    if extent.part >= len(parts):
        raise _wrong(leaf, f"it names part {extent.part} of {len(parts)}")
    part = parts[extent.part]
    if extent.at < part.header_bytes or extent.at + extent.size_bytes > part.size_bytes:
        raise _wrong(leaf, f"bytes {extent.at} to {extent.at + extent.size_bytes} are outside the data of {part.path}")


def _check_chunks(where: str, chunks: tuple[str, ...], size_bytes: int, chunk_bytes: int) -> None:
    expected = -(-size_bytes // chunk_bytes)
    if len(chunks) != expected:
        raise DamageError(f"{where}: {len(chunks)} digests, expected {expected}")
    if not are_digests(chunks):
        raise DamageError(f"{where}: a digest is not 32 hex digits")


def _check_file(file: StoredFile, manifest: Manifest) -> None:
    check_relative(file.path)
    below = _below_checkpoint(file.at, manifest)
    folder, _, rest = below.partition("/")
    component, _, path = rest.partition("/")
    if folder != "files" or not component or path != file.path:
        raise DamageError(f"{file.at[:200]} is not at files/COMPONENT/{file.path[:200]} of a checkpoint")
    nodes.check(file.component, {})
    _check_chunks(file.at, file.chunks, file.size_bytes, manifest.chunk_bytes)


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
