"""Bugs of the drill's recorder and diagnosis: the program is disturbed, or a wrong cause is named."""

from __future__ import annotations

from mutants.mutant import Mutant

_DIAGNOSIS, _RECORDER = "drill/diagnosis", "drill/trace/recorder"
_CAUSES, _PROGRAMS = "drill/diagnosis/test_causes.py", "drill/trace/test_recorder.py"

MUTANTS = (
    Mutant(
        name="cause-for-a-generator-that-nothing-depends-on",
        why="a program that restarts exactly fails the drill for a generator that it never uses",
        file=f"{_DIAGNOSIS}/first.py",
        old='    return any(path == "batches" or reference.kind(path) in _SERIOUS for path in paths)\n',
        new="    return any(paths)\n",
        red=(f"{_CAUSES}::test_a_generator_that_nothing_depends_on_is_no_fault",),
    ),
    Mutant(
        name="cause-a-fallback-is-an-older-checkpoint",
        why="who rightly falls back behind a damaged checkpoint is told to have taken the wrong one",
        file=f"{_DIAGNOSIS}/placing.py",
        old="    if wound in _FALLS_BACK or not now.state",
        new="    if not now.state",
        red=(f"{_CAUSES}::test_an_older_checkpoint_than_the_newest_is_told_but_not_where_it_is_a_fallback",),
    ),
    Mutant(
        name="cause-a-start-before-the-first-save",
        why="who was killed before its first save is told that it never looks for a checkpoint",
        file=f"{_DIAGNOSIS}/judge.py",
        old="    if restart.saved_before(earlier):\n",
        new="    if earlier:\n",
        red=(f"{_CAUSES}::test_a_start_from_the_beginning_is_no_fault_before_the_first_save",),
    ),
    Mutant(
        name="recorder-imports-random-for-the-program",
        why="the recorder changes what the program finds imported",
        file=f"{_RECORDER}/core.py",
        old="import threading\n",
        new="import random\nimport threading\n",
        red=(f"{_PROGRAMS}::test_the_recorder_imports_no_library_for_the_program",),
    ),
    Mutant(
        name="recorder-probes-reach-the-program",
        why="an object that cannot be looked at ends the program that is drilled",
        file=f"{_RECORDER}/core.py",
        old='                self.log.tell("problem", text=f"{what}: {type(e).__name__}: {e}"[:500])\n',
        new="                raise\n",
        red=(f"{_PROGRAMS}::test_a_failing_probe_is_told_and_the_program_goes_on",),
    ),
)
