"""`outlast run -- CMD`: supervise a command on this machine."""

from __future__ import annotations

import argparse
import os

from outlast.cli import arguments
from outlast.errors import UsageError

_EPILOG = """\
On SIGTERM, SIGINT, SIGHUP, SIGUSR1 or SIGUSR2 the command is asked to save and leave, and not started again; a
second signal ends it within seconds. After a crash it is started again, after 1 s, 2 s, 4 s ... up to 60 s.
No process that it started stays behind. How a program takes part: spec/process-v1.md.

exit status: the command's own (128 + N for signal N); 85 saved, run me again; 86 gave up, attempts made no
progress; 126 cannot be executed; 127 not found. Not tried again: 0, 2, 3, 4, 5, 86, 126, 127.

examples:
  outlast run -- python train.py                  restart after crashes, pass on a batch system's notice
  outlast run --time 30s --grace 5s -- ./sim      play the batch system: 30 s for each attempt, until it is done
"""


def add(verbs: arguments.Verbs[argparse.ArgumentParser]) -> None:
    parser = arguments.verb(
        verbs, "run", "run a command: notice, restart, stop when it makes no progress", epilog=_EPILOG
    )
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
    parser.add_argument("--attempts", type=int, metavar="N", help="start no more than N in all")
    parser.add_argument(
        "--tries",
        type=int,
        default=3,
        metavar="N",
        help="give up after N attempts in a row without progress (default 3); 1: no restart after a crash",
    )
    parser.add_argument("--store", metavar="STORE", help="set OUTLAST_STORE for the command")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="CMD", help="the command and its arguments")


def main(args: argparse.Namespace) -> int:
    from outlast.supervise import JsonLines, Rules, sentences, supervise

    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        raise UsageError("there is no command to run", hint="outlast run [options] -- CMD [ARG ...]")
    _check_positive("--tries", args.tries)
    _check_positive("--attempts", args.attempts)
    return supervise(
        command,
        env=_environment(args),
        time_s=_seconds("--time", args.time),
        grace_s=_seconds("--grace", args.grace),
        rules=Rules(tries=args.tries, attempts=args.attempts),
        tell=JsonLines() if args.json else sentences,
    )


def _environment(args: argparse.Namespace) -> dict[str, str]:
    from outlast.supervise import environment

    env = environment()
    if args.store:
        env["OUTLAST_STORE"] = args.store if "://" in args.store else os.path.abspath(args.store)
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
