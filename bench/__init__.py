"""Saving and restoring measured side by side with the machine's own limits and with every peer: `make bench`.

`states` are what is saved, `peers` who saves it, `loops` what is held up by it, `limits` what the machine can do.
`measure` takes figures in a process that does nothing else (`work`), `plan` interleaves those processes, `table` and
`plot` show what came of it. Nothing here is installed with outlast.
"""
