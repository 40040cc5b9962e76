"""Records of jobs: names, lines, and what a reader does with those that it does not know or cannot believe. S-72."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.errors import UsageError
from outlast.format import jobs
from outlast.format.envelope import seal
from outlast.format.jobs import JobName

AT = 1_764_417_600.0
NAME = JobName.of("slurm", "1234")
SAFE = "ABCxyz019.-"


def sealed(**table):
    return seal({"at": "2026-11-29T12:00:00.000Z", **table})


def events(*lines):
    return jobs.read(NAME, b"".join(lines)).events


# -- names -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (JobName.of("slurm", "1234"), "slurm-1234.r0"),
        (JobName.of("slurm", "1234", "7", 2), "slurm-1234_7.r2"),
        (JobName.of("slurm", "1234_7", "7", 2), "slurm-1234_7.r2"),
        (JobName.of("pbs", "99.server", "3"), "pbs-99.server_3.r0"),
        (JobName.of("flux", "f_58/x"), "flux-f-58-x.r0"),
        (JobName.of("sge", "5.r1"), "sge-5.r1.r0"),
        (JobName.local("node_3.site", 4711, AT + 0.9), "local-node-3.site-4711-1764417600"),
    ],
)
def test_names_have_the_specified_form_and_come_back(name, text):
    assert name.format() == text
    assert JobName.parse(text) == name


@given(
    st.from_regex(r"[a-z][a-z0-9]{0,9}", fullmatch=True),
    st.text(SAFE, min_size=1, max_size=30),
    st.text(SAFE, max_size=9),
    st.integers(0, 10**9 - 1),
)
def test_every_name_comes_back(system, job, task, restarts):
    if system == "local":
        return
    name = JobName.of(system, job, task, restarts)
    assert JobName.parse(name.format()) == name
    assert (name.job, name.task, name.restarts, name.is_batch) == (job, task, restarts, True)


@given(st.text("slurmlocal-_.r0123456789/ \n"))
def test_each_name_has_one_form(text):
    name = JobName.parse(text)
    assert name is None or name.format() == text


@pytest.mark.parametrize(
    "text",
    ["", "slurm-1234", "slurm-1234.r01", "slurm-.r0", "Slurm-1.r0", "slurm-1_2_3.r0", "slurm-1/2.r0", "local-h.r0\n",
     "slurm-1.r1234567890", "slurm-" + "1" * 200 + ".r0", "-1.r0"],
)  # fmt: skip
def test_other_names_are_none(text):
    assert JobName.parse(text) is None


@pytest.mark.parametrize(
    "parts", [("", "1"), ("Slurm", "1"), ("slurm", ""), ("slurm", "1", "", -1), ("local", "1"), ("slurm", "1" * 300)]
)
def test_what_no_name_can_be_made_of_is_refused(parts):
    with pytest.raises(UsageError, match="no name of a job") as caught:
        JobName.of(*parts)
    assert "the job's number" in caught.value.hint


def test_a_later_placing_of_the_same_job_is_known():
    first, again = JobName.of("slurm", "1", "2"), JobName.of("slurm", "1", "2", 1)
    assert again.is_again(first)
    assert not first.is_again(again)
    assert not first.is_again(first)
    assert not JobName.of("slurm", "1", "3", 1).is_again(first)
    assert not JobName.of("pbs", "1", "2", 1).is_again(first)
    assert (again.number, NAME.number, JobName.local("h", 2, AT).is_batch) == ("1_2", "1234", False)


# -- lines -------------------------------------------------------------------------------------------------


def test_what_is_written_is_read():
    lines = [
        jobs.line(
            AT, "placed", {"system": "slurm", "job": "1234", "restarts": 0, "began": AT - 5, "deadline": None,
                           "submitted": "2026-11-29T10:00:00+00:00", "command": ["sh", "-c", "a b"], "total_s": 9.5}
        ),
        jobs.line(AT + 1, "start", {"attempt": 1, "pid": 77}),
        jobs.line(AT + 2, "deadline", {"deadline": AT + 60, "reason": "preempted"}),
        jobs.line(AT + 3, "notice", {"reason": "SIGTERM", "cause": "preemption"}),
        jobs.line(AT + 4, "end", {"attempt": 1, "status": 85, "cause": "outside", "progress": True, "step": 12,
                                  "lasted_s": 3.5, "tail": ["one", "two"]}),
        jobs.line(AT + 5, "decision", {"what": "requeue", "reason": "saved", "successor": "1234"}),
    ]  # fmt: skip
    log = jobs.read(NAME, b"".join(lines))
    assert (log.name, log.damaged) == (NAME, 0)
    assert [e["event"] for e in log.events] == ["placed", "start", "deadline", "notice", "end", "decision"]
    assert log.events[0] == {
        "event": "placed", "at": "2025-11-29T12:00:00.000Z", "system": "slurm", "job": "1234", "restarts": 0,
        "began": "2025-11-29T11:59:55.000Z", "submitted": "2026-11-29T10:00:00+00:00", "command": ["sh", "-c", "a b"],
        "total_s": 9.5,
    }  # fmt: skip
    assert log.events[4] == {
        "event": "end", "at": "2025-11-29T12:00:04.000Z", "attempt": 1, "status": 85, "cause": "outside",
        "progress": True, "step": 12, "lasted_s": 3.5, "tail": ["one", "two"],
    }  # fmt: skip
    assert (log.began, log.deadline) == ("2025-11-29T11:59:55.000Z", "2025-11-29T12:01:00.000Z")
    assert (log.first("end"), log.last("end")) == (log.events[4], log.events[4])
    assert (log.first("nothing"), log.last("nothing")) == (None, None)


def test_the_last_word_on_the_deadline_counts():
    placed = jobs.line(AT, "placed", {"system": "slurm", "deadline": AT + 60})
    assert jobs.read(NAME, placed).deadline == "2025-11-29T12:01:00.000Z"
    unlimited = jobs.line(AT + 1, "deadline", {"reason": "the limit was lifted"})
    assert jobs.read(NAME, placed + unlimited).deadline == ""


def test_without_a_placing_the_first_line_tells_since_when_it_runs():
    log = jobs.read(NAME, jobs.line(AT, "start", {"attempt": 1}))
    assert (log.placed, log.began, log.deadline) == ({}, "2025-11-29T12:00:00.000Z", "")
    assert jobs.read(NAME, b"").began == ""


def test_an_unknown_event_or_member_is_passed_over_s72():
    log = jobs.read(NAME, sealed(event="teleported", to="node7") + sealed(event="start", attempt=1, colour="red"))
    assert (log.events, log.damaged) == (({"event": "start", "at": "2026-11-29T12:00:00.000Z", "attempt": 1},), 0)


def test_a_torn_last_line_and_empty_ones_are_passed_over_s72():
    start, torn = sealed(event="start", attempt=1), sealed(event="end", status=0)[:-1]
    log = jobs.read(NAME, b"\n" + start + b"\n\n" + torn)
    assert ([e["event"] for e in log.events], log.damaged) == (["start"], 0)


def test_a_line_that_turned_is_counted_and_the_others_are_read_s72():
    turned = sealed(event="start", attempt=1).replace(b'"attempt":1', b'"attempt":2')
    log = jobs.read(NAME, turned + b"not json\n" + sealed(event="start", attempt=3))
    assert ([e["attempt"] for e in log.events], log.damaged) == ([3], 2)


@pytest.mark.parametrize(
    "table",
    [
        {"event": "start"},
        {"event": "start", "attempt": "1"},
        {"event": "start", "attempt": -1},
        {"event": "start", "attempt": True},
        {"event": "start", "attempt": 1.0},
        {"event": "placed", "job": "1"},
        {"event": "placed", "system": 7},
        {"event": "placed", "system": "slurm", "deadline": 1764417600},
        {"event": "placed", "system": "slurm", "deadline": "soon"},
        {"event": "placed", "system": "slurm", "deadline": "0001-01-01T00:00:00+23:59"},
        {"event": "placed", "system": "slurm", "deadline": "9999-12-31T23:59:59-23:59"},
        {"event": "placed", "system": "slurm", "deadline": "1969-12-31T23:59:59Z"},
        {"event": "placed", "system": "slurm", "deadline": "2026-11-29T12:00:00"},
        {"event": "placed", "system": "slurm", "command": "sh"},
        {"event": "placed", "system": "slurm", "command": ["sh", 1]},
        {"event": "placed", "system": "slurm", "total_s": -1},
        {"event": "end", "status": 0, "progress": 1},
        {"event": "end", "progress": True},
        {"event": "end", "status": 0, "lasted_s": 1e12},
        {"event": "notice", "reason": "SIGTERM"},
        {"event": "decision", "reason": "done"},
        {"event": 7},
        {"event": "start", "attempt": 1, "at": "yesterday"},
        {"event": "start", "attempt": 1, "at": 5},
    ],
)
def test_a_whole_line_that_makes_no_sense_is_counted(table):
    log = jobs.read(NAME, sealed(**table))
    assert (log.events, log.damaged) == ((), 1)


def test_what_is_too_long_is_cut_when_it_is_written():
    tail = [f"{n} " + "x" * 600 for n in range(30)]
    (end,) = events(jobs.line(AT, "end", {"status": 1, "tail": tail}))
    assert len(end["tail"]) == 20
    assert end["tail"][0] == "10 " + "x" * 496 + "…"
    (placed,) = events(jobs.line(AT, "placed", {"system": "slurm", "command": ["w" * 501, *map(str, range(100))]}))
    assert placed["command"] == ["w" * 499 + "…", *map(str, range(63))]


def test_the_worst_that_is_written_can_be_read():
    worst = "\x00" * 500
    (placed,) = events(jobs.line(AT, "placed", {"system": worst, "job": worst, "command": [worst] * 64}))
    assert placed["command"] == [worst] * 64
    (end,) = events(jobs.line(AT, "end", {"status": 1, "tail": ["\udc80\u2028" * 250] * 20}))
    assert end["tail"] == ["?\u2028" * 250] * 20


def test_a_line_longer_than_any_is_counted_without_being_parsed():
    log = jobs.read(NAME, sealed(event="start", attempt=1, more="x" * jobs.MAX_LINE_BYTES))
    assert (log.events, log.damaged) == ((), 1)


@pytest.mark.parametrize("time_s", [float("inf"), float("nan"), -1e30, 1e30])
def test_a_time_that_is_none_is_left_out(time_s):
    (event,) = events(jobs.line(AT, "placed", {"system": "slurm", "deadline": time_s, "total_s": time_s}))
    assert event.keys() == {"event", "at", "system"}


@pytest.mark.parametrize(
    ("event", "fields"), [("teleported", {}), ("start", {"colour": "red"}), ("start", {"attempt": "1"})]
)
def test_our_own_mistakes_are_noticed_when_writing(event, fields):
    with pytest.raises(AssertionError):
        jobs.line(AT, event, fields)


@given(st.binary(max_size=300))
def test_no_bytes_break_a_reader(data):
    jobs.read(NAME, data)
    table = json.dumps({"event": "start", "attempt": 1, "at": data.decode("latin-1")})
    jobs.read(NAME, seal(json.loads(table)))
