"""Rules about the directives: those that are not seen, and those that are missing."""

from __future__ import annotations

import re
from collections.abc import Iterator

from outlast.jobscript import programs
from outlast.jobscript.directive import SRUN_FLAGS, spans
from outlast.jobscript.rule import ERROR, WARNING, Edit, Hit, Rule
from outlast.jobscript.script import Script, submitted

_MARK = "SBATCH"
_LIKE_A_DIRECTIVE = re.compile(r"(#?)(\w{4,8})\s+-")
_OLD_OPTIONS = ("checkpoint", "checkpoint-dir", "restart-dir")
_OLD_PROGRAMS = ("cr_run", "cr_restart", "cr_checkpoint", "srun_cr")
_PROGRAM = re.compile(
    r"(?:python[0-9.]*|R|Rscript|julia|matlab|octave|srun|mpirun|mpiexec|bash|sh|conda|torchrun|java|perl)"
)
_LIMITS = re.compile(r"-maxh|--?(?:max[-_]?time|wall[-_]?time|time[-_]?limit|max[-_]?seconds|maxh)(?:=.*)?")
_CLIENTS = ("scontrol", "sbatch", "squeue", "sacct")


def _unseen(script: Script) -> Iterator[Hit]:
    end = _end_of_header(script)
    for command in script.commands:
        match = _misspelt(script.source(command))
        if match and _begins_line(script, command.start):
            edits = (Edit(start=command.start, end=command.start + len(match[2]), text=f"#{_MARK}"),)
            said = f"`{match[2]}` without #: Slurm does not see it, nor what stands below"
            yield Hit(line=command.line, said=said, edits=edits if command.line < end else ())
    for comment in script.comments:
        match = _LIKE_A_DIRECTIVE.match(comment.raw)
        if not match or not match[1]:
            continue
        starts_line = _begins_line(script, comment.start)
        word = Edit(start=comment.start + 1, end=comment.start + 1 + len(match[2]), text=_MARK)
        if match[2] != _MARK and _is_near(match[2]) and starts_line:
            mends = (word,) if comment.line < end else ()
            yield Hit(line=comment.line, said=f"`#{match[2]}` is a comment and no directive", edits=mends)
        elif match[2] == _MARK and comment.line >= end and starts_line:
            yield Hit(line=comment.line, said="below the first command, where Slurm no longer looks")
        elif match[2] == _MARK and comment.line < end and not starts_line:
            begin = script.line_starts[comment.line - 1]
            mends = (Edit(start=begin, end=comment.start, text=""),)
            yield Hit(line=comment.line, said="not at the beginning of its line", edits=mends)


def _end_of_header(script: Script) -> int:
    """Return the line of the first command, such as are meant for directives apart."""
    for command in script.commands:
        if not _misspelt(script.source(command)):
            return command.line
    return len(script.line_starts) + 1


def _misspelt(source: str) -> re.Match[str] | None:
    """Match a command that is meant for a directive; the real `sbatch` is not."""
    match = _LIKE_A_DIRECTIVE.match(source)
    return match if match and match[2] != "sbatch" and _is_near(match[2]) else None


def _begins_line(script: Script, offset: int) -> bool:
    return offset == 0 or script.text[offset - 1] == "\n"


def _is_near(word: str) -> bool:
    """Say whether a word is SBATCH with one letter wrong, missing, too many or changed with its neighbour."""
    if word.upper() == _MARK:
        return True
    if word.startswith(_MARK):
        return False  # sbatch takes it for a directive, and refuses the script
    if abs(len(word) - len(_MARK)) > 1:
        return False
    head = next((at for at, (a, b) in enumerate(zip(word, _MARK, strict=False)) if a != b), min(len(word), len(_MARK)))
    ours, theirs = _MARK[head:], word[head:]
    swapped = ours[:2] == theirs[:2][::-1] and ours[2:] == theirs[2:]
    return swapped or theirs[1:] == ours[1:] or theirs == ours[1:] or theirs[1:] == ours


J7 = Rule(
    id="J7",
    title="a directive that Slurm does not see: `#` missing, misspelt, or below the first command",
    reason="the option is ignored without a word",
    remedy="write #SBATCH at the very beginning of the line, above the first command",
    source="PyTorch Lightning documentation, cluster_advanced.rst; mharmanani/cinepro; sbatch man page",
    find=_unseen,
    fixes=True,
)


def _submits_program(script: Script) -> Iterator[Hit]:
    for command in script.named("sbatch") if script.directives else ():
        if _PROGRAM.fullmatch(submitted(command).rsplit("/", 1)[-1]):
            yield Hit(line=command.line, said=f"sbatch {submitted(command)} inside the job script")


J8 = Rule(
    id="J8",
    title="`sbatch python ...` inside the job script",
    reason="the work would run in another job, out of reach of this one's signals; and sbatch takes scripts only",
    remedy="start it by srun, or directly",
    source="mharmanani/cinepro",
    find=_submits_program,
)


def _not_requeued(script: Script) -> Iterator[Hit]:
    place = script.option("partition") or script.option("qos")
    requeue, never = script.option("requeue"), script.option("no-requeue")
    if not script.is_preemptible or place is None:
        return
    if script.runs_outlast() and never:
        return  # which submits a successor instead
    if never and not (requeue and requeue.line > never.line):
        yield Hit(line=never.line, said="--no-requeue on a preemptible partition or QOS", severity=ERROR)
    elif not requeue:
        yield Hit(line=place.line, said=f"{place.value} without --requeue", wants={"requeue": None})


