"""A sample of every harness of `tests/proof`; `make soak` runs them whole."""

from __future__ import annotations

import pytest

from proof import core

SLICES = 4  # so that workers share a harness


@pytest.mark.parametrize("part", range(SLICES))
@pytest.mark.parametrize("name", [name for name in core.HARNESSES if core.load(name).sample])  # some only soak
def test_sample(name: str, part: int) -> None:
    harness = core.load(name)
    missing = core.missing_tools(harness)
    if missing:
        pytest.skip(f"{name} needs {', '.join(missing)}: make tools installs them, where you may")
    cases = core.sampled(harness)[part::SLICES]
    broken = []
    for case in cases:
        try:
            core.run_case(name, case)
        except core.Broken as e:
            broken.append(str(e))
    assert not broken, f"{len(broken)} of {len(cases)}:\n" + "\n".join(broken[:20])
    assert cases or harness.sample < SLICES
