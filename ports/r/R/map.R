# lapply that is resumed by element. Each element has a random number stream of its own, so that the result does not
# depend on how many workers there are, nor on where it was interrupted.
#
# The state of the run is a list of maps, one for each call of outlast_map that the program makes, in this order.

outlast_map <- function(X, FUN, ..., seed = NULL, cores = 1L, chunk = NULL, ck = NULL, allow = character()) {
  FUN <- match.fun(FUN)
  if (!is.vector(X) || is.object(X)) X <- as.list(X)
  stopifnot(is.numeric(cores), length(cores) == 1, cores >= 1, is.null(chunk) || chunk >= 1)
  if (isTRUE(session$in_map)) {
    return(mapped_within(X, FUN, ..., seed = seed))
  }
  if (cores > 1 && .Platform$OS.type == "windows") {
    say("one worker: R cannot fork on Windows")
    cores <- 1L
  }
  ck <- map_run(ck)
  asked <- what_is_asked(X, FUN, list(...), seed)
  call <- ck$calls + 1
  if (call > length(ck$maps)) {
    ck$maps[[call]] <- new_map(length(X), seed, asked)
  } else {
    ck$maps[[call]] <- taken_up(ck$maps[[call]], length(X), asked, allow, call)
  }

  generator <- take_generator()
  on.exit(put_generator(generator))
  streams <- streams_from(ck$maps[[call]]$stream, length(X))
  one <- function(i) {
    put_seed(streams[[i]])
    session$in_map <- TRUE
    on.exit(session$in_map <- FALSE)
    tryCatch(list(value = FUN(X[[i]], ...)), error = function(e) list(failed = e))
  }
  compute_what_is_left(ck, call, X, one, cores, chunk)
  if (ck$saved < ck$step) keep_state(ck, list(maps = ck$maps))
  ck$calls <- call
  results <- ck$maps[[call]]$results
  if (!is.null(names(X))) names(results) <- names(X)
  results
}

# A call inside of an element: computed with it, and never saved alone. The streams are made in the same way.
mapped_within <- function(X, FUN, ..., seed) {
  stream <- first_stream(if (is.null(seed)) sample.int(.Machine$integer.max, 1) else seed)
  generator <- seed_now()
  on.exit(put_seed(generator))
  streams <- streams_from(stream, length(X))
  results <- lapply(seq_along(X), function(i) {
    put_seed(streams[[i]])
    FUN(X[[i]], ...)
  })
  if (!is.null(names(X))) names(results) <- names(X)
  results
}

# In chunks, with a step boundary after each.
compute_what_is_left <- function(ck, call, X, one, cores, chunk) {
  budget_s <- if (!is.null(chunk)) Inf else if (cores > 1) 1 else look_every_s
  size <- if (!is.null(chunk)) chunk else if (cores > 1) cores else 1000
  left <- which(!ck$maps[[call]]$done)
  while (length(left)) {
    now <- left[seq_len(min(size, length(left)))]
    got <- if (cores > 1) in_children(now, timed(one, budget_s), cores) else lapply(now, timed(one, budget_s))
    skipped <- vapply(got, function(result) "skipped" %in% names(result), NA)
    now <- now[!skipped]
    got <- got[!skipped]
    left <- left[!left %in% now]
    failed <- put_results(ck, call, now, got)
    if (length(failed)) give_up(ck, X, now[[failed[[1]]]], got[[failed[[1]]]]$failed)
    outlast_tick(ck, list(maps = ck$maps), step = ck$step + length(now))
    # Forking costs, too: as many at a time as fit.
    if (is.null(chunk) && cores > 1) size <- if (any(skipped)) max(cores, size %/% 2) else 2 * size
  }
}

# Calls `one` until the time is over, at least once in each process, and skips the rest.
timed <- function(one, budget_s) {
  begin <- NULL
  function(i) {
    if (is.null(begin)) {
      begin <<- elapsed()
    } else if (abs(elapsed() - begin) >= budget_s) {
      return(list(skipped = TRUE))
    }
    one(i)
  }
}

