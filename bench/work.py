"""The process that measures one job: `python -m bench.work JOB ANSWER`, both files of JSON."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

from bench.measure import KINDS, Job


def main() -> None:
    asked, answer = sys.argv[1:]
    job = Job(**json.loads(Path(asked).read_text()))
    try:
        said = {"figures": KINDS[job.kind](job)}
    except ModuleNotFoundError as e:
        said = {"missing": f"not installed: {e}"}
    except ImportError as e:
        said = {"missing": str(e).splitlines()[0]}
    Path(answer).write_text(json.dumps({**dataclasses.asdict(job), **said}))


if __name__ == "__main__":
    main()
