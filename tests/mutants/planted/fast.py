"""Bugs of the fast path: pieces by several threads, direct I/O, blocks that are overwritten, sharing by chunk."""

from __future__ import annotations

from mutants.mutant import Mutant

POSIX, WRITING, CREW = "backends/posix.py", "backends/writing.py", "backends/crew.py"
COMMIT, PACKING, PRUNE = "store/commit.py", "store/packing.py", "store/prune.py"
SHARE = "store/share.py"

_FILLING = (
    Mutant(
        name="direct-writes-not-synced",
        why="past the kernel's cache is not yet past the disk's own: after a power cut a part has old blocks in it",
        file="backends/publishing.py",
        old="            needed = write()\n            self.calls.fsync(fd)",
        new="            needed = write()\n"
        '            if "build" not in write.__qualname__:\n'
        "                self.calls.fsync(fd)",
        red=("backends/test_spare.py::test_order_of_a_large_file",),
    ),
    Mutant(
        name="large-file-not-cut",
        why="a part ends in what its overwritten file held, and no reader takes it",
        file="backends/publishing.py",
        old="        self.calls.truncate(fd, needed)  # the last",
        new="        # the last",
        red=("backends/test_spare.py::test_its_blocks_become_the_new_files[1]",),
    ),
    Mutant(
        name="last-block-not-filled-up",
        why="what an earlier leaf left in a buffer gets to the disk behind the end of another",
        file=WRITING,
        old="    room[at:full] = bytes(full - at)\n",
        new="",
        red=("backends/test_sink.py::test_the_last_block_is_filled_up_with_zeros",),
    ),
    Mutant(
        name="piece-at-the-wrong-place",
        why="a part that does not begin at a piece's beginning is scrambled",
        file=WRITING,
        old="                piece, begin = [], place\n",
        new="                piece, begin = [], begin + PIECE_BYTES\n",
        red=("backends/test_sink.py::test_every_byte_is_in_its_place[4096-whole-4]",),
    ),
    Mutant(
        name="digest-taken-after-the-write",
        why="a bit that turned meanwhile is digested as if it had been so, and restores as good",
        file=WRITING,
        old="            if before:\n"
        "                before(place, place + size_bytes)\n"
        "            self._effort.pace.take(size_bytes)\n"
        "            self._put(place, views, size_bytes)\n",
        new="            self._effort.pace.take(size_bytes)\n"
        "            self._put(place, views, size_bytes)\n"
        "            if before:\n"
        "                before(place, place + size_bytes)\n",
        red=("backends/test_writing.py::test_before_hears_of_every_byte_once_and_before_it_is_written",),
    ),
    Mutant(
        name="refused-direct-write-taken-for-done",
        why="storage that refuses direct writes gets parts full of holes",
        file=WRITING,
        old="                self._give_up_direct()\n                continue\n",
        new="                self._give_up_direct()\n                return\n",
        red=("backends/test_sink.py::test_direct_writes_that_are_refused_are_made_through_the_cache[1]",),
    ),
    Mutant(
        name="second-refusal-of-direct-writes-is-an-error",
        why="on storage that refuses direct writes no save with several threads succeeds",
        file=WRITING,
        old="errno.EINVAL or not was_direct:",
        new="errno.EINVAL or not self.is_direct:",
        red=("backends/test_sink.py::test_direct_writes_that_are_refused_are_made_through_the_cache[2]",),
    ),
    Mutant(
        name="error-of-a-thread-swallowed",
        why="a part with a hole is synced, published and acknowledged",
        file=CREW,
        old="    if errors:\n        raise errors[min(errors)]\n    if 0 in is_done:\n",
        new="    if False:\n",
        red=("backends/test_sink.py::test_an_error_of_any_thread_is_raised[4-3]",),
    ),
    Mutant(
        name="reserving-must-succeed",
        why="no large save on storage that has no such thing: NFS before 4.2, many FUSE file systems",
        file="backends/publishing.py",
        old="            if e.errno not in _NO_ALLOCATE:\n                raise\n        needed = fill(sink)",
        new="            raise\n        needed = fill(sink)",
        red=("backends/test_spare.py::test_what_lets_nothing_be_reserved_is_written_all_the_same",),
    ),
)

