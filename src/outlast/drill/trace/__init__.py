"""The trace of a drilled program: what its Python processes did, step by step, written by a recorder inside them.

How it gets there: `environment(PATH)` returns the variables to start the command with. PYTHONPATH then begins with
`site/`, whose `sitecustomize` starts `recorder` (standard library only, for the program's interpreter need not have
outlast) and then the `sitecustomize` that would have been found without it.

The format: JSON lines, each written with one append, so that what was told before a SIGKILL is there after it; a last
line may be torn. Each has `e` (what happened), `p` (process id) and `a` (the key of the attempt: OUTLAST_TRACE_ATTEMPT
if set, else OUTLAST_CONTROL, which is new for each attempt under `outlast run`, else the process id). Other programs,
in any language, may append lines of their own; a reader passes over what it does not know. `printed` makes a trace of
what programs print that have no recorder in them.

| e | members | meaning |
|---|---|---|
| begin | argv, ppid, rank | a process has started |
| end | | it ended by itself (a killed one has no such line) |
| step | step, by, leaves, batches | a step is complete; `by` who said so: note, run, line, optimizer |
| kinds | kinds | path -> kind of leaf, once for each path, before it is used |
| save | path, how, leaves, in_handler | something was written as a whole: np.save, pickle.dump, torch.save ... |
| load | path, how, leaves or error | the same for reading |
| file | op, path, to, was | write or append (`was`: it was there, not empty), rename, link, remove, truncate ... |
| look | path, found | an existence test, a pattern or an attempt to open that shows which name was looked for |
| held | name, kind, in_state | an object that changes as the program runs: is it in the state, as far as is known? |
| asked, given | name, kind | its state was taken (state_dict, getstate), or put back |
| restored | step | an outlast Run has gone on from there |
| handler | signal, name | a signal handler was set |
| kill | op | the recorder kills its process here, as OUTLAST_TRACE_KILL asks |
| problem | text | a probe failed; the program is not disturbed, but this is not known |

A leaf's value is a number or short text as Python writes it, or `#` and a digest of its bytes (`~` and a digest of a
sample, where it is large). Kinds: `array`, `number`, `text`, `rng`, `parameter`, `moment` (of an optimizer), `lr`,
`schedule`, `scaler`, `data` (what chooses or holds a batch), `counter`. Paths are those of the state under outlast
(`model/weight`), names of variables otherwise; the global generators are `rng:python`, `rng:numpy`, `rng:torch`,
`rng:cuda:0`.

Faults: OUTLAST_TRACE_KILL=`op:K` sends SIGKILL before the K-th storage operation (`file` line; `Trace.operations`
says how many an undisturbed run has); `save:K` in the middle of the K-th save (`Trace.saves`), with half of its bytes
written; `step:N` when step N is complete. Counted in each process, done at most once for a trace.
"""

from outlast.drill.trace.inject import environment
from outlast.drill.trace.model import Attempt, FileOp, Handler, Held, Load, Look, Moved, Restored, Save, Step, Trace
from outlast.drill.trace.reading import printed, read

__all__ = [
    "Attempt",
    "FileOp",
    "Handler",
    "Held",
    "Load",
    "Look",
    "Moved",
    "Restored",
    "Save",
    "Step",
    "Trace",
    "environment",
    "printed",
    "read",
]
