"""A job script as the rules see it: directives, commands, and what follows: notice, traps, work, variables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from outlast.jobscript import programs
from outlast.jobscript.command import Assignment, Command, Guard, Place
from outlast.jobscript.directive import SLURM, Directive, directives, spans
from outlast.jobscript.shell import Shell, line_starts, read
from outlast.jobscript.tokens import Word, names

_SHELL = re.compile(r"#!.*\b(?:ba|da|z|k)?sh\b")
_SIGNAL = re.compile(r"(?:([RB]+):)?([A-Za-z0-9]+)(?:@([0-9]+))?")
_NUMBERS = {"0": "EXIT", "1": "HUP", "2": "INT", "3": "QUIT", "10": "USR1", "12": "USR2", "15": "TERM", "9": "KILL"}
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?:(:?[-=+?])([^{}]*))?\}|(\w+))")
_LONGEST_VALUE = 4096
_PREEMPTIBLE = re.compile(
    r"(?:^|[-_])(?:risk|preempt\w*|scaveng\w*|spot|opportunist\w*|killable|interruptible|ckpt|requeue)(?:$|[-_0-9])"
)
_NOT_PREEMPTIBLE = re.compile(r"no[nt]?[-_]?preempt")
_HARMLESS_SOURCE = re.compile(
    r"bashrc|profile|activate|conda|mamba|module|lmod|setvars|venv|env|spack|setup|/init/|modules"
)
_TELLS_SIGNALS = names("kill pkill killall scancel srun echo printf sbatch log")
LEAD_S = 60  # of sbatch's --signal without @


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """What `--signal` asks for.

    Args:
        name: without SIG.
        shell_only: `B:`, the batch shell and nobody else hears it.
    """

    line: int
    name: str
    shell_only: bool
    lead_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trap:
    """`trap ACTION SIGNALS`. `action` is the text without quotes; "" has the signals ignored."""

    command: Command
    action: str
    signals: tuple[str, ...]

    @property
    def acts(self) -> bool:
        return self.action != ""


@dataclass(slots=True, kw_only=True)
class Script:
    """What a rule looks at. Made by `parse`; nobody changes it afterwards."""

    text: str
    name: str
    system: str
    is_shell: bool
    directives: tuple[Directive, ...]
    line_starts: list[int]
    commands: tuple[Command, ...] = ()
    comments: tuple[Word, ...] = ()
    functions: dict[str, int] = field(default_factory=dict)
    troubles: tuple[int, ...] = ()
    signal: Signal | None = None
    traps: tuple[Trap, ...] = ()
    notices: frozenset[str] = frozenset()
    handlers: frozenset[str] = frozenset()
    values: dict[str, list[Assignment]] = field(default_factory=dict)
    work: tuple[Command, ...] = ()
    work_starts: frozenset[int] = frozenset()
    calls: dict[str, list[Command]] = field(default_factory=dict)

    def option(self, name: str) -> Directive | None:
        """Return the directive that counts for an option: the last one."""
        return next((one for one in reversed(self.directives) if one.name == name), None)

    def is_work(self, command: Command) -> bool:
        """Say whether a command is among the job's work."""
        return command.start in self.work_starts

    def named(self, *names: str) -> Iterator[Command]:
        """Yield the commands of these names."""
        found = [command for name in names for command in self.calls.get(name, ())]
        return iter(sorted(found, key=lambda command: command.start) if len(names) > 1 else found)

    def is_handling(self, command: Command) -> bool:
        """Say whether a command runs on a notice: in a trap's text, or in a function that one calls."""
        return bool(self.notices & {*command.handler}) or command.function in self.handlers

    def handling(self) -> list[Command]:
        """Return the commands that run on a notice."""
        return [command for command in self.commands if self.is_handling(command)]

    def line_text(self, number: int) -> str:
        """Return a line, from 1."""
        stop = self.line_starts[number] - 1 if number < len(self.line_starts) else len(self.text)
        return self.text[self.line_starts[number - 1] : stop].rstrip("\r")

    def source(self, command: Command) -> str:
        """Return a command as it stands."""
        return self.text[command.start : command.end].strip()

    def callers(self, function: str) -> list[Command]:
        """Return the commands that call a function."""
        return self.calls.get(function, []) if function else []

    def guards(self, command: Command) -> list[Guard]:
        """Return the conditions that a command is under, with those of the calls of its function."""
        return [*command.guards, *(guard for call in self.callers(command.function) for guard in call.guards)]

    def resolve(self, value: str) -> str:
        """Put in the values of variables that the script itself sets; what it does not know stays as `${NAME}`."""
        for _ in range(5):
            found = _VARIABLE.sub(self._value_of, value)
            if found == value or len(found) > _LONGEST_VALUE:
                break
            value = found
        return value[:_LONGEST_VALUE]

    def _value_of(self, match: re.Match[str]) -> str:
        name = match[1] or match[4]
        known = self.values.get(name, [])
        if known and all(  # a value that is made of itself stays open
            one.value is not None and f"${name}" not in one.value.raw and f"${{{name}" not in one.value.raw
            for one in known
        ):
            last = known[-1].value
            assert last is not None  # all of them have one
            return last.value
        if match[2] in (":-", "-", ":=", "=") and match[3] and name not in self.values:
            return match[0] if name.startswith("SLURM") else match[3]
        return f"${{{name}}}"

    @property
    def is_preemptible(self) -> bool:
        """Say whether the partition or QOS is one whose jobs others may push out, to tell by its name."""
        asked = (self.option("partition"), self.option("qos"))
        names = ",".join((one.value or "") for one in asked if one).lower().split(",")
        return any(_PREEMPTIBLE.search(name) and not _NOT_PREEMPTIBLE.search(name) for name in names)

    @property
    def has_tasks(self) -> bool:
        """Say whether the job is an array of more than one task."""
        one = self.option("array")
        asked = (one.value or "").partition("%")[0] if one else ""
        first, _, last = asked.partition("-")
        return bool(re.search(r"[-,]", asked)) and first != last

    @property
    def may_requeue(self) -> bool:
        """Say whether the job is meant to start again under its own id."""
        requeue, never = self.option("requeue"), self.option("no-requeue")
        if never and (not requeue or requeue.line < never.line):
            return False
        return requeue is not None or self.is_preemptible or any(self.requeues())

    @property
    def may_restart(self) -> bool:
        """Say whether anything speaks of a second start: requeue, notice, successors."""
        return self.may_requeue or self.signal is not None or any(self.successors())

    def requeues(self) -> Iterator[Command]:
        """Yield the commands that requeue this job: `scontrol requeue`."""
        for command in self.named("scontrol"):
            if any(one in ("requeue", "requeuehold") for one in command.arguments[:1]):
                yield command

    def successors(self) -> Iterator[Command]:
        """Yield the commands that submit this very script again."""
        for command in self.named("sbatch"):
            known = self.resolve(submitted(command))
            is_me = re.search(r"^\$\{?(0|BASH_SOURCE)\b", known)
            if is_me or (self.name and known.rsplit("/", 1)[-1] == self.name):
                yield command

    def runs_outlast(self) -> bool:
        return any(programs.is_outlast(command) for command in self.commands)


