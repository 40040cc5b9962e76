"""Bugs where a trainer owns the loop, and in the guard of a program's own files."""

from __future__ import annotations

from mutants.mutant import Mutant

_DRIVEN, _GUARD = "run/test_driven.py", "supervise/test_guard.py"
_GOES_ON = f"{_DRIVEN}::test_a_driven_loop_goes_on_where_it_was"

MUTANTS = (
    Mutant(
        name="several-passes-are-one",
        why="with gradients over several batches a restarted training sees data twice",
        file="run/position.py",
        old="        self.done += passes\n",
        new="        self.done += 1\n",
        red=(f"{_GOES_ON}[3-list-in step]",),
    ),
    Mutant(
        name="what-is-read-ahead-is-read-with-other-numbers",
        why="random augmentation differs from the first restart on",
        file="run/loader.py",
        old="wants_before=lambda: loop.reads_ahead or loop.holds_loops or not loop.done,",
        new="wants_before=lambda: loop.holds_loops or not loop.done,",
        red=(f"{_GOES_ON}[1-loader-one ahead]",),
    ),
    Mutant(
        name="rot-is-offered",
        why="a program goes on from a file with a flipped bit",
        file="supervise/guard.py",
        old="belongings.digest_of(path) != kept.digest:",
        new="False:",
        red=(f"{_GUARD}::test_a_flipped_bit_is_seen_by_its_digest_and_the_good_copy_put_back",),
    ),
    Mutant(
        name="torn-is-taken",
        why="the store holds half a file, and offers it",
        file="supervise/wholeness.py",
        old="        return f\"is torn or damaged ({str(e).splitlines()[0].removeprefix(': ').strip()})\"\n",
        new='        return ""\n',
        red=(f"{_GUARD}::test_a_torn_file_is_never_offered",),
    ),
)
