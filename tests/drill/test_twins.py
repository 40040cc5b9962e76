"""The classic faulty programs: for each the drill names the cause; for each corrected twin it finds nothing."""

from __future__ import annotations

import pytest

from drill.twinkit import Drill, Twin, twins
from outlast.drill.diagnosis import CAUSES


@pytest.mark.parametrize("twin", twins("bad"), ids=lambda twin: twin.name)
def test_a_faulty_program_fails_and_the_cause_is_named(twin: Twin, tmp_path):
    drill = Drill(twin, tmp_path)
    finding = drill.finding()
    assert finding is not None, (drill.outcome, drill.said)
    assert finding.cause == twin.cause, (finding, drill.said)
    assert finding.advice == CAUSES[twin.cause]


@pytest.mark.parametrize("twin", twins("good"), ids=lambda twin: twin.name)
def test_its_corrected_twin_passes(twin: Twin, tmp_path):
    drill = Drill(twin, tmp_path)
    finding = drill.finding()
    assert finding is None, (finding, drill.outcome.attempts)
    assert drill.outcome.done
    assert drill.outcome.differing == ()
