"""`cd tests && python -m slurm`: a cluster to try things on, and the user's shell on its front machine."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from slurm.cluster import Cluster, problem


def main() -> int:
    missing = problem()
    if missing:
        print(f"a Slurm of our own needs {missing}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder, Cluster(Path(folder)) as cluster:
        print("partitions: main, main_risk (preempted by main), main_abrupt, main_cancel, apart; exit ends it all")
        shell = [*cluster.front.enter(user=cluster.user), "env", f"--chdir={cluster.home}", "bash", "--norc"]
        subprocess.run(shell, env=cluster.environment(PS1="front$ "), check=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
