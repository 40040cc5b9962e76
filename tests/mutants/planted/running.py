"""Bugs of the run, the capture, the policies and the supervisor: signals, snapshots, positions, when to stop."""

from __future__ import annotations

from mutants.mutant import Mutant

_DUE = "        if (self._is_due() if self._company is None else self._company.is_due(self._is_due)) or self._wanted:\n"

RUN, SAVER, NOTICE, POSITION = "run/run.py", "run/saver.py", "run/notice.py", "run/position.py"
RESTART, RETENTION = "policy/restart.py", "policy/retention.py"

_SNAPSHOT = """\
        self._pending = self._scribe.start(lambda: self._persist(self._draft(taken, moment), began))
"""
_SNAPSHOT_LATER = """\
        def later() -> Committed:
            taken = snapshot(state, self.pool, None if moment.done else self._began)
            return self._persist(self._draft(taken, moment), began)
        self._pending = self._scribe.start(later)
"""

_SAVING = (
    Mutant(
        name="snapshot-taken-behind-the-loop",
        why="the loop goes on meanwhile: a checkpoint holds arrays of several steps",
        file=SAVER,
        old=_SNAPSHOT,
        new=_SNAPSHOT_LATER,
        red=("run/test_saver.py::test_what_is_saved_is_the_state_at_the_boundary",),
    ),
    Mutant(
        name="snapshot-aliases-live-memory",
        why="the loop goes on meanwhile: a checkpoint holds arrays of several steps",
        file="capture/snapshots.py",
        old="    leaves, kept = placed.keep(near)\n",
        new="    leaves, kept = placed.keep(near)\n"
        "    live = {k: memoryview(v).cast('B') for k, v in state.items() if hasattr(v, 'dtype')}\n"
        "    leaves = tuple(\n"
        "        LeafBytes(path=one.path, dtype=one.dtype, shape=one.shape, data=live.get(one.path, one.data))\n"
        "        for one in leaves\n"
        "    )\n",
        red=("capture/test_arrays.py::test_a_snapshot_does_not_change_with_the_state",),
    ),
    Mutant(
        name="same-by-the-look-of-its-beginning",
        why="what changed further on is taken from the checkpoint before: the loop's work is lost in silence",
        file="capture/copying.py",
        old="    return bool(_peek(to, at, min(_HEAD_BYTES, size_bytes)) or _compare(to, at, size_bytes))\n",
        new="    return bool(_peek(to, at, min(_HEAD_BYTES, size_bytes)))\n",
        red=("capture/test_changes.py::test_a_byte_a_chunk_tells_what_changed",),
    ),
    Mutant(
        name="arrays-remembered-without-looking",
        why="an array that was resized or replaced is saved by the shape and dtype that it had at the save before",
        file="capture/remembered.py",
        old="        if facts is None or facts.told != self.facts.told:\n",
        new="        if facts is None:\n",
        red=("capture/test_remembered.py::test_resized_arrays_are_marked_as_long_as_they_are_resized",),
    ),
    Mutant(
        name="arrays-copied-from-where-they-lay",
        why="the arrays of the save before are saved again, or memory that is no longer theirs",
        file="capture/remembered.py",
        old="            return self._moved(facts)\n",
        new="            return self\n",
        red=("capture/test_remembered.py::test_arrays_that_moved_are_not_asked_one_by_one",),
    ),
    Mutant(
        name="compared-with-half-a-snapshot",
        why="some of its bytes are in memory and in no checkpoint: they pass for saved ones",
        file="capture/snapshots.py",
        old="    since, pool.held_number = pool.held_number, None  # until the copy is complete\n",
        new="    since = pool.held_number\n",
        red=("capture/test_changes.py::test_after_one_that_failed_half_way_nothing_is_known",),
    ),
    Mutant(
        name="copy-returns-before-its-threads",
        why="the loop goes on while they copy: a checkpoint holds arrays of several steps",
        file="capture/crew.py",
        old="            for hand in hands:\n                hand.rest()\n",
        new="            pass\n",
        red=("capture/test_crew.py::test_the_job_is_over_when_it_returns",),
    ),
    Mutant(
        name="update-does-not-wait-for-the-copy",
        why="the optimizer changes on the device what is still being copied from there",
        file="capture/adapters/cuda.py",
        old="            device.hold(event)\n",
        new="            pass\n",
        red=("capture/test_cuda.py::test_the_step_waits_for_the_copy_and_not_the_forward_pass",),
    ),
    Mutant(
        name="forward-pass-does-not-wait-for-the-copy",
        why="a checkpoint holds the running means of the step after",
        file="capture/adapters/cuda.py",
        old="id(tensor) in patient and view",
        new="view",
        red=("capture/test_cuda.py::test_what_a_forward_pass_changes_is_complete_when_the_snapshot_returns",),
    ),
    Mutant(
        name="a-copy-is-believed-whatever-has-changed",
        why="weights that the program exchanged for a moment are saved, half of them or all",
        file="capture/adapters/cuda.py",
        old="        changed = self._compare_versions() or self._compare_sums()\n",
        new="        changed = self._compare_versions()\n",
        red=("capture/test_cuda.py::test_a_change_while_it_is_copied_fails_that_save_and_the_next_one_waits",),
    ),
    Mutant(
        name="bytes-are-read-before-they-have-come",
        why="a checkpoint of a GPU's tensors holds what lay in the memory before",
        file="capture/snapshots.py",
        old="        self.finish()\n        return replace(",
        new="        return replace(",
        red=("run/test_overlap.py::test_a_save_that_is_of_no_use_is_told_and_not_committed",),
    ),
    Mutant(
        name="live-memory-is-not-waited-for",
        why="where no copy fits the loop goes on while its arrays are written: a checkpoint of several steps",
        file=SAVER,
        old="        if taken.live_because:\n            self._hold_up(self._pending)\n",
        new="",
        red=("run/test_saver.py::test_without_memory_for_a_copy_the_loop_waits_until_it_is_saved",),
    ),
    Mutant(
        name="live-memory-given-back-at-an-interrupt",
        why="the program handles Ctrl-C and goes on, while its arrays are written: a checkpoint of several steps",
        file=SAVER,
        old="            while not self._scribe.has_ended(pending):\n                self._scribe.look(pending)\n",
        new="            pass\n",
        red=("run/test_saver.py::test_whatever_breaks_into_the_wait_live_memory_is_not_given_back_before_it_is_saved",),
    ),
    Mutant(
        name="memory-taken-without-asking",
        why="the kernel kills the run for a copy that does not fit, at each start anew",
        file="capture/pool.py",
        old="        if room_for(size_bytes) > left:\n",
        new="        if left < 0:\n",
        red=("capture/test_budget.py::test_a_copy_that_does_not_fit_is_not_made",),
    ),
    Mutant(
        name="shared-memory-left-to-the-child",
        why="a forked child sees what the loop writes there: a checkpoint holds arrays of several steps",
        file="capture/placing.py",
        old="            if leaf.address is None or is_kept or index in self._apart:\n",
        new="            if leaf.address is None or is_kept:\n",
        red=("capture/test_forking.py::test_memory_that_parent_and_child_share_is_copied_before",),
    ),
    Mutant(
        name="death-of-the-copying-child-not-seen",
        why="half a copy is committed as a checkpoint",
        file="capture/forking.py",
        old="        if not self._done[0]:\n",
        new="        if self._done[0] > 1:\n",
        red=("capture/test_forking.py::test_a_child_that_is_killed_fails_the_snapshot",),
    ),
    Mutant(
        name="child-of-an-earlier-snapshot-writes-on",
        why="it writes bytes of an old step into the copy that is being saved",
        file="capture/pool.py",
        old="                child.wait()\n",
        new="                pass\n",
        red=("capture/test_forking.py::test_the_next_snapshot_waits_for_a_child_that_nobody_waited_for",),
    ),
    Mutant(
        name="a-notice-ends-the-copying-child",
        why="the save that is asked for on notice is the one that fails",
        file="capture/forking.py",
        old="    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\n",
        new="    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())\n",
        red=("capture/test_forking.py::test_the_child_does_not_hear_signals",),
    ),
    Mutant(
        name="saves-overlap",
        why="the memory of a snapshot is used anew while it is written, and its save's error is forgotten",
        file=SAVER,
        old="        self.wait()\n        try:\n            with _memory_told():\n                self._hand_over",
        new="        try:\n            with _memory_told():\n                self._hand_over",
        red=("run/test_saver.py::test_the_next_save_waits_for_the_one_before_and_raises_its_error",),
    ),
    Mutant(
        name="error-of-a-save-swallowed",
        why="the run computes for days, and nothing of it is saved",
        file=SAVER,
        old="        except OutlastError as e:\n            return e\n        return None\n",
        new="        except OutlastError:\n            return None\n        return None\n",
        red=("run/test_saver.py::test_the_error_of_a_save_is_told_once",),
    ),
    Mutant(
        name="errors-of-saves-not-asked-for",
        why="the run computes for days, and nothing of it is saved",
        file=RUN,
        old="        self._raise_errors()\n" + _DUE,
        new=_DUE,
        red=("run/test_saver.py::test_a_failed_save_ends_the_loop_at_the_next_boundary",),
    ),
    Mutant(
        name="pruned-before-the-commit",
        why="with keep=1 a save that fails takes the last good checkpoint with it",
        file=SAVER,
        old="        committed = self._commit(draft)\n",
        new="        for old in self._pruner.look()[0][self._keep.newest - 1 :]:\n"
        "            self._pruner._withdraw(old.name)\n"
        "        committed = self._commit(draft)\n",
        red=("run/test_saver.py::test_a_save_that_fails_leaves_the_one_before_with_keep_1",),
    ),
    Mutant(
        name="trouble-of-a-prune-fails-the-save",
        why="a run stops over a checkpoint that is durable",
        file=SAVER,
        old="        except (OutlastError, FileNotFoundError, FileExistsError) as e:\n",
        new="        except FileNotFoundError as e:\n",
        red=("run/test_saver.py::test_trouble_of_a_prune_is_said_and_does_not_undo_the_commit",),
    ),
)

