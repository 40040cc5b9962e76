uniform <- c(
  "Wichmann-Hill", "Marsaglia-Multicarry", "Super-Duper", "Mersenne-Twister", "Knuth-TAOCP", "Knuth-TAOCP-2002",
  "L'Ecuyer-CMRG"
)
normal <- c("Buggy Kinderman-Ramage", "Ahrens-Dieter", "Box-Muller", "Inversion", "Kinderman-Ramage")

set_kind <- function(...) suppressWarnings(RNGkind(...))

drawn <- function() c(rnorm(3), runif(2), rexp(1), sample(1000, 3), rnorm(2))

# Takes the generator's state between two draws; another process, and this one, must go on as if nothing had been done.
expect_exact <- function(draw_before) {
  set.seed(11)
  draw_before()
  undisturbed <- drawn()
  set.seed(11)
  draw_before()
  taken <- outlast:::take_generator()
  expect_identical(drawn(), undisturbed)
  taken <- unserialize(serialize(taken, NULL))
  set_kind("Mersenne-Twister", "Box-Muller", "Rejection")
  rnorm(1) # a spare value of its own, which must not be taken for the saved one
  outlast:::put_generator(taken)
  expect_identical(drawn(), undisturbed)
}

test_that("every kind goes on exactly, after an odd and an even number of normal values", {
  keep_generator()
  for (u in uniform) {
    for (n in normal) {
      for (s in c("Rounding", "Rejection")) {
        set_kind(u, n, s)
        for (draws in 0:3) expect_exact(function() rnorm(draws))
        expect_identical(RNGkind(), c(u, n, s))
      }
    }
  }
})

test_that("Box-Muller's spare value is found behind other draws, and across the blocks of the generator", {
  keep_generator()
  for (u in uniform) {
    set_kind(u, "Box-Muller", "Rejection")
    for (before in c(97:100, 620:625)) {
      expect_exact(function() {
        runif(before)
        rnorm(1)
        runif(before %% 4)
      })
    }
    expect_exact(function() {
      rnorm(1)
      runif(1500)
    })
  }
})

test_that("a spare value too far back is searched for among the values of the twister", {
  keep_generator()
  set_kind("L'Ecuyer-CMRG", "Box-Muller", "Rejection")
  set.seed(4)
  seed <- outlast:::seed_now()
  for (value in c(0.4542656, -1.576714)) {
    size <- sqrt(-2 * log(123456789 * 2.3283064365386963e-10))
    word <- round((asin(value / size) / (2 * pi)) %% 1 * 2^32)
    spare <- outlast:::spare_from(outlast:::twister_state(word, 123456789, seed[[1]]))
    expect_lt(abs(spare - value), 1e-6)
    state <- outlast:::search_state(spare, seed)
    expect_identical(outlast:::spare_from(state), spare)
  }
  expect_null(outlast:::search_state(6.5, seed, blocks = 3)) # hardly any pair has it
})

test_that("one step back undoes one draw, in every kind", {
  keep_generator()
  for (u in uniform) {
    set_kind(u, "Inversion", "Rejection")
    set.seed(5)
    runif(3) # the first states after a seed may have no state before them
    for (i in 1:1300) {
      before <- outlast:::seed_now()
      runif(1)
      after <- outlast:::seed_now()
      back <- outlast:::step_back(after)
      if (!identical(back, before)) { # of the twister's first block one word is not determined by what came after
        outlast:::put_seed(back)
        runif(1)
        expect_identical(outlast:::seed_now(), after)
      }
    }
    expect_identical(length(back), length(before))
  }
})

test_that("a generator that was not used yet stays so", {
  keep_generator()
  set_kind("L'Ecuyer-CMRG", "Ahrens-Dieter", "Rejection")
  outlast:::put_seed(NULL)
  taken <- outlast:::take_generator()
  expect_null(outlast:::seed_now())
  set_kind("Mersenne-Twister", "Inversion", "Rejection")
  outlast:::put_generator(taken)
  expect_null(outlast:::seed_now())
  expect_identical(RNGkind()[1:2], c("L'Ecuyer-CMRG", "Ahrens-Dieter"))
})

test_that("a user-supplied generator is refused by name", {
  expect_error(outlast:::refuse_user_supplied(c("user-supplied", "Inversion", "Rejection")), "user-supplied", class = "outlast_unsavable")
  expect_error(outlast:::refuse_user_supplied(c("Super-Duper", "user-supplied", "Rejection")), "user-supplied")
})

test_that("a spare value that this R would not make is refused", {
  keep_generator()
  set_kind("Mersenne-Twister", "Box-Muller", "Rejection")
  set.seed(1)
  rnorm(1)
  taken <- outlast:::take_generator()
  taken$spare$value <- taken$spare$value + 1e-9
  expect_error(outlast:::put_generator(taken), "does not make the same normal values", class = "outlast_misfit")
})
