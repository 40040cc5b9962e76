"""What the tests of the store share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from proof import core


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory, for tests that sync thousands of times and ask nothing of a disk."""
    with core.folder() as path:
        yield path
