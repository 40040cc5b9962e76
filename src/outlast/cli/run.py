"""`outlast run -- CMD`: supervise a command on this machine."""

from __future__ import annotations

import argparse

from outlast.cli import arguments
from outlast.errors import UsageError

_EPILOG = """\
On SIGTERM, SIGINT, SIGHUP, SIGUSR1 or SIGUSR2 the command is asked to save and leave, and not started again; a
second signal ends it within seconds. After a crash it is started again, after 1 s, 2 s, 4 s ... up to 60 s.
No process that it started stays behind. A program in any language that saves files takes part with a few lines, and
they are kept in --store: docs/reference/any-language.md. The protocol: spec/process-v1.md.

exit status: the command's own (128 + N for signal N); 85 saved, run me again; 86 gave up, attempts made no
progress; 126 cannot be executed; 127 not found. Not tried again: 0, 2, 3, 4, 5, 86, 126, 127.

examples:
  outlast run -- python train.py                  restart after crashes, pass on a batch system's notice
  outlast run --store runs/sim --every 10min -- Rscript sim.R       keep the files that it saves
  outlast run --time 30s --grace 5s -- ./sim      play the batch system: 30 s for each attempt, until it is done
"""


def add(verbs: arguments.Verbs[argparse.ArgumentParser]) -> None:
    parser = arguments.verb(verbs, "run", epilog=_EPILOG)
    parser.usage = "outlast run [options] -- CMD [ARG ...]"
    for action in parser._actions:  # noqa: SLF001  (the shared help speaks of one document)
        if action.dest == "json":
            action.help = "tell what happens as JSON lines on stderr, the program's own events too"
    parser.add_argument("--time", metavar="TIME", help="give each attempt so long, e.g. 30s, then start the next")
    parser.add_argument(
        "--grace",
        metavar="TIME",
        help="from notice to SIGKILL, at most half of --time (default: 10s before a deadline; else no limit)",
    )
    parser.add_argument(
        "--max-attempts", "--attempts", type=int, metavar="N", help="start no more than N, over all jobs of the run"
    )
    parser.add_argument("--total", metavar="TIME", help="what all of it is expected to take: for `outlast status`")
    parser.add_argument("--max-time", metavar="TIME", help="stop after so much time, over all jobs of the run")
    parser.add_argument(
        "--tries",
        type=int,
        default=3,
        metavar="N",
        help="give up after N attempts in a row without progress (default 3); 1: no restart after a crash",
    )
    parser.add_argument(
        "--store",
        metavar="STORE",
        help="the run's store: OUTLAST_STORE for the command; of an array's task: STORE/TASK, or as %%a says",
    )
    parser.add_argument(
        "--every",
        default="auto",
        metavar="TIME",
        help="ask a program that saves files for a save: auto (default), a time, or a share of it such as 5%%",
    )
    parser.add_argument(
        "--keep", type=int, default=3, metavar="N", help="keep the newest N of the files that it saved (default 3)"
    )
    parser.add_argument("--script", metavar="FILE", help="submit this job script where the job may not be requeued")
    parser.add_argument(
        "--engine", metavar="NAME", help="checkpoint a program that takes no part itself: criu, dmtcp (needs a store)"
    )
    parser.add_argument(
        "--recipe",
        metavar="NAME",
        help="an application with restart files of its own: `outlast recipes` (needs a store)",
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="CMD", help="the command and its arguments")


def main(args: argparse.Namespace) -> int:
    from outlast.policy.interval import parse_every
    from outlast.policy.placings import Bounds
    from outlast.supervise import JsonLines, Rules, sentences
    from outlast.supervise.job import run

    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        raise UsageError("there is no command to run", hint="outlast run [options] -- CMD [ARG ...]")
    _check_positive("--tries", args.tries)
    _check_positive("--max-attempts", args.max_attempts)
    _check_positive("--keep", args.keep)
    parse_every(args.every)
    if args.engine and args.recipe:
        raise UsageError("--engine and --recipe exclude each other")
    if args.engine:
        command = _under(args.engine, args.store, command)
    if args.recipe:
        command = _by_recipe(args.recipe, args.store, command)
    return run(
        command,
        store=args.store,
        script=args.script,
        total_s=_seconds("--total", args.total),
        bounds=Bounds(tries=args.tries, attempts=args.max_attempts, time_s=_seconds("--max-time", args.max_time)),
        env=_environment(args),
        time_s=_seconds("--time", args.time),
        grace_s=_seconds("--grace", args.grace),
        every=args.every,
        keep=args.keep,
        rules=Rules(tries=args.tries, attempts=args.max_attempts),
        tell=JsonLines() if args.json else sentences,
    )


def _under(engine: str, store: str | None, command: list[str]) -> list[str]:
    """Return the command that holds `command` under an engine. -P: a module of the user's folder is not ours."""
    import os
    import sys

    from outlast.supervise.engines import registry

    registry.named(engine)
    if not store and not os.environ.get("OUTLAST_STORE"):
        raise UsageError("an engine's images need a store", hint=f"outlast run --engine {engine} --store STORE -- CMD")
    return [sys.executable, "-P", "-m", "outlast.supervise.engines", engine, "--", *command]


def _by_recipe(recipe: str, store: str | None, command: list[str]) -> list[str]:
    """Return the command that holds `command` by a recipe."""
    import os
    import sys

    from outlast.supervise.recipes import registry, words

    words.understood(registry.named(recipe), command)
    if not store and not os.environ.get("OUTLAST_STORE"):
        hint = f"outlast run --recipe {recipe} --store STORE -- CMD"
        raise UsageError("a recipe's checkpoints need a store", hint=hint)
    return [sys.executable, "-P", "-m", "outlast.supervise.recipes", recipe, "--", *command]


def _environment(args: argparse.Namespace) -> dict[str, str]:
    from outlast.supervise import environment

    env = environment()
    if args.json:
        env.setdefault("OUTLAST_EVENTS", "json")
    return env


def _seconds(option: str, text: str | None) -> float | None:
    if text is None:
        return None
    from outlast.units import parse_duration

    seconds_s = parse_duration(text)
    if seconds_s <= 0:
        raise UsageError(f"{option} {text}: expected a time above zero")
    return seconds_s


def _check_positive(option: str, number: int | None) -> None:
    if number is not None and number < 1:
        raise UsageError(f"{option} {number}: expected 1 or more")
