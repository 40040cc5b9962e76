"""The recorder inside small programs: what it tells, and that it changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from outlast.drill.trace import FileOp, Handler, Held, Load, Look, Moved, Restored, Save, Step, Trace, environment, read
from proof import core


def run(folder: Path, program: str, *, kill: str = "", attempt: str = "1", steps: str = "", **env: str):
    """Run a program, traced; return how it ended."""
    (folder / "program.py").write_text(program)
    (folder / "work").mkdir(exist_ok=True)
    traced = environment(folder / "trace.jsonl", {**os.environ, **env}, attempt=attempt, kill=kill, steps=steps)
    command = [sys.executable, "../program.py"]
    return subprocess.run(command, cwd=folder / "work", env=traced, capture_output=True, text=True, check=False)


def traced(folder: Path, program: str, **options: str) -> Trace:
    done = run(folder, program, **options)
    assert done.returncode == 0, done.stderr
    return read(folder / "trace.jsonl")


def only(trace: Trace, kind: type) -> list:
    (attempt,) = trace.attempts
    return list(attempt.of(kind))


RANDOM = """
import json, os, random, sys
import numpy as np
random.seed(1); np.random.seed(2)
rng = np.random.default_rng(3)
for step in range(5):
    print("step", step, random.random(), np.random.random(), rng.random(), file=sys.stderr)
    np.save("x.npy", rng.random(3)); json.dump({"step": step}, open("s.json", "w")); os.path.exists("y")
print(random.getstate()[1][:5], np.random.get_state()[1][:5].tolist(), rng.bit_generator.state, sorted(sys.path))
"""


def test_a_traced_program_draws_the_same_numbers_and_sees_the_same_path(tmp_path):
    with_recorder = run(tmp_path, RANDOM)
    command = [sys.executable, "../program.py"]
    plain = subprocess.run(command, cwd=tmp_path / "work", capture_output=True, text=True, check=False)
    assert with_recorder.returncode == plain.returncode == 0
    assert with_recorder.stdout == plain.stdout
    assert with_recorder.stderr == plain.stderr
    assert len(only(read(tmp_path / "trace.jsonl"), Step)) == 5


def test_the_recorder_imports_no_library_for_the_program(tmp_path):
    program = "import sys; print([n for n in ('numpy', 'torch', 'random', 'outlast', 'pickle') if n in sys.modules])"
    assert run(tmp_path, program).stdout == "[]\n"


def test_a_step_has_the_variables_the_generators_and_what_was_said(tmp_path):
    program = """
import random
random.seed(1)
weights, lr, name = [0.5, 1.5], 0.1, "x"
class Net:
    def __init__(self): self.layer = {"w": 2.0}
def train(net):
    velocity = 0.25
    for step in range(2):
        random.random()
        print(f"step {step} loss={1 / (1 + step)}")
train(Net())
"""
    trace = traced(tmp_path, program)
    first, second = only(trace, Step)
    told = {"weights/0": "0.5", "lr": "0.1", "name": "'x'", "net/layer/w": "2.0", "velocity": "0.25", "step": "0"}
    assert told.items() <= first.leaves.items()
    assert first.leaves["said:loss"] == "1.0"
    assert first.leaves["rng:python"] != second.leaves["rng:python"]
    assert (trace.by, first.step, second.step) == ("line", 0, 1)
    kinds = {"lr": "lr", "velocity": "moment", "step": "counter", "rng:python": "rng", "said:loss": "metric"}
    assert kinds.items() <= trace.kinds.items()
    assert "Net" not in first.leaves


def test_other_lines_are_heard_by_a_pattern(tmp_path):
    trace = traced(tmp_path, "for n in (10, 20): print(f'[{n}] done')", steps=r"^\[(\d+)\]")
    assert [step.step for step in only(trace, Step)] == [10, 20]


def test_a_program_names_its_steps_itself(tmp_path):
    program = """
from outlast.drill import note
def work():
    inner = 3
    note(7, loss=0.5)
