"""Pairs of programs through the whole of `outlast drill`: the verdict names the cause, and the corrected one passes.

Of each kind of fault one; the others have their one fault in `test_twins`, which costs a fraction.
"""

from __future__ import annotations

import shutil

import pytest

from drill.drillkit import command, drill
from drill.twinkit import Twin, twins

CHOSEN = {
    "P01_overwrites_in_place": ("save", "result.txt"),
    "P12_resumes_at_the_saved_step": ("step", "result.txt"),
    "P26_saves_in_the_handler": ("notice", "result.txt"),
    "P37_rows_appended_twice": ("step", "metrics.csv"),
    "P39_no_done_marker": ("again", "result.txt"),
}
BAD, GOOD = ([twin for twin in twins(kind) if twin.script.parent.name in CHOSEN] for kind in ("bad", "good"))


def drilled(twin: Twin, folder, monkeypatch, capsys):
    shutil.copy(twin.script, folder)
    monkeypatch.chdir(folder)
    fault, result = CHOSEN[twin.script.parent.name]
    arguments = ["--faults", fault, "--compare", result, "--", *command(folder / twin.script.name)]
    return fault, drill(capsys, *arguments)


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
