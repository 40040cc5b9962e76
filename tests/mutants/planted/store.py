"""Bugs of the store: the order of a commit, sharing, removing, claims and fences, quarantine, reading."""

from __future__ import annotations

from mutants.mutant import Edit, Mutant

COMMIT, PRUNE, CATALOG, LEASE = "store/commit.py", "store/prune.py", "store/catalog.py", "store/lease.py"
SHARE = "store/share.py"
READING, STORE, JOURNAL, RESTORE = "store/reading.py", "store/store.py", "store/journal.py", "run/restore.py"
_WRITE_PART = "            self._backend.create(path, [head, *blocks])\n"
SAVE_IN_ORDER = "store/test_order.py::test_order_of_a_save_and_of_one_that_keeps_one"

_COMMITTING = (
    # -- the order of a commit
    Mutant(
        name="checkpoint-directory-not-synced-before-the-manifest",
        why="after a power cut the manifest is there and the part that it names is not",
        file=COMMIT,
        old='        self._backend.sync(name.format())\n        self._backend.sync("")\n',
        new='        self._backend.sync("")\n',
        red=(SAVE_IN_ORDER,),
    ),
    Mutant(
        name="store-directory-not-synced",
        why="after a power cut the new checkpoint's directory is gone, though it was acknowledged",
        file=COMMIT,
        old='        self._backend.sync(name.format())\n        self._backend.sync("")\n',
        new="        self._backend.sync(name.format())\n",
        red=(SAVE_IN_ORDER,),
    ),
    Mutant(
        name="checkpoint-directory-not-synced-after-the-manifest",
        why="after a power cut an acknowledged checkpoint has no manifest",
        file=COMMIT,
        old="        self._backend.sync(name.format())\n        for path, size_bytes in named_by(manifest):",
        new="        for path, size_bytes in named_by(manifest):",
        red=(SAVE_IN_ORDER,),
    ),
    Mutant(
        name="acknowledged-without-a-sync",
        why="what was told to be safe is not in the journal after a power cut",
        file=COMMIT,
        old='            "saved",\n',
        new='            "saved",\n            sync=False,\n',
        red=(SAVE_IN_ORDER,),
    ),
    Mutant(
        name="manifest-published-before-its-data-are-durable",
        why="a power cut in between leaves a visible checkpoint over missing bytes",
        file=COMMIT,
        old="        self._backend.sync(name.format())\n"
        '        self._backend.sync("")\n'
        "        self._lease.check()\n"
        '        self._backend.create(f"{name.format()}/{MANIFEST}", [data])\n',
        new="        self._lease.check()\n"
        '        self._backend.create(f"{name.format()}/{MANIFEST}", [data])\n'
        "        self._backend.sync(name.format())\n"
        '        self._backend.sync("")\n',
        red=(SAVE_IN_ORDER,),
    ),
    Mutant(
        name="manifest-before-the-part",
        why="a kill in between leaves a visible checkpoint without its bytes",
        file=SHARE,
        old=_WRITE_PART,
        new="            self._late = (path, [head, *blocks])\n",
        more=(
            Edit(
                file=COMMIT,
                old='        self._backend.create(f"{name.format()}/{MANIFEST}", [data])\n',
                new='        self._backend.create(f"{name.format()}/{MANIFEST}", [data])\n'
                '        if late := self.parts.__dict__.pop("_late", None):\n'
                "            self._backend.create(*late)\n",
            ),
        ),
        red=(SAVE_IN_ORDER,),
        proof=("kills first-save:before:*",),
    ),
    Mutant(
        name="acknowledged-before-it-is-published",
        why="a kill in between: the journal calls saved what is not there",
        file=COMMIT,
        old="            manifest = self._manifest(name, draft, shares)\n",
        new='            self._lease.journal.record("saved", checkpoint=name.format(), step=draft.step)\n'
        "            manifest = self._manifest(name, draft, shares)\n",
        red=(SAVE_IN_ORDER,),
    ),
    Mutant(
        name="no-fence-before-the-manifest",
        why="a writer that was taken over from publishes all the same",
        file=COMMIT,
        old='        self._lease.check()\n        self._backend.create(f"{name.format()}/{MANIFEST}", [data])\n',
        new='        self._backend.create(f"{name.format()}/{MANIFEST}", [data])\n',
        red=("store/test_commit.py::test_order_of_a_save",),
    ),
    Mutant(
        name="no-fence-after-the-manifest",
        why="a writer that was taken over from while it published acknowledges what no reader counts",
        file=COMMIT,
        old="                self._check_there(path, size_bytes)\n        self._lease.check()\n",
        new="                self._check_there(path, size_bytes)\n",
        red=("store/test_commit.py::test_order_of_a_save",),
    ),
    Mutant(
        name="failed-save-leaves-its-manifest-to-the-last",
        why="a power cut while it is cleared leaves a visible manifest over missing bytes",
        file=COMMIT,
        old="            if MANIFEST in left:\n",
        new="            left.sort(reverse=True)\n            if False:\n",
        more=(Edit(file=COMMIT, old="                if inner != MANIFEST:\n", new="                if True:\n"),),
        red=("store/test_order.py::test_a_failed_save_takes_its_manifest_back_before_its_part",),
    ),
    Mutant(
        name="failed-save-clears-without-a-fence",
        why="it removes what a newer attempt has adopted, and may have restored",
        file=COMMIT,
        old="            self._lease.check()  # a newer attempt may have adopted it: then it is not ours to remove\n",
        new="",
        red=("store/test_order.py::test_a_fenced_writer_whose_save_fails_leaves_what_the_newer_one_adopted",),
    ),
    Mutant(
        name="digests-of-what-reached-the-disk",
        why="what storage garbled while it was written gets a fitting digest: wrong bytes are restored as good",
        file=SHARE,
        old=_WRITE_PART,
        new=_WRITE_PART + "            with self._backend.open(path) as back:\n"
        "                for entry in entries:\n"
        "                    held = bytearray(entry.end - entry.begin)\n"
        "                    back.read_into(memoryview(held), entry.at)\n"
        "                    if held:\n"
        "                        first = entry.begin // digests.chunk_bytes\n"
        "                        digests._found[entry.number][first] = hexdigest(held, self._digest)\n",
        red=("store/test_commit.py::test_digests_are_of_the_memory_before_it_is_written",),
    ),
    Mutant(
        name="digests-after-writing",
        why="bytes that changed under the write (a stray pointer) get a fitting digest",
        file=SHARE,
        old="            digests.before(0, size_bytes)\n" + _WRITE_PART,
        new=_WRITE_PART + "            digests.before(0, size_bytes)\n",
        red=("store/test_commit.py::test_digests_are_of_the_memory_before_it_is_written",),
    ),
)

