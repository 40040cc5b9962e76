"""Planted bugs, each of which some test must catch: the proof that the tests would notice.

`planted` holds the table, `bench` plants a bug in a copy of the tree and runs the tests that must go red, `test_gate`
does so for every one of them in `make test`. To see one: `python -m mutants NAME` in `tests`.
"""
