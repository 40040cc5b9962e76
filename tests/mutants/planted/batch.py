"""Bugs of the batch systems: an answer that was none is believed, a limit is missed, a job is wrongly named."""

from __future__ import annotations

from mutants.mutant import Mutant

_AT = "supervise/batch"
_SGE, _PBS, _LSF, _FLUX = f"{_AT}/sge.py", f"{_AT}/pbs.py", f"{_AT}/lsf.py", f"{_AT}/flux.py"
_TESTS = "supervise/batch"

MUTANTS = (
    Mutant(
        name="queue-without-ourselves-believed",
        why="an empty answer of the queue has a second job submitted, and a third, without end",
        file=f"{_AT}/slurm.py",
        old="if not any(job.id in row[:2] for row in rows):",
        new="if False:",
        red=(
            f"{_TESTS}/test_slurm.py::test_a_list_without_our_own_job_is_not_believed",
            f"{_TESTS}/test_slurm.py::TestContract::test_makes_no_second_successor_on_a_useless_answer",
        ),
    ),
    Mutant(
        name="new-jobs-in-our-language",
        why="a successor runs in the language and the time zone in which the queue was asked: other results",
        file=f"{_AT}/client.py",
        old="env=None if settings is None else",
        new="env=",
        red=(f"{_TESTS}/test_pbs.py::TestContract::test_a_new_job_takes_the_environment_along_as_it_is",),
    ),
    Mutant(
        name="soft-limit-forgotten",
        why="Grid Engine kills a job that was started again at its soft limit, and the run is over",
        file=_SGE,
        old='counting = ("h_rt", "s_rt") if job.restarts else ("h_rt",)',
        new='counting = ("h_rt",)',
        red=(f"{_TESTS}/test_sge.py::test_a_job_that_was_started_again_is_killed_at_its_soft_limit",),
    ),
    Mutant(
        name="too-late-for-99",
        why="what leaves behind its hard limit is believed to be started again, and nobody goes on",
        file=_SGE,
        old="requeues=False if deadline is not None and self._clock.wall() >= deadline else None,",
        new="requeues=None,",
        red=(f"{_TESTS}/test_sge.py::test_behind_its_limit_it_is_not_put_back",),
    ),
    Mutant(
        name="a-commands-99-stays",
        why="a command that fails with 99 is started again by Grid Engine for ever",
        file=_SGE,
        old="_REQUEUE: FAILED, ",
        new="",
        red=(
            f"{_TESTS}/test_sge.py::test_a_commands_own_99_starts_nothing_again_and_100_stops_no_queue",
            f"{_TESTS}/test_sge.py::TestContract::test_status_stays_what_it_is",
        ),
    ),
    Mutant(
        name="local-before-the-batch-system",
        why="a job that a local job submitted takes itself for that one: it asks nobody, and is not put back",
        file=f"{_AT}/registry.py",
        old='sorted(known().values(), key=lambda system: system.name == "local")',
        new='sorted(known().values(), key=lambda system: system.name != "local")',
        red=(f"{_TESTS}/test_registry.py::test_local_comes_last",),
    ),
    Mutant(
        name="pbs-deleted-goes-on",
        why="a job that a person has deleted comes back as another one",
        file=_PBS,
        old="cancelled=is_ending and (deadline is None or deadline - now > _EARLY_S),",
        new="cancelled=False,",
        red=(f"{_TESTS}/test_pbs.py::test_ended_long_before_its_limit_it_was_ended_by_somebody",),
    ),
    Mutant(
        name="lsf-estimate-for-a-limit",
        why="a run leaves its place long before anybody wants it",
        file=_LSF,
        old=' or found[3] == "E"',
        new="",
        red=(f"{_TESTS}/test_lsf.py::test_no_deadline",),
    ),
    Mutant(
        name="flux-successor-in-its-own-instance",
        why="the successor is submitted to the instance that ends with the job",
        file=_FLUX,
        old='return ["flux", "--parent"] if',
        new='return ["flux"] if',
        red=(f"{_TESTS}/test_flux.py::test_it_speaks_to_the_instance_that_the_job_is_in",),
    ),
    Mutant(
        name="htcondor-expands-arguments",
        why="`$(...)` in an argument is replaced by nothing",
        file=f"{_AT}/htcondor.py",
        old='.replace("$", "$(DOLLAR)")',
        new="",
        red=(f"{_TESTS}/test_htcondor.py::TestContract::test_the_script_starts_the_command_untouched",),
    ),
    Mutant(
        name="uncounted-restarts-share-a-record",
        why="where the batch system does not count, no bound and no guard against a crash loop ever holds",
        file="supervise/job.py",
        old="    if job.counted:\n        return name\n",
        new="    if True:\n        return name\n",
        red=("supervise/test_naming.py::test_what_is_not_counted_follows_what_was_recorded",),
    ),
)
