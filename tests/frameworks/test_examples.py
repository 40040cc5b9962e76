"""Each framework's example, killed and told to leave at random boundaries: bit-identical in the end."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from frameworks.kit import KILLS, ROOT, Program, Zygote, check, said, wound

EXAMPLES = ROOT / "examples"
_OURS = "outlast.integrations"
PROGRAMS = {  # the boundaries of an undisturbed run, and what its process imports
    "keras": (120, ["keras", "sklearn.datasets", f"{_OURS}.keras"]),
    "tensorflow": (60, ["tensorflow", "sklearn.datasets"]),
    "jax": (80, ["flax.nnx", "optax", "sklearn.datasets"]),
    "sklearn": (80, ["sklearn.cluster", "sklearn.decomposition", "sklearn.linear_model", "sklearn.datasets"]),
    "numpy-pde": (200, []),
    "numpy-monte-carlo": (208, []),
    "scipy-ode": (227, ["scipy.integrate"]),
    "scipy-optimize": (150, ["scipy.integrate", "scipy.optimize", f"{_OURS}.scipy"]),
}


def needs(*names: str) -> None:
    for name in names:
        if importlib.util.find_spec(name.partition(".")[0]) is None:
            pytest.skip(f"{name} is not installed here: pip install {name}")


def program(name: str, script: str = "train.py", **environment: str) -> Program:
    imports = PROGRAMS[name][1]
    needs(*imports)
    return Program(script=EXAMPLES / name / script, imports=imports, environment=environment)


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "keras"])
def test_an_example(zygote: Zygote, tmp_path: Path, name: str) -> None:
    iterators = "batches" if name == "tensorflow" else ""  # tf.data writes how far it has prefetched: by the clock
    check(zygote, program(name), tmp_path, boundaries=PROGRAMS[name][0], passed_over=iterators)


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_keras(zygote: Zygote, tmp_path: Path, backend: str) -> None:
    needs(backend)
    check(zygote, program("keras", KERAS_BACKEND=backend), tmp_path, boundaries=PROGRAMS["keras"][0])


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_search(zygote: Zygote, tmp_path: Path, jobs: str) -> None:
    needs("sklearn")
    search = Program(
        script=EXAMPLES / "sklearn" / "search.py",
        imports=["sklearn.svm", f"{_OURS}.sklearn"],
        environment={"JOBS": jobs},
    )
    kills = KILLS if jobs == "1" else (KILLS + 1) // 2  # each attempt starts workers, which import all anew
    check(zygote, search, tmp_path, boundaries=32, kills=kills, passed_over="results/wall_times")


def test_orbax(zygote: Zygote, tmp_path: Path) -> None:
    needs("orbax", "jax", "optax")
    script = Program(
        script=EXAMPLES / "jax" / "orbax_train.py", imports=["orbax.checkpoint", "optax", f"{_OURS}.orbax"]
    )
    quiet, wounded = tmp_path / "quiet", tmp_path / "wounded"
    assert zygote.attempt(script, quiet) == 0, said(quiet)
    wound(zygote, script, wounded, boundaries=60, seed=3)
    assert said(quiet).splitlines()[-1].startswith("sum of weights")
    assert said(wounded).splitlines()[-1] == said(quiet).splitlines()[-1]
    assert "leaving" in said(wounded)
    assert os.listdir(wounded)


def test_the_preemption_handler_of_tensorflow(zygote: Zygote, tmp_path: Path) -> None:
    needs("tensorflow")
    script = Program(script=Path(__file__).with_name("preemption_handler.py"), imports=["tensorflow"])
    store = tmp_path / "store"
    assert zygote.attempt(script, store) == 85, said(store)
    assert zygote.attempt(script, store) == 0, said(store)
    began = [int(line.split()[1]) for line in said(store).splitlines() if line.startswith("from ")]
    assert began[0] == 0
    assert 20 <= began[1] < 1000
    assert "done 1000" in said(store)
