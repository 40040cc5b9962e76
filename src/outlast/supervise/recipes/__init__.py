"""Recipes: how to handle applications that write restart files of their own. Data, one TOML file an application.

`outlast run --recipe NAME -- CMD` supervises a process of ours (`python -m outlast.supervise.recipes NAME -- CMD`). It
starts the application and takes part in the protocol for it, as any program does that saves files
(spec/process-v1.md, section 10). So claims, digests, retention and falling back are those of every run.
"""