work()
"""
    trace = traced(tmp_path, program)
    (step,) = only(trace, Step)
    assert (step.step, step.by, step.leaves["loss"], step.leaves["inner"]) == (7, "note", "0.5", "3")


def test_a_note_outside_of_a_drill_is_nothing(tmp_path):
    from outlast.drill import note

    assert note(1, loss=0.5) is None


SAVES = """
import json, os, pickle, random, signal
import numpy as np
signal.signal(signal.SIGUSR1, lambda *_: pickle.dump(1, open("in_handler", "wb")))
if os.path.exists("nothing"): pass
np.savez("a", x=np.ones(3), step=4)
with open("b.pkl.new", "wb") as f: pickle.dump({"x": np.ones(3), "rng": random.getstate()}, f)
os.replace("b.pkl.new", "b.pkl")
json.dump({"step": 4}, open("c.json", "w"))
pickle.load(open("b.pkl", "rb")); np.load("a.npz")
try: json.load(open("b.pkl"))
except ValueError: pass
os.remove("c.json")
open("log", "a").write("x"); open("log", "a").write("y")
random.setstate(random.getstate())
os.kill(os.getpid(), signal.SIGUSR1)
"""


@pytest.fixture(params=["on a disk", "in memory"])
def folder(request, tmp_path):
    if request.param == "on a disk":
        yield tmp_path
    else:
        with core.folder() as path:
            yield path


def test_saves_loads_and_files_are_told(folder):
    trace = traced(folder, SAVES)
    saves = {Path(save.path).name: save for save in only(trace, Save)}
    assert saves.keys() == {"a.npz", "b.pkl.new", "c.json", "in_handler"}
    assert saves["a.npz"].how == "numpy.savez"
    assert saves["a.npz"].leaves["step"] == "4"
    assert saves["a.npz"].leaves["x"] == saves["b.pkl.new"].leaves["x"]
    assert [name for name, save in saves.items() if save.in_handler] == ["in_handler"]
    loads = [(Path(load.path).name, load.how, load.leaves.get("x"), bool(load.error)) for load in only(trace, Load)]
    x = saves["a.npz"].leaves["x"]
    expected = [
        ("b.pkl", "pickle.load", x, False),
        ("a.npz", "numpy.load", x, False),
        ("b.pkl", "json.load", None, True),
    ]
    assert loads == expected
    ops = [(op.op, Path(op.path).name, Path(op.to).name, op.was) for op in only(trace, FileOp)]
    assert ("rename", "b.pkl.new", "b.pkl", False) in ops
    assert ("remove", "c.json", "", False) in ops
    assert [op for op in ops if op[1] == "log"] == [("append", "log", "", False), ("append", "log", "", True)]
    assert ("nothing", False) in [(Path(look.path).name, look.found) for look in only(trace, Look)]
    moved = [(one.name, one.way) for one in only(trace, Moved)]
    assert moved == [("rng:python", "asked"), ("rng:python", "asked"), ("rng:python", "given")]
    assert [(one.signal, one.name) for one in only(trace, Handler)] == [(10, "<lambda>")]
    assert trace.operations == len(ops)
    assert trace.saves == 4


def test_a_generators_state_has_one_digest_wherever_it_stands(tmp_path):
    program = """
import json, pickle, random
import numpy as np
random.seed(1); rng = np.random.default_rng(2); old = np.random.RandomState(3)
pickle.dump(rng.bit_generator.state, open("a", "wb")); json.dump(rng.bit_generator.state, open("b", "w"))
pickle.dump({"rng": rng, "python": random.getstate(), "old": old.get_state()}, open("c", "wb"))
json.dump({"python": random.getstate()}, open("d", "w"))
print("step 1")
"""
    trace = traced(tmp_path, program)
    (step,) = only(trace, Step)
    by_name = {Path(save.path).name: save.leaves for save in only(trace, Save)}
    assert by_name["a"][""] == by_name["b"][""] == by_name["c"]["rng"] == step.leaves["rng"]
    assert by_name["c"]["python"] == by_name["d"]["python"] == step.leaves["rng:python"]
    assert by_name["c"]["old"] == step.leaves["old"]


def test_an_outlast_run_tells_its_boundaries_and_what_lies_outside_of_the_state(tmp_path):
    program = """
import sys
import numpy as np
import outlast
rng, other = np.random.default_rng(1), np.random.default_rng(2)
state = {"u": np.zeros(3), "rng": rng}
with outlast.Run("store", state, every=1, keep=2) as run:
    for epoch in run.range(2, "epoch"):
        for step in run.range(2, "batch"):
            state["u"] += rng.random(3) + other.random(3)
            if run.step == 2 and run.attempt == 1: run.wait(); sys.exit(9)