_COMPRESSED = "store/test_compress.py"
_TAKE = "            self._digests.take(number, chunk)  # of what is to come back, before anything is done to it\n"
_PACK = "            packed[place] = compressor.pack(data, self._widths[number])\n"
_COMPRESSING = (
    Mutant(
        name="compressed-chunks-not-compared",
        why="another chunk's frame decompresses as well as the right one: wrong bytes are restored",
        file=READING,
        old="            if self._first_bad(view, span.leaf.chunks, number) is not None:\n                report(",
        new="            if False:\n                report(",
        red=(f"{_COMPRESSED}::test_another_frame_of_the_right_size_is_found_by_its_digest_s35",),
    ),
    Mutant(
        name="frame-says-how-much-memory",
        why="a frame of a few bytes takes all memory that there is",
        file="format/codecs.py",
        old="            if told.content_size != len(chunk) or told.dict_id:\n",
        new="            if told.dict_id:\n",
        red=(f"{_COMPRESSED}::test_what_is_no_frame_of_just_that_length_is_damage_s70[longer]",),
    ),
    Mutant(
        name="bytes-behind-a-frame-taken",
        why="what no digest covers is passed over in silence",
        file="format/codecs.py",
        old="allow_extra_data=False",
        new="allow_extra_data=True",
        red=(f"{_COMPRESSED}::test_what_is_no_frame_of_just_that_length_is_damage_s70[more behind it]",),
    ),
    Mutant(
        name="shared-chunks-at-their-raw-places",
        why="the manifest names other bytes of the older part than the chunk's",
        file="store/packing.py",
        old="        return begins[one.begin // self._chunk_bytes], begins[-(-one.end // self._chunk_bytes)]\n",
        new="        return one.begin, one.end\n",
        red=(f"{_COMPRESSED}::test_only_chunks_that_changed_are_written_anew_s55",),
    ),
    Mutant(
        name="compressed-before-its-digest",
        why="what a fault of memory does while it is compressed gets a fitting digest",
        file="store/filling.py",
        old=_TAKE + _PACK,
        new=_PACK + _TAKE,
        red=(f"{_COMPRESSED}::test_digests_are_taken_before_anything_is_done_to_the_bytes_s53",),
    ),
    Mutant(
        name="room-asked-for-as-if-not-compressed",
        why="a nearly full disk refuses a save that would fit",
        file="store/filling.py",
        old="        return 0 if self._packed else len(self.head)",
        new="        return len(self.head)",
        red=(f"{_COMPRESSED}::test_nothing_is_asked_for_that_may_not_be_needed",),
    ),
    Mutant(
        name="disk-judged-by-compressed-parts",
        why="the disk looks slow, so that compressing looks good, for ever: saves take several times as long",
        file=SHARE,
        old="        if not filling.sizes:\n",
        new="        if True:\n",
        red=(f"{_COMPRESSED}::test_a_compressed_part_does_not_tell_how_fast_the_storage_is",),
    ),
    Mutant(
        name="any-ratio",
        why="a manifest of a few bytes asks its reader for more memory than there is",
        file="format/rules.py",
        old="        if not size <= length <= size * codecs.MAX_RATIO:",
        new="        if not 0 < size <= length:",
        red=("format/test_vectors.py::test_invalid_ones_are_refused_with_the_right_kind_of_error[codec-ratio]",),
    ),
)

