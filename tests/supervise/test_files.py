"""Programs that save files (spec/process-v1.md, section 10): what is taken, given back, asked for, and refused."""

from __future__ import annotations

import os
import select
import shlex
import signal
import stat
import sys

import pytest

import outlast
from outlast.store import Store
from outlast.supervise import courier as couriers
from outlast.supervise.control import Control
from outlast.supervise.terms import SAVE, Terms
from supervise.clients import COUNT


def start(rig, text, *options, **more):
    command = more.pop("command", None) or rig.program(COUNT + text, more.pop("name", "program.py"))
    verb = [sys.executable, "-m", "outlast", "run", "--json", "--store", "store", "--every", "1h", *options]
    return rig.spawn([*verb, "--", *command], **more)


def told(one, event):
    return [found for found in one.events if found["event"] == event]


def checkpoints(rig):
    return [name.format() for name in Store(rig.folder / "store").checkpoints()]


def contents(rig, name):
    """The files of a checkpoint by their paths in it."""
    store = Store(rig.folder / "store")
    manifest = store.manifest(store.find(name))
    return {file.path: (rig.folder / "store" / file.at).read_text() for file in manifest.files}


def left(rig):
    return sorted(str(path.relative_to(rig.folder / "store")) for path in (rig.folder / "store").glob("saves/*"))


# -- PR-37 to PR-41: what is taken, and given back --------------------------------------------------------


def test_a_save_is_taken_and_given_back(rig):
    text = """
step = begun()
assert not os.path.exists(save) and os.path.isdir(os.path.dirname(save)) and os.path.isabs(save)
say(step, save)
saved(step + 10)
sys.exit(85 if step == 0 else 0)
"""
    one = start(rig, text)
    first, second = one.line().split(), one.line().split()
    assert one.status() == 0, one.errors
    assert (first[0], second[0]) == ("0", "10")
    assert first[1] != second[1]  # PR-37: another one for each attempt
    names = ["step-000000020.a0002.r1", "step-000000020.a0002", "step-000000010.a0001"]
    assert checkpoints(rig) == names
    assert contents(rig, names[0]) == contents(rig, names[1]) == {"state": "20"}
    assert contents(rig, names[2]) == {"state": "10"}
    assert Store(rig.folder / "store").finished().step == 20
    assert left(rig) == []


def test_a_folder_comes_back_as_it_was(rig):
    text = """
if restored is None:
    os.makedirs(os.path.join(save, "new", "a b", "empty"))
    for name, data in (("x", "1"), ("a b/\\u00fc'", "2"), ("zero", "")):
        open(os.path.join(save, "new", name), "w").write(data)
    os.chmod(os.path.join(save, "new", "x"), 0o755)
    os.utime(os.path.join(save, "new", "x"), (1, 10**9))
    os.rename(os.path.join(save, "new"), os.path.join(save, "007"))
    sys.exit(85)
for folder, folders, files in sorted(os.walk(restored)):
    say(os.path.relpath(folder, restored), sorted(folders), sorted(files))
about = os.stat(os.path.join(restored, "x"))
say(os.environ["OUTLAST_STEP"], oct(about.st_mode & 0o777), int(about.st_mtime))
"""
    one = start(rig, text)
    assert one.status() == 0, one.errors
    assert one.lines() == [
        ". ['a b'] ['x', 'zero']",
        "a b ['empty'] [\"\u00fc'\"]",
        "a b/empty [] []",
        "7 0o500 1000000000",
    ]


def test_what_is_given_back_cannot_be_harmed_by_removing_it(rig):
    text = """
if restored is None:
    saved(1)
    sys.exit(85)
assert not os.stat(os.path.join(restored, "state")).st_mode & 0o222
shutil.rmtree(restored)
sys.exit(85 if int(open("attempts").read() or 0) else 7)
"""
    (rig.folder / "attempts").write_text("0")
    one = start(rig, text, "--attempts", "2")
    assert one.status() == 7
    (damage,) = [list(Store(rig.folder / "store").source(m).damages()) for m in [Store(rig.folder / "store").newest()]]
    assert damage == []


