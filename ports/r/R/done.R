# The end of the work.

outlast_done <- function(ck = session$newest, state) {
  if (is.null(ck)) refuse("outlast_usage", "no run is open: call outlast_open first.")
  if (!missing(state)) {
    if (ck$saved >= ck$step) ck$step <- ck$saved + 1 # a state later than the one saved at this step
    keep_state(ck, state)
  }
  ck$place$done(ck$step)
  invisible()
}