_SHARING = (
    Mutant(
        name="exists-so-skip",
        why="a torn part of a killed save is taken for the real one: an acknowledged checkpoint is spoilt",
        file=COMMIT,
        old="                revision += 1  # of an earlier try that failed\n",
        new="                self._last = name\n                return name\n",
        more=(
            Edit(
                file=SHARE,
                old=_WRITE_PART,
                new="            with suppress(FileExistsError):\n"
                "                self._backend.create(path, [head, *blocks])\n",
            ),
        ),
        red=("store/test_commit.py::test_a_part_that_is_there_is_not_taken_for_ours",),
    ),
    Mutant(
        name="shared-without-comparing-digests",
        why="a leaf that changed is saved as it was before",
        file=SHARE,
        old="            return bytes(new == was for new, was in zip(taken, old.leaf.chunks, strict=True))\n",
        new="            return bytes(1 for _ in taken)\n",
        red=("store/test_commit.py::test_unchanged_leaves_are_named_not_written",),
    ),
    Mutant(
        name="shared-across-attempts",
        why="bytes that nobody has verified since are named by a new checkpoint",
        file=COMMIT,
        old="        self._last: CheckpointName | None = None\n",
        new="        self._last: CheckpointName | None = None\n"
        "        from outlast.store.catalog import load_manifest, scan\n"
        "        for found in scan(self._backend)[:1]:\n"
        "            read, _ = load_manifest(self._backend, found, store)\n"
        "            of = {'parts': read.parts, 'leaves': read.leaves, 'chunk_bytes': read.chunk_bytes}\n"
        "            self.parts.keep(found.name, Share(written_bytes=0, **of))\n",
        red=("store/test_commit.py::test_the_first_save_of_an_attempt_is_whole",),
    ),
    Mutant(
        name="shared-after-a-failed-save",
        why="a failed sync says nothing about what was written before: it may be gone",
        file=SHARE,
        old="shareable, self._written = self._written, {}",
        new="shareable = self._written",
        red=("store/test_order.py::test_after_a_failed_save_nothing_is_shared",),
    ),
    Mutant(
        name="lean-ignored",
        why="one old part is leant on for ever: a single lost file takes every checkpoint with it",
        file=SHARE,
        old="        return self._age.get(part.path, self._lean) < self._lean\n",
        new="        return self._lean > 0\n",
        red=("store/test_commit.py::test_unchanged_leaves_are_named_not_written",),
    ),
    Mutant(
        name="shared-part-not-looked-at-again",
        why="a part that somebody removed meanwhile is named by an acknowledged checkpoint",
        file=COMMIT,
        old="                self._check_there(path, size_bytes)\n",
        new="                pass\n",
        red=("store/test_order.py::test_a_shared_part_that_vanishes_while_we_save_is_noticed",),
    ),
)

