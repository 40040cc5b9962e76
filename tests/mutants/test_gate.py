"""The gate: every planted bug turns its tests red, and without it they are green, run in the same way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mutants.bench import PASSED, ROOT, Bench
from mutants.mutant import Mutant, texts
from mutants.planted import MUTANTS
from proof import core

LEAST = 20
IMPORT = "from __future__ import annotations"
CHUNKS = 12  # so that workers share the green run


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with core.folder() as work:
        yield Bench(work)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_it_is_caught(bench: Bench, mutant) -> None:
    with bench.planted(mutant):
        for test in mutant.red:
            outcome = bench.test([test])
            assert outcome.is_red(test), f"{mutant.name} survives {test} (status {outcome.status}):\n{outcome.output}"
        for case in mutant.proof:
            outcome = bench.prove(case)
            assert outcome.is_broken(), f"{mutant.name} survives {case} (status {outcome.status}):\n{outcome.output}"


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_the_same_tests_are_green_without_it(bench: Bench, chunk: int) -> None:
    named = sorted({test for mutant in MUTANTS for test in mutant.red})
    outcome = bench.test(named[chunk::CHUNKS])
    assert outcome.status == PASSED, outcome.output
    for case in sorted({case for mutant in MUTANTS for case in mutant.proof})[chunk::CHUNKS]:
        assert bench.prove(case).status == PASSED, case


def test_the_table_is_sound() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert len(set(names)) == len(names) >= LEAST
    for mutant in MUTANTS:
        assert mutant.red or mutant.proof, f"{mutant.name}: nothing must catch it"
        for file, text in texts(mutant, lambda file: (ROOT / "src" / "outlast" / file).read_text()).items():
            compile(text, file, "exec")  # a bug that is no Python is caught by nothing


def test_a_harmless_change_is_no_catch(bench: Bench) -> None:
    """The gate itself: what is no bug goes through it, and neither a wrong name nor broken code is taken for red."""
    test = MUTANTS[0].red[0]
    assert not bench.test([test]).is_red(test)
    assert not bench.test([f"{test}_of_no_such_name"]).is_red(test)
    with bench.planted(Mutant(name="", why="", file="units.py", old=IMPORT, new="this is no Python")):
        assert not bench.test([test]).is_red(test)
