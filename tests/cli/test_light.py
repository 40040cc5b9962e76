"""The command line starts quickly: it imports little. Modules are judged, times are only told (see -rP)."""

import json
import os
import subprocess
import sys

import pytest

REPORT = """
import json, os, resource, sys
before = set(sys.modules)
from outlast.cli.main import main
try:
    status = main(sys.argv[1:])
except SystemExit as e:
    status = e.code
used = resource.getrusage(resource.RUSAGE_SELF)
with os.fdopen(int(os.environ["REPORT_FD"]), "w") as file:
    json.dump({"status": status, "new": sorted(set(sys.modules) - before), "all": sorted(sys.modules),
               "cpu_s": used.ru_utime + used.ru_stime}, file)
"""
HEAVY = {
    "asyncio", "concurrent", "email", "http", "importlib.metadata", "logging", "multiprocessing", "numpy",
    "pkgutil", "psutil", "pydoc", "sklearn", "socketserver", "ssl", "subprocess", "tabulate", "torch", "tqdm",
    "unittest", "urllib", "xml", "zipfile",
}  # fmt: skip


@pytest.fixture
def measured(monkeypatch, capfd):
    """Run the command line in a process of its own; return what it imported."""

    def do(*arguments):
        read, write = os.pipe()
        monkeypatch.setenv("REPORT_FD", str(write))
        command = [sys.executable, "-c", REPORT, *map(str, arguments)]
        done = subprocess.run(command, pass_fds=[write], capture_output=True, text=True, check=True)
        os.close(write)
        with os.fdopen(read) as file:
            report = json.load(file)
        assert report["status"] == 0, done.stderr
        print(f"outlast {arguments[0]}: {len(report['new'])} modules, {report['cpu_s']:.3f} s of CPU time in all")
        return report

    return do


def heavy(report):
    return [name for name in report["new"] if any(name == h or name.startswith(f"{h}.") for h in HEAVY)]


def test_help(measured):
    report = measured("--help")
    assert heavy(report) == []
    assert [n for n in report["new"] if n.startswith("outlast.")] == [
        "outlast.cli",
        "outlast.cli.arguments",
        "outlast.cli.main",
        "outlast.cli.verbs",
        "outlast.errors",
        "outlast.terminal",
        "outlast.version",
    ]
    assert len(report["new"]) < 70


def test_ls(measured, plain):
    report = measured("ls", plain)
    assert heavy(report) == []
    for layer in ("capture", "run", "supervise", "demo", "testing"):
        assert f"outlast.{layer}" not in report["new"]
    assert len(report["new"]) < 150


def test_run(measured):
    """It knows of no store, and so imports none; nor what other verbs need."""
    report = measured("run", "--", "true")
    assert set(heavy(report)) == {"subprocess"}
    for part in ("capture", "run", "store", "format.manifest", "backends.posix", "supervise.courier", "cli.drill"):
        assert f"outlast.{part}" not in report["new"]
    assert len(report["new"]) < 150


def test_run_with_a_store(measured, tmp_path):
    """What writes is imported when the program has saved files."""
    report = measured("run", "--store", tmp_path / "new", "--", "true")
    assert set(heavy(report)) == {"subprocess"}
    for part in ("capture", "run", "store.commit", "store.prune", "supervise.custody"):
        assert f"outlast.{part}" not in report["new"]
    assert len(report["new"]) < 180


@pytest.mark.parametrize("verb", ["status", "timeline", "verify", "show"])
def test_the_other_readers(measured, plain, verb):
    report = measured(verb, plain)
    assert heavy(report) == []
    assert "outlast.capture" not in report["new"]


def test_importing_outlast_imports_nearly_nothing():
    """What a name needs is imported when the name is used."""
    code = "import sys; before = set(sys.modules); import outlast; print(*sorted(set(sys.modules) - before))"
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"]
    new = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert [name for name in new if name.startswith("outlast")] == ["outlast", "outlast.version"]
    assert "typing" not in new
    assert len(new) < 10


def test_importing_outlast_imports_no_framework():
    code = (
        "import sys, outlast; outlast.Run, outlast.Store, outlast.RNG;"
        "print([n for n in ('numpy', 'torch', 'sklearn', 'psutil', 'tqdm', 'asyncio')"
        " if n in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"