_REMOVING = (
    Mutant(
        name="prune-removes-the-newest",
        why="nothing is left to go on from",
        file=PRUNE,
        old="        spared = counted[0].name if counted else None\n",
        new="        spared = None\n",
        red=("store/test_damage.py::test_the_newest_is_never_removed",),
    ),
    Mutant(
        name="prune-passes-over-unreadable-manifests",
        why="unreadable is not the same as naming nothing: live parts are removed",
        file=PRUNE,
        old="                self.learn(*self._read(found))\n",
        new="                try:\n"
        "                    self.learn(*self._read(found))\n"
        "                except (DamageError, StorageError):\n"
        "                    continue\n",
        red=(
            "store/test_damage.py::test_nothing_is_pruned_while_a_manifest_is_unreadable",
            "store/test_order.py::test_a_prune_that_cannot_read_a_manifest_removes_nothing",
        ),
    ),
    Mutant(
        name="prune-passes-over-unreadable-directories",
        why="the manifest in it may name the parts that go",
        file=PRUNE,
        old="            if one.unreadable:\n",
        new="            if False:\n",
        red=("store/test_order.py::test_a_directory_that_cannot_be_listed_stops_every_removal[5]",),
    ),
    Mutant(
        name="prune-removes-parts-before-the-manifest",
        why="a kill in between leaves a visible checkpoint without its bytes",
        file=PRUNE,
        old='            self._backend.remove(f"{name.format()}/{MANIFEST}")\n',
        new="            for entry in self._backend.list(name.format()):\n"
        '                if entry.name.startswith("part-"):\n'
        '                    self._backend.remove(f"{name.format()}/{entry.name}")\n'
        '            self._backend.remove(f"{name.format()}/{MANIFEST}")\n',
        red=(SAVE_IN_ORDER,),
    ),
    Mutant(
        name="prune-without-a-sync-in-between",
        why="after a power cut the manifest is back and its parts are gone",
        file=PRUNE,
        old='            self._backend.remove(f"{name.format()}/{MANIFEST}")\n'
        "            self._backend.sync(name.format())\n",
        new='            self._backend.remove(f"{name.format()}/{MANIFEST}")\n',
        red=(SAVE_IN_ORDER,),
    ),
    Mutant(
        name="prune-removes-parts-that-others-name",
        why="a checkpoint that is kept loses the bytes that it shares",
        file=PRUNE,
        old="        named = {path for one in counted if one.name not in gone for path in one.files}\n",
        new="        named = set()\n",
        red=("store/test_commit.py::test_a_part_outlives_its_checkpoint_while_it_is_named",),
    ),
    Mutant(
        name="prune-without-a-fence",
        why="a writer that was taken over from removes what the newer attempt goes on from",
        file=PRUNE,
        old='            self._lease.check()\n            self._lease.journal.record("pruned"',
        new='            self._lease.journal.record("pruned"',
        red=("store/test_order.py::test_the_fence_is_asked_before_each_removal",),
    ),
    Mutant(
        name="prune-does-not-say-what-goes",
        why="after a kill the journal calls saved what was pruned: the next start takes it for lost",
        file=PRUNE,
        old='"pruned", sync=False, checkpoints=[name.format()]',
        new='"pruned", sync=False, checkpoints=[]',
        red=("store/test_prune.py::test_what_goes_is_told_before_it_goes",),
    ),
    Mutant(
        name="sweep-takes-directories-of-newer-attempts",
        why="a newer attempt is writing in them",
        file=PRUNE,
        old="            if found.committed or found.name.attempt > self._lease.attempt:\n",
        new="            if found.committed:\n",
        red=("store/test_order.py::test_a_sweep_leaves_the_directories_of_newer_attempts_alone",),
    ),
    Mutant(
        name="prune-trusts-a-young-listing",
        why="a checkpoint that a stale listing hides may name the parts that go",
        file=PRUNE,
        old="        if hidden and self._lease.is_young:\n",
        new="        if False:\n",
        red=(
            "store/test_order.py::test_an_acknowledged_checkpoint_that_a_stale_listing_hides_is_adopted_and_not_swept",
        ),
    ),
    Mutant(
        name="quarantine-deletes",
        why="what is damaged is all that is left to repair from",
        file=PRUNE,
        old="        try:\n"
        '            self._backend.move(f"{name.format()}/{inner}", f"{to}/{inner}")\n'
        "        except FileExistsError:",
        new="        try:\n"
        '            self._backend.remove(f"{name.format()}/{inner}")\n'
        "        except FileExistsError:",
        red=("store/test_damage.py::test_quarantine_keeps_the_damage_and_goes_on",),
    ),
    Mutant(
        name="quarantine-moves-shared-parts",
        why="one damaged leaf takes the good checkpoints that share the file with it",
        file=PRUNE,
        old="        self._move_parts(name, to, {path for one in counted for path in one.files})\n",
        new="        self._move_parts(name, to, set())\n",
        red=("store/test_damage.py::test_a_damaged_part_that_others_name_stays_where_it_is",),
    ),
    Mutant(
        name="quarantine-without-a-fence",
        why="a writer that was taken over from hides what the newer attempt goes on from",
        file=PRUNE,
        old="        self._lease.check()\n        path = name.format()\n        to = self._make_quarantine(name)\n",
        new="        path = name.format()\n        to = self._make_quarantine(name)\n",
        red=("store/test_order.py::test_a_fenced_attempt_quarantines_nothing",),
    ),
    Mutant(
        name="quarantine-not-synced",
        why="after a power cut the damaged manifest may be in neither place",
        file=PRUNE,
        old="            self._backend.sync(to)\n            self._backend.sync(path)\n",
        new="",
        red=("store/test_order.py::test_order_of_a_quarantine",),
    ),
)

