"""Holds an application, and takes part in the protocol for it: restores, starts, asks, takes what it wrote, leaves."""

from __future__ import annotations

import math
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from types import FrameType

from outlast.clock import SYSTEM
from outlast.errors import BUSY, DONE, FAILED, PREEMPTED, UsageError
from outlast.supervise import tree
from outlast.supervise.recipes import asking, finished, inputs, keeping, outputs, registry, sets, start, words
from outlast.supervise.recipes.child import Child
from outlast.supervise.recipes.keeping import About
from outlast.supervise.recipes.notices import Notices, say
from outlast.supervise.recipes.recipe import Recipe

CONTROL, STORE = "OUTLAST_CONTROL", "OUTLAST_STORE"
SAVE, RESTORE, STEP, DEADLINE = "OUTLAST_SAVE", "OUTLAST_RESTORE", "OUTLAST_STEP", "OUTLAST_DEADLINE"
ADOPT = "OUTLAST_ADOPT"
_OURS = "OUTLAST_"
_PAUSE_S = 0.2
_LEAD_MARGIN = 1.5
_RESERVED = (*range(2, BUSY + 1), PREEMPTED, 86, 99)  # of the program's own: the supervisor would read them as ours
_TERMINATED = 128 + signal.SIGTERM


class Host:
    """One attempt of an application.

    Args:
        recipe: of the application.
        command: its command, for a first start.

    Raises:
        UsageError: the command does not fit the recipe, or there is no supervisor that keeps files.
    """

    def __init__(self, recipe: Recipe, command: Sequence[str]) -> None:
        missing = [name for name in (CONTROL, STORE, SAVE) if not os.environ.get(name)]
        if missing:
            hint = f"outlast run --recipe {recipe.name} --store STORE -- CMD"
            raise UsageError("a recipe's checkpoints need a store", hint=hint)
        self._recipe = recipe
        self._words = words.understood(recipe, command)
        self._notices = Notices(os.environ[CONTROL], float(os.environ.get(DEADLINE) or math.inf))
        self._save = os.environ[SAVE]
        self._folder = os.environ.get(RESTORE)
        self._count = int(os.environ.get(STEP, "0"))
        self._adopts = os.environ.get(ADOPT) == "1"
        self._env = {name: value for name, value in tree.environment().items() if not name.startswith(_OURS)}
        self._about = About(recipe=recipe.name, version=recipe.version, groups={}, outputs={})
        self._values: dict[str, str] = {}
        self._before: Mapping[str, sets.Signature] = {}
        self._watched: tuple[Mapping[str, sets.Signature], float] = ({}, 0.0)
        self._owed = self._asked_to_save = self._is_limited = False
        self._trouble = ""

    def run(self) -> int:
        """See the application through; return the exit status. Raises OutlastError."""
        recipe = self._recipe
        inputs.back_to_first(recipe.resume.inputs, recipe.resume.places, self._lax)
        self._values = words.values(recipe, self._words)
        inputs.check(recipe, self._fill)
        for path in asking.clean(recipe.clean, self._fill):
            say(f"removed {path}, which would have ended or hindered this start")
        os.mkdir(self._save, 0o700)
        command = self._begun() if self._folder is None else self._restored(self._folder)
        if command is None:
            self._notices.make("done")
            return DONE
        try:
            child = Child(
                self._with_limit(command).words, self._env, pattern=recipe.done.output, unless=recipe.done.unless_output
            )
        except tree.StartError as e:
            say(f"error: {e}")
            inputs.back_to_first(recipe.resume.inputs, recipe.resume.places, self._fill)
            return 127 if e.is_missing else 126
        try:
            return self._watch(child)
        finally:
            if child.wait(0) is None:
                child.end()
            asking.clean(recipe.clean, self._fill)
            inputs.back_to_first(recipe.resume.inputs, recipe.resume.places, self._fill)

    def _fill(self, text: str) -> str:
        return words.filled(text, self._values)

    def _lax(self, text: str) -> str:
        """As `_fill`, before the variables are known: those paths never depend on what an input says."""
        return words.filled(text, _Unknown(self._values))

    def _begun(self) -> words.Words:
        """Begin a run: the first checkpoint says only that, so that whatever is found later was made by this run."""
        recipe = self._recipe
        if finished.before(recipe.done, self._fill):
            hint = "if it is, nothing is to be done; else move that away, and start again"
            raise UsageError(
                f"{recipe.title} looks finished before it began: {finished.said(recipe.done, self._fill)}", hint=hint
            )
        found = sets.chosen(recipe.state, self._fill, {})
        is_there = bool(found.files) and not found.problem
        if is_there and not recipe.state.in_place and not self._adopts:
            hint = f"move them away to begin anew, or set {ADOPT}=1 to go on from them as they are"
            raise UsageError(f"there is state that outlast did not save: {keeping.said(list(found.files))}", hint=hint)
        self._about = self._described(found)
        self._before = sets.matches([*recipe.state.files, *recipe.state.optional], recipe.state, self._fill)
        self._hand_in(self._draft())
        if is_there and (self._adopts or recipe.state.in_place):
            self._values |= {"newest": found.newest, "step": found.step, **found.groups}
            return self._resumed(keeps_outputs=True) if self._adopts else self._words
        return self._words

    def _restored(self, folder: str) -> words.Words | None:
        """Put the checkpoint's files back; return the command that goes on from them. None if nothing is left to do."""
        recipe, self._about = self._recipe, keeping.read(folder)
        about = self._about
        if about.recipe != recipe.name:
            hint = f"outlast run --recipe {about.recipe} ..."
            raise UsageError(f"the checkpoint was made with the recipe {about.recipe!r}", hint=hint)
        if finished.before(recipe.done, self._fill):
            say(f"{recipe.title} is finished: {finished.said(recipe.done, self._fill)}")
            return None
        start.check_ranks(recipe, about.ranks, self._words.ranks)
        if recipe.state.in_place:
            found = sets.chosen(recipe.state, self._fill, {})
            self._before = found.files
            return self._resumed(keeps_outputs=True) if found.files and not found.problem else self._words
        aside = keeping.put_back(about, folder, start.in_the_way(recipe.state, about.step, self._fill))
        if aside:
            say(f"newer or unfinished files of the state were put aside in {sets.ASIDE}: {keeping.said(aside)}")
        self._before = {one.path: seen for one in about.files if (seen := sets.look(one.path))}
        if not about.files:
            say("nothing had been saved: starting from the beginning")
            start.keep_outputs(recipe, about, self._fill)
            return self._words
        newest = max(self._before, key=lambda path: (self._before[path][1], path))
        self._values |= {"newest": newest, "step": about.step, **about.groups}
        return self._resumed(keeps_outputs=start.keep_outputs(recipe, about, self._fill))

    def _resumed(self, *, keeps_outputs: bool) -> words.Words:
        how = self._recipe.resume
        inputs.place(how.places, self._fill)
        command = inputs.edited(how.inputs, self._words, self._fill)
        more = how.arguments if keeps_outputs else (*how.arguments, *how.without_outputs)
        return words.with_arguments(command, start.new_ones([self._fill(one) for one in more], self._words.arguments))

    def _with_limit(self, command: words.Words) -> words.Words:
        limit, left_s = self._recipe.limit, self._left_s()
        if limit is None or left_s == math.inf:
            return command
        if self._recipe.stop.how != "none" and not command.launcher:
            return command
        if limit.arguments[0] in command.arguments:
            return command
        self._is_limited = True
        return words.with_arguments(command, asking.limited(limit, left_s))

    def _left_s(self) -> float:
        """Return how long the application may run before it must be asked: at least half of the time that is left."""
        left_s = self._notices.deadline_s() - SYSTEM.wall()
        lead_s = max(self._recipe.lead_s + self._recipe.stop.poll_s, _LEAD_MARGIN * self._about.lead_s)
        return max(left_s - lead_s, left_s / 2)

    def _watch(self, child: Child) -> int:
        deadline_s, until_s = math.inf, math.inf
        while (status := child.wait(_PAUSE_S)) is None:
            if _Told.to_end:
                return _TERMINATED
            if (now_s := self._notices.deadline_s()) != deadline_s:
                deadline_s, until_s = now_s, SYSTEM.wall() + self._left_s()
            if self._notices.has("stop") or (SYSTEM.wall() >= until_s and not self._is_limited):
                return self._leave(child)
            self._look_after_saves(child)
        return self._ended(child, status, asked=False)

    def _look_after_saves(self, child: Child) -> None:
        """Take what the application writes by itself, or at our request, as soon as it stands still."""
        if self._notices.has("save"):
            self._notices.forget("save")
            self._owed, self._asked_to_save = True, False
        if not self._owed or not self._recipe.state.while_running:
            return
        if not self._asked_to_save and self._recipe.save.how != "none":
            self._asked_to_save = True
            asking.ask(self._recipe.save, self._recipe, self._words, child.pid, self._fill)
        if self._rests() and self._take():
            self._owed = False

    def _rests(self) -> bool:
        """Say whether there is a new set that nobody has written to for a while."""
        found = sets.chosen(self._recipe.state, self._fill, self._before).files
        if not found or found == self._before:
            return False
        if found != self._watched[0]:
            self._watched = (found, SYSTEM.monotonic())
            return False
        return SYSTEM.monotonic() - self._watched[1] >= self._recipe.state.quiet_s

    def _leave(self, child: Child) -> int:
        """Have it save and leave."""
        recipe, begin_s = self._recipe, SYSTEM.monotonic()
        done = asking.ask(recipe.stop, recipe, self._words, child.pid, self._fill)
        if not done and not self._is_limited:
            if recipe.stop.how != "none":
                say(self._cannot_ask())
            self._last_of_its_own(child)
            child.end()
            return PREEMPTED
        say(f"asked {recipe.title} to stop: {done}" if done else f"{recipe.title} leaves at its time limit")
        self._owed = True  # should it not hear: what it saves by itself counts
        while (status := child.wait(_PAUSE_S)) is None:
            if _Told.to_end:
                return _TERMINATED
            self._look_after_saves(child)
        took_s = SYSTEM.monotonic() - begin_s
        self._about = _with_lead(self._about, max(took_s, self._about.lead_s))
        return self._ended(child, status, asked=True)

    def _cannot_ask(self) -> str:
        where = " (it runs under a launcher whose processes are not on this node)" if self._words.launcher else ""
        return f"warning: {self._recipe.title} could not be asked to stop{where}: what it saves by itself counts"

    def _last_of_its_own(self, child: Child) -> None:
        """Take what it has written by itself, if that is new and stands still soon."""
        until_s = SYSTEM.monotonic() + 2 * self._recipe.state.quiet_s + _PAUSE_S
        while self._recipe.state.while_running and SYSTEM.monotonic() < until_s and child.wait(_PAUSE_S) is None:
            if self._rests():
                self._take()
                return

    def _ended(self, child: Child, status: int, *, asked: bool) -> int:
        recipe = self._recipe
        is_clean = status in (recipe.stop.statuses if asked else (DONE,)) or (asked and recipe.state.in_place)
        if finished.after(recipe.done, self._fill, status=status, asked=asked, said=child.said_done):
            self._take(says=False)
            self._notices.make("done")
            return DONE
        if not is_clean:
            said = f"{recipe.title} ended with {status}: what it left is not taken, the checkpoint before counts"
            say(said)
            return FAILED if status in _RESERVED else status
        if not asked and not recipe.ends_early and not recipe.limit:
            say(f"warning: {recipe.title} ended with 0 and is not finished: {finished.said(recipe.done, self._fill)}")
            return FAILED
        self._take()
        return PREEMPTED

    def _take(self, *, says: bool = True) -> bool:
        """Hand in the set that is there, if it is whole and new."""
        found = sets.chosen(self._recipe.state, self._fill, self._before)
        if found.problem:
            if says and found.problem != self._trouble:
                say(f"warning: nothing could be saved: {found.problem}")
            self._trouble = found.problem
            return False
        if found.files == self._before:
            return True
        draft = self._draft()
        kept: tuple[keeping.Kept, ...] | None = ()
        if not self._recipe.state.in_place:
            kept = keeping.copy(found, draft)
        if kept is None:
            shutil.rmtree(draft)
            return False
        is_new = self._recipe.state.in_place or keeping.print_of(draft) != self._about.print
        self._before = found.files
        if not is_new:
            shutil.rmtree(draft)
            return True
        self._about = self._described(found, kept, keeping.print_of(draft))
        self._hand_in(draft)
        return True

    def _described(self, found: sets.Chosen, kept: tuple[keeping.Kept, ...] = (), print_: str = "") -> About:
        return About(
            recipe=self._recipe.name,
            version=self._recipe.version,
            step=found.step if kept else "",
            ranks=self._words.ranks,
            lead_s=self._about.lead_s,
            print=print_,
            files=kept,
            groups=found.groups if kept else {},
            outputs=outputs.lengths(self._recipe.outputs, self._fill),
        )

    def _draft(self) -> str:
        draft = os.path.join(self._save, ".new")
        shutil.rmtree(draft, ignore_errors=True)
        os.mkdir(draft, 0o700)
        return draft

    def _hand_in(self, draft: str) -> None:
        keeping.write(self._about, draft)
        self._count += 1
        os.rename(draft, os.path.join(self._save, str(self._count)))


def _with_lead(about: About, lead_s: float) -> About:
    from dataclasses import replace

    return replace(about, lead_s=round(lead_s, 3))


class _Unknown(dict[str, str]):
    def __contains__(self, _: object) -> bool:
        return True

    def __missing__(self, _: str) -> str:
        return ""


class _Told:
    """Set by SIGTERM: the supervisor is gone, and the application must not outlive it."""

    to_end = False


def _term(_: int, __: FrameType | None) -> None:
    _Told.to_end = True


def main(name: str, command: Sequence[str]) -> int:
    """Run a command by the recipe of this name. Raises OutlastError."""
    signal.signal(signal.SIGTERM, _term)
    return Host(registry.named(name), command).run()
