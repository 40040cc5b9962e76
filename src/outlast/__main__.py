"""`python -m outlast VERB ...`: the command line."""

from outlast.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