"""
    first = run(tmp_path, program)
    assert first.returncode == 9, first.stderr
    trace = traced(tmp_path, program, attempt="2")
    before, after = trace.attempts
    assert [step.step for step in before.of(Step)] == [1, 2]
    assert [step.step for step in after.of(Step)] == [3, 4]
    assert [one.step for one in after.of(Restored)] == [2]
    leaves = next(after.of(Step)).leaves
    assert {"u", "rng", "outside:other", "outside:epoch"} <= leaves.keys()
    assert not {"outside:rng", "outside:state", "outside:run"} & leaves.keys()
    held = {one.name: one.in_state for one in after.of(Held)}
    assert held == {"rng": True, "other": False, "the global generators": False}


def test_a_failing_probe_is_told_and_the_program_goes_on(tmp_path):
    program = """
class Odd:
    @property
    def __dict__(self): raise RuntimeError("do not look at me")
odd = Odd()
for step in range(3): print("step", step)
"""
    trace = traced(tmp_path, program)
    (attempt,) = trace.attempts
    assert attempt.problems == ("after print: RuntimeError: do not look at me",)
    assert attempt.ended


def test_the_sitecustomize_that_was_there_runs_too(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("import builtins; builtins.theirs = 5")
    program = "import sys; print(theirs, sys.modules['sitecustomize'].__file__.endswith('site/sitecustomize.py'))"
    done = run(tmp_path, program, PYTHONPATH=str(tmp_path / "site"))
    assert done.stdout == "5 True\n", done.stderr
    assert len(read(tmp_path / "trace.jsonl").attempts) == 1


def test_a_recorder_that_cannot_start_keeps_nothing_from_the_program(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("import builtins; builtins.theirs = 5")
    (tmp_path / "trace.jsonl").mkdir()
    done = run(tmp_path, "print(theirs)", PYTHONPATH=str(tmp_path / "site"))
    assert (done.returncode, done.stdout) == (0, "5\n")
    assert "IsADirectoryError" in done.stderr


def test_of_several_ranks_the_lowest_one_is_told_of(tmp_path):
    program = """
import os, subprocess, sys
if len(sys.argv) == 1:
    for rank in ("1", "0"):
        subprocess.run([sys.executable, __file__, rank], env={**os.environ, "RANK": rank}, check=True)
else:
    print("step", 10 + int(sys.argv[1]))
"""
    assert [step.step for step in only(traced(tmp_path, program), Step)] == [10]


def test_large_arrays_are_sampled_and_odd_containers_left_alone(tmp_path):
    program = """
import numpy as np
class Lazy(list):
    def __iter__(self): raise RuntimeError("read")
lazy, large, small = Lazy([1]), np.zeros(1 << 20), np.zeros(3)
strided = np.zeros((1024, 1024))[:, ::2]
print("step 1")
large += 1; strided += 1
print("step 2")
"""
    trace = traced(tmp_path, program)
    first, second = only(trace, Step)
    assert first.leaves["large"].startswith("~")
    assert first.leaves["small"].startswith("#")
    assert first.leaves["large"] != second.leaves["large"]
    assert first.leaves["strided"] != second.leaves["strided"]
    assert "lazy/0" not in first.leaves
    assert trace.attempts[0].problems == ()


def test_names_are_looked_for_by_pathlib_too(tmp_path):
    trace = traced(tmp_path, "from pathlib import Path; Path('nothing').exists(); Path('.').is_dir()")
    assert ("nothing", False) in [(Path(look.path).name, look.found) for look in only(trace, Look)]


def test_forked_children_are_silent_and_other_pythons_are_processes_of_the_attempt(tmp_path):
    program = """
import os, subprocess, sys
if os.fork() == 0:
    print("step 100"); sys.stdout.flush(); os._exit(0)
os.wait()
subprocess.run([sys.executable, "-c", "print('hello')"], check=True)
print("step 1")
"""
    trace = traced(tmp_path, program)
    assert [step.step for step in only(trace, Step)] == [1]
    rows = [json.loads(line) for line in (tmp_path / "trace.jsonl").read_text().splitlines()]
    assert sum(row["e"] == "begin" for row in rows) == 2


LOOP = """
import os, pickle
state = {"step": 0}
if os.path.exists("s.pkl"): state = pickle.load(open("s.pkl", "rb"))
while state["step"] < 4:
    state["step"] += 1
    with open("new.pkl", "wb") as f: pickle.dump(state, f)
    os.replace("new.pkl", "s.pkl")
    print("step", state["step"])
