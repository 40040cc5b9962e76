pointer <- function() attr(textConnection("closed by the garbage collector"), "conn_id")

test_that("what cannot be saved is refused by its name, when the run starts and when it saves", {
  environment_with <- function(value) list2env(list(deep = value))
  cases <- list(
    "state$a" = list(a = pointer()),
    "state$model$handle" = list(i = 1, model = list(handle = pointer())),
    "state[[2]]" = list(1, pointer()),
    "state$r6$deep" = list(r6 = environment_with(pointer())),
    "attr(state$x, \"index\")" = list(x = structure(1:3, index = pointer()))
  )
  for (path in names(cases)) {
    folder <- new_folder()
    expect_error(load_from(open_in(folder), cases[[path]]), paste(path, "cannot be saved: it is an external pointer"), fixed = TRUE, class = "outlast_unsavable")
    ck <- open_in(folder)
    load_from(ck, list())
    ask(ck)
    expect_error(outlast_tick(ck, cases[[path]]), path, fixed = TRUE)
    expect_identical(list.files(folder, all.files = TRUE, no.. = TRUE), character())
  }
})

test_that("an open connection is refused by its name", {
  connection <- file(tempfile(), "w")
  on.exit(close(connection))
  expect_error(load_from(open_in(new_folder()), list(log = connection)), "state$log cannot be saved: it is an open connection", fixed = TRUE)
})

test_that("what a function carries with it is looked at", {
  make <- function(secret) function() secret
  keeper <- make(pointer())
  force(environment(keeper)$secret)
  expect_error(load_from(open_in(new_folder()), list(f = keeper)), "environment(state$f)$secret", fixed = TRUE)
})

test_that("what R can save is saved: cycles, environments, functions, S4, factors, dates, NULL, NA", {
  loop <- new.env(parent = emptyenv())
  loop$itself <- loop
  makeActiveBinding("now", Sys.time, loop)
  state <- list(
    factor = factor(c("a", NA)), when = as.POSIXct("2026-01-02", tz = "UTC"), nothing = NULL, na = c(NA, NaN, -0, Inf),
    fit = evalq(lm(mpg ~ wt, mtcars), globalenv()), f = evalq(function(x) x + 1, globalenv()), complex = 1i, raw = as.raw(0:255), text = c("\u00e4", NA)
  )
  folder <- new_folder()
  ck <- open_in(folder)
  load_from(ck, list(loop = loop))
  ask(ck)
  outlast_tick(ck, state)
  got <- load_from(open_in(folder), 0)
  expect_identical(got[names(got) != "fit"], state[names(state) != "fit"], ignore_srcref = TRUE)
  expect_equal(got$fit, state$fit)
})
