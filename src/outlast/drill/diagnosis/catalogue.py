"""The causes that a diagnosis can name, and what to do about each. What was seen is told where it is seen."""

from __future__ import annotations

from outlast.drill.diagnosis.finding import Finding

_STATE = "or let outlast.Run keep it: put it into the state"
_ATOMIC = "write to another name in the same folder, fsync, then os.replace; keep the one before"

CAUSES = {
    # what is no fault of saving
    "not-deterministic": (
        "make two undisturbed runs agree first: seed every generator, sort what comes from sets and folders, "
        "ask the framework for deterministic algorithms; else compare with a tolerance"
    ),
    # the files
    "overwritten-in-place": f"{_ATOMIC}; or save with outlast.Run",
    "removed-before-renamed": "use os.replace: it puts the new file in the old one's place at once",
    "removed-too-early": "remove an old checkpoint only when the new one is complete and durable, and keep two",
    "several-files": "commit all files of a checkpoint at once: one file, or a folder that is renamed when it is whole",
    "stale-temporary": "a killed save leaves its temporary file: overwrite it, or give each attempt a name of its own",
    "unfinished-chosen": "choose only among checkpoints that are complete: a marker or a rename that comes last",
    "no-fallback": "keep two checkpoints at least, verify the newest, and take the one before if it is damaged",
    "torn-then-afresh": f"{_ATOMIC}; and let one that cannot be read be an error, or fall back to the one before",
    "error-swallowed": "catch nothing around the restore but 'there is none yet': anything else must end the program",
    "other-name": "look for the very name that is written: one function, or one constant, for both",
    "never-looks": "load the newest checkpoint at the start, if there is one, in every start alike: no flag by hand",
    "never-saves": "save every few minutes, not only at the end",
    "not-read-back": "use what was loaded: set the step or epoch from it, and begin the loop there",
    "refused-by-loader": "save plain tensors, numbers and texts: what needs pickle is refused, with reason",
    "fails-on-restart": "see the error above: the second start of the program does not come as far as the first",
    "disk-full-unnoticed": "let a failed write be an error, keep the last good checkpoint until the new one is whole",
    "output-taken-for-done": "write output to another name and rename it when it is whole",
    "result-before-durable": "say that it is done only after the result is written, synced and renamed",
    # where it goes on
    "step-twice": "save the number of the next step, and begin there: range(saved, total)",
    "step-skipped": "save the number of steps that are done, after the state has changed, and begin there",
    "mixed-steps": "copy the state before it is written behind the loop, and save all parts of it at one step",
    "other-checkpoint": "sort checkpoints by their number, not by name or time, and take the newest that is whole",
    "best-not-last": "keep the best weights apart from the checkpoint that the program goes on from",
    # what was not restored
    "order-of-data": f"save the loader's position and generator ({_STATE}, and iterate by run.iterate)",
    "order-replayed": f"restore the generator that shuffles, or seed by epoch ({_STATE}, and iterate by run.iterate)",
    "epoch-restarted": f"save the position within the epoch ({_STATE}, and iterate by run.iterate)",
    "batches-lost": f"save the loader's position, counting batches that were used ({_STATE}, and use run.iterate)",
    "rng-not-restored": f"save and restore this generator, too ({_STATE}; outlast.RNG() stands for the global ones)",
    "generator-not-saved": (
        "save the generator's state and put it back: .Random.seed in R, s = rng in MATLAB, "
        'rand("twister") and randn("twister") in Octave'
    ),
    "box-muller": 'keep to R\'s default, normal.kind = "Inversion", or draw normal numbers in pairs between two saves',
    "rng-moved-on": "restore the generators last, after batches were skipped",
    "optimizer-missing": f"save optimizer.state_dict() and load it, too ({_STATE})",
    "schedule-restarted": f"save scheduler.state_dict() and load it, too ({_STATE})",
    "schedule-shifted": "save after scheduler.step(), or count epochs for it as for the loop",
    "scaler-missing": f"save scaler.state_dict() and load it, too ({_STATE})",
    "best-forgotten": f"save the best value and the patience that is left, too ({_STATE})",
    "leaf-missing": f"save it, too ({_STATE})",
    "rebound": 'change it in place (u[:] = ...), or put the new one into the state (state["u"] = u) at each step',
    "leaf-inexact": f"save it to the last bit, in its own type: np.save, not a table of rounded numbers ({_STATE})",
    # the end of an attempt
    "notice-ignored": "look at the flag in every loop, also in warm-up and evaluation: at each step boundary",
    "saves-in-handler": "let the handler set a flag only, and save at the next step boundary",
    "workers-die": "shield the loader's workers from the signal (run.iterate does), or notify the main process only",
    "save-too-slow": "save faster (no slow compression, only what changed) or ask for the notice earlier",
    "only-with-kill": f"what differs only after SIGKILL is how the file is replaced: {_ATOMIC}",
    "no-done-marker": "leave a marker when the run is done, and look for it first",
    "rows-twice": "write the position in the log into the checkpoint and cut the log there on restart; or use run.log",
    "two-writers": "lock the run, or give each copy a folder of its own; outlast refuses the second copy (status 5)",
    "background-error": "look at the result of the background save at the next step, and raise its error",
    "not-recovered": "see the attempts above",
    "differs": "compare the first step that differs with what the checkpoint holds",
}


def found(
    cause: str, text: str, *, step: int | None = None, leaf: str | None = None, evidence: tuple[str, ...] = ()
) -> Finding:
    """Return a finding, with the catalogue's advice."""
    return Finding(cause=cause, text=text, advice=CAUSES[cause], step=step, leaf=leaf, evidence=evidence)
