"""Proof that nothing is lost: harnesses that inject faults, each with named cases that one command reproduces.

`tests/trust` runs a sample of every harness, `make soak` all cases, and new ones for as long as it is given.
A harness is a module here with one `HARNESS`; `core.HARNESSES` names the modules.
"""
