# A Markov chain: which of the women of the `infert` data (comes with R) are infertile after earlier abortions?
# Bayesian logistic regression by random-walk Metropolis. Every draw depends on the one before: a chain that is
# interrupted must go on where it was, with the same random numbers, or it is another chain.
#
#   outlast run --store runs/mcmc -- Rscript mcmc.R 200000
#   Rscript mcmc.R 200000          alone: saves in ./.outlast, and goes on from there when started again

library(outlast)

n <- as.numeric(c(commandArgs(trailingOnly = TRUE), "200000")[[1]])
x <- cbind(1, scale(as.matrix(infert[c("age", "parity", "induced", "spontaneous")])))
y <- infert$case

log_posterior <- function(b) {
  eta <- drop(x %*% b)
  sum(y * eta - log1p(exp(eta))) - sum(b^2) / 20
}

set.seed(20)
ck <- outlast_open(every = "1min")
s <- outlast_load(ck, default = list(
  i = 0, b = numeric(5), at_b = log_posterior(numeric(5)), accepted = 0, draws = matrix(NA_real_, n, 5)
))

for (i in seq(s$i + 1, length.out = n - s$i)) {
  proposal <- s$b + rnorm(5, sd = 0.15)
  at_proposal <- log_posterior(proposal)
  if (log(runif(1)) < at_proposal - s$at_b) {
    s$b <- proposal
    s$at_b <- at_proposal
    s$accepted <- s$accepted + 1
  }
  s$draws[i, ] <- s$b
  s$i <- i
  outlast_tick(ck, s)
}

kept <- s$draws[-seq_len(n %/% 10), ]
table <- data.frame(
  term = c("intercept", "age", "parity", "induced", "spontaneous"), mean = colMeans(kept), sd = apply(kept, 2, sd),
  low = apply(kept, 2, quantile, 0.025), high = apply(kept, 2, quantile, 0.975)
)
write.csv(table, "mcmc.csv", row.names = FALSE)
cat("accepted", s$accepted, "of", n, "\n")
print(table, digits = 3)
outlast_done(ck, s)
