"""Rules about what a notice does to the program: who stands in between, and what is left behind or killed."""

from __future__ import annotations

import re
from collections.abc import Iterator

from outlast.jobscript import programs
from outlast.jobscript.command import Command
from outlast.jobscript.rule import Hit, Rule
from outlast.jobscript.script import Script, gives_time, signal_name

_STOP_FILE = re.compile(r"(?:EXIT|STOPCAR|STOP|ABORT|ABORTCAR|LABORT|EXIT_\w+|.+\.EXIT)$")
_R = ("Rscript", "R", "littler")
_USER_SIGNALS = ("USR1", "USR2")


def _screened(script: Script) -> Iterator[Hit]:
    passes_on = any(command.name in ("kill", "pkill", "scancel") for command in script.handling())
    if script.signal is None and not passes_on:
        return
    for command in script.work:
        found = programs.layers(command)
        names = [layer.name for layer in found]
        between = next((name for name in names[:-1] if name.endswith(" run")), "")
        if found and not between and found[-1].name in programs.SHELLS and _is_compound(found[-1].given):
            between = f"{found[-1].name} -c"
        if between and not programs.is_outlast(command):
            yield Hit(line=command.line, said=f"`{between}` stands between the signal and the program")


def _is_compound(given: tuple[str, ...]) -> bool:
    """Say whether `bash -c TEXT` keeps a shell around: of a single command, or behind `exec`, none is left."""
    if len(given) < 2 or not re.fullmatch(r"-[a-z]*c", given[0]):  # noqa: PLR2004  (-c and its text)
        return False
    pieces = [piece.strip() for piece in re.split(r"&&|\|\||;|\n", given[1]) if piece.strip()]
    return len(pieces) > 1 and not pieces[-1].startswith("exec ")


J30 = Rule(
    id="J30",
    title="`conda run` or a shell between the signal and the program",
    reason="it dies of the signal, or waits, and does not pass it on",
    remedy="activate the environment in the script and start the program itself (in `bash -c`: with exec)",
    source="conda/conda#10351, #11420; nextflow-io/nextflow#1561, #2163",
    find=_screened,
    slurm_only=False,
)


def _reaches_r(script: Script) -> Iterator[Hit]:
    of_r = [command for command in script.work if programs.program(command) in _R]
    if not of_r:
        return
    signal = script.signal
    if signal and signal.name in _USER_SIGNALS:
        for command in of_r:
            in_step = not signal.shell_only and programs.SRUN in programs.launchers(command)
            if in_step or (signal.shell_only and programs.is_exec(command)):
                yield Hit(line=command.line, said=f"{signal.name} reaches R")
                return
    for command in script.handling():
        sent = [signal_name(word.removeprefix("--signal=")) for word in command.arguments if word.startswith("-")]
        sent += [signal_name(word) for word in command.arguments]
        found = [name for name in sent if name in _USER_SIGNALS]
        if command.name in ("kill", "pkill", "killall", "scancel") and found and of_r[0].is_background:
            yield Hit(line=command.line, said=f"{found[0]} is passed on to R")
            return


J31 = Rule(
    id="J31",
    title="USR1 or USR2 reaches R",
    reason="R writes .RData and leaves, after USR2 even with status 0, which Slurm takes for done",
    remedy="have the trap make a file that the R program looks for between two steps, or `outlast run -- Rscript ...`",
    source="R help page Signals",
    find=_reaches_r,
    slurm_only=False,
)


def _left_over(script: Script) -> Iterator[Hit]:
    if any(programs.program(command).startswith("pw.x") for command in script.work):
        return  # removes its own when it starts
    removed = {_base(script, word) for command in script.named("rm", "mv") for word in command.arguments}
    for command in script.handling():
        made = list(command.arguments) if command.name == "touch" else []
        made += [one.target.value for one in command.redirects if one.operator in (">", ">>", ">|")]
        for name in made:
            if _STOP_FILE.fullmatch(_base(script, name)) and _base(script, name) not in removed:
                yield Hit(line=command.line, said=f"{_base(script, name)} is made on notice, and never removed")


def _base(script: Script, value: str) -> str:
    return script.resolve(value).rstrip("/").rsplit("/", 1)[-1]


J34 = Rule(
    id="J34",
    title="a stop file that is left over",
    reason="the restarted program finds it and stops at once",
    remedy="remove it before the program starts: rm -f FILE",
    source="CP2K and VASP manuals (EXIT, STOPCAR)",
    find=_left_over,
    slurm_only=False,
)


def _killing(script: Script) -> Iterator[Hit]:
    trapped = {command.name for command in script.commands if command.handler}
    first = min((command.start for command in script.work), default=-1)
    for command in script.named("kill", "pkill", "killall"):
        signals = [
            signal_name(word) for word in command.arguments if word.startswith("-") or word in ("KILL", "SIGKILL")
        ]
        in_cleanup = bool(command.handler) or command.function in trapped or script.is_handling(command)
        if "KILL" not in signals or not (in_cleanup or 0 <= first < command.start) or not _hits_work(script, command):
            continue
        before = [c for c in script.commands if c.function == command.function and c.start < command.start]
        if not gives_time(
            [c for c in before if c.handler == command.handler and (command.function or command.handler)]
        ):
            yield Hit(line=command.line, said=f"{command.name} with SIGKILL")


def _hits_work(script: Script, command: Command) -> bool:
    """Say whether what is killed is the job's work, and not some helper in the background."""
    targets = [word for word in command.arguments if not word.startswith("-") and signal_name(word) != "KILL"]
    if command.name != "kill":
        texts = [script.source(one) for one in script.work]
        return any(target in text for target in targets for text in texts) or "-u" in command.arguments
    for target in targets:
        name = target.strip("${}")
        known = [one for one in script.values.get(name, []) if one.value and one.value.value == "$!"]
        for one in known:
            before = [c for c in script.commands if c.is_background and c.start < one.start]
            if before and not script.is_work(before[-1]):
                return False
    return True


J36 = Rule(
    id="J36",
    title="SIGKILL in the clean-up",
    reason="it ends a save that is under way",
    remedy="send TERM, then wait; the batch system kills what is left",
    source="PrimeIntellect-ai/prime-rl#2664",
    find=_killing,
    slurm_only=False,
)

RULES = (J30, J31, J34, J36)