J13 = Rule(
    id="J13",
    title="no `--requeue` on a preemptible partition",
    reason="where the site does not requeue by itself, a preempted job is cancelled, without grace",
    remedy="add #SBATCH --requeue",
    source="czbiohub-sf/biahub#333; slurm.conf man page, PreemptMode",
    find=_not_requeued,
    severity=WARNING,
    shell_only=False,
    fixes=True,
)


def _truncating(script: Script) -> Iterator[Hit]:
    mode, output = script.option("open-mode"), script.option("output")
    if not script.may_requeue or (output and output.value == "/dev/null"):
        return
    if mode and mode.value in ("a", "append"):
        return
    asked = script.option("requeue") or script.option("partition") or script.option("qos")
    if mode:
        yield Hit(line=mode.line, said=f"--open-mode={mode.value} in a job that starts again")
    else:
        line = asked.line if asked else next(script.requeues()).line
        yield Hit(line=line, said="the job starts again, without --open-mode=append", wants={"open-mode": "append"})


J14 = Rule(
    id="J14",
    title="no `--open-mode=append`",
    reason="each start cuts off the log of the one before, with the reason why it ended",
    remedy="add #SBATCH --open-mode=append",
    source="NVIDIA/pyxis#129; sbatch man page",
    find=_truncating,
    severity=WARNING,
    shell_only=False,
    fixes=True,
)


def _out_of_reach(script: Script) -> Iterator[Hit]:
    inside = script.option("container-image") or script.option("container")
    if inside:
        for command in script.named(*_CLIENTS):
            if not command.in_substitution:
                yield Hit(line=command.line, said=f"{command.name} inside the container of line {inside.line}")
        return
    for command in script.commands:
        found = programs.layers(command)
        names = {layer.name for layer in found} | {found[-1].name for _ in found[:1]}
        in_image = any(word.startswith("--container-image") for word in command.arguments)
        if not (names & programs.CONTAINERS or (programs.SRUN in names and in_image)):
            continue
        for word in command.words[1:]:
            client = re.search(r"(?:^|[\s;&|(])(scontrol|sbatch)\s", f"{word.value} ")
            if client:
                yield Hit(line=word.line, said=f"{client[1]} inside a container")
                break


J16 = Rule(
    id="J16",
    title="`scontrol` inside a container",
    reason="there is no Slurm client in there: not found, and nothing is requeued",
    remedy="call it in the job script, outside of the container, by the exit status of what ran inside",
    source="Lightning-AI/pytorch-lightning#21404; NVIDIA/pyxis#129",
    find=_out_of_reach,
)


def _array_chain(script: Script) -> Iterator[Hit]:
    one = script.option("array")
    is_serial = one is not None and script.has_tasks and re.search(r"\d-\d+(?::\d+)?%1$", one.value or "")
    if one and is_serial and "SLURM_ARRAY_TASK" not in script.text and not script.runs_outlast():
        yield Hit(line=one.line, said=f"--array={one.value}, and no task asks for its number")


J21 = Rule(
    id="J21",
    title="an array with %1, used as a chain",
    reason="the number of links is guessed: too few and the work is unfinished, too many and empty jobs queue",
    remedy="let the job requeue itself until it is done: outlast submit --total TIME -- CMD",
    source="mozilla/translations#54",
    find=_array_chain,
    severity=WARNING,
)


def _removed(script: Script) -> Iterator[Hit]:
    for one in script.directives:
        if one.name in _OLD_OPTIONS:
            yield Hit(line=one.line, said=f"--{one.name}")
    for command in script.commands:
        at = next((layer.at for layer in programs.layers(command) if layer.name == programs.SRUN), None)
        given = [word.value for word in command.words[(0 if at is None else at) + 1 :]]
        if at is not None or command.name == "sbatch":
            for name, _, _ in spans(given, flags=SRUN_FLAGS):
                if name in _OLD_OPTIONS:
                    yield Hit(line=command.line, said=f"--{name}")
        if command.name in _OLD_PROGRAMS or (command.name == "scontrol" and command.arguments[:1] == ("checkpoint",)):
            yield Hit(line=command.line, said=command.name)


J37 = Rule(
    id="J37",
    title="`srun --checkpoint`, BLCR",
    reason="Slurm removed it in 20.02: the option is refused, and nothing is saved",
    remedy="let the program save itself, or take a tool for it that is kept up, as DMTCP",
    source="Slurm 20.02 release notes; wbc3rd/Riviera-Docs",
    find=_removed,
    shell_only=False,
)


def _own_limit(script: Script) -> Iterator[Hit]:
    least = script.option("time-min")
    for command in script.work if least else ():
        found = programs.layers(command)
        if programs.is_outlast(command) or least is None:
            continue
        for at, word in enumerate(command.arguments):
            value = word.partition("=")[2] or (command.arguments[at + 1] if at + 1 < len(command.arguments) else "")
            if _LIMITS.fullmatch(word) and re.match(r"\d", script.resolve(value)):
                yield Hit(line=command.line, said=f"{word} beside the --time-min of line {least.line}")
                break
        else:
            if any(layer.name == "timeout" and re.search(r"\d", " ".join(layer.given)) for layer in found):
                yield Hit(line=command.line, said=f"a fixed timeout beside the --time-min of line {least.line}")


J39 = Rule(
    id="J39",
    title="a time limit of one's own beside `--time-min`",
    reason="backfill may have given the job less than --time; the end comes before the program looks for it",
    remedy="ask Slurm for the end (scontrol show job, EndTime), or use `outlast run`, which does",
    source="sbatch man page",
    find=_own_limit,
)

RULES = (J7, J8, J13, J14, J16, J21, J37, J39)