_LEAVING = (
    Mutant(
        name="deadline-forgotten-between-two-saves",
        why="the job is killed with all that came after the last save",
        file="run/schedule.py",
        old="        if now_s + self._longest_s > self._late_s and self._is_last(now_s):\n",
        new="        if False:\n",
        red=("run/test_boundary.py::test_a_run_leaves_at_the_first_boundary_after_the_last_call",),
    ),
    Mutant(
        name="work-done-in-the-signal-handler",
        why="the handler interrupts a half-done step: what is saved then is of no step at all",
        file=NOTICE,
        old="                self.give(_reason(number))\n            else:\n",
        new="                self.give(_reason(number))\n"
        "                raise SystemExit(PREEMPTED)\n"
        "            else:\n",
        red=("run/test_notice.py::test_a_signal_is_heard_while_the_main_thread_is_busy",),
    ),
    Mutant(
        name="second-notice-ignored",
        why="a person who wants it to end now has to kill it",
        file=NOTICE,
        old="        if earliest_s - since_s >= AGAIN_AFTER_S:\n",
        new="        if False:\n",
        red=("run/test_notice.py::test_again_is_the_same_signal_a_second_later_or_ctrl_c",),
    ),
    Mutant(
        name="second-notice-heard-and-not-heeded",
        why="a person who wants it to end now has to kill it",
        file="run/keeper.py",
        old="            os._exit(128 + number)\n",
        new="            return\n",
        red=("run/test_keeper.py::test_a_second_notice_ends_the_process_at_once",),
    ),
    Mutant(
        name="child-asks-only-who-has-had-time-to-hear",
        why="on a busy node a notice to the whole job ends the loader's workers, and the loop before it has saved",
        file=NOTICE,
        old="        return self._waits_in_kernel() or bool(self._peek()) or self._shared[0] != 0\n",
        new="        return bool(self._peek()) or self._shared[0] != 0\n",
        red=("run/test_notice.py::test_a_child_survives_though_the_main_process_has_no_time_to_hear",),
    ),
    Mutant(
        name="double-taken-for-a-second-notice",
        why="batch systems send a signal twice: the save that was begun is thrown away",
        file=NOTICE,
        old="        if earliest_s - since_s >= AGAIN_AFTER_S:\n",
        new="        if number in first:\n",
        red=("run/test_notice.py::test_again_is_the_same_signal_a_second_later_or_ctrl_c",),
    ),
    Mutant(
        name="left-with-0-instead-of-85",
        why="the job counts as done, and nobody starts it again",
        file="errors.py",
        old="        super().__init__(PREEMPTED)\n",
        new="        super().__init__(DONE)\n",
        red=("run/test_exits.py::test_who_leaves_before_the_end_leaves_with_85_and_goes_on",),
    ),
    Mutant(
        name="marked-done-when-it-leaves",
        why="the next start finds nothing to do, half-way through",
        file=RUN,
        old="        self._saver.start(self._state, self._moment())\n"
        "        self._saver.wait()\n"
        "        self._broken_off",
        new="        self._saver.start(self._state, self._moment(done=True))\n"
        "        self._saver.wait()\n"
        "        self._broken_off",
        red=("run/test_exits.py::test_who_leaves_before_the_end_leaves_with_85_and_goes_on",),
    ),
    Mutant(
        name="not-saved-when-it-leaves",
        why="each preemption costs the work since the last save",
        file=RUN,
        old="        self._saver.start(self._state, self._moment())\n"
        "        self._saver.wait()\n"
        "        self._broken_off",
        new="        self._broken_off",
        red=("run/test_exits.py::test_who_leaves_before_the_end_leaves_with_85_and_goes_on",),
    ),
    Mutant(
        name="85-though-the-last-save-failed",
        why="it says 'saved, run me again' over a save that is not there",
        file=RUN,
        old="        self._saver.start(self._state, self._moment())\n"
        "        self._saver.wait()\n"
        "        self._broken_off",
        new="        self._saver.start(self._state, self._moment())\n        self._broken_off",
        red=("run/test_exits.py::test_who_cannot_save_does_not_leave_with_85",),
    ),
    Mutant(
        name="any-error-is-status-1",
        why="a batch script cannot tell damage, a busy store or a wrong use from a crash, and tries again",
        file="run/exits.py",
        old="            raise SystemExit(error.exit_status)\n",
        new="            raise SystemExit(1)\n",
        red=("run/test_exits.py::test_an_error_that_nobody_catches_gives_its_own_status",),
    ),
    Mutant(
        name="shell-hides-the-85",
        why="`python train.py | tee log` ends with 0: nobody starts the rest",
        file="supervise/attempt.py",
        old="        if status != 0 or is_done or (program is None and not saves_files):\n",
        new="        if True:\n",
        red=("run/test_supervised.py::test_a_shell_does_not_hide_a_crash",),
    ),
    Mutant(
        name="last-save-does-not-fit",
        why="the kill comes while the last checkpoint is written",
        file="policy/deadline.py",
        old="    needed_s = save_s + step_s + margin_s\n",
        new="    needed_s = step_s + margin_s\n",
        red=("policy/test_deadline.py::test_the_floor[15.0-True]",),
    ),
    Mutant(
        name="the-command-is-buried-as-an-orphan",
        why="a crash, or a program that has saved and left, is taken for done",
        file="supervise/household.py",
        old="        others = {command, *(process.pid for process in self._others)}\n",
        new="        others = {process.pid for process in self._others}\n",
        red=("supervise/test_orphans.py::test_a_command_that_ends_between_the_look_and_the_burial_keeps_its_status",),
    ),
)