def gives_time(commands: list[Command]) -> bool:
    """Say whether time is given to the program in them."""
    return any(command.name in ("wait", "sleep") for command in commands)


def submitted(command: Command) -> str:
    """Return the script that an sbatch command names, or ""."""
    given = [word.value for word in command.words[1:]]
    used = [count for _, _, count in spans(given)]
    rest = given[used[-1] if used else 0 :]
    return rest[0] if rest else ""


def parse(text: str, name: str = "") -> Script:
    """Read a job script.

    Args:
        text: all of it.
        name: its file's name, to know where it submits itself.

    Raises:
        UsageError: it is too large to be a job script.
    """
    found = directives(text)
    starts = line_starts(text)
    first = text.split("\n", 1)[0]
    is_shell = not first.startswith("#!") or bool(_SHELL.match(first))  # not csh, nor fish
    script = Script(
        text=text,
        name=name,
        system=_system(found, text),
        is_shell=is_shell,
        directives=tuple(one for one in found if one.system == SLURM),
        line_starts=starts,
    )
    script.signal = _signal(script)
    script.notices = frozenset({"USR1", "USR2", *([script.signal.name] if script.signal else [])})
    if is_shell:
        _fill(script, read(text, starts))
    return script


def _fill(script: Script, shell: Shell) -> None:
    traps = [trap for command in shell.commands if command.name == "trap" for trap in _trap(command)]
    commands = list(shell.commands)
    for trap in traps:
        word = trap.command.words[-1 - len(trap.signals)]
        edge = int(word.is_quoted)
        place = Place(handler=trap.signals, function=trap.command.function)
        inner = read(script.text, script.line_starts, begin=word.start + edge, end=word.end - edge, place=place)
        if trap.acts:
            commands.extend(inner.commands)
    script.commands, script.traps = tuple(commands), tuple(traps)
    script.comments, script.functions, script.troubles = tuple(shell.comments), shell.functions, tuple(shell.troubles)
    script.handlers = _handlers(script)
    for command in script.commands:
        script.calls.setdefault(command.name, []).append(command)
        for one in command.assignments:
            script.values.setdefault(one.name, []).append(one)
        if command.name == "read":
            for word in command.words[1:]:
                script.values.setdefault(word.value, []).append(
                    Assignment(name=word.value, value=None, line=word.line, start=word.start)
                )
    script.work = tuple(
        command
        for command in script.commands
        if not command.handler
        and command.function not in script.handlers
        and programs.is_work(command, script.functions)
    )
    script.work_starts = frozenset(command.start for command in script.work)


