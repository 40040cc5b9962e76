"""Pairs of programs through the whole of `outlast drill`: the verdict names the cause, and the corrected one passes.

Of each kind of fault one; the others have their one fault in `test_twins`, which costs a fraction.
"""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from drill.drillkit import command, drill
from drill.twinkit import Twin, held, twins
from outlast.drill.strikes import EARLY, Notice
from outlast.drill.trials import Ground

CHOSEN = {
    "P01_overwrites_in_place": ("save", "result.txt"),
    "P12_resumes_at_the_saved_step": ("step", "result.txt"),
    "P26_saves_in_the_handler": ("notice", "result.txt"),
    "P37_rows_appended_twice": ("step", "metrics.csv"),
    "P39_no_done_marker": ("again", "result.txt"),
}
_STEPS = 12
_HELD = int(EARLY[1] * _STEPS) + 1  # the strike is due when this step is complete, or sooner
BAD, GOOD = ([twin for twin in twins(kind) if twin.script.parent.name in CHOSEN] for kind in ("bad", "good"))


def drilled(twin: Twin, folder, monkeypatch, capsys):
    shutil.copy(twin.script, folder)
    monkeypatch.chdir(folder)
    fault, result = CHOSEN[twin.script.parent.name]
    if fault == "notice":
        hold(monkeypatch)
    arguments = ["--faults", fault, "--compare", result, "--", *command(folder / twin.script.name)]
    return fault, drill(capsys, *arguments)


def hold(monkeypatch):
    """Have a notice come in the midst of a step, and be heard there, however slow the drill is."""
    make, strike = Ground._make, Notice.strike

    def make_with_a_pipe(ground, name):
        place = make(ground, name)
        if name.endswith("-notice"):
            os.mkfifo(Path(place.work) / f"hold-{_HELD}")
        return place

    def strike_while_held(notice, live):
        with held(live.process, Path(live.place.work), _HELD) as is_held:
            assert is_held
            strike(notice, live)
            for pid in live.below():  # before its supervisor has passed it on
                os.kill(pid, signal.SIGTERM)

    monkeypatch.setattr(Ground, "_make", make_with_a_pipe)
    monkeypatch.setattr(Notice, "strike", strike_while_held)


@pytest.mark.slow
@pytest.mark.parametrize("twin", BAD, ids=lambda twin: twin.name)
def test_a_faulty_program_is_told_what_is_wrong(twin, tmp_path, monkeypatch, capsys):
    fault, found = drilled(twin, tmp_path, monkeypatch, capsys)
    assert found.status == 1, found.err
    assert found.of(fault)["finding"]["cause"] == twin.cause
    assert found.document["verdict"] == "broken"
    text = found.of(fault)["finding"]["text"]
    assert text[1:] in found.text


@pytest.mark.slow
@pytest.mark.parametrize("twin", GOOD, ids=lambda twin: twin.name)
def test_its_corrected_twin_is_proven(twin, tmp_path, monkeypatch, capsys):
    fault, found = drilled(twin, tmp_path, monkeypatch, capsys)
    assert found.results == {fault: "passed"}, found.out
    assert found.status == 0
    assert found.document["verdict"] == "proven"
