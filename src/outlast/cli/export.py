"""`outlast export`: a checkpoint's arrays as one safetensors or npz file, or its files; verified on the way."""

from __future__ import annotations

import argparse
import os
from typing import Any

from outlast.cli import arguments, newfile, output

_AS_BYTES = ("bytes", "utf8")  # dtypes of our own


def add(verbs: arguments.Verbs[argparse.ArgumentParser]) -> None:
    parser = arguments.verb(
        verbs,
        "export",
        epilog="OUT's ending chooses the format: .safetensors or .npz (needs NumPy). OUT must not exist.\n"
        "Who may read it is up to your umask. Of a program that saves files, OUT is a folder, for you alone.",
    )
    parser.add_argument("out", metavar="OUT", help="file to write: NAME.safetensors or NAME.npz; or a folder")
    arguments.add_store(parser, optional_after=True)
    parser.add_argument("--checkpoint", "-c", metavar="NAME", help="a checkpoint or a step (default: the newest)")
    parser.add_argument("--only", metavar="PATTERN", help="only what has a matching name, e.g. 'model/*'")


def main(args: argparse.Namespace) -> int:
    from outlast.errors import DamageError, NothingError
    from outlast.format.names import CheckpointName

    newfile.check_place(args.out)
    store = arguments.open_store(args)
    manifest = store.manifest(store.find(args.checkpoint)) if args.checkpoint is not None else store.newest()
    name = CheckpointName(step=manifest.step, attempt=manifest.attempt, revision=manifest.revision)
    export = _files if manifest.files else _leaves
    try:
        return export(args, store, manifest, name.format())
    except DamageError:
        if name in store.checkpoints():
            raise
        hint = "export it again, or another one: outlast ls"
        raise NothingError(f"{name.format()} was removed while it was read", hint=hint) from None


def _leaves(args: argparse.Namespace, store: Any, manifest: Any, name: str) -> int:
    from outlast.errors import UsageError

    writers = {".safetensors": _safetensors, ".npz": _npz}
    ending = os.path.splitext(args.out)[1]
    if ending not in writers:
        raise UsageError(f"{args.out}: unknown format {ending!r}: expected .safetensors or .npz")
    leaves = _chosen(manifest, args.only)
    with store.source(manifest) as source:
        size, as_bytes = writers[ending](args.out, source, leaves)
    if args.json:
        paths = [leaf.path for leaf in leaves]
        output.as_json({"out": args.out, "checkpoint": name, "leaves": paths, "as_bytes": as_bytes, "bytes": size})
        return 0
    output.say(f"{args.out}: {len(leaves)} leaves of {name}, {size} bytes")
    if as_bytes:
        output.say(f"as plain bytes, for {ending[1:]} does not know their types: {', '.join(as_bytes)}")
    return 0


def _files(args: argparse.Namespace, store: Any, manifest: Any, name: str) -> int:
    from fnmatch import fnmatchcase

    from outlast.backends import Posix
    from outlast.errors import NothingError
    from outlast.store import handout
    from outlast.store.files import empty_folders

    chosen = [file for file in manifest.files if args.only is None or fnmatchcase(file.path, args.only)]
    if not chosen:
        raise NothingError(f"no file matches {args.only!r}", hint="see: outlast show")
    folder, out = os.path.split(os.path.abspath(args.out))
    folders = empty_folders(manifest) if args.only is None else ()
    handout.copy_out(store.backend, manifest, chosen, folders, to=Posix(folder), folder=out)
    size = sum(file.size_bytes for file in chosen)
    if args.json:
        paths = [file.path for file in chosen]
        output.as_json({"out": args.out, "checkpoint": name, "files": paths, "bytes": size})
    else:
        output.say(f"{args.out}: {len(chosen)} files of {name}, {size} bytes")
    return 0


def _chosen(manifest: Any, pattern: str | None) -> list[Any]:
    from fnmatch import fnmatchcase

    from outlast.errors import NothingError

    chosen = [leaf for leaf in manifest.leaves if pattern is None or fnmatchcase(leaf.path, pattern)]
    if pattern and not chosen:
        raise NothingError(f"no leaf matches {pattern!r}", hint="see: outlast show")
    return chosen


def _safetensors(out: str, source: Any, leaves: list[Any]) -> tuple[int, list[str]]:
    """Write the file; return its size and the leaves whose dtype it can only name in its metadata."""
    from outlast.format import safetensors
    from outlast.format.dtypes import safetensors_dtype

    foreign = {leaf.path: f"{leaf.dtype}{list(leaf.shape)}" for leaf in leaves if not safetensors_dtype(leaf.dtype)[1]}
    table = [(leaf.path, leaf.dtype, leaf.shape, leaf.size_bytes) for leaf in leaves]
    header, _ = safetensors.header(table, foreign)
    return newfile.write(out, [header, *(source.read(leaf.path) for leaf in leaves)]), list(foreign)


def _npz(out: str, source: Any, leaves: list[Any]) -> tuple[int, list[str]]:
    """Write the file; return its size and the leaves that NumPy has no dtype for: texts and bytes."""
    import io
    import zipfile

    from outlast.errors import UsageError

    try:
        import numpy as np
    except ImportError:
        raise UsageError("npz needs NumPy, which is not installed", hint="pip install numpy") from None
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:  # np.savez takes no array that is called "file"
        for leaf in leaves:
            with archive.open(f"{leaf.path}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, _array(np, leaf, source.read(leaf.path)), allow_pickle=False)
    return newfile.write(out, [buffer.getbuffer()]), [leaf.path for leaf in leaves if leaf.dtype in _AS_BYTES]


def _array(np: Any, leaf: Any, data: bytearray) -> Any:
    from outlast.capture.adapters.numpy_dtypes import dtype_named
    from outlast.errors import UsageError

    if leaf.dtype in _AS_BYTES:
        return np.frombuffer(data, np.uint8)
    try:
        return np.ndarray(leaf.shape, dtype_named(leaf.dtype), data)
    except (TypeError, ValueError):
        hint = "export to .safetensors, or leave it out with --only"
        raise UsageError(f"NumPy has no dtype for leaf {leaf.path}, which is {leaf.dtype}", hint=hint) from None
