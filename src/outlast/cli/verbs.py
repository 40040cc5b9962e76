"""The verbs, with their lines of help: `outlast --help` says them without importing any of them."""

from __future__ import annotations

VERBS = {
    "run": "run a command: notice, restart, stop when it makes no progress",
    "submit": "run a command as a batch job, and as many more as it takes",
    "lint": "find the ways in which a job script loses work",
    "status": "show progress, attempts and last save of a run, or of all below a directory",
    "timeline": "draw a run's attempts over time: waiting, running, saves, lost work",
    "ls": "list the checkpoints of a run, newest first",
    "show": "show what is inside a checkpoint",
    "diff": "show what changed between two checkpoints",
    "verify": "read all checkpoints back and check every byte",
    "prune": "remove checkpoints that a retention does not keep",
    "export": "write a checkpoint's arrays to one file, or its files to a folder",
    "stop": "ask a live run to save and leave at its next step (status 85)",
    "save": "ask a live run to save at its next step and go on",
    "doctor": "try the storage that a run is given, and say what can be promised on it",
    "drill": "prove that a program restarts: wound it, restart it, compare with an undisturbed run",
    "guard": "keep the checkpoints that a framework's own tool writes",
    "recipes": "list the applications that `outlast run --recipe` knows",
    "demo": "train a real network, kill it several times, resume it, and compare with an undisturbed run",
}