def test_only_the_highest_step_is_taken_also_after_a_kill(rig):
    """PR-41, and PR-39: what has no step for a name is not whole."""
    text = """
step = begun()
if step:
    say(step)
    sys.exit(0)
os.makedirs(os.path.dirname(save), exist_ok=True)
work = save + ".made"
real, save = save, work
for number in (9, 10, 8):
    saved(number)
open(os.path.join(work, ".11"), "w").write("half")
open(os.path.join(work, "12.part"), "w").write("half")
os.rename(work, real)
os.kill(os.getpid(), signal.SIGKILL)
"""
    one = start(rig, text)
    assert one.status() == 0, one.errors
    assert one.line() == "10"
    assert [found["step"] for found in told(one, "committed")] == [10, 10]
    assert left(rig) == []


def test_what_was_saved_just_before_the_end_is_taken(tmp_path, monkeypatch):
    """Nobody looks between the save and the end."""
    for name in ("_SOON_S", "_LATER_S"):
        monkeypatch.setattr(couriers, name, 3600.0)
    control, store = Control(), str(tmp_path / "store")
    courier = couriers.Courier(Terms(store=store), control, lambda *_, **__: None)
    assert select.select([courier.descriptor], [], [], 60)[0]
    assert courier.is_ready
    save = courier.environment()[SAVE]
    os.makedirs(os.path.join(save, "10"))
    with open(os.path.join(save, "10", "state"), "w") as file:
        file.write("10")
    courier.end(-signal.SIGKILL)
    assert courier.close() == -signal.SIGKILL
    control.remove()
    assert [name.step for name in Store(store).checkpoints()] == [10]


def test_the_same_step_again_and_a_lower_one(rig):
    text = """
saved(5, "a"); gone(5)
saved(5, "b"); gone(5)
saved(4, "c"); gone(4)
sys.exit(85)
"""
    one = start(rig, text, "--attempts", "1")
    assert one.status() == 85
    assert [found["checkpoint"] for found in told(one, "committed")] == [
        "step-000000005.a0001",
        "step-000000005.a0001.r1",
    ]
    assert contents(rig, "step-000000005.a0001.r1") == {"state": "b"}
    assert "a save of step 4 came after one of step 5: not taken" in one.errors


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        ("os.symlink('/etc/passwd', os.path.join(new, 'in'))", "'in' in the save is neither a file nor a folder"),
        ("os.mkfifo(os.path.join(new, 'pipe'))", "'pipe' in the save is neither a file nor a folder"),
        (
            "open(os.path.join(os.fsencode(new), b'\\xff'), 'w')",
            "'\\udcff' in the save: not UTF-8, or too long a name",
        ),
        ("os.mkdir(os.path.join(new, 'empty'))", "the save holds no file"),
        ("os.rmdir(new); os.symlink('/etc', new)", "'{step}' is neither a file nor a folder"),
    ],
    ids=["link", "fifo", "name", "nothing", "itself"],
)
def test_what_cannot_be_state_is_refused_by_name(rig, plant, said):
    """PR-40: and nothing is lost by it."""
    text = f"""
saved(5); gone(5)
new = os.path.join(save, "new")
os.mkdir(new)
{plant}
os.rename(new, os.path.join(save, "6"))
while os.path.lexists(os.path.join(save, "6")):
    time.sleep(0.01)
saved(7); gone(7)
os.mkdir(new)
{plant}
os.rename(new, os.path.join(save, "8"))
sys.exit(85)
"""
    one = start(rig, text, "--attempts", "1")
    assert one.status() == 85, one.errors
    assert [found["step"] for found in told(one, "committed")] == [5, 7]
    texts = [found["text"].partition("\n")[0] for found in told(one, "warning")]
    assert [text for text in texts if "is not taken" in text] == [
        f"warning: the save of step {step} is not taken: {said.format(step=step)}" for step in (6, 8)
    ]
    assert not (rig.folder / "store" / "step-000000006.a0001").exists()
    assert left(rig) == []


