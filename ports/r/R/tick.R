# The step boundary: where the program can be saved, and where it is told to leave.

# Between two looks at the files; a look costs microseconds on a local disk, more on a shared one.
look_every_s <- 0.05

outlast_tick <- function(ck, state, step = NULL) {
  ck$step <- if (is.null(step)) ck$step + 1 else higher(step, ck$step)
  now <- elapsed()
  if (abs(now - ck$looked_at) < look_every_s) { # abs: clocks are set back, too
    return(invisible(FALSE))
  }
  ck$looked_at <- now
  boundary(ck, state, now)
}

# Save if it is due, or if it is asked for; leave if that is. `state` is only looked at in these cases.
boundary <- function(ck, state, now) {
  found <- file.exists(ck$files)
  if (!any(found) && abs(now - ck$saved_at) < ck$every_s) {
    return(invisible(FALSE))
  }
  stopping <- found[[1]]
  if (found[[2]]) unlink(ck$place$save) # before the save: another one may be asked for while it is under way
  keep_state(ck, state, compress = ck$compress && !stopping)
  if (stopping) leave(ck)
  invisible(TRUE)
}

keep_state <- function(ck, state, compress = ck$compress) {
  if (Sys.getpid() != ck$pid) {
    refuse("outlast_usage", "a forked child cannot save the run: call outlast_tick in the process that opened it.")
  }
  if (!identical(session$runs[[ck$place$name]], ck)) {
    refuse("outlast_usage", "this run was opened once more since: use what outlast_open returned last.")
  }
  if (is.null(ck$what)) {
    refuse("outlast_usage", "this run was not loaded: call outlast_load before the loop, even if nothing was saved yet.")
  }
  force(state) # before the generator is looked at: evaluating it may draw
  content <- list(
    outlast = 1L, step = ck$step, what = ck$what,
    rng = if (ck$rng && ck$what == "state") take_generator(),
    state = state
  )
  ck$place$write(content, compress)
  ck$saved <- ck$step
  ck$saved_at <- elapsed()
  invisible()
}

leave <- function(ck) {
  say("told to stop: saved at step ", as_text(ck$step), ", leaving with status 85 (run me again)")
  ck$place$leave()
  quit(save = "no", status = 85)
}

higher <- function(step, than) {
  if (!is.numeric(step) || length(step) != 1 || is.na(step) || step <= than || step != floor(step)) {
    refuse(
      "outlast_usage", "a step is a whole number, higher than the one before: it is ", deparse(step)[[1]],
      ", the one before was ", as_text(than), "."
    )
  }
  as.numeric(step)
}
