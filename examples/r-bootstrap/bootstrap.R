# A bootstrap: how sure is the half-life in a nonlinear fit to the `Theoph` data (comes with R)? Subjects are drawn with
# replacement, and the model is fitted to each draw. Each replicate has a random number stream of its own: the result is
# the same for any number of workers, and however often it was interrupted.
#
#   outlast run --store runs/bootstrap -- Rscript bootstrap.R 5000 4
#   Rscript bootstrap.R 5000 4     alone: saves in ./.outlast, and computes only what is left when started again

library(outlast)

arguments <- as.numeric(commandArgs(trailingOnly = TRUE))
replicates <- c(arguments, 5000)[[1]]
cores <- c(arguments[-1], 1)[[1]]

subjects <- split(as.data.frame(Theoph), as.character(Theoph$Subject))

half_life <- function(i) {
  drawn <- do.call(rbind, subjects[sample(length(subjects), replace = TRUE)])
  fit <- try(nls(conc ~ SSfol(Dose, Time, lKe, lKa, lCl), drawn), silent = TRUE)
  if (inherits(fit, "try-error")) NA_real_ else log(2) / exp(coef(fit)[["lKe"]])
}

hours <- unlist(outlast_map(seq_len(replicates), half_life, seed = 42, cores = cores))

write.csv(data.frame(replicate = seq_along(hours), hours), "bootstrap.csv", row.names = FALSE)
cat("half-life in hours:", format(quantile(hours, c(0.5, 0.025, 0.975), na.rm = TRUE), digits = 4), "\n")
cat("fits that did not converge:", sum(is.na(hours)), "of", replicates, "\n")
outlast_done()
