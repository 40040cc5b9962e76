"""`python -m outlast.testing.conformance -- CMD`: try a client, and report."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from outlast.errors import FAILED, USAGE
from outlast.testing import conformance
from outlast.testing.conformance.cases import CASES
from outlast.testing.conformance.rig import Failed, Rig, Unfit


def main(argv: list[str]) -> int:
    """Run the cases; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m outlast.testing.conformance",
        description=conformance.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--list", action="store_true", help="name the cases, and what each asks for")
    parser.add_argument("--only", action="append", metavar="CASE", help="run this case alone; may be given again")
    parser.add_argument("--kills", type=int, default=5, metavar="N", help="kill so often while it writes (default 5)")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="CMD")
    args = parser.parse_args(argv)
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if args.list:
        _say(*(f"{name:12} {case.__doc__.partition('.')[0]}" for name, case in CASES.items() if case.__doc__))
        return 0
    unknown = set(args.only or ()) - set(CASES)
    if not command or unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}" if unknown else "there is no command to try")
    with tempfile.TemporaryDirectory(prefix="outlast-") as folder:
        return _run(Rig(command, Path(folder), kills=args.kills), args.only or list(CASES))


def _run(rig: Rig, names: list[str]) -> int:
    failed = []
    for number, name in enumerate(names, 1):
        try:
            CASES[name](rig)
        except Failed as e:
            failed.append(name)
            _say(f"not ok {number} {name}: {e}", *(f"    {line}" for line in rig.heard()))
        except Unfit as e:
            _say(f"cannot be judged: {e}", *(f"    {line}" for line in rig.heard()))
            return USAGE
        else:
            _say(f"ok {number} {name}")
        finally:
            rig.stop()
    _say(f"1..{len(names)}", f"{len(failed)} of {len(names)} failed: {', '.join(failed)}" if failed else "all passed")
    return FAILED if failed else 0


def _say(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
