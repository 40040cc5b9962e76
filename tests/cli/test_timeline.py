"""timeline: what is drawn follows from journals and job records; the drawing can be looked at anywhere."""

from __future__ import annotations

import io
import os
import stat
import sys
from xml.etree import ElementTree as ET

import pytest

from cli.kit import snapshot
from outlast.backends import Posix
from outlast.cli import rows, svgchart, textchart
from outlast.format.jobs import JobName
from outlast.store import JobJournal
from outlast.store.history import history
from store.histories import (
    T,
    decision,
    end,
    ended,
    job,
    journal,
    notice,
    placed,
    reached,
    record,
    restored,
    saved,
    start,
    started,
)

FIRST, AGAIN = job("4711"), job("4711", restarts=1)


def story(*, live=0):
    """A job that waited 100 s and left at its limit, and its second placing, which lost 20 s when its node failed."""
    records = [
        record(FIRST, placed(0, began=T, eligible=T - 100, deadline=100), start(2), notice(90, "deadline"),
               end(96, 85, "outside"), decision(97, "requeue")),
        record(AGAIN, placed(150, began=T + 150, submitted=T + 100, host="n2"), start(152)),
    ]  # fmt: skip
    logs = [
        journal(1, 3, started(4), saved(50, 5), saved(95, 9), ended(96, "preempted", reason="x"), name=FIRST),
        journal(2, 153, restored(154, 9), saved(180, 12), reached(185, 14), name=AGAIN, host="n2"),
    ]
    return history(logs, records, live=live, signs={2: T + 200})


def chart(past=None, now=300):
    return rows.chart("ckpts/net: <running> & well", past or story(), now_s=T + now)


def pieces(row):
    return [(piece.kind, piece.begin_s - T, piece.end_s - T) for piece in row.pieces]


# -- what is drawn -----------------------------------------------------------------------------------------


def test_waiting_running_saves_notices_and_lost_work():
    first, second = chart().rows
    assert pieces(first) == [("waiting", -100, 0), ("running", 3, 96)]
    assert ([at_s - T for at_s in first.saves], [at_s - T for at_s in first.notices]) == ([50, 95], [90])
    assert (first.label, first.job, first.ending, first.steps) == ("1", "slurm-4711.r0", "wall-time", (0, 9))
    assert pieces(second) == [("waiting", 100, 150), ("running", 153, 200), ("lost", 180, 200)]
    assert (second.steps_lost, second.how) == (2, "killed without notice")
    assert (chart().begin_s - T, chart().end_s - T) == (-100, 200)


def test_what_is_under_way_goes_on_up_to_now():
    second = chart(story(live=2)).rows[1]
    assert pieces(second) == [("waiting", 100, 150), ("running", 153, 300)]
    assert (second.ending, chart(story(live=2)).end_s - T) == ("running", 300)


def test_a_job_waits_once_however_often_its_command_is_started():
    records = [record(FIRST, placed(0, began=T, eligible=T - 100), start(2), end(5, 1), start(6, 2), end(9, 1))]
    found = chart(history([], records)).rows
    assert [[kind for kind, _, _ in pieces(row)] for row in found] == [["waiting", "running"], ["running"]]
    assert [row.label for row in found] == ["-", "-"]


def test_the_job_that_is_waited_for_has_a_row():
    records = [record(FIRST, placed(0), start(2), end(96, 85), decision(97, "successor", successor="4712"))]
    last = chart(history([], records)).rows[-1]
    assert (last.label, last.job, last.ending, pieces(last)) == ("next", "4712", "waiting", [("waiting", 97, 300)])


def test_a_run_that_ended_as_it_began_can_be_drawn():
    found = chart(history([journal(1, 3, ended(3, "failed"))]))
    assert (found.begin_s - T, found.end_s - T) == (3, 4)
    assert textchart.lines(found, width=40, marks=textchart.ASCII)[1].startswith("1 =")
    assert "<rect" in svgchart.svg(found)


def test_who_pruned_and_journals_without_a_readable_time_have_no_row():
    past = history([journal(1, 3, ended(5, "pruned"), role="prune")])
    assert chart(past).rows == ()


