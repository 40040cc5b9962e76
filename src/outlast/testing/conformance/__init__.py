"""Does a client, in any language, keep the protocol for programs that save files (spec/process-v1.md, section 10)?

    python -m outlast.testing.conformance -- CMD ARG ...

runs CMD under a real `outlast run`, again and again: undisturbed, asked to save, asked to stop, killed, killed while it
writes. CMD is any computation that takes part, and

- takes some seconds (three are enough) and some hundred steps from its beginning to its end, with little time for each;
- ends with the same result however often it was interrupted, and prints that as its last line.

Status 0: it keeps the protocol; 1: what failed is named; 2: CMD cannot be judged by this.
"""
