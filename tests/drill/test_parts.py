"""The parts of the drill: copies of the user's folder, where strikes fall, disks that are filled, and the last word."""

from __future__ import annotations

import errno
import math
import os
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest

from outlast.drill import causes, diagnosis, faults, origin, plan, report, results, verdict
from outlast.drill.compare import Difference
from outlast.drill.course import Course
from outlast.drill.diagnosis import Finding
from outlast.drill.director import Drilled
from outlast.drill.disk import Disk, why_not
from outlast.drill.live import Live, Signs
from outlast.drill.order import Order
from outlast.drill.place import Place
from outlast.drill.record import Attempt, Pace, Ran, Struck
from outlast.drill.results import Results
from outlast.drill.strikes import Strike
from outlast.drill.trace import Trace
from outlast.drill.trials import Ground
from outlast.drill.undisturbed import Reference
from outlast.drill.verdict import Judgement, Trial
from outlast.errors import UsageError

# -- copies ------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path) -> Path:
    folder = tmp_path / "home"
    for name in ("train.py", "data/a.csv", "ckpts/net/outlast.json", "out/old.csv", ".git/config", "env/pyvenv.cfg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def test_a_copy_has_what_a_run_needs_and_nothing_of_the_runs_before(home, tmp_path):
    found = origin.survey(str(home), leave_out=["out/*.csv"])
    work = Path(found.copy_to(str(tmp_path / "at")))
    assert work.name == "home"
    there = sorted(str(path.relative_to(work)) for path in work.rglob("*") if not path.is_dir() or path.is_symlink())
    assert there == ["data/a.csv", "env", "train.py"]
    assert (work / "env").resolve() == home / "env"
    assert (work / "out").is_dir()
    assert found.there(["python", str(home / "train.py"), "/etc/hosts"], str(work)) == [
        "python",
        str(work / "train.py"),
        "/etc/hosts",
    ]


def test_what_is_named_is_copied_or_linked(home, tmp_path):
    (tmp_path / "beside").write_text("x")
    found = origin.survey(str(home), copy=["*.py"], link=["data", "../beside"])
    work = Path(found.copy_to(str(tmp_path / "at")))
    assert sorted(os.listdir(work)) == ["data", "train.py"]
    assert (work / "data").resolve() == home / "data"
    assert (work.parent / "beside").read_text() == "x"
    with pytest.raises(UsageError, match="'absent' matches nothing in"):
        origin.survey(str(home), copy=["absent"])


def test_too_much_is_not_copied_unasked(home, monkeypatch):
    monkeypatch.setattr(origin, "_MOST_FILES", 2)
    (home / "more").write_text("")
    with pytest.raises(UsageError, match="which holds more than") as caught:
        origin.survey(str(home))
    assert "--link data" in caught.value.hint


def test_changes_of_the_original_are_seen(home):
    found = origin.survey(str(home))
    assert found.touched() == ()
    (home / "data" / "a.csv").write_text("longer than before")
    (home / "new").write_text("")
    assert found.touched() == ("data/a.csv", "new")


# -- plans -------------------------------------------------------------------------------------------------

PACE = Pace(
    lasted_s=11.0,
    ready_s=1.0,
    commits=((3.0, 20), (11.0, 100)),
    calls=90,
    changes=50,
    saves=4,
    operations=12,
    steps=tuple(range(100)),
    takes_part=True,
)


def _planned(name, pace=PACE, seed=1, round_=0, checkpoints=()):
    return plan.strike(faults.BY_NAME[name], pace, seed=seed, kills=3, checkpoints=checkpoints, round_=round_)


def test_the_same_seed_strikes_at_the_same_places():
    assert _planned("kill")._shares == _planned("kill")._shares != _planned("kill", seed=2)._shares
    assert _planned("step").kill == _planned("step").kill
    assert len({_planned("step", seed=seed).kill for seed in range(20)}) > 5
    assert len(_planned("kill")._shares) == 3
    assert _planned("limit")._bound_s > _planned("limit", round_=1)._bound_s


def test_what_cannot_be_struck_says_so():
    bare = Pace(lasted_s=1.0, ready_s=0.0)
    for name, why in [("step", "its steps are not known"), ("save", "it wrote no file"), ("damage", "--checkpoints")]:
        with pytest.raises(plan.NotPossible, match=why):
            _planned(name, bare)


def test_a_save_is_struck_by_the_nearest_means():
    kinds = {
        "Called": PACE,
        "save:": Pace(lasted_s=1.0, ready_s=0.0, saves=4, operations=9, changes=9),
        "op:": Pace(lasted_s=1.0, ready_s=0.0, operations=9, changes=9),
        "Changed": Pace(lasted_s=1.0, ready_s=0.0, changes=9),
    }
    for kind, pace in kinds.items():
        strike = _planned("save", pace)
        assert kind in (type(strike).__name__, strike.kill.partition(":")[0] + ":")
    numbers = {_planned("save", kinds["save:"], seed).kill for seed in range(30)}
    assert numbers == {"save:2", "save:3", "save:4"}  # not the first: nothing is there to be lost


def test_no_damage_before_there_is_something_to_fall_back_to():
    """On a slow machine the two saves come late: a strike without them damages nothing, and is one too many."""
    strike = _planned("damage")
    signs = SimpleNamespace(control="folder", begun_s=0.0, step=None, commits=[(1.0, 20)])
    live = SimpleNamespace(attempt_s=0.0, commits=1, step=None, signs=signs, ask_for_save=lambda: True)
    live.place = SimpleNamespace(is_traced=False)
    strike.attempt_began(live)
    for now_s in (1e3, 1e4, 1e5):
        strike.look(live, now_s)
        assert not strike.is_gone()
    live.commits = 2
    strike.look(live, 1e6)
    strike.look(live, 1e6 + 1)
    assert strike.is_gone()


@pytest.mark.parametrize(
    ("takes_part", "note"),
    [(False, "did not save when it was told to leave (status 143 (SIGTERM))"), (True, "saved and left within ")],
)
def test_who_died_of_a_notice_before_its_supervisor_heard_of_it_has_not_saved(takes_part, note):
    signs = SimpleNamespace(takes_part=takes_part)
    live = SimpleNamespace(signs=signs, began_s=0.0, step=None, signal=lambda *_, **__: None)
    strike = _planned("notice-group")
    strike.strike(live)
    strike.attempt_ended(live, 143)
    assert strike.job_ended(live, 85)
    assert strike.notes[0].startswith(note)


@pytest.mark.parametrize(
    ("told_s", "ended_s", "steps", "is_accused"),
    [
        (0.0, 100.0, 30, True),
        (99.0, 99.5, 30, False),  # told late, or our signal was heard late
        (0.0, 100.0, 1, False),  # it ended the step in which it was told, and then took its time to end
        (math.inf, 100.0, 30, False),  # it was never told
    ],
)
def test_who_is_told_when_all_is_as_good_as_done_is_not_accused(told_s, ended_s, steps, is_accused):
    """Whoever is slow meanwhile: the drill, the supervisor, or a program at its end. The work takes 10 s."""
    live = _told_to_leave(told_s=told_s, ended_s=ended_s, steps=40 + steps)
    strike = _planned("notice")
    strike.strike(live)
    strike._struck_s -= 100
    strike.attempt_ended(live, 0)
    assert not strike.job_ended(live, 0)
    assert strike.problems == (["it did not leave when it was told to, but ran to its end"] if is_accused else [])
    assert strike.is_finished is is_accused


def test_a_program_without_a_recorder_is_judged_by_the_time_alone():
    for told_s, is_accused in ((0.0, True), (99.0, False)):
        live = _told_to_leave(told_s=told_s, ended_s=100.0, steps=0, told_steps=0)
        strike = _planned("notice")
        strike.strike(live)
        strike._struck_s -= 100
        strike.job_ended(live, 0)
        assert bool(strike.problems) is is_accused


def _told_to_leave(*, steps, **fields):
    signs = SimpleNamespace(takes_part=True, steps=steps)
    about = {"began_s": -math.inf, "step": None, "told_steps": 40, "signal": lambda *_, **__: None}
    return SimpleNamespace(signs=signs, **(about | fields))


def test_what_was_done_before_the_supervisors_word_is_not_held_against_a_program(tmp_path):
    """Its steps are looked for when that word is heard: the drill may be late with both."""
    where = _running(tmp_path)
    live = object.__new__(Live)
    live.signs, live.told_s, live.told_steps = Signs(where), math.inf, 0
    Path(where.trace).write_text("".join(f'{{"e": "step", "step": {number}}}\n' for number in range(3)))
    course = Course(where, {}, Strike(), limit_s=1.0)
    try:
        course._heard(live, {"event": "notice", "at_s": 5.0})
        assert (live.told_s, live.told_steps) == (5.0, 3)
        course._heard(live, {"event": "notice", "at_s": 9.0})  # once more, for another reason
        assert live.told_s == 5.0
    finally:
        live.signs.close()


def _running(tmp_path):
    place = Place(root=str(tmp_path), work=str(tmp_path / "work"), command=("true",))
    for folder in (place.work, place.drill, f"{place.local}/runtime"):
        os.makedirs(folder)
    return place


@pytest.mark.parametrize("name", ["kill", "node", "damage", "twice", "full-disk", "notice"])
def test_what_has_come_to_its_end_is_not_struck(name):
    """Between its last save and the strike no time may pass, or as much as it needs for all the rest."""
    strike = _planned(name)
    signs = SimpleNamespace(control="", begun_s=0.0, step=None, commits=[])
    live = SimpleNamespace(attempt_s=0.0, commits=0, step=None, signs=signs, place=SimpleNamespace(is_traced=False))
    strike.attempt_began(live)
    next_s = strike.look(live, 1e3)
    assert 1e3 < next_s < 1e3 + 1
    live.step = PACE.commits[-1][1]
    assert strike.look(live, next_s) == math.inf
    assert not strike.struck
    assert not strike.is_gone()


@pytest.mark.parametrize(("status", "struck"), [(137, 1), (0, 0)])
def test_a_kill_of_what_was_at_its_end_does_not_count(status, struck):
    strike = _planned("kill")
    live = SimpleNamespace(step=90, kill=lambda: True)
    strike.strike(live)
    strike.attempt_ended(live, status)
    assert len(strike.struck) == struck


@pytest.mark.parametrize(("status", "is_gone"), [(137, True), (0, False)])
def test_what_has_ended_by_itself_is_not_taken_away(status, is_gone):
    strike = _planned("node")
    strike.strike(None)
    strike.attempt_ended(None, status)
    assert strike.is_gone() is is_gone


def test_a_fault_that_there_is_not():
    with pytest.raises(UsageError, match="there is no fault flood"):
        faults.chosen("kill,flood", quick=False)
    assert [one.name for one in faults.chosen(None, quick=True)] == [
        "kill",
        "step",
        "save",
        "notice",
        "damage",
        "again",
    ]
    assert faults.chosen("all", quick=True) == faults.FAULTS


# -- a disk that can be filled -----------------------------------------------------------------------------


def test_a_disk_is_filled_to_the_last_byte_and_brings_back_what_is_on_it(tmp_path):
    if why_not():
        pytest.skip(f"no mount namespace: {why_not()}; run as root, or allow user namespaces")
    (tmp_path / "before").write_text("1")
    disk = Disk(str(tmp_path), 1 << 20)
    inside = Path(disk.inside)
    try:
        assert (inside / "before").read_text() == "1"
        disk.fill()
        with pytest.raises(OSError) as caught:
            (inside / "more").write_bytes(bytes(8192))
        assert caught.value.errno == errno.ENOSPC
        disk.free()
        (inside / "after").write_bytes(bytes(8192))
        assert not (tmp_path / "after").exists()
    finally:
        disk.close()
    assert sorted(os.listdir(tmp_path)) == ["after", "before", "more"]
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()  # where other tests mount, too
    assert not Path(f"/proc/{disk.pid}").exists()


# -- the last word -----------------------------------------------------------------------------------------


def _trial(fault, *differences, status=0, **fields):
    attempts = (
        Attempt(status=137, lasted_s=1.0, wounded=True),
        Attempt(status=status, lasted_s=1.0, said="a\nbad: x\n"),
    )
    ran = Ran(
        status=status, attempts=attempts, strikes=(Struck(text="SIGKILL", at_s=1.0, step=7),), pace=PACE, **fields
    )
    return Trial(fault=fault, ran=ran, differences=differences)


def _judged(*trials, varying=(), harmless=False, compared=5):
    return verdict.judge(trials, varying, None, harmless=harmless, bitwise=True, compared=compared)


DIFFERS = Difference(kind="state", name="w", text="1 of 3 numbers differ")


def test_the_verdict():
    good, bad, not_tried = _trial(faults.KILL), _trial(faults.SAVE, DIFFERS), Trial(fault=faults.NODE, why_not="no")
    assert _judged(good, not_tried).judgement is Judgement.PROVEN
    assert _judged(good, not_tried).sentences == (
        "Restarts exactly: after the one fault (kill) all 5 results are the same, bit for bit.",
        "Not tried: node.",
    )
    assert "the one result is the same" in _judged(good, compared=1).sentences[0]
    assert _judged(good, bad).judgement.status == 1
    assert _judged(good, bad).sentences[0] == "Does NOT restart exactly: wrong after 1 of 2 faults (save)."
    assert _judged(not_tried).judgement.status == 4
    assert _judged(good, varying=(DIFFERS,)).judgement is Judgement.VARIES
    assert _judged(good, varying=(DIFFERS,), harmless=True).judgement is Judgement.PROVEN
    assert _judged(bad, varying=(DIFFERS,)).judgement is Judgement.BROKEN
    clocked = Difference(kind="metric", name="eval_runtime", text="0.1 at step 3, expected 0.2")
    assert _judged(good, varying=(DIFFERS, clocked), harmless=True).sentences[1:] == (
        "Not compared: w: random generators that the program does not seed.",
        "Not compared: eval_runtime: by their names what a clock measures.",
    )


def test_troubles_of_a_run():
    assert _trial(faults.KILL).troubles == ()
    assert _trial(faults.KILL, status=1).troubles == ("it was not done in the end: status 1 (bad: x)",)
    assert _trial(faults.KILL, hung=True).troubles == ("it did not come to an end: it hangs",)
    assert _trial(faults.KILL, left=(7,)).troubles == ("processes stay behind: 7",)
    assert _trial(faults.KILL, DIFFERS, problems=("deaf",)).troubles == ("deaf", "w: 1 of 3 numbers differ")


def test_junit_holds_whatever_a_program_says():
    trials = (
        _trial(faults.KILL),
        _trial(faults.SAVE, Difference(kind="output", name="(stdout)", text="prints '\x1b<&'")),
        Trial(fault=faults.NODE, why_not="no"),
    )
    order = Order(command=("python", "a b.py"), folder="/", faults=(faults.KILL,))
    reference = Reference(
        results=Results(work="", states={}, files={}),
        pace=PACE,
        trace=Trace(),
        noise=frozenset(),
        varying=(),
        terms=order.terms,
    )
    found = Drilled(order=order, reference=reference, trials=trials, verdict=_judged(*trials), lasted_s=3.0)
    suite = ET.fromstring(report.junit(found))[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("4", "1", "1")
    assert [case.get("name") for case in suite] == ["undisturbed", "kill", "save", "node"]
    assert suite[2][0].text == "(stdout): prints '?<&'"
    assert report.document(found)["faults"][1]["differences"][0]["name"] == "(stdout)"
    assert report.rows(found)[0] == ["kill", "SIGKILL, step 7 saved", "2", "passed"]


@pytest.mark.parametrize(
    ("name", "is_harmless"),
    [
        ("rng/numpy/state/key", True),
        ("%rank1/rng/numpy/state/key", True),
        ("train_samples_per_second", True),
        ("trainer/wall_times", True),
        ("%rank1/model/w", False),
        ("time", False),
    ],
)
def test_what_may_vary_between_two_undisturbed_runs(name, is_harmless):
    ranks = {"$": "ranks", "of": [0, 1], "nodes": [{"$": "adapter", "name": "rng", "state": n} for n in (1, 2)]}
    assert list(results._generators({"rng": ranks, "model": {}})) == ["rng"]
    state = results.State(store="s", path="", step=1, done=True, leaves={}, values={}, generators=("rng",))
    found = Results(work="", states={"s": state}, files={})
    varying = (Difference(kind="state", name=name, text="differs"),)
    none = dict.fromkeys(("pace", "trace", "noise", "terms"))
    assert Reference(results=found, varying=varying, **none).is_harmless is is_harmless


def test_values_of_each_rank_have_a_path_of_their_own():
    tree = {"left": {"$": "ranks", "of": [0, 1, 1], "nodes": [{"n": 1}, {"n": 2}]}, "t": 3}
    assert dict(results._flat(tree)) == {"left/n": "1", "%rank1/left/n": "2", "t": "3"}


# -- causes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("leaf", "status", "differs", "counts"),
    [
        ("outside:order", 0, False, False),
        ("outside:order", 0, True, True),
        ("outside:order", 1, False, True),
        ("model/w", 0, False, True),
        (None, 0, False, True),
    ],
)
def test_a_variable_outside_of_the_state_is_no_fault_where_all_is_the_same(monkeypatch, leaf, status, differs, counts):
    found = Finding(cause="batches-lost", text="it differs", advice="save it", leaf=leaf)
    monkeypatch.setattr(diagnosis, "diagnose", lambda *_: found)
    monkeypatch.setattr(causes, "read", lambda *_: Trace())
    monkeypatch.setattr(causes.script, "text_of", lambda *_: ("", "py"))
    place, ran = SimpleNamespace(command=(), work=""), SimpleNamespace(attempts=(), status=status)
    differences = [SimpleNamespace(name="w")] if differs else []
    said = causes.find(Trace(), place, ran, differences, wound="kill")
    assert said is (found if counts else None)


def _in_rounds(monkeypatch, *rounds: tuple[int, int, tuple[str, ...]]) -> tuple[Trial, list[int]]:
    """Try a fault; each round is struck so often, of so often as it was to be, and has these problems."""
    asked = []

    def once(_self, _number, fault, _reference, round_):
        asked.append(round_)
        struck, times, problems = rounds[round_]
        strikes = tuple(Struck(at_s=float(at), text="SIGKILL") for at in range(struck))
        ran = Ran(status=0, attempts=(), strikes=strikes, pace=PACE, problems=problems, notes=(f"round {round_}",))
        return Trial(fault=fault, ran=ran), times

    monkeypatch.setattr(Ground, "_round", once)
    ground = Ground(
        order=Order(command=("x",), folder="", faults=(faults.KILL,)),
        origin=None,
        root="",
        env={},
        is_over=bool,
        began_s=0.0,
    )
    return ground.trial(0, faults.KILL, SimpleNamespace(pace=PACE)), asked


@pytest.mark.parametrize(
    ("rounds", "counts", "outcome"),
    [
        ([(3, 3, ())], 0, "passed"),
        ([(1, 3, ()), (3, 3, ())], 1, "passed"),
        ([(2, 3, ()), (1, 3, ()), (0, 3, ())], 1, "passed"),  # never often enough: what was struck is what is told
        ([(1, 3, ("lost",))], 0, "failed"),  # something is wrong: that is enough
        ([(0, 3, ()), (1, 3, ("lost",))], 1, "failed"),
        ([(0, 3, ()), (0, 3, ()), (0, 3, ())], None, "not tried"),
    ],
)
def test_a_run_that_was_done_before_it_was_struck_often_enough_is_done_again_struck_sooner(
    monkeypatch, rounds, counts, outcome
):
    trial, asked = _in_rounds(monkeypatch, *rounds)
    assert trial.outcome == outcome
    assert asked == list(range(len(rounds)))
    if counts is None:
        assert trial.why_not == "round 2"
    else:
        assert trial.ran.notes == (f"round {counts}",)


def test_sooner_is_meant_in_time_and_in_steps():
    steps = [
        _planned("step", Pace(lasted_s=9.0, ready_s=0.0, steps=tuple(range(100))), round_=at).kill for at in (0, 2)
    ]
    numbers = [int(text.rpartition(":")[2]) for text in steps]
    assert numbers[1] < 40
    assert _planned("limit")._bound_s > _planned("limit", round_=1)._bound_s > _planned("limit", round_=2)._bound_s
