args <- commandArgs(trailingOnly = TRUE)
set.seed(5)
total <- 0
out <- file(args[1], "a")
for (step in seq_len(as.integer(args[2])) - 1) {
  total <- total + floor(runif(1) * 1000)
  cat(step, total, "\n", file = out)
  flush(out)
  cat(sprintf("step %d\n", step))
  if (!file.exists("fast")) Sys.sleep(0.02)
}
cat("total", total, "\n")