# -- in the terminal ---------------------------------------------------------------------------------------


def test_in_plain_characters():
    assert textchart.lines(chart(), width=64, marks=textchart.ASCII) == [
        "ckpts/net: <running> & well",
        "1 slurm-4711.r0 ............======|====!|             wall-time",
        "2 slurm-4711.r1                         ...... ===|x  killed",
        "                11:58:20Z       5 min       12:03:20Z",
        ". waiting  = running  | save  x lost  ! notice",
    ]


@pytest.mark.parametrize("width", [20, 80, 200])
def test_it_is_as_wide_as_the_terminal_where_that_is_wide_enough(width):
    lines = textchart.lines(chart(), width=width, marks=textchart.UNICODE)
    assert max(map(len, lines[1:4])) <= max(width, 42)
    assert ("░" in lines[1], "░" in lines[2]) == (False, True)


def test_the_shortest_things_are_seen():
    """A second of lost work and one of running, in a run of weeks: a column each."""
    log = journal(1, 3, started(3), saved(4, 1), ended(5, "failed"))
    later = journal(2, 2_000_000, restored(2_000_001, 1), ended(2_000_002, "failed"))
    first, second = textchart.lines(chart(history([log, later])), width=60, marks=textchart.ASCII)[1:3]
    assert first.split()[1] == "|x"
    assert second.split()[1] == "x"
    assert "2025-11-29T12:00Z" in textchart.lines(chart(history([log, later])), width=60, marks=textchart.ASCII)[3]


def test_a_store_without_attempts_says_so():
    assert textchart.lines(chart(history([])), width=80, marks=textchart.ASCII) == ["ckpts/net: <running> & well"]


def test_what_a_store_says_does_not_command_the_terminal(call, plain):
    record = JobJournal.begin(Posix(plain), JobName.of("slurm", "7"))
    record.record("placed", system="slurm")
    record.record("start", attempt=1)
    record.record("end", status=1)
    record.record("decision", what="give-up", reason="\x1b[2J")
    found = call("timeline", plain)
    assert "\x1b" not in found.out
    assert "gave up, \\x1b[2J" in found.lines[0]


# -- the verb ----------------------------------------------------------------------------------------------


