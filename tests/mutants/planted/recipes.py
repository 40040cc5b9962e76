"""Bugs in what handles applications by recipes."""

from __future__ import annotations

from mutants.mutant import Mutant

HOST = "supervise/recipes/host.py"
SETS = "supervise/recipes/sets.py"
FAULTS = "recipes/test_faults.py::"
READING = "recipes/test_reading.py::"

MUTANTS = (
    Mutant(
        name="recipe-stale-stop",
        why="a stop file that was left behind ends each restarted run at once",
        file=HOST,
        old="for path in asking.clean(recipe.clean, self._fill):",
        new="for path in asking.clean((), self._fill):",
        red=(FAULTS + "test_a_stale_stop_file_does_not_end_the_next_start",),
    ),
    Mutant(
        name="recipe-torn-set",
        why="files of two steps are taken for one checkpoint",
        file=SETS,
        old="if len(set(found.values())) > 1:",
        new="if len(found) > len(steps):",
        red=(FAULTS + "test_files_of_two_steps_are_no_checkpoint",),
    ),
    Mutant(
        name="recipe-crash-is-clean",
        why="what a crashed application left half written becomes a checkpoint, or counts as a stop that went well",
        file=HOST,
        old="if not is_clean:",
        new="if status == FAILED and not is_clean:",
        red=(FAULTS + "test_what_dies_in_its_write_is_not_taken",),
    ),
    Mutant(
        name="recipe-same-is-new",
        why="with a wrong done test a finished application is started for ever",
        file=HOST,
        old="keeping.print_of(draft) != self._about.print",
        new="bool(draft)",
        red=(FAULTS + "test_an_early_end_without_change_is_no_progress",),
    ),
    Mutant(
        name="recipe-done-untried",
        why="a run that is finished starts again",
        file=HOST,
        old='say(f"{recipe.title} is finished: {finished.said(recipe.done, self._fill)}")\n            return None',
        new="pass",
        red=(FAULTS + "test_finished_but_killed_before_it_could_be_said",),
    ),
    Mutant(
        name="recipe-ranks-torn",
        why="a time directory that one rank has not written is gone on from",
        file=SETS,
        old="if not said and not torn:",
        new="if not said:",
        red=(READING + "test_a_time_that_one_rank_has_not_written_is_passed_over",),
    ),
    Mutant(
        name="recipe-foreign-state",
        why="state of another calculation in the same folder is gone on from, unasked",
        file=HOST,
        old="if is_there and not recipe.state.in_place and not self._adopts:",
        new="if is_there and recipe.state.in_place and not self._adopts:",
        red=(FAULTS + "test_state_that_we_did_not_save_is_refused",),
    ),
    Mutant(
        name="recipe-users-input",
        why="the user's own input is lost",
        file="supervise/recipes/inputs.py",
        old="            os.replace(path + _FIRST, path)\n",
        new="            os.unlink(path + _FIRST)\n",
        red=(READING + "test_an_input_of_a_fixed_name_comes_back",),
    ),
    Mutant(
        name="recipe-signals-the-launcher",
        why="srun ends all ranks at SIGTERM, before they could save",
        file="supervise/recipes/asking.py",
        old="elif words.launcher == _PASSING and name in _PASSED_ON:",
        new="elif words.launcher == _PASSING:",
        red=("recipes/test_asking.py::test_srun_is_asked_only_by_what_it_passes_on",),
    ),
    Mutant(
        name="recipe-name-is-a-pattern",
        why="a job called run[1] saves nothing",
        file=SETS,
        old="escaped = HOLE.sub(lambda hole: glob.escape(fill(hole[0])), pattern)",
        new="escaped = fill(pattern)",
        red=(FAULTS + "test_a_name_is_no_pattern_and_the_users_modules_are_not_ours",),
    ),
)
