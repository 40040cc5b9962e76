"""Recipes as data: those that are shipped, and what is refused in one's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from outlast.cli import main as cli
from outlast.errors import UsageError
from outlast.supervise.recipes import asking, inputs, reading, registry, sets, words
from outlast.supervise.recipes.recipe import Edit, Input, Limit
from recipes.kit import recipe

NAMES = [
    "abaqus",
    "cp2k",
    "fluent",
    "gaussian",
    "gromacs",
    "lammps",
    "mapdl",
    "namd",
    "nextflow",
    "openfoam",
    "quantum-espresso",
    "snakemake",
    "stan",
    "star-ccm",
    "vasp",
    "wrf",
]


def test_sixteen_are_shipped_each_with_its_sources(capsys):
    assert cli.main(["recipes", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["recipes"]
    assert [one["name"] for one in found] == NAMES
    for one in found:
        assert any(fact["verified"] and fact["source"] for fact in one["facts"]), one["name"]
        assert all(fact["source"] for fact in one["facts"] if fact["verified"]), one["name"]
    assert {one["name"] for one in found if one["tried"]} >= {"gromacs", "snakemake", "cp2k", "quantum-espresso"}


@pytest.mark.parametrize("name", NAMES)
def test_each_is_shown_with_its_file(capsys, name):
    assert cli.main(["recipes", name]) == 0
    said = capsys.readouterr().out
    assert f'name = "{name}"' in said
    unverified = sum(not fact.verified for fact in registry.named(name).facts)
    assert said.count("[unverified]") == unverified


GOOD = 'name = "x"\ntitle = "X"\ndetect = ["x"]\n[state]\nfiles = ["a"]\n[done]\nfile = "b"\n'


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('title = "X"', "", "'title' is missing"),
        ('title = "X"', "title = 3", "title: expected a string, found 3"),
        ('title = "X"', 'title = "X"\ncolour = "red"', "there is no 'colour'"),
        ('["x"]', "[]", "detect: no program is named"),
        ('["x"]', '["x", 1]', "detect[1]: expected a string, found 1"),
        ('["x"]', '"x"', "detect: expected a list, found 'x'"),
        ('"x"\n', '"X y"\n', "name: 'X y'"),
        ('["a"]', '["a"]\ngeneration = "("', "generation: not a regular expression"),
        ('["a"]', '["a"]\ngeneration = "x"', "no group named 'generation'"),
        ('["a"]', '["a"]\nquiet = 3', 'quiet: expected a time such as "20s"'),
        ('["a"]', '["a"]\nquiet = "soon"', "quiet: 'soon' is not a duration"),
        ('["a"]', '["a"]\npick = "best"', "pick: 'best' is none of all, newest"),
        ('file = "b"', "", "nothing tells when it is finished"),
        ('file = "b"', 'log = "b"', "log and pattern belong together"),
        ("[done]", '[stop]\nhow = "mail"\n[done]', "stop: how: 'mail' is none of signal, file, none"),
        ("[done]", '[stop]\nhow = "signal"\nsignal = "HELLO"\n[done]', "'HELLO' is no signal"),
        ("[done]", '[stop]\nhow = "file"\n[done]', "stop: file: it is missing"),
        ("[done]", '[limit]\narguments = ["-t"]\n[done]', "{limit} stands nowhere"),
        ("[state]", "[state", "not TOML"),
        ('["a"]', '["{jb}"]', "state: there is no variable {jb}\n  -> known are here: ranks"),
        ("[done]", '[stop]\nhow = "file"\nfile = "{newest}"\n[done]', "stop: there is no variable {newest}"),
        ("[done]", '[resume]\narguments = ["{newset}"]\n[done]', "known are here: newest, ranks, step"),
        ("[done]", '[[variables]]\nname = "y"\ndefault = "{y}"\n[done]', "variables: y: there is no variable {y}"),
        ("[done]", '[[variables]]\nname = "y"\nfile = "f"\npattern = "z"\n[done]', "no group in it tells the value"),
        ('["a"]', '["a"]\nsteps = [{ file = "a", pattern = "(x)(y)" }]', "expected one group, the step"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(old, new, said):
    reading.parse(GOOD, where="my.toml")
    assert GOOD.count(old) == 1
    with pytest.raises(UsageError) as caught:
        reading.parse(GOOD.replace(old, new), where="my.toml")
    assert said in str(caught.value)
    assert str(caught.value).startswith("my.toml: ")


def test_a_users_own_goes_before_ours(tmp_path: Path, monkeypatch):
    folder = tmp_path / "outlast" / "recipes"
    folder.mkdir(parents=True)
    (folder / "gromacs.toml").write_text(GOOD)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert registry.named("gromacs").title == "X"
    assert registry.named("lammps").title == "LAMMPS"
    assert registry.named(str(folder / "gromacs.toml")).title == "X"
    with pytest.raises(UsageError, match="there is no recipe 'nonsense'"):
        registry.named("nonsense")


def test_a_bad_one_of_the_users_hinders_no_other(tmp_path: Path, monkeypatch, capsys):
    folder = tmp_path / "outlast" / "recipes"
    (folder / "folder.toml").mkdir(parents=True)
    (folder / "bad.toml").write_text("name =")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert registry.named("lammps").title == "LAMMPS"
    assert cli.main(["recipes", "--json"]) == 2
    said = capsys.readouterr()
    assert [one["name"] for one in json.loads(said.out)["recipes"]] == NAMES
    assert f"{folder / 'bad.toml'}: not TOML" in said.err
    assert f"the recipe {folder / 'folder.toml'} cannot be read" in said.err
    with pytest.raises(UsageError, match="not TOML"):
        registry.named("bad")


def test_the_command_line_refuses_what_does_not_fit(monkeypatch, capsys):
    monkeypatch.delenv("OUTLAST_STORE", raising=False)
    assert cli.main(["run", "--recipe", "gromacs", "--", "gmx", "mdrun"]) == 2
    assert "need a store" in capsys.readouterr().err
    assert cli.main(["run", "--recipe", "gromacs", "--store", "s", "--", "bash", "job.sh"]) == 2
    assert "put the program itself behind `--`" in capsys.readouterr().err
    assert cli.main(["run", "--recipe", "gromacs", "--store", "s", "--", "gmx", "grompp"]) == 2
    assert "is for `gmx mdrun`" in capsys.readouterr().err


def test_variables_come_from_the_command_and_its_launcher():
    gromacs = registry.named("gromacs")
    plain = words.understood(gromacs, ["gmx", "mdrun"])
    assert words.values(gromacs, plain)["cpt"] == "state.cpt"
    assert (plain.launcher, plain.ranks) == ("", "")
    named = words.understood(gromacs, ["srun", "-n", "4", "/opt/bin/gmx_mpi", "mdrun", "-deffnm", "run"])
    assert words.values(gromacs, named)["cpt"] == "run.cpt"
    assert (named.launcher, named.ranks, named.is_remote) == ("srun", "4", True)


def test_what_an_input_lacks_is_said(tmp_path: Path):
    lammps = registry.named("lammps")
    path = tmp_path / "in.melt"
    path.write_text("run 100\n")
    known = words.values(lammps, words.understood(lammps, ["lmp", "-in", str(path)]))
    with pytest.raises(UsageError, match="variable outlast_resume index 0"):
        inputs.check(lammps, lambda text: words.filled(text, known))
    path.write_text("read_restart ${outlast_restart}\nrestart 1000 a.restart b.restart\n")
    with pytest.raises(UsageError, match=r"write restart files named \*\.rst"):
        inputs.check(lammps, lambda text: words.filled(text, known))
    with pytest.raises(UsageError, match="lmp -in FILE, not lmp < FILE"):
        words.values(lammps, words.understood(lammps, ["lmp"]))


def test_an_input_is_changed_in_a_copy(tmp_path: Path):
    pw = registry.named("quantum-espresso")
    path = tmp_path / "si.in"
    text = "&CONTROL\n  prefix='si'\n/\n"
    path.write_text(text)
    command = words.understood(pw, ["pw.x", "-i", str(path)])
    known = words.values(pw, command)
    changed = inputs.edited(pw.resume.inputs, command, lambda one: words.filled(one, known))
    assert changed.words == ("pw.x", "-i", str(tmp_path / "si.outlast.in"))
    assert path.read_text() == text
    assert (tmp_path / "si.outlast.in").read_text().startswith("&CONTROL\n  restart_mode = 'restart'\n")


def test_an_input_of_a_fixed_name_comes_back(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("namelist").write_text("a = 1\n")
    one = Input(file="namelist", fixed=True, edits=(Edit(pattern="a = 1", replace="a = 2"),))
    inputs.edited([one], words.understood(registry.named("wrf"), ["wrf.exe"]), str)
    assert Path("namelist").read_text() == "a = 2\n"
    inputs.back_to_first([one], [], str)
    assert Path("namelist").read_text() == "a = 1\n"
    missing = Input(file="namelist", edits=(Edit(pattern="b = 1", replace=""),))
    with pytest.raises(UsageError, match="there is no 'b = 1' in it"):
        inputs.edited([missing], words.understood(registry.named("wrf"), ["wrf.exe"]), str)


@pytest.mark.parametrize(("unit", "said"), [("s", "7290"), ("min", "121.5"), ("h", "2.025"), ("h:m:s", "2:01:30")])
def test_a_time_limit_is_written_as_the_application_reads_it(unit, said):
    assert asking.limited(Limit(arguments=("-t", "{limit}"), unit=unit), 7290) == ("-t", said)


def made(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("x")


def test_a_time_that_one_rank_has_not_written_is_passed_over(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state = registry.named("openfoam").state
    made(tmp_path, "processor0/0/U", "processor1/0/U", "constant/5/x")
    assert sets.chosen(state, str, {}).problem
    made(tmp_path, *(f"processor{rank}/{time}/{name}" for rank in (0, 1) for time in ("0.5", "10") for name in "Up"))
    assert sets.chosen(state, str, {}).step == "10"
    (tmp_path / "processor1/10/p").unlink()
    found = sets.chosen(state, str, {})
    assert (found.step, len(found.files)) == ("0.5", 4)
    made(tmp_path, "processor0/11/U", "processor0/11/p")
    assert sets.chosen(state, str, {}).step == "0.5"


def test_dates_are_generations_with_parts(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made(tmp_path, *(f"wrfrst_d0{d}_2026-11-{day}_06:00:00" for d in (1, 2) for day in (28, 29)))
    (tmp_path / "wrfrst_d02_2026-11-29_06:00:00").unlink()
    found = sets.chosen(registry.named("wrf").state, str, {})
    assert (found.step, found.groups["day"]) == ("2026-11-28_06:00:00", "28")


def test_a_mix_of_new_and_old_files_is_none(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state = reading.parse(GOOD.replace('["a"]', '["a", "b"]'), where="x").state
    made(tmp_path, "a", "b")
    before = sets.chosen(state, str, {}).files
    (tmp_path / "a").write_text("longer")
    assert "b: not written yet" in sets.chosen(state, str, before).problem
    (tmp_path / "b").write_text("longer")
    assert not sets.chosen(state, str, before).problem
    (tmp_path / "b").write_text("")
    assert sets.chosen(state, str, before).problem == "b is empty"


def test_the_fakes_recipe_is_one(tmp_path: Path):
    assert registry.named(recipe(tmp_path, "file")).stop.poll_s == pytest.approx(0.1)
