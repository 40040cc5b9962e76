"""The directives of a job script: `#SBATCH --time=1` and its like. Which count, and how to add what is missing.

Slurm reads them up to the first line that is neither blank nor a comment, only at a line's very beginning, and takes
the last where an option is given twice. Of the other systems only as much is read as is needed to know the system.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from outlast.errors import UsageError
from outlast.jobscript.tokens import names

SLURM = "slurm"
_MARKS = (("#SBATCH", SLURM), ("#PBS", "pbs"), ("#BSUB", "lsf"), ("#$", "sge"), ("#FLUX:", "flux"), ("#flux:", "flux"))
# sbatch's options of one letter, with the long name of each
_SHORT = {
    "A": "account", "a": "array", "B": "extra-node-info", "b": "begin", "C": "constraint", "c": "cpus-per-task",
    "D": "chdir", "d": "dependency", "e": "error", "F": "nodefile", "G": "gpus", "H": "hold", "h": "help",
    "I": "immediate", "i": "input", "J": "job-name", "k": "no-kill", "L": "licenses", "M": "clusters",
    "m": "distribution",
    "N": "nodes", "n": "ntasks", "O": "overcommit", "o": "output", "p": "partition", "Q": "quiet", "q": "qos",
    "S": "core-spec", "s": "oversubscribe", "t": "time", "V": "version", "v": "verbose", "W": "wait", "w": "nodelist",
    "x": "exclude",
}  # fmt: skip
_FLAGS = names(
    """
    hold help no-kill overcommit quiet version verbose wait requeue no-requeue parsable test-only contiguous
    disable-stdout-job-summary ignore-pbs reboot spread-job use-min-nodes usage
    """
)
SRUN_FLAGS = _FLAGS | names(
    """
    u l X Z E unbuffered label overlap exact pty multi-prog no-allocate preserve-env disable-status quit-on-interrupt
    async external propagate whole
    """
)
_VALUE_AFTER_SIGN_ONLY = names(
    """
    oversubscribe exclusive get-user-env nice propagate kill-on-invalid-dep immediate requeue
    """
)
# those with a meaning here and long enough to be cut short: getopt takes any beginning that only one option has
_LONG = names(
    """
    account array begin checkpoint checkpoint-dir comment constraint container container-image dependency error
    exclusive input job-name mail-type mail-user nodes ntasks open-mode output partition qos requeue no-requeue
    restart-dir signal time time-min wrap
    """
)
_SIGNS_OF_QUOTING = re.compile(r"[\s'\"\\#]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Directive:
    """One option of a directive that counts.

    Args:
        line: from 1.
        system: slurm, pbs, lsf, sge or flux.
        name: the option's long name without dashes where Slurm has one ("time" for `-t`), else as it stands.
        value: None for an option without one.
    """

    line: int
    system: str
    name: str
    value: str | None


def directives(text: str) -> tuple[Directive, ...]:
    """Return the options that the batch system sees, in their order."""
    return tuple(
        Directive(line=number, system=system, name=name, value=value)
        for number, line in header(text)
        for system, rest in _marked(line)
        for name, value in options(words(rest), system)
    )


def with_directives(text: str, wanted: Mapping[str, str | None]) -> str:
    """Return the script with `#SBATCH` lines for what it does not say yet, after those that it has.

    Whatever the script says stays: an option that it gives (`no-requeue` where `requeue` is wanted, too) is not added.

    Args:
        text: the script.
        wanted: long names without dashes; None for an option without a value.

    Raises:
        UsageError: a value cannot stand in a directive.
    """
    said = {_subject(one.name) for one in directives(text) if one.system == SLURM}
    missing = [_written(name, value) for name, value in wanted.items() if _subject(name) not in said]
    if not missing:
        return text
    lines = text.split("\n")
    after = max((number for number, line in header(text) if _marked(line)), default=int(text.startswith("#!")))
    end = "\r" if after and lines[after - 1].endswith("\r") else ""
    lines[after:after] = [f"{line}{end}" for line in missing]
    if after == len(lines) - len(missing):  # the last line had no end of its own
        lines.append("")
    return "\n".join(lines)


def header(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines among which directives count, with their numbers: up to the first that is no comment."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            return
        yield number, line.removesuffix("\r")


def words(text: str) -> list[str]:
    """Split as sbatch does, which is not as a shell does.

    A backslash takes the next letter as it is within single quotes too, but no blank outside of quotes; from a `#` on,
    in the middle of a word as well, it is a comment.
    """
    found: list[str] = []
    word, quote = None, ""
    letters = iter(text)
    for letter in letters:
        if not quote and letter.isspace():
            found += [] if word is None else [word]
            word = None
        elif not quote and letter == "#":
            break
        elif letter == "\\":
            following = next(letters, "")
            word = (word or "") + following
        elif letter in (quote or "'\""):
            quote = "" if quote else letter
            word = word or ""
        else:
            word = (word or "") + letter
    return found if word is None else [*found, word]


def options(given: list[str], system: str = SLURM) -> Iterator[tuple[str, str | None]]:
    """Yield the options at the beginning of a list of words, with their long names and values."""
    for name, value, _ in spans(given, system):
        yield name, value


def spans(
    given: list[str], system: str = SLURM, *, flags: frozenset[str] = _FLAGS
) -> Iterator[tuple[str, str | None, int]]:
    """Yield the options as `options` does, each with the number of words up to its end.

    Args:
        given: the words.
        system: whose.
        flags: the options that take no value, if they are not those of sbatch.
    """
    at = 0
    while at < len(given) and given[at].startswith("-") and given[at] not in ("-", "--"):
        word = given[at]
        at += 1
        name, value = _split(word) if system == SLURM else (word.lstrip("-"), None)
        takes_next = name not in flags | _VALUE_AFTER_SIGN_ONLY if system == SLURM else True
        if value is None and takes_next and at < len(given) and not given[at].startswith("--"):
            value = given[at]
            at += 1
        yield name, value, at


def _split(word: str) -> tuple[str, str | None]:
    if word.startswith("--"):
        name, sign, value = word[2:].partition("=")
        return _full(name), value if sign else None
    name = _SHORT.get(word[1], word[1])
    return name, word[2:] or None


def _full(name: str) -> str:
    if name in _LONG or len(name) < 3:  # noqa: PLR2004  (fewer letters say too little)
        return name
    found = [long for long in _LONG if long.startswith(name)]
    return found[0] if len(found) == 1 else name


def _marked(line: str) -> list[tuple[str, str]]:
    """Return the system whose directive a line is, with the rest of it; at most one."""
    for mark, system in _MARKS:
        rest = line[len(mark) :]
        if line.startswith(mark) and (not rest or rest[0].isspace()):
            return [(system, rest)]
    return []


def _subject(name: str) -> str:
    return "requeue" if name == "no-requeue" else name


def _written(name: str, value: str | None) -> str:
    if value is None:
        return f"#SBATCH --{name}"
    if re.search(r"[\x00\n\r]", value):
        raise UsageError(f"--{name}={value!r} cannot stand in a directive", hint="it must be one line")
    if _SIGNS_OF_QUOTING.search(value):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'#SBATCH --{name}="{escaped}"'
    return f"#SBATCH --{name}={value}"
