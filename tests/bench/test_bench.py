"""The bench takes every figure that it promises, tells what is missing, and believes no peer. Times are not judged."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bench import files, limits, memory, peers, plan, ratios, states, steps, table

ROOT = Path(__file__).parents[2]
PEERS = ("outlast", "torch", "safetensors", "numpy", "pickle")
WITHOUT_FIO = os.environ | {"PATH": ""}  # it takes long; it is tried below
TINY = ("--quick", "--scale", "0.0001", "--stretch-s", "0.02", "--rounds", "1")


def bench(folder, *options):
    command = [sys.executable, "-m", "bench", *TINY, "--folder", folder, "--json", folder / "figures.json", *options]
    said = subprocess.run(
        command, cwd=ROOT, env=WITHOUT_FIO, capture_output=True, text=True, timeout=280, check=True
    ).stdout
    return said, json.loads((folder / "figures.json").read_text())


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    said, results = bench(folder, "--states", "M", "--loops", "stencil", "--peers", *PEERS)
    assert [entry.name for entry in folder.iterdir()] == ["figures.json"]  # what was saved is removed
    return said, results


def rows(said, heading):
    """Return the cells of the first table below `heading` by their first one."""
    lines = said[said.index(heading) :].splitlines()[1:]
    start = next(index for index, line in enumerate(lines) if line.startswith("|"))
    found = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            return found
        name, *values = (cell.strip() for cell in line.strip("|").split("|"))
        found[name] = values
    return found


def test_each_peer_has_each_figure(quick):
    said, results = quick
    assert all("figures" in cell for cell in results["cells"]), results["cells"]
    for heading in ("## M:", "## Loops"):
        assert list(rows(said, heading)) == list(PEERS)
        assert all(table._UNKNOWN not in values for values in rows(said, heading).values()), said


def test_the_goals_are_judged(quick):
    said, _ = quick
    judged = {name: values[3] for name, values in rows(said, "## Figures").items()}
    assert set(judged) == {goal.says for goal in table.GOALS if {"M", "stencil", ""} & set(goal.states)}
    assert set(judged.values()) <= {"yes", "**no**"}
    assert judged["files"] == "yes"


def test_the_page_names_neither_folders_nor_host(quick):
    said, results = quick
    assert "bench0" not in said
    assert str(ROOT) not in json.dumps(results)


def test_what_does_not_end_is_told(tmp_path):
    said, results = bench(tmp_path, "--states", "M", "--loops", "stencil", "--peers", "numpy", "--limit-s", "0.01")
    assert all("failed" in cell for cell in results["cells"])
    assert said.count("- numpy: ") == 2
    assert "- limits: limits failed: not done after" in said


def test_an_unknown_name_is_refused():
    command = [sys.executable, "-m", "bench", "--states", "X"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stderr == "X: expected some of S, L, M, N, F, W\n"


# -- who is believed -----------------------------------------------------------------------------------------------


def cell(kind, figures, *, peer="numpy", number=0, state="M"):
    return {"kind": kind, "state": state, "peer": peer, "round": number, "figures": figures}


@pytest.mark.parametrize(("cold", "warm", "is_good"), [("a", "a", True), ("b", "a", False), ("a", "b", False)])
def test_other_contents_take_the_figures_away(cold, warm, is_good):
    judged = plan._judged(cell("restore", {"digest": cold, "warm_digest": warm}), "a")
    assert ("figures" in judged) == is_good
    assert is_good or judged["failed"] == "what was restored is not what was saved"


def test_a_missing_package_is_told():
    missing = {"kind": "save", "state": "M", "peer": "zarr", "round": 0, "missing": "not installed: zarr"}
    found = ratios.medians([missing])
    assert found.trouble("M", "zarr") == "not installed: zarr"
    assert found.get("M", "zarr", "stall") is None


def test_ratios_are_taken_within_a_round():
    several = [
        made
        for number, (stall_s, memcpy_s) in enumerate([(1, 1), (20, 10), (300, 100)])
        for made in [cell("save", {"stall_s": stall_s, "memcpy_s": memcpy_s}, number=number)]
    ]
    assert ratios.medians(several).get("M", "numpy", "stall") == 2


def test_the_best_peer_is_the_lowest():
    several = [cell("save", {"files": count}, peer=peer) for peer, count in (("zarr", 9), ("pickle", 1), ("tf", 2))]
    assert ratios.medians(several).best("M", peers.NAMES, "files") == ("pickle", 1)


# -- what is saved ---------------------------------------------------------------------------------------------------


def test_resnet50_is_what_it_is_called():
    shapes = states.resnet50(1)
    assert len(shapes) == 589
    assert sum(4 * int(np.prod(shape)) for shape in shapes.values()) == 4 * (3 * 25_557_032 + 2 * 26_560)


@pytest.mark.parametrize("name", states.RECIPES)
def test_a_step_changes_what_it_should(name):
    state = states.build(name, 0.002)
    before = {leaf: array.copy() for leaf, array in state.arrays.items()}
    state.change()
    changed_bytes = sum((state.arrays[leaf] != array).sum() * array.itemsize for leaf, array in before.items())
    assert changed_bytes == state.changing_bytes
    share = state.changing_bytes / state.size_bytes
    assert share == 1 if name not in ("F", "W") else 0.005 < share < 0.015


@pytest.mark.parametrize("name", states.RECIPES)
def test_what_a_restart_has_differs_everywhere(name):
    saved, fresh = states.build(name, 0.002), states.blank(name, 0.002)
    assert saved.arrays.keys() == fresh.arrays.keys()
    assert all((saved.arrays[leaf] != fresh.arrays[leaf]).all() for leaf in saved.arrays)
    assert saved.digest() != fresh.digest()


# -- how it is looked at ---------------------------------------------------------------------------------------------


def test_written_bytes_and_new_files(tmp_path):
    (tmp_path / "grows").write_bytes(b"1" * 10)
    (tmp_path / "stays").write_bytes(b"1" * 10)
    before = files.listing(str(tmp_path))
    with open(tmp_path / "grows", "ab") as file:
        file.write(b"1" * 5)
    (tmp_path / "new").write_bytes(b"1" * 100)
    after = files.listing(str(tmp_path))
    assert files.written_bytes(before, after) == 105
    assert files.new_files(before, after) == 1


def test_a_file_that_replaces_another_is_new(tmp_path):
    (tmp_path / "state").write_bytes(b"1" * 10)
    before = files.listing(str(tmp_path))
    (tmp_path / "state.tmp").write_bytes(b"2" * 10)
    (tmp_path / "state.tmp").rename(tmp_path / "state")
    assert files.new_files(before, files.listing(str(tmp_path))) == 1


def test_another_name_is_no_writing_and_other_contents_are(tmp_path):
    (tmp_path / "old").write_bytes(b"1" * 10)
    (tmp_path / "spare").write_bytes(b"1" * 10)
    before = files.listing(str(tmp_path))
    (tmp_path / "old").rename(tmp_path / "spare now")
    (tmp_path / "spare").rename(tmp_path / "part")
    with open(tmp_path / "part", "r+b") as file:
        file.write(b"2" * 10)
    os.utime(tmp_path / "part", ns=(0, 0))  # on some storage two writes may come within one tick
    after = files.listing(str(tmp_path))
    assert files.written_bytes(before, after) == 10
    assert files.new_files(before, after) == 1


def test_pages_that_a_forked_child_alone_keeps_are_counted(monkeypatch):
    children, others = memory._children, memory._children()  # other tests keep processes
    monkeypatch.setattr(memory, "_children", lambda: children() - others)
    array = np.ones(8 << 20)
    base_bytes = memory.resident_bytes()
    with memory.peak() as seen, forked():
        array += 1  # the child keeps the ones
        while seen.children_bytes < 60 << 20:
            time.sleep(0.01)
    assert (60 << 20) < seen.total_bytes - base_bytes < (100 << 20)


@contextmanager
def forked():
    """A child that does nothing, and so keeps all memory as it was."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which it does not need
        child = os.fork()
    if child == 0:
        signal.pause()
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.mark.parametrize("way", [limits._by_hand, *([limits._by_fio] if limits.has_fio() else [])])
def test_limits_are_known_and_leave_nothing(tmp_path, way):
    found = way(str(tmp_path), 16 << 20)
    assert set(found) == {"write_s", "best_write_s", "over_write_s", "read_s", "best_read_s"}
    assert all(value > 0 for value in found.values())
    assert list(tmp_path.iterdir()) == []


