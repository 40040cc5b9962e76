"""`outlast lint`: find the ways in which a job script loses work, and mend what is safe to mend."""

from __future__ import annotations

import argparse
import os
import stat
import sys
from typing import Any

from outlast.cli import arguments, output
from outlast.terminal import visible

_STDIN = "-"


def add(verbs: arguments.Verbs[argparse.ArgumentParser]) -> None:
    parser = arguments.verb(
        verbs,
        "lint",
        epilog="exit status: 0 nothing was found (or all was mended), 1 something was, 2 a script cannot be read.\n"
        "A comment `# outlast: allow J14` in a script turns a rule off for it. SCRIPT may be -, standard input.",
    )
    parser.add_argument(
        "scripts", metavar="SCRIPT", nargs="*", help="a job script of Slurm; of others, what a shell does"
    )
    parser.add_argument("--fix", action="store_true", help="mend in place what is safe to mend")
    parser.add_argument("-n", "--diff", action="store_true", help="show what --fix would change; write nothing")
    parser.add_argument("--rules", action="store_true", help="list the rules, each with where it is from")


def main(args: argparse.Namespace) -> int:
    from outlast.errors import FAILED, UsageError
    from outlast.jobscript import catalogue

    if args.rules:
        _print_rules(args, catalogue.RULES)
        return 0
    if not args.scripts:
        raise UsageError("no script was named", hint="outlast lint job.sh")
    if _STDIN in args.scripts and args.fix and not args.diff:
        raise UsageError("standard input cannot be mended in place", hint="add -n to see the changes")
    texts = {path: _read(path) for path in args.scripts}
    is_found, documents = False, []
    for path, text in texts.items():
        name = "" if path == _STDIN else os.path.basename(path)
        after = catalogue.mended(text, name) if args.fix or args.diff else text
        if args.fix and not args.diff and after != text:
            _write(path, after)
        report = catalogue.check(text if args.diff else after, name)
        is_found |= bool(report.findings)
        documents.append(_document(path, report, mended=after if after != text else None))
        if not args.json:
            _print(path, report, text, after, args)
    if args.json:
        output.as_json({"scripts": documents, "found": sum(len(one["findings"]) for one in documents)})
    return FAILED if is_found else 0


def _read(path: str) -> str:
    from outlast.errors import UsageError
    from outlast.jobscript.catalogue import MAX_BYTES

    try:
        if path == _STDIN:
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise UsageError(f"{path} is not a regular file", hint="name a job script, or - for standard input")
                data = file.read(MAX_BYTES + 1)
    except OSError as e:
        raise UsageError(f"{path} cannot be read: {e.strerror}", hint="name a job script") from None
    if len(data) > MAX_BYTES:
        raise UsageError(f"{path} has more than {MAX_BYTES} bytes", hint="name a job script: a short shell script")
    if b"\0" in data:
        raise UsageError(f"{path} is a binary file", hint="name a job script")
    return data.decode("utf-8", "surrogateescape")


def _write(path: str, text: str) -> None:
    """Put the mended script in the place of the old one, with its mode; what a link leads to, not the link."""
    from outlast.backends import Posix
    from outlast.errors import UsageError

    place = os.path.realpath(path)
    found = os.stat(place)
    if found.st_uid != os.geteuid():
        raise UsageError(f"{path} belongs to another user", hint="add -n to see the changes, or mend a copy")
    folder, name = os.path.split(place)
    backend = Posix(folder)
    backend.replace(name, [text.encode("utf-8", "surrogateescape")], mode=stat.S_IMODE(found.st_mode))
    backend.sync("")


def _document(path: str, report: Any, *, mended: str | None) -> dict[str, Any]:
    return {
        "script": path,
        "findings": [
            {
                "line": one.line,
                "rule": one.rule.id,
                "severity": one.severity,
                "title": one.rule.title,
                "found": one.hit.said,
                "reason": one.rule.reason,
                "remedy": one.rule.remedy,
                "fixable": one.hit.is_mendable,
            }
            for one in report.findings
        ],
        "not_understood": list(report.troubles),
        "mended": mended,
    }


def _print(path: str, report: Any, text: str, after: str, args: argparse.Namespace) -> None:
    for one in report.findings:
        rule = one.rule
        output.say(f"{path}:{one.line}: {rule.id} {one.severity}: {one.hit.said}: {rule.reason} -> {rule.remedy}")
    if args.diff:
        _print_diff(path, text, after)
    elif after != text:
        output.say(f"{path}: mended")
    for line in report.troubles[:1]:
        print(f"outlast: warning: {path}:{line}: not understood; what stands there is not judged", file=sys.stderr)
    mendable = sum(one.hit.is_mendable for one in report.findings)
    if report.findings and mendable and not args.diff:
        print(
            f"outlast: {mendable} of {len(report.findings)} can be mended: outlast lint --fix {path}", file=sys.stderr
        )


def _print_diff(path: str, text: str, after: str) -> None:
    import difflib

    # not splitlines: more signs end a line for Python than for a shell
    before, behind = (one.removesuffix("\n").split("\n") for one in (text, after))
    for line in difflib.unified_diff(before, behind, fromfile=path, tofile=f"{path} (mended)", lineterm=""):
        print("\t".join(map(visible, line.removesuffix("\r").split("\t"))))


def _print_rules(args: argparse.Namespace, rules: Any) -> None:
    if args.json:
        output.as_json(
            [
                {
                    "rule": rule.id,
                    "severity": rule.severity,
                    "title": rule.title,
                    "reason": rule.reason,
                    "remedy": rule.remedy,
                    "source": rule.source,
                    "fixable": rule.fixes,
                }
                for rule in rules
            ]
        )
        return
    for rule in rules:
        fixes = " (--fix)" if rule.fixes else ""
        print(f"{rule.id} {rule.severity}{fixes}: {rule.title}")
        print(f"    {rule.reason}\n    -> {rule.remedy}\n    {rule.source}")
