"""Rules about the notice: who hears the signal before the end, and whether the last save has the time that it needs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from outlast.jobscript import programs
from outlast.jobscript.command import Command
from outlast.jobscript.rule import ERROR, WARNING, Edit, Hit, Rule
from outlast.jobscript.script import Script, Trap, gives_time, hears
from outlast.jobscript.tokens import names

_ENDS_NOTHING = names("INT CONT CHLD URG WINCH TSTP STOP TTIN TTOU")  # INT: not while a command is in the foreground
_STEPS = re.compile(r"\b(?:srun|mpirun|mpiexec|orterun|prun|ibrun|aprun|jsrun|outlast)\b")
_LOOKS = re.compile(r"kill\s+-0|wait|jobs|/proc/|ps\s+-p|pgrep")
_SHORTEST_LEAD_S = 60
_USER_SIGNALS = ("USR1", "USR2")


def _acting(script: Script) -> list[Trap]:
    """Return the traps that do something on a notice that reaches the shell."""
    signal = script.signal
    if signal and not signal.shell_only:
        return []
    return [trap for trap in script.traps if trap.acts and script.notices & {*trap.signals}]


def _unheard(script: Script) -> Iterator[Hit]:
    signal = script.signal
    if signal is None or signal.shell_only or (script.is_shell and not script.work):
        return
    acting = [trap for trap in script.traps if trap.acts and signal.name in trap.signals]
    does_more = any(one.name in ("scontrol", "sbatch", "kill", "touch", "scancel") for one in script.handling())
    if not _starts_steps(script):
        edits = _with_b(script) if hears(script, signal.name) or _is_handed_over(script) else ()
        said = f"--signal={signal.name} without B:, and nothing is started by srun"
        yield Hit(line=signal.line, said=said, edits=edits)
    elif acting and does_more:
        said = f"--signal={signal.name} without B: goes to the steps, not to the trap of line {acting[0].command.line}"
        yield Hit(line=signal.line, said=said)


def _starts_steps(script: Script) -> bool:
    """Say whether there are job steps, or may be: in a script that is called, or behind a variable."""
    if not script.is_shell:
        return bool(_STEPS.search(script.text))
    for command in script.commands:
        words = [*command.words, *(one.value for one in command.assignments if one.value)]
        if any(_STEPS.search(word.raw) for word in words):
            return True
    return any(_is_unknown(command) for command in script.work)


def _is_unknown(command: Command) -> bool:
    program = programs.program(command)
    return program.startswith("$") or program.endswith(".sh") or program in programs.SHELLS


def _is_handed_over(script: Script) -> bool:
    return any(programs.is_exec(command) for command in script.work)


def _with_b(script: Script) -> tuple[Edit, ...]:
    one = script.option("signal")
    assert one is not None  # there is a signal
    line = script.line_text(one.line)
    at = line.rfind(one.value or "", line.find("SBATCH"))
    if ":" in (one.value or "") or at < 0:
        return ()
    start = script.line_starts[one.line - 1] + at
    return (Edit(start=start, end=start, text="B:"),)


J1 = Rule(
    id="J1",
    title="a notice that nobody hears: `--signal` without `B:`",
    reason="Slurm then signals the job's steps only, not the batch shell; the job is cut at its limit",
    remedy="write --signal=B:USR1@SECONDS and trap it in the script, or `exec outlast run -- CMD`",
    source="sbatch man page; Lightning-AI/pytorch-lightning#6626",
    find=_unheard,
    shell_only=False,
    fixes=True,
)


def _untrapped(script: Script) -> Iterator[Hit]:
    signal = script.signal
    if signal is None or not signal.shell_only or signal.name in _ENDS_NOTHING or not script.work:
        return
    if hears(script, signal.name) or _is_handed_over(script):
        return
    last = max(script.work, key=lambda command: command.start)
    if not programs.is_outlast(last):
        yield Hit(line=signal.line, said=f"--signal=B:{signal.name}, and no trap for {signal.name}")
        return
    is_plain = not (last.guards or last.is_background or last.function or script.traps) and last is _last(script)
    edits = (Edit(start=last.words[0].start, end=last.words[0].start, text="exec "),) if is_plain else ()
    said = f"--signal=B:{signal.name} goes to the shell in front of `outlast run`, which does not hear it"
    yield Hit(line=signal.line, said=said, edits=edits)


def _last(script: Script) -> Command:
    return [command for command in script.commands if not command.in_substitution and not command.handler][-1]


J2 = Rule(
    id="J2",
    title="`--signal=B:` without a trap",
    reason="the signal ends the batch shell, and with it the job, before its limit",
    remedy="trap the signal and pass it on to the program, or `exec outlast run -- CMD`",
    source="SyracuseUniversity/ZestExamples GROMACS.md, LAMMPS.md",
    find=_untrapped,
    fixes=True,
)


def _deaf(script: Script) -> Iterator[Hit]:
    traps = _acting(script)
    if not traps or any(command.is_background for command in script.work):
        return
    behind = [c for c in script.work if c.start > traps[0].command.start and not programs.is_exec(c)]
    if behind:
        said = f"in the foreground, so that the trap of line {traps[0].command.line} waits until it has ended"
        yield Hit(line=behind[0].line, said=f"{programs.program(behind[0])} runs {said}")


J3 = Rule(
    id="J3",
    title="a trap, and the program in the foreground",
    reason="a shell runs a trap only when the command in the foreground has ended",
    remedy="start the program with &, keep its number (pid=$!), and wait for it in a loop",
    source="srtee/cdc_collab",
    find=_deaf,
    slurm_only=False,
)


def _impatient(script: Script) -> Iterator[Hit]:
    traps, started = _acting(script), [command for command in script.work if command.is_background]
    handling = script.handling()
    if not traps or not started or any(command.name == "scontrol" for command in handling):
        return  # of requeues J19 speaks
    leaving = [command for command in handling if command.name == "exit"]
    if leaving and not gives_time([command for command in handling if command.start < leaving[0].start]):
        yield Hit(line=leaving[0].line, said="the trap leaves while the program is still in its save")
    if leaving or gives_time(handling):
        return
    waits = [c for c in script.named("wait") if c.start > started[0].start and not c.handler]
    if any(_is_patient(command) for command in waits):
        return
    if len(waits) == 1:
        yield Hit(line=waits[0].line, said="one wait: the signal ends it, and the script goes on without its program")


def _is_patient(command: Command) -> bool:
    loops = [guard.text for guard in command.guards if guard.kind == "loop"]
    return any(_LOOKS.search(text) or text in ("true", ":") for text in loops) or (
        command.in_loop and command.in_condition
    )


J4 = Rule(
    id="J4",
    title="one `wait` after `&`",
    reason="a trapped signal ends `wait` with a status above 128; the script then ends and takes the program with it",
    remedy='wait until it is gone: while kill -0 "$pid" 2>/dev/null; do wait "$pid"; done',
    source="bash manual, Signals; one field script in ten waits twice",
    find=_impatient,
    slurm_only=False,
)


def _replaced(script: Script) -> Iterator[Hit]:
    traps = _acting(script)
    for command in script.work:
        before = [trap for trap in traps if trap.command.start < command.start]
        if before and programs.is_exec(command) and not programs.is_outlast(command):
            yield Hit(
                line=command.line, said=f"exec ends the shell, and with it the trap of line {before[0].command.line}"
            )
            return


J5 = Rule(
    id="J5",
    title="a trap, then `exec`",
    reason="the trap goes with the shell; where the program does not handle the signal itself, it dies of it",
    remedy="start the program with & and wait for it; or leave out the trap and let the program hear the signal",
    source="field scripts; bash manual, exec",
    find=_replaced,
    slurm_only=False,
)


def _idle_wait(script: Script) -> Iterator[Hit]:
    started = [command for command in script.commands if command.is_background]
    if len(started) != 1 or started[0].in_loop or script.traps or not script.is_work(started[0]) or script.signal:
        return
    behind = [
        command for command in script.commands if command.start > started[0].start and not command.in_substitution
    ]
    if (
        behind
        and behind[0].name == "wait"
        and not behind[0].in_loop
        and not any(hears(script, s) for s in _USER_SIGNALS)
    ):
        yield Hit(line=behind[0].line, said="& and wait around one program, and no trap")


J6 = Rule(
    id="J6",
    title="`& wait` without a trap",
    reason="it changes nothing: without a trap the shell passes on no signal and saves nothing",
    remedy="add --signal=B:USR1@SECONDS and a trap that passes it on, or `exec outlast run -- CMD`",
    source="a research group's submit.sh",
    find=_idle_wait,
    severity=WARNING,
    slurm_only=False,
)


def _late(script: Script) -> Iterator[Hit]:
    signal = script.signal
    if signal is None:
        return
    limit = script.option("time")
    limit_s = time_limit_s(limit.value or "") if limit else None
    if limit_s is not None and signal.lead_s >= limit_s:
        said = f"the notice is asked for {signal.lead_s} s before the end, and the time limit is {limit_s} s"
        yield Hit(line=signal.line, said=f"{said}: it comes as soon as the job has begun", severity=ERROR)
    elif signal.lead_s < _SHORTEST_LEAD_S and not script.runs_outlast():  # which knows how long a save takes
        yield Hit(line=signal.line, said=f"{signal.lead_s} s from the notice to the end")
    for command in script.handling():
        first = command.arguments[0] if command.name == "sleep" and command.arguments else ""
        match = re.fullmatch(r"(\d{1,6})(?:\.\d*)?([sm]?)", first)
        seconds_s = int(match[1]) * (60 if match[2] == "m" else 1) if match else 0
        if seconds_s >= signal.lead_s and not command.in_loop:
            said = f"sleeps {seconds_s} s of the {signal.lead_s} s that are left"
            yield Hit(line=command.line, said=f"the trap {said}", severity=ERROR)


def time_limit_s(text: str) -> int | None:
    """Return Slurm's `--time` in seconds: "90", "90:00", "1:30:00", "2-12", "2-12:30:00"; None for anything else."""
    match = re.fullmatch(r"(?:(\d{1,5})-)?(\d{1,7})(?::(\d{1,2}))?(?::(\d{1,2}))?", text.strip())
    if match is None:
        return None
    days, first, second, third = match.groups()
    if days is not None:
        return int(days) * 86400 + int(first) * 3600 + int(second or 0) * 60 + int(third or 0)
    if third is not None:
        return int(first) * 3600 + int(second) * 60 + int(third)
    return int(first) * 60 + int(second or 0)


J22 = Rule(
    id="J22",
    title="too little time between the notice and the end",
    reason="the longest step and the save after it must both fit; what does not fit is torn or lost",
    remedy="ask for the longest step + the longest save + a minute, e.g. --signal=B:USR1@180",
    source="DeepMLNet/DeepNet#29; sbatch man page",
    find=_late,
    severity=WARNING,
    shell_only=False,
)


RULES = (J1, J2, J3, J4, J5, J6, J22)
