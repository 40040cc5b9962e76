"""Bugs of the format: what is taken for whole, for ours, for the newest."""

from __future__ import annotations

from mutants.mutant import Mutant

MUTANTS = (
    Mutant(
        name="digest-of-a-table-not-checked",
        why="a flipped bit in a manifest changes a step, an offset or a number of the state",
        file="format/envelope.py",
        old="        if view[-tail_bytes:] != _tail(view[:-tail_bytes], key):\n",
        new="        if False:\n",
        red=("format/test_manifest.py::test_every_flipped_bit_is_damage_s09",),
    ),
    Mutant(
        name="digest-of-the-first-bytes-only",
        why="what is behind them may rot unnoticed",
        file="format/digest.py",
        old="    return str(xxhash.xxh3_128_hexdigest(data))\n",
        new="    return str(xxhash.xxh3_128_hexdigest(memoryview(data)[:4096]))\n",
        red=("format/test_digest.py::test_a_change_anywhere_changes_it",),
    ),
    Mutant(
        name="last-chunk-without-a-digest",
        why="the end of every leaf may rot unnoticed",
        file="format/digest.py",
        old="for at in range(0, data.nbytes, chunk_bytes))",
        new="for at in range(0, data.nbytes - data.nbytes % chunk_bytes or data.nbytes, chunk_bytes))",
        red=("format/test_digest.py::test_chunks_cover_every_byte_once_s35",),
    ),
    Mutant(
        name="newer-manifest-accepted",
        why="what an old program does not know of a checkpoint is lost with its next save",
        file="format/manifest.py",
        old="    if version > VERSION:\n",
        new="    if False:\n",
        red=("format/test_manifest.py::test_a_newer_version_is_no_damage_s11",),
    ),
    Mutant(
        name="newest-by-step-alone",
        why="an attempt that had to fall back is newer: else what it saves is never used, and pruned",
        file="format/names.py",
        old="(self.attempt, self.step, self.revision))",
        new="(self.step, self.attempt, self.revision))",
        red=("format/test_names.py::test_the_newest_is_of_the_newest_attempt_s02",),
    ),
    Mutant(
        name="paths-may-leave-the-store",
        why="a hostile store makes its reader open any file",
        file="format/names.py",
        old='in (b"", b".", b"..") for name in names)',
        new='in (b"", b".") for name in names)',
        red=("format/test_names.py::test_paths_that_leave_it_or_cannot_be_s04[../a]",),
    ),
    Mutant(
        name="leaf-outside-of-its-part",
        why="a leaf reads the header, or other bytes, as its own",
        file="format/rules.py",
        old="    if extent.at < part.header_bytes or extent.at + extent.size_bytes > part.size_bytes:\n",
        new="    if False:\n",
        red=("format/test_vectors.py::test_invalid_ones_are_refused_with_the_right_kind_of_error",),
    ),
)