"""


@pytest.mark.parametrize(
    ("kill", "steps", "left"),
    [("step:2", [1, 2], 2), ("op:4", [1], 1), ("op:3", [1], 1), ("save:3", [1, 2], 2), ("save:9", [1, 2, 3, 4], 4)],
)
def test_a_fault_strikes_where_it_is_asked_for_and_only_once(tmp_path, kill, steps, left):
    import pickle

    done = run(tmp_path, LOOP, kill=kill)
    assert done.returncode == (0 if left == 4 else -9)
    trace = read(tmp_path / "trace.jsonl")
    assert [step.step for step in only(trace, Step)] == steps  # told before the kill, and there after it
    assert trace.attempts[0].ended is (left == 4)
    assert pickle.loads((tmp_path / "work" / "s.pkl").read_bytes())["step"] == left
    if kill.startswith("save") and left < 4:
        whole, torn = ((tmp_path / "work" / name).read_bytes() for name in ("s.pkl", "new.pkl"))
        assert 0 < len(torn) <= len(whole) // 2
    again = run(tmp_path, LOOP, kill=kill, attempt="2")
    assert again.returncode == 0
    later = read(tmp_path / "trace.jsonl").attempts[1:]
    assert [step.step for attempt in later for step in attempt.of(Step)] == list(range(left + 1, 5))


def test_what_numpy_would_have_written_is_torn_in_half(tmp_path):
    program = "import numpy as np; np.save('x.npy', np.ones(1000)); np.save('x', np.ones(1000))"
    assert run(tmp_path, program, kill="save:2").returncode == -9
    torn = (tmp_path / "work" / "x.npy").read_bytes()
    assert 4000 <= len(torn) < 8000
    writes = [op for op in only(read(tmp_path / "trace.jsonl"), FileOp) if op.op == "write"]
    assert [(Path(op.path).name, op.was) for op in writes] == [("x.npy", False), ("x.npy", True)]


def test_a_trace_that_cannot_be_written_does_not_disturb(tmp_path):
    program = """
import resource, sys
print("step 1")
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
print("step 2"); print("step 3")
"""
    done = run(tmp_path, program)
    assert (done.returncode, done.stdout) == (0, "step 1\nstep 2\nstep 3\n")
    assert [step.step for step in only(read(tmp_path / "trace.jsonl"), Step)] == [1]


@pytest.mark.torch
def test_updates_batches_and_states_of_pytorch_are_told(tmp_path):
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'outlast[torch]'")
    program = """
import torch
torch.manual_seed(0)
model = torch.nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
scaler = torch.amp.GradScaler("cpu")
data = torch.utils.data.TensorDataset(torch.arange(24.0).reshape(8, 3), torch.randn(8, 1))
for x, y in torch.utils.data.DataLoader(data, batch_size=4, shuffle=True):
    ((model(x) - y) ** 2).mean().backward(); optimizer.step(); optimizer.zero_grad()
scheduler.step()
torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, "m.pt")
optimizer.load_state_dict(torch.load("m.pt")["optimizer"]); torch.set_rng_state(torch.get_rng_state())
"""
    trace = traced(tmp_path, program, OMP_NUM_THREADS="1")
    (attempt,) = trace.attempts
    assert attempt.problems == ()
    first, second = attempt.of(Step)
    assert (first.by, first.step, second.step) == ("optimizer", 1, 2)
    assert (len(first.batches), len(second.batches)) == (1, 1)
    assert first.batches != second.batches
    kinds = {
        "model/weight": "parameter",
        "optimizer/lr/0": "lr",
        "optimizer/state/0/momentum_buffer": "moment",
        "scheduler/last_epoch": "schedule",
        "scaler/scale": "scaler",
        "rng:torch": "rng",
    }
    assert kinds.items() <= trace.kinds.items()
    assert first.before["model/weight"] != first.leaves["model/weight"]
    assert not any("momentum" in path for path in first.before)
    moved = [(one.name, one.kind, one.way) for one in attempt.of(Moved)]
    wanted = [("optimizer", "optimizer", "asked"), ("optimizer", "optimizer", "given")]
    assert moved == [*wanted, ("rng:torch", "rng", "asked"), ("rng:torch", "rng", "given")]
    (save,), (load,) = attempt.of(Save), attempt.of(Load)
    assert save.leaves == load.leaves
    assert save.leaves["model/weight"] == second.leaves["model/weight"]
