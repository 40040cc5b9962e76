"""What is handed through into a container; on a real one: tests/containers."""

import pytest

from outlast.supervise.containers import passed


@pytest.fixture
def control(tmp_path):
    folder = tmp_path / "control"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(("program", "prefix"), [("apptainer", "APPTAINER"), ("/opt/bin/singularity", "SINGULARITY")])
def test_our_variables_and_folders_go_through(control, program, prefix):
    env = {"OUTLAST_CONTROL": str(control), "OUTLAST_STORE": "/s", "SECRET": "x"}
    assert passed([program, "exec", "i.sif", "python"], env, [str(control)]) == {
        f"{prefix}ENV_OUTLAST_CONTROL": str(control),
        f"{prefix}ENV_OUTLAST_STORE": "/s",
        f"{prefix}_BIND": str(control),
    }


def test_what_the_user_binds_stays_bound(control):
    found = passed(["apptainer", "exec"], {"APPTAINER_BIND": "/data:/d"}, [str(control), str(control)])
    assert found["APPTAINER_BIND"] == f"/data:/d,{control}"


def test_of_a_store_to_be_made_its_folder_is_bound(tmp_path):
    assert passed(["apptainer"], {}, [str(tmp_path / "store")]) == {"APPTAINER_BIND": str(tmp_path)}


def test_what_a_bind_cannot_name_and_what_has_no_folder_is_left_out(tmp_path):
    strange = tmp_path / "a,b"
    strange.mkdir()
    assert passed(["apptainer"], {}, [str(strange), str(tmp_path / "no" / "store")]) == {"APPTAINER_BIND": ""}


@pytest.mark.parametrize(
    "command",
    [
        ["python", "train.py"],
        ["srun", "apptainer", "exec", "i.sif"],
        ["mpirun", "-n", "4", "apptainer", "exec"],
        [b"\xff"],
    ],
)
def test_nothing_is_added_elsewhere(control, command):
    """Of a launcher's other nodes it is not known what they have: binding what is missing there ends the program."""
    assert passed(command, {"OUTLAST_CONTROL": str(control)}, [str(control)]) == {}


def test_time_and_the_like_before_it_do_no_harm(control):
    assert "APPTAINER_BIND" in passed(["time", "env", "A=1", b"apptainer", "exec"], {}, [str(control)])
