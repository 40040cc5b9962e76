"""The example of Accelerate, wounded."""

from __future__ import annotations

import json
from pathlib import Path

from integrations.programs.examples import example
from integrations.wounds import Wound

EXAMPLE = example("accelerate")


def main(*, store: str, result: str, after: int, by: str, workers: int, epochs: int) -> None:
    told = EXAMPLE.main(store, workers=workers, epochs=epochs, count=90, each=Wound(after, by).step, every=1)
    Path(result).write_text(json.dumps(told))