def _system(found: tuple[Directive, ...], text: str) -> str:
    systems = [one.system for one in found]
    if SLURM in systems or not systems:
        return SLURM if systems or re.search(r"\bSBATCH\b|\bSLURM_|\bsrun\b|\bscontrol\b", text) else ""
    return systems[0]


def _signal(script: Script) -> Signal | None:
    one = script.option("signal")
    match = _SIGNAL.fullmatch(one.value or "") if one else None
    if one is None or match is None:
        return None
    lead_s = int(match[3][:6]) if match[3] else LEAD_S
    return Signal(line=one.line, name=signal_name(match[2]), shell_only="B" in (match[1] or ""), lead_s=lead_s)


def signal_name(text: str) -> str:
    """Return a signal's name without SIG, whatever way it is written in."""
    name = text.strip().lstrip("-").upper().removeprefix("SIG")
    return _NUMBERS.get(name, name)


def _trap(command: Command) -> Iterator[Trap]:
    words = [word for word in command.words[1:] if word.value != "--"]
    if len(words) > 1 and not words[0].value.startswith("-"):  # else it prints, or gives signals back
        names = tuple(signal_name(word.value) for word in words[1:])
        yield Trap(command=command, action=words[0].value, signals=names)


def _handlers(script: Script) -> frozenset[str]:
    """Return the functions that run on a notice, called by a trap or by one of these."""
    calls: dict[str, set[str]] = {}
    open_ = set()
    for command in script.commands:
        if command.name in script.functions:
            calls.setdefault(command.function, set()).add(command.name)
            if script.notices & {*command.handler}:
                open_.add(command.name)
    found: set[str] = set()
    while open_:
        name = open_.pop()
        found.add(name)
        open_ |= calls.get(name, set()) - found
    return frozenset(found)


def hears(script: Script, signal: str) -> bool:
    """Say whether somebody in the script takes a signal, or may: a trap, a command told its name, a library."""
    if any(signal in trap.signals for trap in script.traps):
        return True
    for command in script.commands:
        is_library = command.name in ("source", ".") and command.arguments
        if is_library and not _HARMLESS_SOURCE.search(command.arguments[0].lower()):
            return True
        is_told = any(word in (signal, f"SIG{signal}") for word in command.arguments)
        if is_told and command.name not in _TELLS_SIGNALS and command.name != "trap":
            return True
    return False
