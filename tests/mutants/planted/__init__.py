"""The table: each planted bug with the tests that must go red. A module for each layer of the source."""

from __future__ import annotations

from mutants.planted import (
    backends,
    batch,
    causes,
    drill,
    fast,
    files,
    formats,
    fronts,
    jobs,
    people,
    recipes,
    running,
    status,
    store,
)

MUTANTS = (
    *backends.MUTANTS,
    *store.MUTANTS,
    *fast.MUTANTS,
    *files.MUTANTS,
    *formats.MUTANTS,
    *running.MUTANTS,
    *people.MUTANTS,
    *jobs.MUTANTS,
    *batch.MUTANTS,
    *status.MUTANTS,
    *recipes.MUTANTS,
    *drill.MUTANTS,
    *causes.MUTANTS,
    *fronts.MUTANTS,
)
BY_NAME = {mutant.name: mutant for mutant in MUTANTS}
