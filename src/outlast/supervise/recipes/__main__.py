"""`python -m outlast.supervise.recipes NAME -- CMD`: what `outlast run --recipe NAME -- CMD` supervises."""

import sys

from outlast.errors import OutlastError
from outlast.supervise.recipes import host

if __name__ == "__main__":
    try:
        sys.exit(host.main(sys.argv[1], sys.argv[3:]))
    except OutlastError as e:
        sys.stderr.write(f"outlast: error: {e}\n")
        sys.exit(e.exit_status)