_GOING_ON = (
    Mutant(
        name="generator-not-restored",
        why="the run goes on with other random numbers: no result can be had again",
        file="capture/rng.py",
        old="        random.setstate(unpacked(saved))\n",
        new="        unpacked(saved)\n",
        red=("capture/test_rng.py::test_the_global_generators",),
    ),
    Mutant(
        name="generators-not-last",
        why="what is restored after them may draw from them",
        file="capture/rng.py",
        old='    name = "rng"\n'
        "    types = (RNG,)\n"
        "    exact_keys = True\n"
        "    may_grow = True\n"
        "    restored_last = True\n",
        new='    name = "rng"\n    types = (RNG,)\n    exact_keys = True\n    may_grow = True\n',
        red=("capture/test_rng.py::test_generators_come_last",),
    ),
    Mutant(
        name="one-pass-too-far",
        why="after each restart a batch is left out",
        file=POSITION,
        old='        "done": loop.done,\n',
        new='        "done": loop.done + 1,\n',
        red=("run/test_position.py::test_after_the_last_batch_the_epoch_is_not_repeated",),
    ),
    Mutant(
        name="one-pass-too-few",
        why="after each restart a batch is made twice",
        file=POSITION,
        old='    loop.done, loop.since, loop.extra = record["done"],',
        new='    loop.done, loop.since, loop.extra = max(0, record["done"] - 1),',
        red=("run/test_exits.py::test_who_leaves_before_the_end_leaves_with_85_and_goes_on",),
    ),
    Mutant(
        name="saved-before-the-pass-is-counted",
        why="after each restart a batch is made twice",
        file=RUN,
        old="        loop.advance(passes)\n"
        "        if self._notice.is_child:\n"
        "            return\n"
        "        self._raise_errors()\n"
        f"{_DUE}"
        "            self._wanted = False\n"
        "            self._save_or_leave()\n",
        new="        if self._notice.is_child:\n"
        "            return\n"
        "        self._raise_errors()\n"
        f"{_DUE}"
        "            self._wanted = False\n"
        "            self._save_or_leave()\n"
        "        loop.advance(passes)\n",
        red=("run/test_exits.py::test_who_leaves_before_the_end_leaves_with_85_and_goes_on",),
    ),
    Mutant(
        name="over-loops-begin-again",
        why="after a restart in the validation the training of that epoch is made twice",
        file=POSITION,
        old="        if entry < body.over.get(name, 0):\n",
        new="        if False:\n",
        red=("run/test_position.py::test_the_same_name_in_sequence_starts_afresh_and_resumes_its_own_entry",),
    ),
    Mutant(
        name="another-shape-accepted",
        why="the state of another model is put into this one",
        file="capture/plan_leaves.py",
        old="        if found is not None and found.size_bytes and _difference(spec, found):\n",
        new="        if False:\n",
        red=("capture/test_arrays.py::test_another_shape_or_dtype_is_a_mismatch_everywhere",),
    ),
)

