"""The command line: one module a verb, each thin over the library. Heavy imports wait until a verb runs."""
