"""One cluster for all tests that need Slurm. With several workers they all run in one: tests/conftest.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from slurm.cluster import Cluster, problem

_HERE = Path(__file__).parent
_CLUSTER = pytest.StashKey[Cluster]()


@pytest.fixture(scope="session")
def _cluster(request, tmp_path_factory):
    missing = problem()
    if missing:
        pytest.skip(f"a Slurm of our own needs {missing}")
    with Cluster(tmp_path_factory.mktemp("slurm")) as made:
        request.config.stash[_CLUSTER] = made
        yield made
        del request.config.stash[_CLUSTER]


@pytest.fixture
def cluster(_cluster):
    """The cluster, with no job in it and all nodes idle."""
    before = _cluster.settings
    yield _cluster
    if _cluster.settings != before:
        _cluster.configure(before)
    _cluster.clear()


@pytest.fixture
def folder(cluster, request):
    """A folder of the user's on the storage that all nodes share."""
    return cluster.make_folder(request.node.name.replace("[", "-").rstrip("]"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    made = item.config.stash.get(_CLUSTER, None)
    if report.failed and made and item.path.is_relative_to(_HERE):
        report.sections.append(("Slurm", made.logs(item.funcargs.get("folder"))))
    return report