def test_the_verb(call, killed, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    before = snapshot(killed)
    lines = call("timeline", killed).lines
    assert lines[0] == f"{killed}: waiting to be started again"
    assert lines[1].startswith("1 ")
    assert lines[1].endswith(" killed")
    assert len(lines[1]) <= 50
    assert "━" in lines[-1]
    assert call("timeline", killed, "--ascii").out.replace(str(killed), "").isascii()
    assert snapshot(killed) == before


def test_where_the_output_knows_only_ascii_nothing_else_is_printed(call, killed, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    from outlast.cli.main import main

    assert main(["timeline", str(killed)]) == 0
    assert b"| save" in raw.getvalue()


def test_as_json(call, killed):
    found = call("timeline", killed, "--json").json
    assert found.keys() == {"store", "begin", "end", "rows", "out"}
    (row,) = found["rows"]
    assert row.keys() == {
        "attempt", "placing", "pieces", "saves", "notices", "from_step", "to_step", "steps_lost", "ending", "how",
    }  # fmt: skip
    assert (row["attempt"], row["from_step"], row["to_step"], row["steps_lost"], len(row["saves"])) == (1, 0, 5, 4, 2)
    assert row["pieces"][0]["kind"] == "running"
    assert found["begin"] == row["pieces"][0]["begin"]


def test_a_job_that_has_not_begun(call, tmp_path):
    (tmp_path / "s" / "jobs").mkdir(parents=True)
    assert call("timeline", tmp_path / "s").lines == [f"{tmp_path / 's'}: not begun"]


def test_what_is_no_store_is_an_error(call, tmp_path):
    found = call("timeline", tmp_path / "nothing", "--json")
    assert (found.status, found.json["error"]) == (4, "nothing")


# -- as a file ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["svg", "html"])
def test_a_file_is_made_and_none_is_overwritten(call, killed, tmp_path, kind):
    out = tmp_path / f"net.{kind}"
    found = call("timeline", killed, f"--{kind}", out)
    assert (found.status, found.lines) == (0, [f"{out}: 1 rows, {out.stat().st_size} bytes"])
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(out.stat().st_mode) == 0o666 & ~umask
    text = out.read_bytes()
    again = call("timeline", killed, f"--{kind}", out)
    assert (again.status, out.read_bytes()) == (2, text)
    assert "nothing is overwritten" in again.err
    assert call("timeline", killed, "--json", f"--{kind}", tmp_path / "b").json["out"] == str(tmp_path / "b")
    assert call("timeline", killed, f"--{kind}", tmp_path / "no" / "b").status == 2


def test_only_one_kind_of_file_at_once(call, killed, tmp_path):
    assert call("timeline", killed, "--svg", tmp_path / "a", "--html", tmp_path / "b").status == 2
    assert not list(tmp_path.glob("[ab]"))


SVG = "{http://www.w3.org/2000/svg}"


def drawn():
    return ET.fromstring(svgchart.svg(chart()))


def test_a_picture_shows_what_the_rows_say():
    rectangles = [
        (one.get("class"), float(one.get("x", 0)), float(one.get("width"))) for one in drawn().iter(f"{SVG}rect")
    ]
    kinds = [kind for kind, _, _ in rectangles[1:-3]]
    assert kinds == ["waiting", "running", "waiting", "running", "lost"]
    width = float(drawn().get("width"))
    assert all(x >= 0 and x + w <= width for _, x, w in rectangles)
    lost, running = rectangles[5], rectangles[4]
    assert lost[1] + lost[2] == pytest.approx(running[1] + running[2], abs=0.2)  # it lies over the end of what ran
    assert lost[2] / running[2] == pytest.approx(20 / 47, abs=0.01)
    saves = [line for line in drawn().iter(f"{SVG}line") if line.get("class") == "save"]
    assert len(saves) == 3 + 1  # and the legend's
    told = [title.text for title in drawn().iter(f"{SVG}title")]
    assert told[0] == "ckpts/net: <running> & well"
    assert told[2].startswith("attempt 2: killed without notice, steps 9 to 12, 2 lost; waiting 2025-11-29T12:01:40Z")


def test_a_thousand_saves_are_not_a_thousand_lines():
    log = journal(1, 3, started(3), *[saved(4 + 0.01 * n, n) for n in range(5000)], ended(60, "failed"))
    assert svgchart.svg(chart(history([log]))).count('class="save"') < 1000


def test_both_are_self_contained_and_know_dark_from_light():
    for text in (svgchart.svg(chart()), svgchart.html(chart())):
        assert "prefers-color-scheme: dark" in text
        assert not any(word in text for word in ("<script", "href", "src=", "url(", "@import"))
        assert text.count("http") == 1  # the name of SVG itself


def test_a_page_is_well_formed_and_has_its_attempts_as_a_table():
    text = svgchart.html(chart()).removeprefix("<!DOCTYPE html>\n")
    page = ET.fromstring(text.replace('<meta charset="utf-8">', "").replace('width=device-width">', 'w"/>'))
    cells = [[cell.text for cell in row.iter("td")] for row in page.iter("tr")]
    assert cells[1] == [
        "1", "slurm-4711.r0", "2025-11-29T12:00:03Z", "93 s", "0 to 9", "2", None, "saved and left: wall-time limit",
    ]  # fmt: skip
    assert cells[2][6:] == ["2 steps, 20 s", "killed without notice"]
    assert page.find("head/title").text == "ckpts/net: <running> & well"


def test_what_a_store_says_is_text_in_a_picture_and_on_a_page():
    nasty = '"><script>alert(1)</script>&\x1b\x00\ud800'
    records = [record(FIRST, placed(), start(), end(9, 1), decision(10, "give-up", nasty))]
    for text in (svgchart.svg(chart(history([], records))), svgchart.html(chart(history([], records)))):
        assert "<script" not in text
        assert "&lt;script&gt;" in text
        text.encode()
    found = ET.fromstring(svgchart.svg(chart(history([], records))))
    assert any(
        'gave up: "><script>alert(1)</script>&\\x1b\\x00' in (one.text or "") for one in found.iter(f"{SVG}title")
    )