_CLAIMING = (
    Mutant(
        name="claim-not-exclusive",
        why="two attempts have the same number, and neither can be told to be the older",
        file=LEASE,
        old="            continue  # somebody else was quicker: judge again, by them\n",
        new="            journal = Journal(backend.appender(path), clock, seq=1)\n",
        red=("store/test_order.py::test_a_number_is_claimed_by_one_only",),
    ),
    Mutant(
        name="claim-not-durable",
        why="after a power cut the claim is gone: an older attempt is not fenced any more",
        file=LEASE,
        old="            backend.sync(JOURNAL)\n",
        new="",
        red=("store/test_order.py::test_a_store_is_made_durable_with_its_parents_and_then_claimed",),
    ),
    Mutant(
        name="live-attempt-overtaken",
        why="two copies of a job work on one store, and one of them for nothing",
        file=LEASE,
        old="    if alive:\n        message",
        new="    if False:\n        message",
        red=("store/test_lease.py::test_a_second_live_writer_is_refused",),
    ),
    Mutant(
        name="silence-judged-at-one-look",
        why="an attempt on another node that lives is taken for dead",
        file=LEASE,
        old="        if last != first:\n",
        new="        if False:\n",
        red=("store/test_lease.py::test_a_heartbeat_elsewhere_means_busy",),
    ),
    Mutant(
        name="fence-never-falls",
        why="a writer that was paused and woken goes on writing beside its successor",
        file=LEASE,
        old="        if claimed and claimed[-1] > self.attempt:\n",
        new="        if False:\n",
        red=("store/test_order.py::test_a_fenced_attempt_quarantines_nothing",),
    ),
    Mutant(
        name="own-claim-not-looked-for",
        why="it writes into another store that was mounted or moved to this place",
        file=LEASE,
        old="        if self.attempt not in claimed:\n",
        new="        if False:\n",
        red=("store/test_order.py::test_a_store_that_was_replaced_is_not_written_to",),
    ),
    Mutant(
        name="adopt-line-not-synced",
        why="after a power cut nothing says what an older attempt may not add to",
        file=STORE,
        old="got.journal.record_twice(journals.ADOPT, checkpoints=accepted)",
        new="got.journal.record(journals.ADOPT, sync=False, checkpoints=accepted)",
        red=("store/test_order.py::test_a_store_is_made_durable_with_its_parents_and_then_claimed",),
    ),
    Mutant(
        name="no-adopt-line",
        why="readers cannot tell what was published after a takeover: a zombie's checkpoint counts",
        file=STORE,
        old="            got.journal.record_twice(journals.ADOPT, checkpoints=accepted)  # what counts hangs on it\n",
        new="",
        red=("store/test_lease.py::test_readers_ignore_what_was_published_after_the_takeover",),
    ),
    Mutant(
        name="stock-taken-before-the-claim",
        why="what the older attempt publishes and acknowledges in between is lost",
        file=STORE,
        old="        got = lease.claim(",
        new="        seen = self.scan()\n        got = lease.claim(",
        more=(
            Edit(
                file=STORE,
                old="            found = self.scan()\n            expected =",
                new="            found = seen\n            expected =",
            ),
        ),
        red=("store/test_order.py::test_what_is_published_until_the_claim_is_adopted",),
    ),
    Mutant(
        name="readers-ignore-the-adoption",
        why="a checkpoint of a writer that was taken over from is restored as the newest",
        file=CATALOG,
        old="        counts = committed and (name.attempt >= adopter or entry.name in adopted)\n",
        new="        counts = committed\n",
        red=("store/test_lease.py::test_readers_ignore_what_was_published_after_the_takeover",),
    ),
    Mutant(
        name="acknowledged-ones-not-adopted-unseen",
        why="a stale listing hides the newest checkpoint at the claim: it never counts again",
        file=STORE,
        old="self.backend, found, got.attempt, expected)",
        new="self.backend, found, got.attempt, ())",
        red=(
            "store/test_order.py::test_an_acknowledged_checkpoint_that_a_stale_listing_hides_is_adopted_and_not_swept",
        ),
    ),
)

