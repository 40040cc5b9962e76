"""Bugs of the drill: what is wrong is not found, what is right is called wrong, or something stays behind."""

from __future__ import annotations

from mutants.mutant import Mutant

_AT = "drill"
_WHOLE, _COMPARE, _PARTS = "drill/test_drill.py", "drill/test_compare.py", "drill/test_parts.py"
_SEAM = "drill/test_drilled.py"

MUTANTS = (
    Mutant(
        name="drill-accuses-who-had-nothing-left-to-do",
        why="a good program is called one that does not hear, because the machine was busy",
        file=f"{_AT}/strikes.py",
        old="        if 0 < live.signs.steps <= live.told_steps + 1:\n            return False\n",
        new="",
        red=(f"{_PARTS}::test_who_is_told_when_all_is_as_good_as_done_is_not_accused[0.0-100.0-1-False]",),
    ),
    Mutant(
        name="drill-leaves-are-all-the-same",
        why="the drill says yes to a program whose arrays differ after a restart",
        file=f"{_AT}/contents.py",
        old="    if old.chunks == new.chunks:\n",
        new="    if old.chunks:\n",
        red=(f"{_COMPARE}::test_leaves_of_real_stores",),
    ),
    Mutant(
        name="drill-the-dying-are-heard",
        why="what a supervisor does while it is killed looks as if the fault had struck twice",
        file=f"{_AT}/course.py",
        old="                    _read_all(pipe)  # what",
        new="                    # what",
        red=(f"{_WHOLE}::test_what_a_supervisor_does_while_it_is_killed_is_no_attempt",),
    ),
    Mutant(
        name="drill-damage-without-a-save",
        why="on a slow machine it strikes where nothing can be damaged, and once more",
        file=f"{_AT}/wounds.py",
        old="    patience_s = math.inf  #",
        new="    # patience_s = math.inf  #",
        red=(f"{_PARTS}::test_no_damage_before_there_is_something_to_fall_back_to",),
    ),
    Mutant(
        name="drill-steps-done-twice-pass",
        why="rows that a restart has logged twice are taken for those of the way back into a loop, wherever they are",
        file=f"{_AT}/compare.py",
        old="        if step in after.again and new",
        new="        if new",
        red=(f"{_COMPARE}::test_metrics_of_each_step",),
    ),
    Mutant(
        name="drill-lost-work-counts",
        why="what was logged before a kill and logged again after it looks as if the step had been done twice",
        file=f"{_AT}/results.py",
        old="found = {row: values for row, values in found.items() if row[0] < begin}",
        new="found = dict(found)",
        red=(f"{_COMPARE}::test_what_was_lost_and_logged_again_is_logged_once",),
    ),
    Mutant(
        name="drill-in-the-users-store",
        why="the real run is killed and damaged on purpose",
        file="store/store.py",
        old="            drilled.check_inside(self.path)\n",
        new="",
        red=(
            f"{_SEAM}::test_a_store_outside_of_the_drill_is_refused",
            f"{_WHOLE}::test_a_store_elsewhere_is_not_touched",
        ),
    ),
    Mutant(
        name="drill-dies-at-every-call",
        why="a run that is killed at each start never comes to its end: good programs fail",
        file="backends/drilled.py",
        old="struck = self._count() == self._wanted()",
        new="struck = self._count() >= self._wanted() > 0",
        red=(f"{_SEAM}::test_dies_at_the_call_that_was_asked_for_and_not_again",),
    ),
    Mutant(
        name="drill-full-disk-that-is-not",
        why="full-disk is reported as passed, and nothing was full",
        file=f"{_AT}/disk.py",
        old="                file.write(_BLOCK)\n",
        new="                return\n",
        red=(f"{_PARTS}::test_a_disk_is_filled_to_the_last_byte_and_brings_back_what_is_on_it",),
    ),
    Mutant(
        name="drill-runs-before-are-in-the-copy",
        why="the undisturbed run finds itself done, and every fault passes at once",
        file=f"{_AT}/origin.py",
        old="        if _STORE in inside or",
        new="        if",
        red=(f"{_PARTS}::test_a_copy_has_what_a_run_needs_and_nothing_of_the_runs_before",),
    ),
    Mutant(
        name="drill-hands-on-the-deadline-of-its-job",
        why="inside a job the program is told to leave for the drill's own limit, and its result is not compared",
        file=f"{_AT}/place.py",
        old='    "OUTLAST_DEADLINE",\n',
        new="",
        red=(f"{_WHOLE}::test_inside_a_job_nobody_asks_the_batch_system",),
    ),
    Mutant(
        name="drill-that-is-ended-leaves-the-program-running",
        why="after Ctrl-C or the job's end the program and its daemons go on",
        file=f"{_AT}/director.py",
        old="            over.set()\n",
        new="            os._exit(143)\n",
        red=(f"{_WHOLE}::test_a_notice_ends_the_drill_and_all_that_it_started",),
    ),
    Mutant(
        name="drill-first-save-is-torn",
        why="a program that tears its only checkpoint passes: when the first save was cut there was none to be lost",
        file=f"{_AT}/plan.py",
        old="return 1 if count == 1 else 2 + chance.randrange(count - 1)",
        new="return 1",
        red=(f"{_PARTS}::test_a_save_is_struck_by_the_nearest_means", f"{_WHOLE}::test_program_that_saves_by_itself"),
    ),
    Mutant(
        name="drill-what-varies-is-proven",
        why="a program that never gives the same result twice is said to restart exactly",
        file=f"{_AT}/verdict.py",
        old="    if varying and not harmless:\n",
        new="    if not tried and varying and not harmless:\n",
        red=(f"{_PARTS}::test_the_verdict", f"{_WHOLE}::test_what_differs_by_itself_is_said_first"),
    ),
    Mutant(
        name="drill-hanging-passes",
        why="a program that hangs after a restart is taken for one that is done",
        file=f"{_AT}/verdict.py",
        old="        if ran.hung:\n",
        new="        if ran.hung and ran.problems:\n",
        red=(f"{_PARTS}::test_troubles_of_a_run",),
    ),
    Mutant(
        name="drill-supervisor-imports-the-users-files",
        why="a file called json.py or signal.py in the user's folder breaks the drill",
        file=f"{_AT}/live.py",
        old='[sys.executable, "-P", "-m", module,',
        new='[sys.executable, "-m", module,',
        red=(f"{_WHOLE}::test_files_of_the_users_that_are_called_as_modules_of_ours",),
    ),
)
