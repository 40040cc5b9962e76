# A simulation study: how often does a nominal 95 % interval hold the true mean, if the data are as skewed as the
# `rivers` (come with R)? Designs by replicates, in one list of tasks, resumed by replicate.
#
#   outlast run --store runs/simulation -- Rscript simulation.R 2000 4
#   Rscript simulation.R 2000 4    alone: saves in ./.outlast, and computes only what is left when started again

library(outlast)

arguments <- as.numeric(commandArgs(trailingOnly = TRUE))
replicates <- c(arguments, 2000)[[1]]
cores <- c(arguments[-1], 1)[[1]]

designs <- expand.grid(n = c(10, 40, 160), method = c("t", "log", "bootstrap"), stringsAsFactors = FALSE)
tasks <- rep(seq_len(nrow(designs)), each = replicates)
truth <- mean(rivers)

interval <- function(data, method) {
  switch(method,
    t = t.test(data)$conf.int,
    log = exp(t.test(log(data))$conf.int + var(log(data)) / 2),
    bootstrap = quantile(replicate(99, mean(sample(data, replace = TRUE))), c(0.025, 0.975))
  )
}

one <- function(task) {
  ends <- interval(sample(rivers, designs$n[[task]], replace = TRUE), designs$method[[task]])
  ends[[1]] <= truth && truth <= ends[[2]]
}

hits <- unlist(outlast_map(tasks, one, seed = 7, cores = cores))

designs$covered <- as.vector(tapply(hits, tasks, mean))
write.csv(designs, "simulation.csv", row.names = FALSE)
print(designs, digits = 3)
outlast_done()