def test_a_file_with_another_name_is_copied(rig):
    """PR-40: who holds the other name may go on writing."""
    text = """
os.mkdir(save)
with open("outside", "w") as file:
    file.write("as it was")
os.chmod("outside", 0o700)
os.link("outside", os.path.join(save, "new"))
os.rename(os.path.join(save, "new"), os.path.join(save, "3"))
say(control)
heard("go")
with open("outside", "r+") as file:
    file.write("CHANGED")
sys.exit(85)
"""
    one = start(rig, text, "--attempts", "1")
    control = one.line()
    one.await_error("committed")
    open(os.path.join(control, "go"), "w").close()
    assert one.status() == 85, one.errors
    assert contents(rig, "3") == {"state": "as it was"}
    about = next((rig.folder / "store").glob("step-*/files/state/state")).stat()
    assert (about.st_nlink, stat.S_IMODE(about.st_mode)) == (1, 0o500)


def test_what_is_no_folder_is_refused(rig):
    """PR-37."""
    one = start(rig, "os.symlink('/tmp', save); say('made'); forever()")
    assert one.line() == "made"
    assert one.status() == 2
    assert "OUTLAST_SAVE was made as something else than a directory" in one.errors


# -- PR-43: being asked -----------------------------------------------------------------------------------


def test_it_is_asked_when_a_save_is_due(rig):
    text = """
os.mkdir(save)
for step in (1, 2, 3):
    heard("save")
    saved(step); gone(step)
"""
    one = start(rig, text, "--every", "0.1s")
    assert one.status() == 0, one.errors
    assert [found["step"] for found in told(one, "committed")] == [1, 2, 3, 3]


def test_a_person_asks_for_a_save_and_then_to_stop(rig):
    """Also: no signal is sent to a program that saves files, which would die of it."""
    text = """
os.mkdir(save)
say("ready")
heard("save")
saved(1)
while not asked("stop"):
    time.sleep(0.01)
saved(2)
sys.exit(85)
"""
    one = start(rig, text)
    assert one.line() == "ready"
    store = _claimed(rig)
    store.request("save", "I")
    one.await_error('"step": 1')
    store.request("stop", "I")
    assert one.status() == 85, one.errors
    assert [found["step"] for found in told(one, "committed")] == [1, 2]
    assert told(one, "end")[0]["cause"] == "leave"
    assert store.attempts()[0].last("ended")["reason"] == "I"
    assert store.requests() == ()


def test_a_notice_is_a_file_and_no_signal(rig):
    text = "os.mkdir(save); say('ready')\nwhile not asked('stop'):\n    time.sleep(0.01)\nsaved(4); sys.exit(85)"
    one = start(rig, text)
    assert one.line() == "ready"
    one.send(signal.SIGUSR1)
    assert one.status() == 85, one.errors
    assert told(one, "notice")[0]["signal"] is None
    assert checkpoints(rig) == ["step-000000004.a0001"]


# -- PR-44, PR-45: done, progress --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("saved(3); done()", ["step-000000003.a0001.r1", "step-000000003.a0001"]),
        ("saved(3)", ["step-000000003.a0001.r1", "step-000000003.a0001"]),
        ("os.mkdir(save); done()", ["step-000000000.a0001"]),
        ("os.mkdir(save)", ["step-000000000.a0001"]),
        ("done()", ["step-000000000.a0001"]),
    ],
)
def test_done_is_not_started_again(rig, text, names):
    assert start(rig, text + "\nopen('ran', 'a').write('x')").status() == 0
    assert checkpoints(rig) == names
    again = start(rig, "open('ran', 'a').write('x')")
    assert again.status() == 0
    assert told(again, "start") == []
    assert rig.file("ran") == "x"


def test_the_last_one_is_that_which_was_given_back(rig):
    one = start(rig, "step = begun()\nif step: sys.exit(0)\nsaved(3); sys.exit(85)")
    assert one.status() == 0, one.errors
    assert checkpoints(rig) == ["step-000000003.a0002", "step-000000003.a0001"]
    store = Store(rig.folder / "store")
    assert store.newest().done
    (file,) = store.newest().files
    assert file.at == "step-000000003.a0001/files/state/state"  # no byte is written again
    again = start(rig, "say(begun()); saved(9); sys.exit(85)", "--attempts", "1", env={"OUTLAST_REOPEN": "1"})
    assert (again.line(), again.status()) == ("3", 85)


