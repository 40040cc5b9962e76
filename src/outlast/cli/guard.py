"""`outlast guard DIR -- CMD`: keep the checkpoints that a program writes with a framework's own tools."""

from __future__ import annotations

import argparse

from outlast.cli import arguments
from outlast.errors import UsageError

_EPILOG = """\
For programs that save with Keras, Lightning, Transformers, torch.save, safetensors ... into DIR. Each file or folder
there that is finished and whole is copied into a store: durable, with digests, the newest few kept. Before CMD starts,
what is torn or rotten is moved to DIR/.outlast-guard/aside, and the newest good one is put back if it is gone, so that
the framework's own "resume from the newest" finds a good one. Its path is in OUTLAST_NEWEST, and stands where CMD says
{newest}; a word of CMD that says so is left out while there is none.

CMD is run once, and not again after it has ended with 0. `outlast run -- outlast guard DIR -- CMD` restarts it.

exit status: the command's own; 0 also if it was done before; 3 no copy is good; 5 another one guards DIR.

examples:
  outlast guard out -- python finetune.py                        Transformers: checkpoint-N folders below out
  outlast guard ckpts -- python train.py --resume={newest}       a program that is told what to load"""


def add(verbs: arguments.Verbs[argparse.ArgumentParser]) -> None:
    parser = arguments.verb(verbs, "guard", epilog=_EPILOG)
    parser.usage = "outlast guard [options] DIR -- CMD [ARG ...]"
    parser.add_argument("folder", metavar="DIR", help="where the program writes its checkpoints")
    parser.add_argument("--store", metavar="STORE", help="where the copies go (default: DIR/.outlast-guard/store)")
    parser.add_argument("--match", action="append", default=[], metavar="GLOB", help="only names like this; repeatable")
    parser.add_argument("--keep", type=int, default=3, metavar="N", help="keep the newest N copies (default 3)")
    parser.add_argument("--quiet", default="2s", metavar="TIME", help="finished: unchanged for so long (default 2s)")
    parser.add_argument("--grace", metavar="TIME", help="from notice to SIGKILL (default: 10s before a deadline)")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="CMD", help="the command and its arguments")


def main(args: argparse.Namespace) -> int:
    from outlast.supervise import JsonLines, sentences
    from outlast.supervise.guard import Terms, guard
    from outlast.units import parse_duration

    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        raise UsageError("there is no command to run", hint="outlast guard [options] DIR -- CMD [ARG ...]")
    if args.keep < 1:
        raise UsageError(f"--keep {args.keep}: expected 1 or more")
    quiet_s = parse_duration(args.quiet)
    if quiet_s <= 0:
        raise UsageError(f"--quiet {args.quiet}: expected a time above zero")
    terms = Terms(folder=args.folder, store=args.store, patterns=tuple(args.match), keep=args.keep, quiet_s=quiet_s)
    grace_s = None if args.grace is None else parse_duration(args.grace)
    return guard(command, terms, tell=JsonLines() if args.json else sentences, grace_s=grace_s)
