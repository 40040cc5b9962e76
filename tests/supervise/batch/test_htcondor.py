import json
import re
import subprocess

import pytest

from outlast.errors import UsageError
from outlast.supervise.batch import Order, Refused, Unreachable
from outlast.supervise.batch.client import Answer
from outlast.supervise.batch.htcondor import HTCondor
from outlast.testing import FakeClock
from outlast.testing.schedulers import NASTY, Recorded, SchedulerContract
from supervise.batch.records import FOLDER, complained, said

ENV = {"_CONDOR_JOB_AD": str(FOLDER / "htcondor" / "job.ad.txt")}
ANSWERS = {"condor_q 27013.0": said("htcondor/condor_q"), "condor_submit": said("htcondor/condor_submit")}
STARTED = 1_700_001_000.0
TOLD = {"command": ["outlast", "run"], "options": [], "name": "a run", "store": "/s", "lead_s": 60.0}


def condor(answers=ANSWERS, env=ENV, after_s=60.0):
    return HTCondor(Recorded(answers), FakeClock(epoch_s=STARTED + after_s), env)


def description(text):
    """Read a submit description as HTCondor does."""
    fields = dict(re.findall(r"^(\+?\w+) = (.*)$", text, re.MULTILINE))
    macros = {"DOLLAR": "$", "ClusterId": "27013", "ProcId": "0"}  # others are empty
    return {name: re.sub(r"\$\(([^()]*)\)", lambda m: macros.get(m[1], ""), value) for name, value in fields.items()}


def arguments(text):
    """Split `arguments` by its newer rules: within the double quotes, words in single ones, each quote doubled."""
    assert text[0] == text[-1] == '"'
    assert '"' not in text[1:-1].replace('""', "")
    words = re.findall(r"'((?:[^']|'')*)'(?: |$)", text[1:-1].replace('""', '"'))
    return [word.replace("''", "'") for word in words]


class TestContract(SchedulerContract):
    env, answers, leaving = ENV, ANSWERS, True
    job, deadline, waiting, new = "27013.0", STARTED + 7200, None, "27014"
    options = ("request_memory = 4GB", '+Project = "it\'s $(mine)"')
    words = tuple(word for word in NASTY if "\n" not in word)  # no description can hold a line break

    def make(self, ask):
        return HTCondor(ask, FakeClock(epoch_s=STARTED), ENV)

    def start(self, script):
        fields = description(script.read_text())
        command = [fields["executable"], *arguments(fields["arguments"])]
        subprocess.run(command, cwd=script.parent, check=True, timeout=60)


def test_what_the_node_was_told():
    job = condor().find(ENV)
    assert (job.restarts, job.task, job.folder) == (2, "", "/scratch/alice/run")


def test_one_of_many(tmp_path):
    text = said("htcondor/job.ad").text.replace("TotalSubmitProcs = 1", "TotalSubmitProcs = 9")
    (tmp_path / "ad").write_text(text)
    assert condor().find({"_CONDOR_JOB_AD": str(tmp_path / "ad")}).task == "0"


def test_without_limits_there_is_no_deadline():
    text = "ClusterId = 27013\nProcId = 0\nJobStatus = 2\nJobCurrentStartDate = 1700001000\n"
    assert condor({"condor_q": Answer(status=0, text=text)}).see(condor().find(ENV)).deadline is None


def test_a_limit_that_is_over_was_none_of_this_start():
    assert condor(after_s=7200.0).see(condor().find(ENV)).deadline is None


def test_a_held_job_is_not_wanted():
    assert condor({"condor_q": said("htcondor/condor_q-held")}).see(condor().find(ENV)).cancelled


def test_an_idle_job_was_put_back():
    text = said("htcondor/condor_q").text.replace("JobStatus = 2", "JobStatus = 1")
    assert condor({"condor_q": Answer(status=0, text=text)}).see(condor().find(ENV)).requeued
    assert not condor().see(condor().find(ENV)).requeued


def test_another_job_is_not_ours():
    text = said("htcondor/condor_q").text.replace("27013", "27014")
    with pytest.raises(Unreachable):
        condor({"condor_q": Answer(status=0, text=text)}).see(condor().find(ENV))


def test_leaving_with_85_is_enough_if_it_was_submitted_so(tmp_path):
    job = condor().find(ENV)
    condor().requeue(job)
    (tmp_path / "ad").write_text(said("htcondor/job.ad").text.replace("CheckpointExitCode = 85\n", ""))
    with pytest.raises(Refused, match="checkpoint_exit_code = 85"):
        condor(env={"_CONDOR_JOB_AD": str(tmp_path / "ad")}).requeue(job)


def test_the_number_is_the_clusters():
    assert condor({"condor_submit": said("htcondor/condor_submit-many")}).submit("/a/job.sub") == "27014"


@pytest.mark.parametrize(("answer", "error"), [("refused", Refused), ("unreachable", Unreachable)])
def test_a_job_that_is_not_taken(answer, error):
    with pytest.raises(error):
        condor({"condor_submit": complained(f"htcondor/condor_submit-{answer}")}).submit("/a/job.sub")


def test_its_description():
    text = condor().script(Order(**{**TOLD, "options": ["kill_sig = SIGINT"], "notes": ["made by outlast"]}))
    fields = description(text)
    assert text.startswith("# made by outlast\n")
    assert text.endswith("\nqueue\n")
    assert (fields["executable"], fields["kill_sig"]) == ("/usr/bin/env", "SIGINT")
    assert arguments(fields["arguments"]) == ["outlast", "run"]
    assert (fields["checkpoint_exit_code"], fields["job_max_vacate_time"]) == ("85", "60")
    assert fields["output"] == "/s/jobs/27013.0.out"
    assert text.count("kill_sig") == 1


@pytest.mark.parametrize(
    "changed",
    [{"time_s": 3600.0}, {"options": ["-name", "schedd"]}, {"options": ["a = b\\"]}, {"command": ["a\nb"]}],
    ids=json.dumps,
)
def test_what_it_does_not_have_is_refused_with_a_way_out(changed):
    with pytest.raises(UsageError) as error:
        condor().script(Order(**{**TOLD, **changed}))
    assert error.value.hint
