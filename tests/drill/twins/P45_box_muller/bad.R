# P45: Box-Muller keeps the second of two normal numbers where .Random.seed does not hold it.
#
# drill: kill step:7
# cause: box-muller
RNGkind(normal.kind = "Box-Muller")
set.seed(1)
work <- function(step) {
  held <- sprintf("hold-%d", step)
  if (file.exists(held)) suppressWarnings(readLines(held)) # as long as the tests like
}
step <- 0
total <- 0
if (file.exists("state.rds")) {
  saved <- readRDS("state.rds")
  step <- saved$step
  total <- saved$total
  assign(".Random.seed", saved$seed, envir = globalenv())
}
while (step < 17) {
  total <- total + rnorm(1)
  step <- step + 1
  if (step %% 6 == 5) {
    saveRDS(list(step = step, total = total, seed = .Random.seed), "new.rds")
    file.rename("new.rds", "state.rds")
  }
  cat(sprintf("step %d total=%.12f\n", step, total))
  flush(stdout())
  work(step)
}
writeLines(format(total, digits = 17), "result.txt")
