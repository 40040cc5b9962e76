"""Small calculations of the real applications, with what their packages ship, and how their results are read."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ENV = {"OMP_NUM_THREADS": "1", "GMX_MAXBACKUP": "-1"}


@dataclass(frozen=True, kw_only=True)
class App:
    """One calculation.

    Args:
        recipe: its name.
        program: which must be there.
        command: what is run.
        prepare: makes the inputs in a folder.
        result: the numbers that count, by name.
        under_way: a file, and a pattern whose appearance there says that it has come some way.
        tolerance: relative; 0: bit for bit.
    """

    recipe: str
    program: str
    command: tuple[str, ...]
    prepare: Callable[[Path], None]
    result: Callable[[Path], dict[str, float]]
    under_way: tuple[str, str]
    tolerance: float = 0.0


def run(folder: Path, *command: str, text: str = "") -> str:
    env = {**os.environ, **ENV}
    done = subprocess.run(command, cwd=folder, input=text, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


MDP = """integrator = md
nsteps = 24000
dt = 0.002
nstlog = 1000
nstenergy = 1000
nstxout-compressed = 1000
coulombtype = reaction-field
rcoulomb = 0.8
rvdw = 0.8
tcoupl = v-rescale
tc-grps = System
tau-t = 0.5
ref-t = 300
gen-vel = yes
gen-seed = 7
ld-seed = 7
constraint-algorithm = lincs
"""
TOP = """#include "oplsaa.ff/forcefield.itp"
#include "oplsaa.ff/spc.itp"
[ system ]
water
[ molecules ]
"""


def gromacs(folder: Path) -> None:
    (folder / "md.mdp").write_text(MDP)
    (folder / "topol.top").write_text(TOP)
    run(folder, "gmx", "solvate", "-cs", "spc216.gro", "-box", "1.86", "1.86", "1.86", "-o", "w.gro", "-p", "topol.top")
    run(folder, "gmx", "grompp", "-f", "md.mdp", "-c", "w.gro", "-p", "topol.top", "-o", "run.tpr", "-maxwarn", "2")


def gromacs_result(folder: Path) -> dict[str, float]:
    run(folder, "gmx", "energy", "-f", "run.edr", "-o", "e.xvg", text="Potential\nTotal-Energy\n\n")
    rows = [line.split() for line in (folder / "e.xvg").read_text().splitlines() if line[:1] not in "#@"]
    assert len({row[0] for row in rows}) == len(rows) == 25
    return {f"{name} at {row[0]}": float(row[at]) for row in rows for at, name in ((1, "potential"), (2, "total"))}


MELT = """variable outlast_resume index 0
variable outlast_stop equal is_file(outlast.stop)
units lj
atom_style atomic
if "${outlast_resume} == 0" then "include setup.lmp" else "read_restart ${outlast_restart}"
pair_style lj/cut 2.5
pair_coeff 1 1 1.0 1.0 2.5
neighbor 0.3 bin
neigh_modify every 5 delay 0 check yes
timestep 0.002
fix nve all nve
fix outlast_stop all halt 20 v_outlast_stop > 0 error soft
thermo 1000
thermo_modify format float %.15g flush yes
restart 1000 a.rst b.rst
run 80000 upto
write_restart last.rst
if "$(step) >= 80000" then "shell touch outlast.done"
"""
SETUP = """lattice fcc 0.8442
region box block 0 5 0 5 0 5
create_box 1 box
create_atoms 1 box
mass 1 1.0
velocity all create 1.44 87287
"""


def lammps(folder: Path) -> None:
    (folder / "in.melt").write_text(MELT)
    (folder / "setup.lmp").write_text(SETUP)


def lammps_rows(path: Path) -> dict[int, list[float]]:
    rows = [line.split() for line in path.read_text().splitlines()]
    return {int(row[0]): [float(one) for one in row[1:]] for row in rows if len(row) == 6 and row[0].isdigit()}


def lammps_result(folder: Path) -> dict[str, float]:
    """All rows' energies; the first row after the restart is compared as a whole: the chaos has had no time yet."""
    last, rows = lammps_rows(folder / "log.lammps"), {}
    for path in sorted(folder.glob("*log.lammps"), reverse=True):
        rows |= lammps_rows(path)
    if len(last) < len(rows):
        expected = lammps_rows(folder.parent / "undisturbed" / "log.lammps")
        step = next(step for step in last if step % 1000 == 0)
        assert last[step] == pytest.approx(expected[step], rel=1e-6, abs=1e-12)
    return {f"total at {step}": row[3] for step, row in sorted(rows.items()) if step % 1000 == 0}


def snakemake(folder: Path) -> None:
    (folder / "Snakefile").write_text(
        'rule all:\n    input: "sum"\n'
        'rule part:\n    output: "part-{n}"\n    shell: "sleep 0.7; echo $(({wildcards.n} * 7)) > {output}; '
        'echo {wildcards.n} >> ran"\n'
        'rule sum:\n    input: expand("part-{n}", n=range(8))\n    output: "sum"\n    shell: "cat {input} > {output}"\n'
    )


