# The state of R's random number generators, exactly, in every kind.
#
# .Random.seed holds the three kinds and the state of the uniform generator. It is absent until the first draw, and may
# stay absent. What it does not hold is the normal value that Box-Muller has in store after an odd number of draws.

take_generator <- function() {
  seed <- seed_now() # before RNGkind(), which makes one
  kind <- RNGkind()
  if (is.null(seed)) put_seed(NULL)
  refuse_user_supplied(kind)
  spare <- if (kind[[2]] == "Box-Muller" && !is.null(seed)) take_spare(seed)
  list(kind = kind, seed = seed, spare = spare)
}

put_generator <- function(saved) {
  if (is.null(saved)) {
    return(invisible())
  }
  refuse_user_supplied(saved$kind)
  # This throws away the spare value that this process may have; and warns of kinds that are not the best.
  suppressWarnings(RNGkind(saved$kind[[1]], saved$kind[[2]], saved$kind[[3]]))
  put_seed(saved$seed)
  if (!is.null(saved$spare)) put_spare(saved$spare, saved$seed)
  invisible()
}

refuse_user_supplied <- function(kind) {
  if ("user-supplied" %in% kind[1:2]) {
    refuse(
      "outlast_unsavable", "the state of the user-supplied random number generator (RNGkind()) cannot be saved. Keep it in ",
      "the state yourself, and say outlast_open(rng = FALSE)."
    )
  }
}

seed_now <- function() get0(".Random.seed", envir = globalenv(), inherits = FALSE)

put_seed <- function(seed) {
  if (!is.null(seed)) {
    assign(".Random.seed", seed, envir = globalenv())
  } else if (!is.null(seed_now())) {
    rm(".Random.seed", envir = globalenv())
  }
}