_READING = (
    Mutant(
        name="adopted-digest-not-compared",
        why="a whole manifest put in the place of the adopted one is taken for it",
        file=CATALOG,
        old="    if found.adopted_digest and digest != found.adopted_digest:\n",
        new="    if False:\n",
        red=("store/test_order.py::test_an_adopted_manifest_cannot_be_replaced_by_another_valid_one",),
    ),
    Mutant(
        name="misplaced-manifest-accepted",
        why="a copied file makes an old state come back as a new one",
        file=CATALOG,
        old="    if named != found.name:\n",
        new="    if False:\n",
        red=("store/test_damage.py::test_swapped_files",),
    ),
    Mutant(
        name="manifest-of-another-store-accepted",
        why="another run's state is restored",
        file=CATALOG,
        old="    if read.store != store:\n",
        new="    if False:\n",
        red=("store/test_damage.py::test_a_manifest_of_another_store",),
    ),
    Mutant(
        name="newest-by-time-stamp",
        why="a copy, a restore from backup or a wrong clock changes the times: an old checkpoint becomes the newest",
        file=CATALOG,
        old="    return tuple(sorted(found, key=lambda f: f.name, reverse=True))\n",
        new="    return tuple(sorted(found, key=lambda f: backend.modified(f.name.format()), reverse=True))\n",
        red=("store/test_catalog.py::test_the_order_does_not_depend_on_time_stamps",),
    ),
    Mutant(
        name="newer-store-format-accepted",
        why="an old program writes into what it does not understand",
        file=CATALOG,
        old="    if version > 1 or requires != []:\n",
        new="    if False:\n",
        red=("store/test_damage.py::test_a_newer_format_is_refused_and_nothing_touched",),
    ),
    Mutant(
        name="chunks-not-checked-at-restore",
        why="rotten bytes go into the live state",
        file=READING,
        old="            if hexdigest(data[at : at + step], kind) != chunks[number]:\n",
        new="            if False:\n",
        red=("store/test_reading.py::test_a_flipped_bit_is_noticed_before_the_leaf_is_used",),
    ),
    Mutant(
        name="chunks-not-checked-by-verify",
        why="`outlast verify` calls good what does not restore",
        file=READING,
        old="            found.append((order[id(leaf)], chunk, error))\n",
        new="            pass\n",
        red=("store/test_reading.py::test_verify_names_the_leaf_and_the_byte",),
    ),
    Mutant(
        name="long-chunks-not-checked",
        why="rotten bytes of a very large state go into the live one",
        file=READING,
        old="                chunk = None if self._long_digest(span, room) == span.leaf.chunks[first] else first\n",
        new="                chunk = None if self._long_digest(span, room) else first\n",
        red=("store/test_reading.py::test_chunks_longer_than_a_piece_and_very_short_ones[5242880]",),
    ),
    Mutant(
        name="places-over-each-other-filled-at-once",
        why="two threads write to one place: a good checkpoint is called damaged, or half of each stays",
        file=READING,
        old="if is_large and not _overlap([view for _, view in wanted if view]) else 1\n",
        new="if is_large else 1\n",
        red=("store/test_reading.py::test_places_that_overlap_are_filled_one_after_the_other",),
    ),
    Mutant(
        name="part-not-locked-while-it-is-read",
        why="a live run overwrites what somebody restores from",
        file=READING,
        old="self._backend.open(part.path, shared=True)",
        new="self._backend.open(part.path)",
        red=("store/test_reading.py::test_a_part_is_not_reused_while_it_is_open",),
    ),
    Mutant(
        name="mapped-leaf-not-checked",
        why="somebody looks at rotten bytes, and takes them for good",
        file=READING,
        old="        self._each([Wanted(leaf)], _raise, None)\n",
        new="",
        red=("store/test_load.py::test_a_damaged_one_is_passed_over_and_it_is_said",),
    ),
    Mutant(
        name="older-leaf-given-without-a-word",
        why="somebody takes the weights of an older step for the newest",
        file="store/loading.py",
        old="            if passed:\n",
        new="            if False:\n",
        red=("store/test_load.py::test_a_damaged_one_is_passed_over_and_it_is_said",),
    ),
    Mutant(
        name="header-of-a-part-not-checked",
        why="names and types of a part's leaves may be anything to other tools",
        file=READING,
        old="        if found != part.header_digest:\n",
        new="        if False:\n",
        red=("store/test_reading.py::test_a_flipped_bit_of_a_header_is_noticed",),
    ),
    Mutant(
        name="torn-line-taken-for-damage",
        why="each killed attempt would leave a store that verify calls damaged",
        file=JOURNAL,
        old="        if is_torn:\n",
        new="        if False:\n",
        red=("store/test_journal.py::test_a_torn_last_line_is_no_damage_and_a_changed_line_is",),
    ),
    Mutant(
        name="torn-tail-believed",
        why="a line that lacks its end was never acknowledged",
        file=JOURNAL,
        old="    if rest:\n        yield rest, True\n",
        new="    if rest:\n        yield rest, False\n",
        red=("store/test_journal.py::test_a_line_without_its_end_is_not_believed",),
    ),
)