_POLICY = (
    Mutant(
        name="crash-loop-never-ends",
        why="a job that dies at once burns its allocation until somebody looks",
        file=RESTART,
        old="    if fruitless >= rules.tries:\n",
        new="    if False:\n",
        red=("policy/test_restart.py::test_gives_up_after_three_without_progress",),
    ),
    Mutant(
        name="preemptions-counted-as-failures",
        why="a run that is preempted often is given up though it goes on",
        file=RESTART,
        old="        if attempt.progress:\n            break\n",
        new="        if attempt.progress and attempt.status != PREEMPTED:\n            break\n",
        red=("policy/test_restart.py::test_preempted_with_progress_starts_at_once_and_never_counts",),
    ),
    Mutant(
        name="same-step-again-is-progress",
        why="a crash loop that saves the same step each time never ends",
        file=RESTART,
        old="        return report.step > reached.get(report.store, -1)\n",
        new="        return report.step >= reached.get(report.store, -1)\n",
        red=("policy/test_restart.py::test_progress_is_a_higher_step_of_the_same_store",),
    ),
    Mutant(
        name="started-again-over-damage",
        why="statuses that a restart cannot change make it spin",
        file=RESTART,
        old="    if last.status in FINAL:\n",
        new="    if False:\n",
        red=("policy/test_restart.py::test_statuses_that_a_restart_would_not_change_are_kept[3]",),
    ),
    Mutant(
        name="started-again-after-a-notice-from-outside",
        why="it works on while the batch system takes the node away",
        file=RESTART,
        old="    if last.cause is Cause.OUTSIDE:\n",
        new="    if False:\n",
        red=("policy/test_restart.py::test_no_restart_after_a_notice_from_outside[85]",),
    ),
    Mutant(
        name="keeps-only-a-bad-one",
        why="with keep=1 the damaged newest stays and the good one goes",
        file=RETENTION,
        old="    return {held[0].name} | {one.name for one in (good or possible,) if one}\n",
        new="    return {held[0].name}\n",
        red=("policy/test_retention.py::test_keep_one_never_leaves_only_a_bad_one",),
    ),
    Mutant(
        name="keeps-one-less",
        why="the one to fall back to is gone",
        file=RETENTION,
        old="for one in held[: rule.newest]}\n",
        new="for one in held[: rule.newest - 1]}\n",
        red=("policy/test_retention.py::test_newest",),
    ),
)

MUTANTS = (*_SAVING, *_LEAVING, *_GOING_ON, *_POLICY)
