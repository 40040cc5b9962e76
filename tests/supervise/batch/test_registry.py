from importlib.metadata import EntryPoint

import pytest

from outlast.errors import UsageError
from outlast.supervise import batch
from outlast.supervise.batch import registry

GIVEN = {
    "flux": "outlast.supervise.batch.flux:Flux",
    "local": "outlast.supervise.batch.local:Local",
    "slurm": "outlast.supervise.batch.slurm:Slurm",
}


@pytest.fixture(autouse=True)
def given(monkeypatch):
    points = [EntryPoint(name=name, value=value, group=registry.GROUP) for name, value in GIVEN.items()]
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group == registry.GROUP else [])


def test_a_system_is_found_by_its_name():
    assert batch.named("slurm").name == "slurm"
    with pytest.raises(UsageError, match="no batch system 'loadleveler'") as error:
        batch.named("loadleveler")
    assert "flux, local, slurm" in error.value.hint


def test_a_system_is_found_by_the_environment_of_its_jobs():
    system, job = batch.find({"SLURM_JOB_ID": "7"})
    assert (system.name, job.id) == ("slurm", "7")
    assert batch.find({"HOME": "/"}) is None


def test_local_comes_last():
    """Its variable goes along into the jobs that its jobs submit."""
    system, _ = batch.find({"OUTLAST_LOCAL_JOB": "11", "SLURM_JOB_ID": "7"})
    assert system.name == "slurm"


@pytest.mark.parametrize("value", ["nowhere.at.all:System", "outlast.supervise.batch.slurm:Nothing"])
def test_a_broken_package_of_somebody_else_ends_nothing(monkeypatch, value):
    points = [EntryPoint(name=name, value=value, group=registry.GROUP) for name, value in GIVEN.items()]
    points.insert(0, EntryPoint(name="cray", value=value, group=registry.GROUP))
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    system, _ = batch.find({"SLURM_JOB_ID": "7"})
    assert system.name == "slurm"
    with pytest.raises(UsageError, match="the batch system 'cray' cannot be loaded: ") as error:
        batch.named("cray")
    assert "install the package" in error.value.hint
