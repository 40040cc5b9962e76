# Microseconds of processor time of a call of outlast_tick at a boundary where nothing is to be done: the least of ten.
library(outlast)
ck <- outlast_open(every = 3600)
s <- outlast_load(ck, default = list(x = runif(1e6)))
rounds <- function(look) {
  for (i in 1:20000) {
    if (look) ck$looked_at <- -Inf
    outlast_tick(ck, s)
  }
}
for (look in c(FALSE, TRUE)) {
  cat(if (look) "looking at the files: " else "between two looks: ")
  cat(format(min(replicate(10, sum(system.time(rounds(look))[1:2]))) / 20000 * 1e6, digits = 3), "us\n")
}
