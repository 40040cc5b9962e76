# Taking up what was saved.

outlast_load <- function(ck, default) {
  expected <- element_names(substitute(default), parent.frame())
  got <- ck$place$newest()
  take_up(ck, got, "state")
  if (is.null(got)) {
    state <- default
    refuse_what_cannot_be_saved(state)
    return(state)
  }
  lacking <- setdiff(expected, names(got$state))
  if (length(lacking)) {
    refuse(
      "outlast_misfit", "the state saved at step ", as_text(got$step), " has no element ", quoted(lacking),
      ", which the program's default has; it has ", quoted(names(got$state)), "."
    )
  }
  say("going on from step ", as_text(got$step), ", ", ck$place$from)
  if (ck$rng) put_generator(got$rng)
  got$state
}

# What the two ways of keeping a run have in common: the step counts on, and one is not taken for the other.
take_up <- function(ck, got, what) {
  if (!is.null(ck$what)) {
    refuse("outlast_usage", "this run was loaded before: open it once more for that.")
  }
  ck$what <- what
  if (is.null(got)) {
    return(invisible())
  }
  if (!identical(got$what, what)) {
    names <- c(state = "outlast_load", map = "outlast_map")
    refuse(
      "outlast_misfit", "the state ", ck$place$from, " is of ", names[[got$what]], ", not of ", names[[what]],
      ": give each a folder (or a store) of its own."
    )
  }
  ck$step <- got$step
  ck$saved <- got$step
  invisible()
}

# The names of the elements of `default`, without evaluating what is only needed in a fresh start.
element_names <- function(expression, frame) {
  if (is.call(expression) && identical(expression[[1]], quote(list))) {
    return(setdiff(names(expression)[-1], ""))
  }
  if (is.symbol(expression) && nzchar(as.character(expression))) {
    value <- eval(expression, frame)
    if (is.list(value)) {
      return(names(value))
    }
  }
  NULL
}

quoted <- function(names) paste0("'", names, "'", collapse = ", ")