def snakemake_result(folder: Path) -> dict[str, float]:
    ran = (folder / "ran").read_text().split()
    assert len(ran) in (8, 9), ran  # at most the one that ran at the stop is made again
    return {f"row {at}": float(row) for at, row in enumerate((folder / "sum").read_text().split())}


WATER = """&GLOBAL
  PROJECT water
  RUN_TYPE MD
  PRINT_LEVEL LOW
&END GLOBAL
&FORCE_EVAL
  METHOD Quickstep
  &DFT
    BASIS_SET_FILE_NAME BASIS_MOLOPT
    POTENTIAL_FILE_NAME GTH_POTENTIALS
    &MGRID
      CUTOFF 100
    &END MGRID
    &SCF
      EPS_SCF 1.0E-7
      SCF_GUESS RESTART
    &END SCF
    &XC
      &XC_FUNCTIONAL PADE
      &END XC_FUNCTIONAL
    &END XC
  &END DFT
  &SUBSYS
    &CELL
      ABC 5.0 5.0 5.0
    &END CELL
    &COORD
      O 0.000000 0.000000 -0.065587
      H 0.000000 -0.757136 0.520545
      H 0.000000 0.757136 0.520545
    &END COORD
    &KIND H
      BASIS_SET SZV-MOLOPT-GTH
      POTENTIAL GTH-PADE-q1
    &END KIND
    &KIND O
      BASIS_SET SZV-MOLOPT-GTH
      POTENTIAL GTH-PADE-q6
    &END KIND
  &END SUBSYS
&END FORCE_EVAL
&MOTION
  &MD
    ENSEMBLE NVE
    STEPS 24
    TIMESTEP 0.5
  &END MD
  &PRINT
    &RESTART
      &EACH
        MD 1
      &END EACH
    &END RESTART
  &END PRINT
&END MOTION
"""


def cp2k(folder: Path) -> None:
    (folder / "water.inp").write_text(WATER)


def cp2k_result(folder: Path) -> dict[str, float]:
    rows = [line.split() for line in (folder / "water-1.ener").read_text().splitlines()]
    last = next(row for row in rows if row[0] == "24")
    return {"potential": float(last[4]), "conserved": float(last[5])}


SILICON = """&CONTROL
  calculation = 'scf'
  prefix = 'si'
  outdir = './out'
  pseudo_dir = '/usr/share/espresso/pseudo'
/
&SYSTEM
  ibrav = 2, celldm(1) = 10.2, nat = 2, ntyp = 1, ecutwfc = 24.0
/
&ELECTRONS
  conv_thr = 1.0d-11, mixing_beta = 0.1, electron_maxstep = 500
/
ATOMIC_SPECIES
 Si 28.086 Si.pz-vbc.UPF
ATOMIC_POSITIONS alat
 Si 0.00 0.00 0.00
 Si 0.25 0.25 0.25
K_POINTS automatic
 8 8 8 1 1 1
"""


def espresso(folder: Path) -> None:
    (folder / "si.in").write_text(SILICON)


def espresso_result(folder: Path) -> dict[str, float]:
    return {
        "total": float(re.findall(r"^! +total energy += +(\S+) Ry", (folder / "said").read_text(), re.MULTILINE)[-1])
    }


APPS = {
    one.recipe: one
    for one in (
        App(
            recipe="gromacs",
            program="gmx",
            command=("gmx", "mdrun", "-deffnm", "run", "-nt", "1", "-reprod"),
            prepare=gromacs,
            result=gromacs_result,
            under_way=("run.log", r"\n +2000 +4\.0"),
        ),
        App(
            recipe="lammps",
            program="lmp",
            command=("lmp", "-in", "in.melt"),
            prepare=lammps,
            result=lammps_result,
            under_way=("log.lammps", r"\n +5000 "),
            tolerance=2e-3,  # the neighbour list is built anew; energy is conserved so far
        ),
        App(
            recipe="snakemake",
            program="snakemake",
            command=("snakemake", "-c1"),
            prepare=snakemake,
            result=snakemake_result,
            under_way=("ran", r"(.*\n){2}"),
        ),
        App(
            recipe="cp2k",
            program="cp2k",
            command=("cp2k", "-i", "water.inp"),
            prepare=cp2k,
            result=cp2k_result,
            under_way=("water-1.ener", r"\n +4 "),
            tolerance=1e-6,
        ),
        App(
            recipe="quantum-espresso",
            program="pw.x",
            command=("pw.x", "-i", "si.in"),
            prepare=espresso,
            result=espresso_result,
            under_way=("said", r"iteration # +3"),
            tolerance=1e-8,
        ),
    )
}


def is_under_way(app: App, folder: Path) -> bool:
    path = folder / app.under_way[0]
    return path.exists() and re.search(app.under_way[1], path.read_text(errors="replace")) is not None
