test_that("what was saved comes back, with the generator, and the step counts on", {
  keep_generator()
  folder <- new_folder()
  ck <- open_in(folder)
  set.seed(3)
  state <- load_from(ck, list(i = 0, x = letters))
  for (i in 1:3) {
    state$i <- i
    state$x <- rnorm(2)
    if (i == 3) ask(ck)
    outlast_tick(ck, state)
  }
  after <- rnorm(5)
  again <- open_in(folder)
  got <- load_from(again, list(i = stop("the default is not needed"), x = NULL))
  expect_identical(got, state)
  expect_identical(rnorm(5), after)
  ask(again)
  outlast_tick(again, got)
  expect_equal(saved_in(folder), 3:4)
})

test_that("rng = FALSE leaves the generator alone", {
  keep_generator()
  folder <- new_folder()
  set.seed(3)
  ck <- open_in(folder, rng = FALSE)
  load_from(ck, NULL)
  ask(ck)
  outlast_tick(ck, 1)
  set.seed(8)
  expected <- rnorm(1)
  set.seed(8)
  load_from(open_in(folder, rng = FALSE), NULL)
  expect_identical(rnorm(1), expected)
})

test_that("the state is not looked at before it is saved, and a save is due by the clock", {
  folder <- new_folder()
  ck <- open_in(folder, every = "1h")
  load_from(ck, 0)
  for (i in 1:50) expect_false(outlast_tick(ck, stop("looked at")))
  ck$looked_at <- -Inf
  ck$saved_at <- ck$saved_at - 3000
  expect_false(outlast_tick(ck, stop("looked at")))
  ck$looked_at <- -Inf
  ck$saved_at <- ck$saved_at - 601
  expect_true(outlast_tick(ck, "state"))
  expect_equal(saved_in(folder), 52)
})

test_that("as many are kept as was said, and a program may count the steps itself", {
  folder <- new_folder()
  ck <- open_in(folder, keep = 2)
  load_from(ck, 0)
  for (step in c(5, 100000, 1e15)) {
    ask(ck)
    outlast_tick(ck, step, step = step)
  }
  expect_identical(saved_in(folder), c(100000, 1e15))
  expect_error(outlast_tick(ck, 0, step = 1e15), "higher than the one before", class = "outlast_usage")
  expect_error(outlast_tick(ck, 0, step = 1e15 + 0.5), "whole number")
})

test_that("a damaged file is moved away, and the one before is used, loudly", {
  for (damage in c("cut", "flip", "empty")) {
    folder <- new_folder()
    ck <- open_in(folder)
    load_from(ck, 0)
    for (i in 1:3) {
      ask(ck)
      outlast_tick(ck, list(i, runif(1000)))
    }
    newest <- newest_file(folder)
    bytes <- readBin(newest, "raw", 1e6)
    writeBin(switch(damage,
      cut = bytes[seq_len(length(bytes) - 9)],
      flip = replace(bytes, 5000, xor(bytes[[5000]], as.raw(1))),
      empty = raw()
    ), newest)
    again <- open_in(folder)
    suppressMessages(expect_message(got <- outlast_load(again, 0), "damaged and not used"))
    expect_identical(got[[1]], 2L)
    expect_identical(list.files(file.path(folder, "quarantine")), basename(newest))
    ask(again)
    outlast_tick(again, list(2.5))
    expect_identical(load_from(open_in(folder), 0), list(2.5))
  }
})

test_that("a warning of readRDS is damage", {
  folder <- new_folder()
  ck <- open_in(folder, compress = TRUE)
  load_from(ck, 0)
  ask(ck)
  outlast_tick(ck, list(runif(10000)))
  bytes <- readBin(newest_file(folder), "raw", 1e6)
  warned <- 0
  for (at in seq(200, length(bytes) - 1, by = 500)) {
    path <- tempfile()
    writeBin(replace(bytes, at, xor(bytes[[at]], as.raw(16))), path)
    quiet <- tryCatch(is.list(suppressWarnings(readRDS(path))), error = function(e) FALSE)
    got <- outlast:::read_content(path)
    if (quiet && !is.null(got$problem)) warned <- warned + 1
  }
  expect_gt(warned, 10)
})

test_that("if nothing is good that is an error, and never a fresh start", {
  folder <- new_folder()
  ck <- open_in(folder)
  load_from(ck, 0)
  ask(ck)
  outlast_tick(ck, 1)
  newest <- newest_file(folder)
  writeBin(raw(10), newest)
  expect_error(load_from(open_in(folder), 0), "nothing saved in .* can be restored", class = "outlast_damage")
  expect_true(file.exists(newest))
})