_RESTORING = (
    Mutant(
        name="fresh-start-when-all-is-damaged",
        why="weeks of work are begun again without a word, and pruned by what is saved next",
        file=RESTORE,
        old="    if problems or acknowledged or store.quarantined():\n",
        new="    if False:\n",
        red=(
            "store/test_order.py::test_a_quarantine_alone_forbids_a_fresh_start",
            "run/test_restore.py::test_where_all_is_damaged_there_is_no_fresh_start",
        ),
    ),
    Mutant(
        name="fresh-start-when-all-is-gone",
        why="a scratch file system was swept: the journal knows that there was something",
        file=RESTORE,
        old="    if problems or acknowledged or store.quarantined():\n",
        new="    if problems or store.quarantined():\n",
        red=("run/test_restore.py::test_where_all_is_gone_there_is_no_fresh_start",),
    ),
    Mutant(
        name="damage-passed-over-in-silence",
        why="nobody learns that storage is losing bytes",
        file=RESTORE,
        old='    events.warn(f"{name} is damaged: ',
        new='    (lambda *_, **__: None)(f"{name} is damaged: ',
        red=("run/test_restore.py::test_falling_back_is_said_with_file_and_steps",),
    ),
    Mutant(
        name="older-step-in-silence",
        why="the user believes to go on from what was acknowledged",
        file=RESTORE,
        old="    if said := fallen_back(name, acknowledged, trouble):\n",
        new="    if False:\n",
        red=("run/test_restore.py::test_falling_back_is_said_with_file_and_steps",),
    ),
    Mutant(
        name="older-one-first",
        why="work is done twice at every restart",
        file=RESTORE,
        old="    for found in store.scan():\n",
        new="    for found in reversed(store.scan()):\n",
        red=("run/test_restore.py::test_the_newest_good_one_is_restored",),
    ),
    Mutant(
        name="live-arrays-half-filled-by-a-damaged-one",
        why="with allow, arrays keep bytes of the damaged checkpoint that the older one leaves alone",
        file=RESTORE,
        old="        if allow:\n",
        new="        if False:\n",
        red=("run/test_allowed.py::test_damage_leaves_nothing_in_what_is_allowed_to_differ",),
    ),
    Mutant(
        name="done-ignored",
        why="a job that is started again after its end works, and pays, once more",
        file="store/store.py",
        old="        return manifest if manifest.done else None\n",
        new="        return None\n",
        red=("run/test_restore.py::test_a_run_that_is_done_is_not_entered_again",),
    ),
)

MUTANTS = (*_COMMITTING, *_COMPRESSING, *_SHARING, *_REMOVING, *_CLAIMING, *_READING, *_RESTORING)