# The run whose state are the maps: opened, and read once, by the first of them.
map_run <- function(ck) {
  if (is.null(ck)) {
    ck <- session$map
    if (is.null(ck) || !identical(session$runs[[ck$place$name]], ck)) ck <- outlast_open()
  }
  if (identical(ck$what, "map")) {
    return(ck)
  }
  got <- ck$place$newest()
  take_up(ck, got, "map")
  ck$maps <- if (is.null(got)) list() else got$state$maps
  ck$calls <- 0 # that this process has finished
  session$map <- ck
  ck
}

new_map <- function(n, seed, asked) {
  seed <- if (is.null(seed)) sample.int(.Machine$integer.max, 1) else seed
  list(done = logical(n), results = vector("list", n), stream = first_stream(seed), asked = asked)
}

# A map as it was saved, if the same is asked of it.
taken_up <- function(map, n, asked, allow, call) {
  changed <- setdiff(differing(map$asked, asked), allow)
  if (length(changed)) {
    refuse(
      "outlast_misfit", "call ", call, " of outlast_map is not what it was when ", sum(map$done), " of its ",
      length(map$done), " elements were computed: ", quoted(changed), " changed. Undo that; or accept it, with allow = c(",
      paste0('"', changed, '"', collapse = ", "), "); or begin anew, with another folder or store."
    )
  }
  if (any(map$done)) say("outlast_map goes on: ", sum(map$done), " of ", n, " elements are done")
  length(map$done) <- n
  length(map$results) <- n
  map$done <- map$done %in% TRUE
  map$asked <- asked
  map
}

# The kinds are set as well, so that the result does not depend on them.
first_stream <- function(seed) {
  generator <- take_generator()
  on.exit(put_generator(generator))
  RNGkind("L'Ecuyer-CMRG", "Inversion", "Rejection")
  set.seed(seed)
  seed_now()
}

streams_from <- function(stream, n) {
  streams <- vector("list", n)
  for (i in seq_len(n)) {
    streams[[i]] <- stream
    stream <- nextRNGStream(stream)
  }
  streams
}

in_children <- function(indices, one, cores) {
  parent <- Sys.getpid()
  in_child <- function(i) {
    if (Sys.getpid() != parent) end_with(parent) # a single element is not given to a child
    one(i)
  }
  # It warns of what failed, which is looked at here by element.
  got <- suppressWarnings(mclapply(indices, in_child, mc.cores = cores, mc.set.seed = FALSE))
  lapply(got, function(result) {
    if (is.list(result) && names(result)[[1]] %in% c("value", "failed", "skipped")) {
      return(result)
    }
    list(failed = simpleError("its process died, or its result could not be sent"))
  })
}

# A child of mclapply waits for a SIGUSR1 of its parent before it exits: for ever, if the parent was killed. So it sends
# that to itself (in a child it means no more than that); and does not go on for a parent that is no more.
end_with <- function(parent) {
  pskill(Sys.getpid(), SIGUSR1)
  if (is.na(psnice(parent))) pskill(Sys.getpid(), SIGKILL)
}

# Takes the results in; returns which of them failed.
put_results <- function(ck, call, indices, got) {
  failed <- vapply(got, function(result) "failed" %in% names(result), NA)
  map <- ck$maps[[call]]
  ck$maps[call] <- list(NULL) # so that its lists are changed where they are, not copied
  for (at in which(!failed)) {
    if (!is.null(got[[at]]$value)) map$results[[indices[[at]]]] <- got[[at]]$value
  }
  map$done[indices[!failed]] <- TRUE
  ck$maps[[call]] <- map
  which(failed)
}

give_up <- function(ck, X, i, error) {
  ck$step <- sum(vapply(ck$maps, function(map) sum(map$done), 0))
  if (ck$step > ck$saved) keep_state(ck, list(maps = ck$maps))
  name <- if (is.null(names(X))) i else paste0(i, " (", names(X)[[i]], ")")
  refuse("outlast_failed", "element ", name, " failed: ", conditionMessage(error), " What is done is saved.")
}
