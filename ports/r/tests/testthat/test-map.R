draw <- function(i, by = 1) mean(rnorm(5)) * by + i

map_in <- function(folder, ..., ck = open_in(folder)) suppressMessages(outlast_map(..., ck = ck))

workers <- if (.Platform$OS.type == "windows") 1 else c(1, 2, 3)

test_that("the result is the same for any number of workers, chunks and interruptions", {
  expected <- map_in(new_folder(), 1:40, draw, by = 2, seed = 42)
  expect_length(unique(unlist(expected)), 40)
  for (cores in workers) {
    for (chunk in list(NULL, 1, 7, 100)) {
      expect_identical(map_in(new_folder(), 1:40, draw, by = 2, seed = 42, cores = cores, chunk = chunk), expected)
    }
  }
  folder <- new_folder()
  flag <- tempfile()
  for (broken in c(3, 4, 17, 40)) { # fails at ever later elements; what was done before is not done again
    writeLines(as.character(broken), flag)
    count <- tempfile()
    fragile <- function(i, by) {
      cat(i, "\n", file = count, append = TRUE)
      if (i == as.numeric(readLines(flag))) stop("broken")
      mean(rnorm(5)) * by + i
    }
    allow <- c("flag", "count", "draw")
    expect_error(map_in(folder, 1:40, fragile, by = 2, seed = 42, chunk = 1, allow = allow), paste("element", broken, "failed: broken"))
  }
  writeLines("0", flag)
  got <- map_in(folder, 1:40, fragile, by = 2, seed = 42, cores = max(workers), allow = allow)
  expect_identical(got, expected)
  expect_equal(as.numeric(readLines(count)), c(17:40, 40)) # from the one that had failed before
})

test_that("slow elements after quick ones have boundaries between them", {
  for (cores in workers) {
    folder <- new_folder()
    slow <- function(i) {
      if (i > 40) Sys.sleep(0.6)
      if (i == 44) stop("too slow to get here") # none of the slow ones is begun once a chunk has lasted a second
      i
    }
    ck <- open_in(folder, every = 0)
    expect_error(map_in(folder, 1:60, slow, seed = 1, cores = cores, ck = ck), "element 44 failed")
    expect_gt(length(unique(saved_in(folder))), 1)
    expect_gt(min(saved_in(folder)), 0)
  }
})

test_that("it is like lapply in what it takes and returns", {
  expect_identical(map_in(new_folder(), c(a = 1, b = 2), function(x) x * 2, seed = 1), list(a = 2, b = 4))
  expect_identical(map_in(new_folder(), list(1, "b", NULL), function(x) x, seed = 1), list(1, "b", NULL))
  expect_identical(map_in(new_folder(), mtcars[1:3], "mean", seed = 1), lapply(mtcars[1:3], mean))
  expect_identical(map_in(new_folder(), integer(), draw, seed = 1), list())
  expect_identical(map_in(new_folder(), factor(c("u", "v")), as.character, seed = 1), list("u", "v"))
})

test_that("a map inside of an element is a part of it", {
  outer <- function(i) unlist(outlast_map(c(a = 1, b = 2), function(j) rnorm(1) + 10 * j, seed = if (i < 3) i)) + runif(1)
  expected <- map_in(new_folder(), 1:4, outer, seed = 42)
  alone <- unlist(map_in(new_folder(), c(a = 1, b = 2), function(j) rnorm(1) + 10 * j, seed = 2))
  expect_equal(diff(expected[[2]]), diff(alone)) # its seed is its own, runif(1) that of the element
  expect_length(unique(unlist(expected)), 8)
  for (cores in workers) expect_identical(map_in(new_folder(), 1:4, outer, seed = 42, cores = cores), expected)
  expect_error(
    map_in(new_folder(), 1:2, function(i) outlast_map(1, function(j) stop("inner"), seed = 1), seed = 1),
    "element 1 failed: inner"
  )
  folder <- new_folder() # and after that it is over
  slow <- function(i) {
    Sys.sleep(1.2 * look_every_s) # nobody looks whether a save is due before that
    outer(i)
  }
  expect_identical(map_in(folder, 1:4, slow, seed = 42, chunk = 1, ck = open_in(folder, every = 0)), expected)
  expect_identical(saved_in(folder), c(2, 3, 4))
})

