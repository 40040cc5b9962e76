"""What a start must see to before the application runs again: ranks, newer files in the way, outputs that go on."""

from __future__ import annotations

import re
from collections.abc import Sequence

from outlast.errors import UsageError
from outlast.supervise.recipes import outputs, sets
from outlast.supervise.recipes.keeping import About
from outlast.supervise.recipes.notices import say
from outlast.supervise.recipes.recipe import Recipe, State


def in_the_way(state: State, step: str, fill: sets.Fill) -> list[str]:
    """Return the state's files that a start would take for newer than the checkpoint of this step."""
    there = sets.matches([*state.files, *state.optional], state, fill)
    if not state.generation:
        return list(there)
    return [path for path in there if _is_newer(state.generation, path, step)]


def _is_newer(pattern: str, path: str, step: str) -> bool:
    match = re.search(pattern, path)
    return match is not None and (not step or sets.order(match["generation"]) >= sets.order(step))


def check_ranks(recipe: Recipe, before: str, now: str) -> None:
    """Compare the numbers of MPI ranks. Raises UsageError if the application needs as many as before."""
    if not before or not now or before == now:
        return
    if recipe.same_ranks:
        hint = f"start it with {before} again"
        raise UsageError(f"{recipe.title} goes on only with as many ranks: {before}, found {now}", hint=hint)
    say(f"warning: saved with {before} ranks, started with {now}: the results may differ in the last bits")


def keep_outputs(recipe: Recipe, about: About, fill: sets.Fill) -> bool:
    """Have the outputs continue where the checkpoint was; False if the application cannot go on writing them.

    Raises:
        UsageError: they are not as they were, and new ones cannot be begun.
    """
    now = outputs.lengths(recipe.outputs, fill)
    if recipe.outputs.how == "apart":
        for path, name in outputs.set_apart(now).items():
            say(f"{path} of the attempt before is now {name}")
        return True
    wrong = outputs.misfits(about.outputs, now)
    if wrong and about.files:
        if recipe.resume.without_outputs:
            say(f"warning: outputs are not as they were, new ones are begun: {'; '.join(wrong)}")
            return False
        raise UsageError(
            f"outputs are not as they were: {'; '.join(wrong)}", hint="bring them back, or use another store"
        )
    if recipe.outputs.how == "cut":
        for path, count in outputs.cut_back(about.outputs, now).items():
            say(f"{path} was cut back by {count} bytes to where the checkpoint was")
    return True


def new_ones(more: Sequence[str], arguments: Sequence[str]) -> Sequence[str]:
    """Leave out an option, with its value, that the user's own command has."""
    is_there = bool(more) and more[0].startswith("-") and more[0] in arguments
    return more[2:] if is_there else more
