"""Transparent engines: checkpoints of programs that nobody may touch.

`outlast run --engine NAME -- CMD` supervises a process of ours (`python -m outlast.supervise.engines NAME -- CMD`). It
holds the program and takes part in the protocol as any program does that saves files (spec/process-v1.md, section 10):
an image of the process tree is such a file set. So the claim, digests, retention, falling back and the end of zombies
are those of every run.
"""
