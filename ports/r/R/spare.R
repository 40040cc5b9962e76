# Box-Muller makes two normal values of two uniform ones, and keeps the second for the next draw, where no R code sees it.
#
# It can be had by drawing it, and is then used up, in the live process too. To have it there again, the generator is set
# to a state from which the same two uniform values come; one normal is drawn, and the second is in store. Then
# .Random.seed is put back: assigning it leaves the spare value alone, whatever the state and the kind were before.
#
# Such a state is found by going back in the generator's own sequence, or, if the program has drawn much else since, by a
# search among the values of another generator (spare_search.R).

# How far to go back. 2 is right unless uniform values were drawn since.
longest_way_back <- 10000

# The value and a state that brings it back, or NULL if none is in store. It is in store again afterwards.
take_spare <- function(seed) {
  value <- rnorm(1)
  if (!identical(seed_now(), seed)) { # it was made from two uniform values: there was none in store, and now there is one
    rnorm(1)
    put_seed(seed)
    return(NULL)
  }
  from <- state_before(value, seed)
  spare <- list(value = value, from = from)
  put_spare(spare, seed)
  spare
}

put_spare <- function(spare, seed) {
  if (!identical(spare_from(spare$from), spare$value)) {
    refuse("outlast_misfit", "this R does not make the same normal values as the one that saved the generator's state.")
  }
  put_seed(spare$from)
  rnorm(1)
  put_seed(seed)
}

# The second normal value that comes from a state, if none is in store.
spare_from <- function(state) {
  put_seed(state)
  rnorm(2)[[2]]
}

state_before <- function(value, seed) {
  state <- seed
  for (draws in seq_len(longest_way_back)) {
    state <- step_back(state)
    if (draws > 1 && identical(spare_from(state), value)) {
      return(state)
    }
  }
  state <- search_state(value, seed)
  if (is.null(state)) {
    refuse(
      "outlast_unsavable", "the normal value that Box-Muller has in store (", format(value, digits = 17), ") cannot be saved. ",
      "Use RNGkind(normal.kind = \"Inversion\"), R's default, or draw an even number of normal values in a step."
    )
  }
  state
}
