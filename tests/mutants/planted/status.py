"""Bugs of what people are told: records of jobs, how attempts ended, what was lost, how far a run is, its drawing."""

from __future__ import annotations

from mutants.mutant import Mutant

JOBS, RECORDS = "format/jobs.py", "store/jobs.py"
HISTORY, ENDINGS, STARTS, GLANCE, PROGRESS = (
    f"store/{name}.py" for name in ("history", "endings", "starts", "glance", "progress")
)

_RECORDS = (
    Mutant(
        name="record-trusts-unsealed-lines",
        why="a turned byte in a job's record is told as what happened",
        file=JOBS,
        old='    found = unseal(text + b"\\n", path=path)\n',
        new='    found = __import__("json").loads(text)\n    found.pop("digest", None)\n',
        red=("format/test_jobs.py::test_a_line_that_turned_is_counted_and_the_others_are_read_s72",),
    ),
    Mutant(
        name="record-glues-a-line-to-a-torn-one",
        why="after a full disk, or a kill, the next event is lost too",
        file=RECORDS,
        old='        begin = b"\\n" if self._begins_anew else b""  # behind a line that was torn\n',
        new='        begin = b""\n',
        red=("store/test_jobs.py::test_a_second_command_of_the_same_job_goes_on_behind_a_torn_line",),
    ),
    Mutant(
        name="record-of-the-end-is-not-synced",
        why="the node is switched off behind its job: nobody knows how it ended",
        file=RECORDS,
        old="_SYNCED = (jobs.PLACED, jobs.END, jobs.DECISION)",
        new="_SYNCED = (jobs.PLACED,)",
        red=("store/test_jobs.py::test_what_happens_while_no_program_runs_is_durable",),
    ),
)

_ENDINGS = (
    Mutant(
        name="every-signal-is-a-person",
        why="Slurm's warning before the limit is told as if somebody had stopped the run",
        file=ENDINGS,
        old="    return deadline_s - at_s <= lead_s\n",
        new="    return False\n",
        red=("store/test_history.py::test_a_signal_late_in_the_job_stands_for_its_limit",),
    ),
    Mutant(
        name="a-requeue-is-a-node-failure",
        why="each kill of a job that is requeued in its place is blamed on the node",
        file=ENDINGS,
        old="    if after and is_requeue and after.host != here.host:\n",
        new="    if after and is_requeue:\n",
        red=("store/test_history.py::test_killed_and_requeued_on_the_same_node",),
    ),
    Mutant(
        name="a-stale-attempt-takes-the-new-record",
        why="split brain: the attempt that finished is shown as the one that was fenced",
        file=HISTORY,
        old="    return is_same_job, is_same_host, _since_s(start, claim) <= at_s <= start.until_s, start.began_s\n",
        new="    return False, False, False, -start.began_s\n",
        red=("store/test_history.py::test_a_stale_attempt_beside_the_new_one_keeps_its_own_record",),
    ),
    Mutant(
        name="a-crash-before-the-store-is-no-attempt",
        why="a job that dies at import leaves nothing to be seen",
        file=HISTORY,
        old="        if id(start) not in known\n",
        new="        if False\n",
        red=("store/test_history.py::test_a_crash_before_the_store_was_opened_is_an_attempt_too",),
    ),
    Mutant(
        name="a-deadline-that-moved-is-not-heard",
        why="the deadline shown is that of before the preemption, or of before the limit was raised",
        file=STARTS,
        old='    told += [event for event in its if event["event"] == jobs.DEADLINE]\n',
        new="",
        red=("store/test_history.py::test_the_last_word_on_the_deadline_of_a_start",),
    ),
)

_LOOKS = (
    Mutant(
        name="a-cut-line-hides-the-last-save",
        why="a run shows no progress, depending on how long its last lines are",
        file=GLANCE,
        old='        tail = tail[tail.find(b"\\n") + 1 :]\n        if any(mark in tail for mark in _SAID):\n',
        new='        if any(mark in tail for mark in _SAID):\n            tail = tail[tail.find(b"\\n") + 1 :]\n',
        red=("store/test_glance.py::test_a_line_that_is_cut_by_the_reading_is_not_missed",),
    ),
    Mutant(
        name="whole-journals-are-read-at-a-glance",
        why="a hundred runs take minutes on a file system that is busy",
        file=GLANCE,
        old="        at = max(begin, file.size_bytes - length_bytes)\n",
        new="        at = begin\n",
        red=("store/test_glance.py::test_of_a_long_journal_both_ends_are_read_and_no_more",),
    ),
    Mutant(
        name="inner-loops-count-like-outer-ones",
        why="a run that has begun its second epoch is shown as half done",
        file=PROGRESS,
        old="        width /= total\n",
        new="",
        red=("store/test_progress.py::test_where_the_loops_stand",),
    ),
    Mutant(
        name="waiting-is-foreseen-from-the-last-save",
        why="the end of a run that does not run is promised for a time in the past",
        file=PROGRESS,
        old="    if last is None or last.ending is not Ending.RUNNING:\n"
        "        return Outlook(remaining_s=remaining_s)\n",
        new="",
        red=("store/test_progress.py::test_while_it_does_not_run_only_the_time_that_it_needs_is_known",),
    ),
)

_DRAWN = (
    Mutant(
        name="a-picture-runs-what-a-store-says",
        why="a reason that somebody wrote is a script in the page of whoever looks at it",
        file="cli/svgchart.py",
        old="    return visible(text).translate(_ESCAPES)\n",
        new="    return visible(text)\n",
        red=("cli/test_timeline.py::test_what_a_store_says_is_text_in_a_picture_and_on_a_page",),
    ),
    Mutant(
        name="a-save-hides-what-was-lost",
        why="a run that loses a little at each kill looks as if it lost nothing",
        file="cli/textchart.py",
        old="            begin = min(width - 1, _column(chart, piece.begin_s, width) + 1)\n"
        "            _fill(cells, begin, _column(chart, piece.end_s, width), marks[LOST])\n",
        new="            continue\n",
        red=("cli/test_timeline.py::test_the_shortest_things_are_seen",),
    ),
)

MUTANTS = (*_RECORDS, *_ENDINGS, *_LOOKS, *_DRAWN)
