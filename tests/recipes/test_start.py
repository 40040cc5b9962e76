"""What a start sees to: ranks, and outputs that must neither lose rows nor have them twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from outlast.errors import UsageError
from outlast.supervise.recipes import registry, start
from outlast.supervise.recipes.keeping import About, Kept
from outlast.supervise.recipes.recipe import Outputs


def about(**outputs: int) -> About:
    files = (Kept(path="a", kept="state/a"),)
    return About(recipe="x", version="", files=files, groups={}, outputs={f"{k}.log": v for k, v in outputs.items()})


def recipe(how: str):
    return replace(registry.named("vasp"), outputs=Outputs(files=("*.log",), how=how))


def test_another_number_of_ranks_is_refused_or_said(capsys):
    with pytest.raises(UsageError, match="goes on only with as many ranks: 4, found 8"):
        start.check_ranks(registry.named("quantum-espresso"), "4", "8")
    start.check_ranks(registry.named("quantum-espresso"), "4", "4")
    start.check_ranks(registry.named("vasp"), "4", "8")
    assert "saved with 4 ranks, started with 8" in capsys.readouterr().err


def test_outputs_are_cut_back_or_kept_apart(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.log").write_text("123456")
    assert start.keep_outputs(recipe("cut"), about(a=4), str)
    assert Path("a.log").read_text() == "1234"
    with pytest.raises(UsageError, match=r"a\.log had 9 bytes and has 4"):
        start.keep_outputs(recipe("cut"), about(a=9), str)
    assert start.keep_outputs(recipe("apart"), about(a=4), str)
    assert not Path("a.log").exists()
    assert Path("outlast-1.a.log").read_text() == "1234"


def test_outputs_that_do_not_fit_are_begun_anew_where_that_is_possible(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    gromacs = registry.named("gromacs")
    fits = replace(gromacs, outputs=Outputs(files=("*.log",), how="itself"))
    assert not start.keep_outputs(fits, about(a=9), str)
    assert "a.log had 9 bytes and is gone" in capsys.readouterr().err
    Path("a.log").write_text("1234567890")
    assert start.keep_outputs(fits, about(a=9), str)


def test_an_option_that_the_user_gave_is_left_alone():
    assert start.new_ones(["-cpi", "a.cpt"], ["mdrun", "-cpi", "b.cpt"]) == []
    assert start.new_ones(["-cpi", "a.cpt", "-noappend"], ["-cpi", "b.cpt"]) == ["-noappend"]
    assert start.new_ones(["-cpi", "a.cpt"], ["mdrun"]) == ["-cpi", "a.cpt"]