def test_a_zero_after_a_notice_hides_an_85(rig):
    text = "saved(1); say('ready')\nwhile not asked('stop'):\n    time.sleep(0.01)\nsaved(2)"
    one = start(rig, text)
    assert one.line() == "ready"
    one.send(signal.SIGTERM)
    assert one.status() == 85, one.errors
    assert not Store(rig.folder / "store").newest().done


def test_a_zero_after_a_notice_with_done_is_done(rig):
    text = "saved(1); say('ready')\nwhile not asked('stop'):\n    time.sleep(0.01)\nsaved(2); done()"
    one = start(rig, text)
    assert one.line() == "ready"
    one.send(signal.SIGTERM)
    assert one.status() == 0, one.errors
    assert Store(rig.folder / "store").newest().done


def test_saves_are_progress(rig):
    """PR-45: three crashes in a row with a save each do not end it; three without do."""
    one = start(rig, "step = begun()\nif step < 5: saved(step + 1)\nsys.exit(7)", "--tries", "2")
    assert one.status() == 86, one.errors
    ends = told(one, "end")
    assert [end["progress"] for end in ends] == [True] * 5 + [False] * 2
    assert [end["step"] for end in ends] == [1, 2, 3, 4, 5, None, None]


# -- PR-46: who may write, and what there must be -----------------------------------------------------------


def _claimed(rig):
    """The store, when somebody has claimed it."""
    import time

    until = time.monotonic() + rig.bound_s
    while time.monotonic() < until:
        if (rig.folder / "store/outlast.json").exists():
            store = Store(rig.folder / "store")
            if store.live() is not None and store.attempts()[-1].first("started"):
                return store
        time.sleep(0.01)
    raise AssertionError("not claimed")


def test_two_at_once(rig):
    """The second is ended as soon as it says that it saves files; if the run has saved some, it is not even started."""
    wait = "say(os.getpid(), control); heard('go'); os.mkdir(save); "
    first = start(rig, wait + "say('ready'); heard('save'); saved(1); heard('save')")
    second = start(rig, wait + "forever()", name="second.py")
    _, go = first.line().split()
    pid, later = second.line().split()
    open(os.path.join(go, "go"), "w").close()
    assert first.line() == "ready"
    store = _claimed(rig)
    open(os.path.join(later, "go"), "w").close()
    assert second.status() == 5
    assert "still lives" in second.errors
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
    store.request("save", "I")
    first.await_error('"step": 1')
    third = start(rig, "say('started')", name="third.py")
    assert third.status() == 5
    assert told(third, "start") == []


def test_one_that_was_taken_over_from_cannot_commit_and_is_ended(rig):
    first = start(
        rig, "os.mkdir(save); say('ready', save, os.getpid()); heard('go'); saved(9); say('saved'); forever()"
    )
    _, save, pid = first.line().split()
    _claimed(rig)
    first.send(signal.SIGSTOP)
    second = start(rig, "saved(3); sys.exit(4)", name="second.py", env={"OUTLAST_TAKEOVER": "1"})
    assert second.status() == 4, second.errors
    os.makedirs(save, exist_ok=True)  # the second has swept it away
    control = _environment(int(pid))["OUTLAST_CONTROL"]
    open(os.path.join(control, "go"), "w").close()
    assert first.line() == "saved"
    first.send(signal.SIGCONT)
    assert first.status() == 5, first.errors
    assert "has taken over this run" in first.errors
    assert checkpoints(rig) == ["step-000000003.a0002"]