_REUSING = (
    Mutant(
        name="spare-not-locked",
        why="a checkpoint is overwritten under the eyes of who restores it",
        file=POSIX,
        old="            self.calls.lock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        new="            pass\n",
        red=("backends/test_writing.py::test_a_file_that_somebody_reads_is_not_set_aside",),
    ),
    Mutant(
        name="spare-without-locks",
        why="where the storage has no locks nobody knows who reads",
        file=POSIX,
        old="            self.calls.lock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "        except OSError:\n"
        "            return False\n",
        new="            self.calls.lock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "        except OSError as e:\n"
        "            return not isinstance(e, BlockingIOError)\n",
        red=("backends/test_spare.py::test_without_locks_nothing_is_taken",),
    ),
    Mutant(
        name="spare-with-another-name",
        why="a backup made with `cp -al` is overwritten",
        file=POSIX,
        old="found.st_nlink == 1 and self._is_ours_alone(fd):",
        new="self._is_ours_alone(fd):",
        red=("backends/test_writing.py::test_a_file_with_another_name_is_not_set_aside",),
    ),
    Mutant(
        name="spare-that-got-another-name",
        why="a backup made with `cp -al` between two saves is overwritten",
        file="backends/publishing.py",
        old="        if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:\n            return fd, is_direct\n",
        new="        if stat.S_ISREG(found.st_mode):\n            return fd, is_direct\n",
        red=("backends/test_writing.py::test_a_link_that_is_made_later_saves_the_file_too",),
    ),
    Mutant(
        name="lock-kept-by-forked-children",
        why="as long as a loader's worker lives nobody can read the new part",
        file="backends/appending.py",
        old="                self._owner.calls.lock(fd, fcntl.LOCK_UN)\n",
        new="                pass\n",
        red=("backends/test_spare.py::test_a_child_that_was_forked_meanwhile_keeps_nobody_from_reading",),
    ),
    Mutant(
        name="unusable-spare-left-behind",
        why="a part's space is lost until the next attempt, and again with each failure",
        file="backends/publishing.py",
        old="                self._drop(spare, root_fd)  # if",
        new="                pass  # if",
        red=("backends/test_spare.py::test_a_failure_over_it_leaves_a_whole_new_file_and_nothing_else[1-rename]",),
    ),
    Mutant(
        name="spare-before-its-manifests-end-is-durable",
        why="after a power cut the manifest is there again, over another checkpoint's bytes",
        file=PRUNE,
        old="            self._backend.sync(name.format())\n"
        "        except FileNotFoundError:\n"
        "            self._withdrawn",
        new="        except FileNotFoundError:\n            self._withdrawn",
        red=("store/test_overwriting.py::test_nothing_is_set_aside_before_its_manifests_end_is_durable",),
    ),
    Mutant(
        name="spares-of-killed-attempts-stay",
        why="each kill costs a part's space for good",
        file=PRUNE,
        old="and int(attempt[1]) < self._lease.attempt:\n                self._drop(entry.name)",
        new="and int(attempt[1]) < 0:\n                self._drop(entry.name)",
        red=("store/test_overwriting.py::test_the_next_attempt_takes_what_a_killed_one_had_set_aside",),
    ),
    Mutant(
        name="spare-taken-for-a-leftover",
        why="checkpoints an hour apart never reuse anything at first",
        file=PRUNE,
        old=" or entry.name.startswith(SPARE):",
        new=":",
        red=("store/test_overwriting.py::test_a_part_that_was_saved_long_ago_is_not_taken_for_a_leftover",),
    ),
    Mutant(
        name="what-cannot-be-opened-stops-the-pruning",
        why="a part with another mode, or a link in its place, and the disk fills up",
        file=POSIX,
        old="            except OSError:  # a link, a mode too strict: it can be removed all the same\n"
        "                return None\n",
        new="",
        red=("store/test_overwriting.py::test_what_cannot_be_opened_is_removed",),
    ),
    Mutant(
        name="spare-kept-on-a-full-disk",
        why="no save succeeds any more for want of the room that was kept to make saves fast",
        file=COMMIT,
        old="            if isinstance(e, SpaceError):\n",
        new="            if False:\n",
        red=("store/test_overwriting.py::test_where_the_disk_is_full_nothing_is_kept_for_speed",),
    ),
    Mutant(
        name="second-spare-left-behind",
        why="a file for each prune until the attempt ends",
        file=SHARE,
        old="        for one in sizes:\n            self._remove(one)\n",
        new="",
        red=("store/test_reuse.py::test_of_two_spares_the_larger_is_kept",),
    ),
)

_SHARING = (
    Mutant(
        name="changes-since-another-snapshot-believed",
        why="a chunk that changed while no save succeeded is taken from the checkpoint before",
        file=SHARE,
        old="            if draft.since is not None and draft.since == self._number:\n",
        new="            if draft.changed:\n",
        red=("store/test_sharing.py::test_what_changed_since_another_snapshot_is_not_believed",),
    ),
    Mutant(
        name="digest-of-a-changed-chunk-taken-over",
        why="what is written new does not verify: the newest checkpoint never restores",
        file=SHARE,
        old="                digests.adopt(number, one.begin, one.end, one.old.leaf.chunks)\n",
        new="                digests.adopt(number, 0, draft.leaves[number].data.nbytes, one.old.leaf.chunks)\n",
        red=("store/test_sharing.py::test_only_what_changed_is_written",),
    ),
    Mutant(
        name="no-bound-for-single-chunks",
        why="one rotten block takes every checkpoint that there is",
        file=PACKING,
        old="        if not young(part):\n",
        new="        if False:\n",
        red=("store/test_sharing.py::test_no_more_checkpoints_than_allowed_lean_on_a_part[2]",),
    ),
    Mutant(
        name="range-of-an-older-part-misplaced",
        why="a leaf is put together from the wrong chunks, and does not verify",
        file=PACKING,
        old="at=extent.at + first - start,",
        new="at=extent.at,",
        red=("store/test_sharing.py::test_a_leaf_is_put_together_from_its_ranges",),
    ),
)

MUTANTS = (*_FILLING, *_REUSING, *_SHARING)