def test_the_peak_of_memory_is_seen_after_it():
    base_bytes = memory.resident_bytes()
    with memory.peak() as seen:
        np.ones(8 << 20)
    assert (60 << 20) < seen.total_bytes - base_bytes < (100 << 20)


def test_what_adapters_add_to_a_step_is_told_as_a_row():
    pytest.importorskip("jax", reason="JAX is not installed here: pip install jax")
    command = [sys.executable, "-m", "bench.steps", "jax"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=True).stdout
    head, _, row = said.splitlines()
    assert head == "| training | its step | outlast in it | of it |"
    assert re.fullmatch(r"\| JAX, .+ \| [\d.]+ ms \| [\d]+ µs \| [\d.]+% \|", row)


def test_a_watch_takes_what_is_ours_of_a_step_and_leaves_out_the_first_epoch(monkeypatch):
    now = 0.0
    monkeypatch.setattr(steps, "time", SimpleNamespace(perf_counter=lambda: now))

    def takes(seconds):
        nonlocal now
        now += seconds

    watch = steps.Watch(2)
    of_framework, of_callback = watch.timed(takes, -1), watch.timed(takes, 1)

    def data():
        for at in range(6):
            takes(50.0 if at < 2 else 1.0)  # ours
            of_framework(7.0)
            yield at

    for _ in watch.ours(data()):
        of_callback(2.0)
        of_framework(20.0)  # nobody waits for it on our account
        watch.tick()
    assert watch.found == (30.0, 3.0)
