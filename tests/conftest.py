"""In CI nothing is skipped: there a missing component is a failure (OUTLAST_TEST_ALL=1, set by `.ci/run`)."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

# With it a line and its end are written apart: a kill comes between them, and two lines are one. Users seldom have it.
os.environ.pop("PYTHONUNBUFFERED", None)
# In a job of a batch system what the tests start would have that very job put back; behind a script's `&` Ctrl-C is
# ignored.
for _name in [name for name in os.environ if name.startswith(("SLURM_", "PBS_", "LSB_", "SGE_", "FLUX_"))]:
    del os.environ[_name]
os.environ.pop("JOB_ID", None)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_TOGETHER = ("tests/slurm/", "tests/sge/", "tests/frameworks/")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)


def pytest_pycollect_makemodule(module_path: Path) -> None:
    """No test asserts a time, nor does Hypothesis: a loaded machine must not fail it. It is loaded where it is used."""
    if b"hypothesis" in module_path.read_bytes():
        from hypothesis import HealthCheck, settings

        settings.register_profile("outlast", deadline=None, suppress_health_check=[HealthCheck.too_slow])
        settings.load_profile("outlast")


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Give every test the signals as the one before found them: a run that was told to leave keeps them to its end."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    yield
    for number, handler in before.items():
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give the workers a test at a time, but one of them all that need Slurm: they share a cluster, and mostly wait.

    So it is with Grid Engine.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return next((folder for folder in _TOGETHER if nodeid.startswith(folder)), nodeid)

    return Scheduling(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.skipped and os.environ.get("OUTLAST_TEST_ALL"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, which CI does not allow: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    if report.skipped and os.environ.get("OUTLAST_TEST_ALL"):  # a whole module, before it has any test
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} was skipped, which CI does not allow: {report.longrepr}"
    return report
