# A run as the program holds it: an environment, since its step and its clock change under the program's hands.

# What this process has open, by place: of two that save in one place, the newer counts.
session <- new.env(parent = emptyenv())
session$runs <- list()

outlast_open <- function(folder = NULL, every = "10min", keep = 3, compress = FALSE, rng = TRUE) {
  every_s <- seconds(every)
  stopifnot(is.numeric(keep), length(keep) == 1, keep >= 1, is.logical(compress), is.logical(rng))
  place <- open_place(folder, keep, every_s)
  ck <- new.env(parent = emptyenv())
  ck$place <- place
  ck$files <- c(place$stop, place$save)
  ck$every_s <- if (place$asked_only) Inf else every_s
  ck$compress <- isTRUE(compress)
  ck$rng <- isTRUE(rng)
  ck$step <- 0
  ck$saved <- -1 # the step last saved, by whichever attempt
  ck$what <- NULL # "state" or "map", once it is known which of the two keeps it
  ck$pid <- Sys.getpid()
  ck$looked_at <- -Inf
  ck$saved_at <- elapsed()
  session$runs[[place$name]] <- ck
  session$newest <- ck
  invisible(ck)
}

open_place <- function(folder, keep, every_s) {
  control <- Sys.getenv("OUTLAST_CONTROL")
  save <- Sys.getenv("OUTLAST_SAVE")
  if (nzchar(control) && nzchar(save)) {
    return(supervised_place(save, Sys.getenv("OUTLAST_RESTORE"), control))
  }
  own_place(if (is.null(folder)) own_folder() else folder, keep, every_s, control)
}

elapsed <- function() proc.time()[[3L]]

# "10min", "30s", "2h", or a number of seconds.
seconds <- function(every) {
  if (is.numeric(every) && length(every) == 1 && !is.na(every) && every >= 0) {
    return(every)
  }
  units <- c(s = 1, min = 60, m = 60, h = 3600, d = 86400)
  if (is.character(every) && length(every) == 1) {
    parts <- regmatches(every, regexec("^([0-9]+(?:[.][0-9]+)?) ?(s|min|m|h|d)$", every))[[1]]
    if (length(parts) == 3) {
      return(as.numeric(parts[[2]]) * units[[parts[[3]]]])
    }
  }
  stop("'every' is a number of seconds, or like \"10min\", \"30s\", \"2h\"; it is ", deparse(every)[[1]], call. = FALSE)
}

say <- function(...) message("outlast: ", ...)

refuse <- function(kind, ...) {
  stop(structure(class = c(kind, "outlast_error", "error", "condition"), list(message = paste0(...), call = NULL)))
}

as_text <- function(step) format(step, scientific = FALSE, trim = TRUE, digits = 16)
