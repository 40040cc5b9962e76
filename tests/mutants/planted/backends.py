"""Bugs of the POSIX backend: what is synced, what is believed, what is followed."""

from __future__ import annotations

from mutants.mutant import Mutant

POSIX, PUBLISHING, APPENDING, PATHS = (f"backends/{name}.py" for name in ("posix", "publishing", "appending", "paths"))

MUTANTS = (
    Mutant(
        name="part-that-was-taken-away-before-the-lock",
        why="the lock is on a file whose blocks are another checkpoint's by now",
        file=POSIX,
        old="        if (now.st_dev, now.st_ino) != (found.st_dev, found.st_ino):\n            raise FileNotFound",
        new="        if False:\n            raise FileNotFound",
        red=("backends/test_reading.py::test_what_was_exchanged_before_the_lock_is_gone",),
    ),
    Mutant(
        name="direct-reading-of-another-file",
        why="the name leads elsewhere by the second look: another file's bytes come back",
        file=POSIX,
        old="            if (now.st_dev, now.st_ino) == (found.st_dev, found.st_ino):\n",
        new="            if now:\n",
        red=("backends/test_reading.py::test_what_was_exchanged_after_it_was_opened_is_read_as_it_was",),
    ),
    Mutant(
        name="work-that-others-began-not-waited-for",
        why="a thread goes on writing into arrays that the next checkpoint is put into",
        file="backends/crew.py",
        old="    _join(others, errors)\n",
        new="    others.clear()\n",
        red=("backends/test_crew.py::test_nothing_goes_on_after_an_error",),
    ),
    Mutant(
        name="file-not-synced",
        why="after a power cut a published part holds zeros or nothing",
        file=PUBLISHING,
        old="            self.calls.fsync(fd)\n            size_bytes =",
        new="            size_bytes =",
        red=("store/test_commit.py::test_syncs_of_a_save",),
    ),
    Mutant(
        name="sync-tried-again-on-the-same-file",
        why="the kernel has dropped the pages and marked them clean: the second sync says yes over lost bytes",
        file=PUBLISHING,
        old="            self.calls.fsync(fd)\n            size_bytes =",
        new="            try:\n"
        "                self.calls.fsync(fd)\n"
        "            except OSError:\n"
        "                self.calls.fsync(fd)\n"
        "            size_bytes =",
        red=("backends/test_posix.py::test_a_failed_sync_condemns_the_file[fsync-1]",),
    ),
    Mutant(
        name="failed-sync-of-a-file-swallowed",
        why="a checkpoint is acknowledged whose bytes never reached the disk",
        file=PUBLISHING,
        old="            self.calls.fsync(fd)\n            size_bytes =",
        new="            with suppress(OSError):\n                self.calls.fsync(fd)\n            size_bytes =",
        red=("backends/test_posix.py::test_three_failed_syncs_are_an_error",),
    ),
    Mutant(
        name="failed-sync-of-a-directory-swallowed",
        why="a name that may be gone after a crash is acknowledged",
        file=POSIX,
        old="        with self.refusals(path), self._dir(path) as fd:\n            self.calls.fsync(fd)",
        new="        with self.refusals(path), self._dir(path) as fd, suppress(OSError):\n"
        "            self.calls.fsync(fd)",
        red=("backends/test_posix.py::test_a_failed_sync_of_a_directory_is_an_error",),
    ),
    Mutant(
        name="failed-close-swallowed",
        why="NFS and quotas tell a failed write only there",
        file=PUBLISHING,
        old="            self.calls.close(fd)  # NFS and quotas report here too",
        new="            with suppress(OSError):\n                self.calls.close(fd)",
        red=("store/test_order.py::test_an_error_at_the_close_of_the_data_is_an_error_of_the_data",),
    ),
    Mutant(
        name="size-not-checked",
        why="storage that takes bytes and loses them is believed",
        file=PUBLISHING,
        old="        if size_bytes != needed:",
        new="        if False:",
        red=("backends/test_posix.py::test_a_file_of_another_size_is_not_published",),
    ),
    Mutant(
        name="short-write-taken-for-whole",
        why="a write may take fewer bytes than it was given",
        file=PATHS,
        old="                rest = _after(rest, count)",
        new="                rest = []",
        red=("backends/test_posix.py::test_short_writes_and_reads_are_gone_on_with",),
    ),
    Mutant(
        name="published-by-overwriting",
        why="two writers of one name: the second replaces what the first has acknowledged",
        file=PUBLISHING,
        old="            self.calls.link(temporary, name, dir_fd=dir_fd)",
        new="            self.calls.rename(temporary, name, dir_fd=dir_fd, to_dir_fd=dir_fd)",
        red=("backends/test_posix.py::test_create_is_exclusive",),
    ),
    Mutant(
        name="lost-answer-of-a-link-believed",
        why="on NFS a link that was carried out may report failure: a good save would fail",
        file=PUBLISHING,
        old="            if not self._is_same(temporary, name, dir_fd):\n                if",
        new="            if True:\n                if",
        red=("backends/test_posix.py::test_a_link_whose_answer_was_lost_is_done",),
    ),
    Mutant(
        name="failed-link-taken-for-done",
        why="a checkpoint is acknowledged that was never published",
        file=PUBLISHING,
        old="            if not self._is_same(temporary, name, dir_fd):\n                if",
        new="            if False:\n                if",
        red=("backends/test_posix.py::test_a_full_disk_is_not_tried_again[link-28]",),
    ),
    Mutant(
        name="condemned-file-left-behind",
        why="each failed save takes space for good, on a disk that is full already",
        file=PUBLISHING,
        old="        try:\n"
        "            self.calls.unlink(temporary, dir_fd=dir_fd)\n"
        "        except OSError:\n"
        "            return",
        new="        return",
        red=("backends/test_posix.py::test_three_failed_syncs_are_an_error",),
    ),
    Mutant(
        name="temporary-name-not-removed",
        why="every file keeps a second name: nothing that is removed gives its space back",
        file=PUBLISHING,
        old="                self.calls.unlink(temporary, dir_fd=dir_fd)\n        return size_bytes",
        new="                pass\n        return size_bytes",
        red=("backends/test_posix.py::test_create_and_read",),
    ),
    Mutant(
        name="torn-line-of-the-journal-not-cut-back",
        why="the next line is written behind half a line, and both are lost",
        file=APPENDING,
        old="            self._owner.calls.truncate(self._fd, self._size_bytes)\n",
        new="            pass\n",
        red=("backends/test_posix.py::test_what_a_failed_append_left_is_cut_off",),
    ),
    Mutant(
        name="journal-not-synced-when-asked",
        why="what was acknowledged is not known after a power cut",
        file=APPENDING,
        old="                if sync:\n",
        new="                if False:\n",
        red=("backends/test_posix.py::test_a_failed_sync_of_a_journal_is_an_error",),
    ),
    Mutant(
        name="parents-of-a-new-store-not-synced",
        why="after a power cut the whole store is gone",
        file=PATHS,
        old="            if os.access(os.path.dirname(path), os.R_OK):",
        new="            if False:",
        red=("store/test_order.py::test_a_store_is_made_durable_with_its_parents_and_then_claimed",),
    ),
    Mutant(
        name="links-on-the-way-followed",
        why="a planted link makes a run write outside of its store",
        file=PATHS,
        old="DIRECTORY | os.O_NOFOLLOW",
        new="DIRECTORY",
        red=("backends/test_posix.py::test_a_link_on_the_way_is_not_followed[create-case1]",),
    ),
    Mutant(
        name="links-to-files-followed",
        why="a planted link makes a reader read, or a journal write, what is outside of the store",
        file=POSIX,
        old="_READ = os.O_RDONLY | os.O_NOFOLLOW |",
        new="_READ = os.O_RDONLY |",
        red=("backends/test_posix.py::test_a_link_at_the_end_is_not_followed[case0-file]",),
    ),
    Mutant(
        name="move-overwrites",
        why="what lies in quarantine would be replaced by the next damaged file of that name",
        file=POSIX,
        old="            if self._has(to_name, to_fd):",
        new="            if False:",
        red=("backends/test_posix.py::test_move_never_overwrites[file-file]",),
    ),
    Mutant(
        name="others-may-read",
        why="the state is private: 0600 whatever the umask",
        file=PUBLISHING,
        old="mode: int = 0o600",
        new="mode: int = 0o644",
        red=("backends/test_posix.py::test_modes",),
    ),
    Mutant(
        name="heartbeat-by-this-clock",
        why="clocks of two nodes differ: a live attempt is taken for dead, or a dead one for alive",
        file=POSIX,
        old="                now = self.calls.fstat(fd).st_mtime",
        new='                now = __import__("time").time()',
        red=("backends/test_posix.py::test_the_present_is_the_file_systems_not_this_nodes",),
    ),
    Mutant(
        name="any-process-of-that-number-is-it",
        why="a process number is used again: the run is refused for as long as a stranger lives",
        file="backends/host.py",
        old="    return bool(start) and start == other.start",
        new="    return bool(start)",
        red=("backends/test_host.py::test_a_pid_used_again",),
    ),
)
