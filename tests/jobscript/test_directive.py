"""Directives: which count, what they say, and how missing ones are added."""

import pytest

from outlast.errors import UsageError
from outlast.jobscript import Directive, directives, with_directives


def said(text):
    return [(one.line, one.name, one.value) for one in directives(text)]


def test_all_of_it():
    text = "#!/bin/bash\n\n#SBATCH --time=8:00:00\n# a comment\n#SBATCH -p gpu\nsrun x\n#SBATCH --mem=1G\n"
    assert directives(text) == (
        Directive(line=3, system="slurm", name="time", value="8:00:00"),
        Directive(line=5, system="slurm", name="partition", value="gpu"),
    )


@pytest.mark.parametrize(
    ("rest", "options"),
    [
        ("--signal=B:USR1@180", [("signal", "B:USR1@180")]),
        ("--signal B:USR1@180", [("signal", "B:USR1@180")]),
        ("-t10 -n 4 -J name", [("time", "10"), ("ntasks", "4"), ("job-name", "name")]),
        ("--requeue --open-mode append", [("requeue", None), ("open-mode", "append")]),
        ("--exclusive --mem=4G", [("exclusive", None), ("mem", "4G")]),
        ("--exclusive=user", [("exclusive", "user")]),
        ("-H -k -p a", [("hold", None), ("no-kill", None), ("partition", "a")]),
        ("--job-name='two words' -o \"a b.out\"", [("job-name", "two words"), ("output", "a b.out")]),
        ("-J a\\b --comment='c\\\\d'", [("job-name", "ab"), ("comment", "c\\d")]),
        ("-J a#b -n 2", [("job-name", "a")]),
        ("-J=a", [("job-name", "=a")]),
        ("--time=1 # --mem=4G", [("time", "1")]),
        ("--open=append --part=x", [("open-mode", "append"), ("partition", "x")]),
        ("--job-name=a=b", [("job-name", "a=b")]),
        ("-J don't -n 1", [("job-name", "dont -n 1")]),
        ("", []),
        ("--comment=", [("comment", "")]),
        ("-d afterok:1", [("dependency", "afterok:1")]),
        ("--array=1-3 train.py", [("array", "1-3")]),
    ],
)
def test_options(rest, options):
    assert said(f"#!/bin/sh\n#SBATCH {rest}\n") == [(2, *one) for one in options]


@pytest.mark.parametrize("line", ["##SBATCH -n 1", " #SBATCH -n 1", "#SBATCHX -n 1", "# SBATCH -n 1", "#sbatch -n 1"])
def test_what_slurm_takes_for_a_comment(line):
    assert said(f"#!/bin/sh\n{line}\n#SBATCH -N 2\n") == [(3, "nodes", "2")]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("#PBS -l walltime=1:00", ("pbs", "l", "walltime=1:00")),
        ("#BSUB -W 60", ("lsf", "W", "60")),
        ("#$ -notify", ("sge", "notify", None)),
        ("#flux: --time-limit=1h", ("flux", "time-limit=1h", None)),
    ],
)
def test_other_systems(line, expected):
    assert [(one.system, one.name, one.value) for one in directives(f"{line}\n")] == [expected]


def test_lines_of_dos():
    assert said("#!/bin/sh\r\n#SBATCH --time=1\r\n\r\nsrun x\r\n") == [(2, "time", "1")]


WANTED = {"signal": "B:USR1@180", "requeue": None, "open-mode": "append"}
ADDED = "#SBATCH --signal=B:USR1@180\n#SBATCH --requeue\n#SBATCH --open-mode=append\n"


@pytest.mark.parametrize(
    ("before", "behind"),
    [
        ("#!/bin/bash\n#SBATCH -p a\n", "# more\nsrun x\n#SBATCH -n 1\n"),
        ("#!/bin/bash\n", "srun x\n"),
        ("#!/bin/bash\n# words\n\n#SBATCH -p a\n", "\n\nsrun x"),
        ("", "srun x\n"),
        ("#!/bin/bash\n", ""),
    ],
)
def test_what_is_missing_stands_behind_what_is_there(before, behind):
    assert with_directives(before + behind, WANTED) == before + ADDED + behind


def test_a_last_line_without_an_end():
    assert (
        with_directives("#!/bin/sh\n#SBATCH -n 1", {"requeue": None}) == "#!/bin/sh\n#SBATCH -n 1\n#SBATCH --requeue\n"
    )


@pytest.mark.parametrize("there", ["--requeue", "--no-requeue"])
def test_what_is_said_stays(there):
    text = f"#!/bin/sh\n#SBATCH {there} --open-mode=truncate --signal=TERM\n"
    assert with_directives(text, WANTED) == text


def test_those_of_another_system_say_nothing():
    assert with_directives("#BSUB -requeue\nx\n", {"requeue": None}) == "#BSUB -requeue\n#SBATCH --requeue\nx\n"


def test_lines_of_dos_stay_such():
    assert with_directives("#!/bin/sh\r\nx\r\n", {"requeue": None}) == "#!/bin/sh\r\n#SBATCH --requeue\r\nx\r\n"


@pytest.mark.parametrize("value", ["a b", "it's", 'a "b" $(c)', "a#b", "back\\slash", "\u00fc", "a=b"])
def test_any_value_comes_back(value):
    text = with_directives("#!/bin/sh\nx\n", {"job-name": value})
    assert said(text) == [(2, "job-name", value)]


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b"])
def test_a_value_that_is_no_line_is_refused(value):
    with pytest.raises(UsageError, match="cannot stand in a directive"):
        with_directives("#!/bin/sh\nx\n", {"job-name": value})
