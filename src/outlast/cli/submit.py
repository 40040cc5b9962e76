"""`outlast submit -- CMD`: the same as `outlast run`, as a batch job that is started again until it is done."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from outlast.cli import arguments, output
from outlast.errors import UsageError

if TYPE_CHECKING:
    from outlast.supervise.batch import BatchSystem

_EPILOG = """\
Options that are not listed here go to the batch system as they are, and into the job script: -p, --time, --array ...
What the script lacks so that nothing is lost is added: a signal in time before the end, requeue, append mode.
The same command starts the first job and, if it is needed, every later one; what is saved is gone on from.
`-n 4` is a number of tasks; `-n` alone, or --dry-run, prints the script. Each task of an array is a run: STORE/TASK.

examples:
  outlast submit -p main_risk --time 8:00:00 --total 40h -- python train.py
  outlast submit -n -p main_risk --array 0-19 --store runs/sweep -- python train.py --fold %a
  outlast submit --script job.sh                   a job script that you have, with what it lacks"""

_PASSED = ("every", "keep", "engine", "recipe")  # to `outlast run`, as they are
_VALUES = (
    *("--total", "--store", "--max-time", "--max-attempts", "--tries", "--system", "--script"),
    *(f"--{name}" for name in _PASSED),
)
_FLAGS = ("--dry-run", "--json", "--help", "-h")
_PRINT = "-n"


def add(verbs: arguments.Verbs[argparse.ArgumentParser]) -> None:
    parser = arguments.verb(verbs, "submit", epilog=_EPILOG)
    parser.usage = "outlast submit [options] [options of the batch system] -- CMD [ARG ...]"
    parser.add_argument(
        "--total", metavar="TIME", help="what all of it is expected to take, e.g. 40h; stops at twice that"
    )
    parser.add_argument(
        "--store", metavar="STORE", help="the run's store (default: $OUTLAST_STORE, or outlast-NAME here)"
    )
    parser.add_argument("--max-time", metavar="TIME", help="stop after so much time in all (default: twice --total)")
    parser.add_argument("--max-attempts", type=int, metavar="N", help="stop after N attempts in all")
    parser.add_argument("--tries", type=int, metavar="N", help="stop after N without progress (default 3)")
    parser.add_argument("--system", metavar="NAME", help="the batch system (default: the one that is here)")
    parser.add_argument("--script", metavar="FILE", help="submit this job script; what it lacks is added to a copy")
    for name in _PASSED:
        parser.add_argument(f"--{name}", metavar=name.upper(), help="as `outlast run` takes it")
    parser.add_argument("-n", "--dry-run", action="store_true", help="print the job script and submit nothing")


def split(argv: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Tell our own options from those of the batch system and from the command, without a look at what they mean."""
    ours: list[str] = []
    options: list[str] = []
    words = list(argv)
    command: list[str] = []
    if "--" in words:
        at = words.index("--")
        words, command = words[:at], words[at + 1 :]
    while words:
        word = words.pop(0)
        if word in _VALUES:
            ours += [word, *words[:1]]
            del words[:1]
        elif (
            word in _FLAGS
            or word.partition("=")[0] in _VALUES
            or (word == _PRINT and not words[:1])
            or (word == _PRINT and not words[0].isdecimal())
        ):
            ours.append(word)
        else:
            options.append(word)
    return ours, {"options": options, "command": command}


def main(args: argparse.Namespace) -> int:
    from outlast.supervise.orders import Wish, order, place

    if bool(args.command) == bool(args.script):
        hint = "outlast submit [options] -- CMD [ARG ...], or --script FILE"
        raise UsageError(
            "expected a command to run, or --script" if not args.command else "either a command or --script", hint=hint
        )
    system = _system(args.system)
    wish = Wish(
        command=args.command,
        script=args.script,
        options=args.options,
        store=args.store or os.environ.get("OUTLAST_STORE", ""),
        total=args.total,
        max_time=args.max_time,
        max_attempts=args.max_attempts,
        tries=args.tries,
        passed=[word for name in _PASSED if (value := getattr(args, name)) for word in (f"--{name}", value)],
    )
    made = order(wish, system)
    for warning in made.warnings:
        print(f"outlast: warning: {warning}", file=sys.stderr)
    if made.is_done:
        _say(
            args, {"job": None, "store": made.store, "done": True}, f"{made.store}: this run is done: nothing to submit"
        )
        return 0
    if args.dry_run and args.json:
        output.as_json({"job": None, "store": made.store, "script": made.text})
    elif args.dry_run:
        print(made.text, end="")  # as it is: somebody may keep it in a file
    if args.dry_run:
        return 0
    job, path = place(made, system)
    document = {"job": job, "system": system.name, "store": made.store, "script": path}
    _say(args, document, f"submitted job {job} ({system.name}), script {path}\nsee: outlast status {made.store}")
    return 0


def _system(name: str | None) -> BatchSystem:
    import shutil

    from outlast.supervise import batch

    if name is not None:
        return batch.named(name)
    systems = [system for system in batch.known().values() if system.signs]
    for system in systems:
        if all(map(shutil.which, system.signs)):
            return system
    commands = ", ".join(f"{system.submits} ({system.name})" for system in systems)
    hint = "call it where jobs are submitted, or have it run here in the background: --system local"
    raise UsageError(f"there is no batch system here: none of {commands} was found", hint=hint)


def _say(args: argparse.Namespace, document: dict[str, Any], text: str) -> None:
    if args.json:
        output.as_json(document)
    else:
        for line in text.split("\n"):
            output.say(line)