test_that("a good file that is not of this package, or of a later version, is not used", {
  path <- tempfile()
  saveRDS(list(a = 1), path)
  expect_match(outlast:::read_content(path)$problem, "not saved by outlast")
  saveRDS(list(outlast = 2L, step = 1, what = "state", state = 1), path)
  expect_match(outlast:::read_content(path)$problem, "later version")
})

test_that("two that save in one folder are noticed", {
  folder <- new_folder()
  ck <- open_in(folder)
  load_from(ck, 0)
  ask(ck)
  outlast_tick(ck, 1)
  path <- newest_file(folder)
  file.copy(path, file.path(folder, sub("^1-", "7-", basename(path))))
  ask(ck)
  expect_error(outlast_tick(ck, 2), "another program saves in .* step 7", class = "outlast_busy")
  old <- ck
  open_in(folder)
  ask(old)
  expect_error(outlast_tick(old, 2), "opened once more", class = "outlast_usage")
})

test_that("what is there is never saved over by a program that did not load it", {
  folder <- new_folder()
  ck <- open_in(folder)
  ask(ck)
  expect_error(outlast_tick(ck, 1), "call outlast_load before the loop", class = "outlast_usage")
})

test_that("what a killed save left behind is no state, and is swept away", {
  folder <- new_folder()
  dir.create(folder, recursive = TRUE)
  writeBin(raw(100), file.path(folder, ".new-123"))
  ck <- open_in(folder)
  expect_identical(load_from(ck, "fresh"), "fresh")
  expect_identical(list.files(folder, all.files = TRUE, no.. = TRUE), character())
})

test_that("a state without an element of the default is refused by its name; without evaluating the default", {
  folder <- new_folder()
  ck <- open_in(folder)
  load_from(ck, list(i = 0))
  ask(ck)
  outlast_tick(ck, list(i = 1, more = 2))
  expect_error(load_from(open_in(folder), list(i = 0, z = stop("evaluated"))), "no element 'z'", class = "outlast_misfit")
  default <- list(i = 0, y = 1)
  expect_error(load_from(open_in(folder), default), "no element 'y', .* it has 'i', 'more'")
  expect_identical(load_from(open_in(folder), list(i = 0)), list(i = 1, more = 2))
})

test_that("done is said, with a last state, and starting once more goes on from it", {
  folder <- new_folder()
  ck <- open_in(folder)
  load_from(ck, 0)
  ask(ck)
  outlast_tick(ck, "a")
  outlast_done(ck, "b")
  expect_true(file.exists(file.path(folder, "done")))
  again <- open_in(folder)
  suppressMessages(expect_message(got <- outlast_load(again, 0), "done before, at step 2"))
  expect_identical(got, "b")
  ask(again)
  outlast_tick(again, "c")
  expect_false(file.exists(file.path(folder, "done")))
})

test_that("a save that fails says so, and leaves nothing", {
  skip_on_os("windows")
  folder <- new_folder()
  ck <- open_in(folder)
  load_from(ck, 0)
  unlink(folder, recursive = TRUE)
  ck$files[[2]] <- ck$place$save <- tempfile()
  ask(ck)
  expect_error(outlast_tick(ck, 1), "saving step 1 failed: cannot open", class = "outlast_write")
})

test_that("a forked child cannot save", {
  skip_on_os("windows")
  folder <- new_folder()
  ck <- open_in(folder)
  load_from(ck, 0)
  ask(ck)
  said <- parallel::mclapply(1:2, function(i) tryCatch(outlast_tick(ck, 1), error = conditionMessage), mc.cores = 2)
  expect_match(unlist(said), "forked child|FALSE")
  expect_match(paste(said, collapse = " "), "forked child")
  expect_identical(saved_in(folder), numeric())
})

test_that("intervals are read", {
  expect_identical(outlast:::seconds("10min"), 600)
  expect_identical(outlast:::seconds("1.5h"), 5400)
  expect_identical(outlast:::seconds(0), 0)
  for (wrong in list("soon", -1, NA_real_, c(1, 2), "10 parsecs")) expect_error(outlast:::seconds(wrong), "'every' is a number")
})

test_that("a task of a job array has a folder of its own", {
  before <- Sys.getenv("SLURM_ARRAY_TASK_ID", NA)
  on.exit(if (is.na(before)) Sys.unsetenv("SLURM_ARRAY_TASK_ID") else Sys.setenv(SLURM_ARRAY_TASK_ID = before))
  Sys.unsetenv("SLURM_ARRAY_TASK_ID")
  expect_identical(outlast:::own_folder(), ".outlast")
  for (task in c("0", "17")) {
    Sys.setenv(SLURM_ARRAY_TASK_ID = task)
    expect_identical(outlast:::own_folder(), file.path(".outlast", paste0("task-", task)))
  }
})
