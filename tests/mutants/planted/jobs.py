"""Bugs of the supervisor inside a batch job: two that go on, none that does, one that never stops."""

from __future__ import annotations

from mutants.mutant import Edit, Mutant

JOB, PLACING, PLACINGS, SLURM = (
    "supervise/job.py",
    "supervise/placing.py",
    "policy/placings.py",
    "supervise/batch/slurm.py",
)
_JOB = "supervise/test_job.py"
_SUBMIT = "cli/test_submit.py"

MUTANTS = (
    Mutant(
        name="container-sees-no-folder-of-ours",
        why="in a container of its own /tmp the program neither hears `stop` nor finds its store",
        file="supervise/containers.py",
        old='",".join([given, *binds] if given else binds)',
        new="given",
        red=("supervise/test_containers.py::test_what_the_user_binds_stays_bound",),
    ),
    Mutant(
        name="container-is-not-told-of-us",
        why="with --cleanenv the program takes part in nothing, and saves elsewhere",
        file="supervise/containers.py",
        old="for name, value in env.items() if name.startswith(_OURS)}",
        new="for name, value in env.items() if not name}",
        red=("supervise/test_containers.py::test_our_variables_and_folders_go_through[apptainer-APPTAINER]",),
    ),
    Mutant(
        name="successor-beside-a-lost-requeue",
        why="two copies of one run: the requeue was heard, only its answer was lost",
        file=PLACING,
        old="to ask once more does no harm, a successor would\n                problem = str(e)\n",
        new="\n                return str(e)\n",
        red=(f"{_JOB}::test_a_requeue_of_which_nobody_knows_is_asked_for_again_and_no_successor_sent[answers1-2]",),
    ),
    Mutant(
        name="successor-submitted-twice",
        why="two copies of one run: the submission was heard, only its answer was lost",
        file=PLACING,
        old="self._system.successor(self.job) or self._system.submit(",
        new="self._system.submit(",
        red=(f"{_JOB}::test_a_submission_of_which_nobody_knows_is_looked_for_before_it_is_made_again",),
    ),
    Mutant(
        name="empty-queue-believed",
        why="jobs without end: nobody answered, and that is taken for an empty queue",
        file=SLURM,
        old="        if answer.status != 0:\n            raise Unreachable(answer.said)\n        rows",
        new="        rows",
        red=(f"{_JOB}::test_without_an_answer_from_the_queue_nothing_is_submitted_blindly",),
        more=(
            Edit(
                file=SLURM,
                old='            raise Unreachable("squeue lists not even our own job")',
                new="            pass",
            ),
        ),
    ),
    Mutant(
        name="successor-and-85",
        why="a site that has jobs with 85 requeued lets both go on",
        file=JOB,
        old="        return DONE if came.fate is Fate.SUCCESSOR else status",
        new="        return status",
        red=(f"{_JOB}::test_a_refused_requeue_has_one_successor_and_the_job_ends_with_0",),
    ),
    Mutant(
        name="cancelled-comes-back",
        why="a job that its user has cancelled is in the queue again",
        file=PLACING,
        old="        if self.sight is not None and self.sight.cancelled:\n",
        new="        if False:\n",
        red=(f"{_JOB}::test_a_person_who_cancels_is_obeyed",),
    ),
    Mutant(
        name="requeued-though-it-is-back",
        why="the batch system is asked to restart a job that it has just put back itself: it may kill the new start",
        file=PLACING,
        old="        if self.sight is not None and self.sight.requeued:\n",
        new="        if False:\n",
        red=(f"{_JOB}::test_what_the_system_has_put_back_itself_is_left_alone",),
    ),
    Mutant(
        name="bare-array-id",
        why="all tasks of an array are started again, for one of them",
        file=SLURM,
        old='id=f"{of}_{task}" if is_task else number',
        new="id=of if is_task else number",
        red=(f"{_JOB}::test_of_an_array_just_the_task_is_put_back_and_has_a_store_of_its_own",),
    ),
    Mutant(
        name="array-shares-a-store",
        why="of twenty tasks nineteen are refused",
        file=JOB,
        old="        store = os.path.join(store, task)\n",
        new="        pass\n",
        red=(f"{_JOB}::test_of_an_array_just_the_task_is_put_back_and_has_a_store_of_its_own",),
    ),
    Mutant(
        name="dead-of-the-notice-is-failed",
        why="a job that is preempted while it imports its framework never comes back",
        file=JOB,
        old="        if self._placing is None or not (status == PREEMPTED or was_told):\n",
        new="        if self._placing is None or status != PREEMPTED:\n",
        red=(f"{_JOB}::test_what_dies_of_the_notice_before_it_could_hear_it_is_put_back",),
    ),
    Mutant(
        name="finished-job-runs-again",
        why="a job that is put back after its end works, and pays, once more",
        file=JOB,
        old='        return bool(ends) and ends[-1]["status"] == DONE\n',
        new="        return False\n",
        red=(f"{_JOB}::test_done_is_never_put_back",),
    ),
    Mutant(
        name="no-progress-over-jobs-ignored",
        why="jobs whose time is too short for a step burn the allocation, one after the other",
        file=PLACINGS,
        old="    if len(ours) >= bounds.tries:\n",
        new="    if False:\n",
        red=(
            "policy/test_placings.py::test_no_progress_three_times_is_the_end[End.TIME]",
            f"{_JOB}::test_jobs_without_progress_come_to_an_end_though_each_was_put_back",
        ),
    ),
    Mutant(
        name="preemption-counts-as-failure",
        why="a run that is moved about a lot is given up though nothing is wrong with it",
        file=PLACINGS,
        old="    ours = [one for one in fruitless if one.end in (End.CRASH, End.TIME)]\n",
        new="    ours = [one for one in fruitless if one.end in (End.CRASH, End.TIME, End.TAKEN)]\n",
        red=("policy/test_placings.py::test_jobs_that_were_taken_away_are_forgiven_longer_but_not_for_ever",),
    ),
    Mutant(
        name="moved-deadline-kept-to-oneself",
        why="the program begins its last save when it is too late for it",
        file="supervise/attempt.py",
        old="            self._control.tell_deadline(deadline)\n",
        new="            pass\n",
        red=(f"{_JOB}::test_a_deadline_that_moves_is_told_to_the_program",),
    ),
    Mutant(
        name="arguments-recorded",
        why="a secret among a command's arguments stands in a file that is kept for months",
        file=JOB,
        old="command=[os.path.basename(os.fsdecode(command[0]))],",
        new="command=[os.fsdecode(word) for word in command],",
        red=(f"{_JOB}::test_the_record_tells_no_secrets",),
    ),
    Mutant(
        name="arguments-through-the-shell",
        why="an argument of the user's is run as a command of its own",
        file=SLURM,
        old='f"exec {shlex.join(order.command)}"',
        new="f\"exec {' '.join(order.command)}\"",
        red=(f"{_SUBMIT}::test_arguments_arrive_as_they_are",),
    ),
    Mutant(
        name="signal-takes-a-short-job's-time",
        why="the notice comes as the job begins: it never gets anywhere",
        file=SLURM,
        old="round(min(order.lead_s + _LATE_S, limit_s / 4))",
        new="round(order.lead_s + _LATE_S)",
        red=(f"{_SUBMIT}::test_the_signal_leaves_a_short_job_most_of_its_time[2-30]",),
    ),
    Mutant(
        name="done-is-submitted",
        why="a job waits in the queue for hours to find that there is nothing to do",
        file="cli/submit.py",
        old="    if made.is_done:\n",
        new="    if False:\n",
        red=(f"{_SUBMIT}::test_a_run_that_is_done_is_not_submitted",),
    ),
)