def _environment(pid):
    with open(f"/proc/{pid}/environ", "rb") as file:
        pairs = (entry.partition(b"=") for entry in file.read().split(b"\0"))
        return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def test_a_supervisor_below_takes_over_from_the_one_above(rig):
    """PR-47."""
    inner = [sys.executable, "-m", "outlast", "run", "--store", "store", "--every", "1h", "--"]
    text = "step = begun(); say(step); saved(step + 1); sys.exit(85 if step < 2 else 0)"
    one = start(rig, "", command=[*inner, *rig.program(COUNT + text)])
    assert one.status() == 0, one.errors
    assert one.lines() == ["0", "1", "2"]
    command = [*inner, *rig.program(COUNT + "say(begun()); saved(9); sys.exit(4)", "second.py")]
    again = start(rig, "", command=command, env={"OUTLAST_REOPEN": "1"})
    assert (again.line(), again.status()) == ("3", 4)
    assert checkpoints(rig)[0].startswith("step-000000009")


def test_one_below_that_has_ended_is_not_taken_for_another(rig):
    """PR-47: what follows it in a script goes on, though the one above looks only when that one is gone."""
    assert start(rig, "saved(1); sys.exit(85)", "--max-attempts", "1").status() == 85  # from now on the claim is first
    inner = [sys.executable, "-m", "outlast", "run", "--store", "store", "--", *rig.program(COUNT + "sys.exit(4)")]
    after = """
while b'"ended"' not in open("store/journal/a0002.jsonl", "rb").read():  # until the one above has looked, and let go
    time.sleep(0.02)
say("unharmed")
sys.exit(7)
"""
    both = ["sh", "-c", f"{shlex.join(inner)}; exec {shlex.join(rig.program(after, 'after.py'))}"]
    one = start(rig, "", "--tries", "1", command=both)
    assert one.status() == 7, one.errors
    assert one.lines() == ["unharmed"]
    claims = [log.first("claim")["pid"] for log in Store(rig.folder / "store").attempts()]
    assert claims[1] == one.process.pid
    assert len(claims) == 3


def test_another_kind_of_state(rig):
    with outlast.Run(rig.folder / "store", {"x": [1]}) as run:
        for _ in run.steps(1):
            pass
    one = start(rig, "os.mkdir(save); forever()", env={"OUTLAST_REOPEN": "1"})
    assert one.status() == 2
    assert "holds the state of another kind of program" in one.errors


def _damage(rig, name):
    (victim,) = (rig.folder / "store" / name / "files").rglob("state/state")
    data = victim.read_bytes()
    victim.unlink()
    victim.write_bytes(data[:-1] + b"#")


@pytest.mark.parametrize("supervised", [False, True])
def test_a_python_run_finds_the_files_of_another_program(rig, supervised):
    """Under a supervisor the run is the supervisor's by then: that is not to be taken for an attempt to wait for."""
    assert start(rig, "begun()\nsaved(3)\nsys.exit(85)\n", "--max-attempts", "1").status() == 85
    python = [sys.executable, "-c", "import outlast\nwith outlast.Run('store', {'x': 0}):\n    print('begun')\n"]
    one = start(rig, "", command=python) if supervised else rig.spawn(python)
    assert one.status() == 2, one.errors
    assert "holds the files of another kind of program, and no state of a Run (step-000000003.a0001)" in one.errors
    assert "still lives" not in one.errors
    assert one.lines() == []
    assert checkpoints(rig) == ["step-000000003.a0001"]


def test_damage_falls_back_loudly_and_never_to_a_fresh_start(rig):
    assert start(rig, "saved(1); gone(1); saved(2); sys.exit(4)").status() == 4
    _damage(rig, "step-000000002.a0001")
    one = start(rig, "say(begun()); sys.exit(4)", name="second.py")
    assert (one.line(), one.status()) == ("1", 4)
    assert "step-000000002.a0001 is damaged" in one.errors
    assert (
        "the newest acknowledged checkpoint was step-000000002.a0001 (step 2): damage; going on from step 1"
        in one.errors
    )
    assert len(Store(rig.folder / "store").quarantined()) == 1
    _damage(rig, "step-000000001.a0001")
    none = start(rig, "say('started')", name="third.py")
    assert none.status() == 3
    assert told(none, "start") == []
    assert "is good" in none.errors
    never = start(rig, "say('started')", name="third.py")  # nor is it forgotten: nothing counts any more
    assert never.status() == 3
    assert told(never, "start") == []