test_that("it leaves the generator as it was, and its result does not depend on it", {
  keep_generator()
  expected <- map_in(new_folder(), 1:3, draw, seed = 7)
  suppressWarnings(RNGkind("Wichmann-Hill", "Box-Muller", "Rounding"))
  set.seed(1)
  after <- rnorm(4)[2:4]
  set.seed(1)
  rnorm(1)
  expect_identical(map_in(new_folder(), 1:3, draw, seed = 7), expected)
  expect_identical(rnorm(3), after)
})

test_that("without a seed it takes one from the generator, and keeps it", {
  keep_generator()
  folder <- new_folder()
  set.seed(2)
  expected <- map_in(folder, 1:3, draw)
  expect_identical(map_in(folder, 1:3, draw), expected)
  set.seed(2)
  expect_identical(map_in(new_folder(), 1:3, draw), expected)
  expect_false(identical(map_in(new_folder(), 1:3, draw), expected))
})

test_that("several calls in one program are kept apart, by their order", {
  folder <- new_folder()
  times <- function(k, ck) map_in(folder, 1:4, function(i) k * as.numeric(i), seed = 1, ck = ck)
  ck <- open_in(folder)
  expected <- lapply(1:3, times, ck = ck)
  expect_identical(unlist(expected[[3]]), c(3, 6, 9, 12))
  again <- open_in(folder)
  expect_identical(lapply(1:3, times, ck = again), expected)
  expect_error(times(2, open_in(folder)), "call 1 of outlast_map .* 'k' changed", class = "outlast_misfit")
})

test_that("what is not asked for as before is refused by its name, and can be allowed", {
  folder <- new_folder()
  offset <- 1
  helper <- function(x) x + offset
  shift <- function(i) {
    offset2 <- helper(i)
    offset2
  }
  expected <- map_in(folder, 1:3, shift, seed = 1)
  expect_identical(map_in(folder, 1:3, shift, seed = 1), expected)
  expect_error(map_in(folder, 1:3, shift, seed = 2), "'seed' changed")
  expect_error(map_in(folder, 1:4, shift, seed = 1), "'X' changed")
  expect_error(map_in(folder, 1:3, function(i) i, seed = 1), "'FUN', 'helper', 'offset' changed")
  offset <- 5
  expect_error(map_in(folder, 1:3, shift, seed = 1), "3 of its 3 elements were computed: 'offset' changed")
  expect_identical(map_in(folder, 1:5, shift, seed = 1, allow = c("X", "offset")), c(expected, list(9, 10)))
})

test_that("a worker that dies is noticed, and what the others did is kept", {
  skip_on_os("windows")
  folder <- new_folder()
  flag <- tempfile()
  fragile <- function(i) {
    if (i == 2 && !file.exists(flag)) tools::pskill(Sys.getpid(), tools::SIGKILL)
    i
  }
  expect_error(map_in(folder, 1:4, fragile, seed = 1, cores = 2, chunk = 4), "element 2 failed: its process died")
  file.create(flag)
  expect_identical(map_in(folder, 1:4, fragile, seed = 1), as.list(1:4))
})

test_that("a loop's run is not taken for a map's, nor the other way round", {
  folder <- new_folder()
  map_in(folder, 1:3, draw, seed = 1)
  expect_error(load_from(open_in(folder), list()), "is of outlast_map, not of outlast_load", class = "outlast_misfit")
  ck <- open_in(new_folder())
  load_from(ck, list())
  expect_error(map_in("", 1:3, draw, seed = 1, ck = ck), "loaded before", class = "outlast_usage")
})

test_that("results that cannot be saved are refused", {
  handle <- function(i) attr(textConnection("x"), "conn_id")
  expect_error(map_in(new_folder(), 1:3, handle, seed = 1), "results[[1]] cannot be saved: it is an external pointer", fixed = TRUE)
})
