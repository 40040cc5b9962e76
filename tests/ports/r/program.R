# A computation whose every step depends on the one before, on R's generator, and on Box-Muller's spare value.
# Rscript program.R STEPS EVERY_S SIZE PAUSE_S

library(outlast)
arguments <- as.numeric(commandArgs(trailingOnly = TRUE))
steps <- arguments[[1]]
set.seed(7, "Mersenne-Twister", "Box-Muller")
ck <- outlast_open(every = arguments[[2]])
s <- outlast_load(ck, default = list(i = 0, x = numeric(arguments[[3]]), sum = 0))
cat("begins at", s$i, "\n")
for (i in seq(s$i + 1, length.out = max(0, steps - s$i))) {
  at <- 1 + i %% length(s$x)
  s$x[[at]] <- s$x[[at]] + rnorm(1) * runif(1)
  s$sum <- s$sum * 0.9 + s$x[[at]]
  s$i <- i
  if (arguments[[2]] == 0) ck$looked_at <- -Inf # save at each step
  Sys.sleep(arguments[[4]])
  if (outlast_tick(ck, s)) cat("saved", i, "\n")
}
cat("result", format(c(s$sum, sum(s$x), rnorm(1)), digits = 17), "\n")
outlast_done(ck, s)