def test_what_a_dead_attempt_left_is_swept(rig, gone):
    one = start(rig, "saved(1); gone(1); open(os.path.join(save, 'half'), 'w'); say(os.getpid()); forever()")
    pid = int(one.line())
    one.await_error("committed")
    one.send(signal.SIGKILL)
    one.status()
    assert gone(pid)
    assert len(left(rig)) == 1
    again = start(rig, "say(begun()); sys.exit(4)", name="second.py")
    assert (again.line(), again.status()) == ("1", 4)
    assert left(rig) == []


def test_without_a_store_nothing_is_offered(rig):
    text = "say([name for name in os.environ if name in ('OUTLAST_SAVE', 'OUTLAST_RESTORE', 'OUTLAST_STEP')])"
    one = rig.start(rig.program(text), env={"OUTLAST_SAVE": "/elsewhere", "OUTLAST_STEP": "3"})
    assert one.status() == 0
    assert one.line() == "[]"


def test_a_program_that_saves_no_files_leaves_the_store_alone(rig):
    one = start(rig, "say(os.listdir(os.environ['OUTLAST_STORE']))")
    assert one.status() == 0
    assert one.line() == "['jobs', 'saves']"
    assert sorted(os.listdir(rig.folder / "store")) == ["jobs"]


def test_only_so_many_stay(rig):
    one = start(rig, "for step in range(5): saved(step); gone(step)", "--keep", "2")
    assert one.status() == 0, one.errors
    assert checkpoints(rig) == ["step-000000004.a0001.r1", "step-000000004.a0001"]
    assert not (rig.folder / "store" / "step-000000003.a0001").exists()


# -- PR-42: storage that refuses ---------------------------------------------------------------------------

LIMIT = """
import resource
def limit(size_bytes):  # what the supervisor may write into one file
    hard = resource.prlimit(os.getppid(), resource.RLIMIT_FSIZE)[1]
    resource.prlimit(os.getppid(), resource.RLIMIT_FSIZE, (hard if size_bytes is None else size_bytes, hard))
"""


def test_a_last_save_that_finds_no_room_is_not_done(rig):
    text = LIMIT + "saved(1); heard('go'); limit(64); saved(2); sys.exit(0)"
    one = start(rig, "say(control)\n" + text, "--tries", "1")
    control = one.line()
    one.await_error("committed")
    open(os.path.join(control, "go"), "w").close()
    assert one.status() == 1, one.errors
    assert "File too large" in one.errors
    assert "the last save was not committed; it is left in" in one.errors
    (folder,) = (rig.folder / "store/saves").iterdir()
    assert (folder / "2").read_text() == "2"
    again = start(rig, "say(begun()); sys.exit(4)", name="second.py")
    assert (again.line(), again.status()) == ("1", 4)
    assert left(rig) == []


def test_a_save_that_finds_no_room_is_taken_when_there_is(rig):
    text = (
        LIMIT
        + "say(control); saved(1); heard('go'); limit(64); saved(2); heard('go'); limit(None); gone(2); sys.exit(4)"
    )
    one = start(rig, text)
    go = os.path.join(one.line(), "go")
    one.await_error("committed")
    open(go, "w").close()
    one.await_error("a save could not be committed now")
    open(go, "w").close()
    assert one.status() == 4, one.errors
    assert [found["step"] for found in told(one, "committed")] == [1, 2]


def test_the_supervisor_is_light(rig):
    """Under 40 MiB, with a large save taken; and nothing is loaded that a program of files has no use for."""
    text = """
os.mkdir(save)
with open(os.path.join(save, "new"), "wb") as file:
    file.truncate(256 << 20)
os.rename(os.path.join(save, "new"), os.path.join(save, "1"))
heard("go")
for line in open(f"/proc/{os.getppid()}/status"):
    if line.startswith("VmHWM"):
        say(line.split()[1])
sys.exit(4)
"""
    one = start(rig, "say(control)\n" + text)
    control = one.line()
    one.await_error("committed")
    open(os.path.join(control, "go"), "w").close()
    assert int(one.line()) < 40 * 1024
    assert one.status() == 4
