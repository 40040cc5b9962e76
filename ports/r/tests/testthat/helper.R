# A run in a folder of its own, without a supervisor; what it says is not shown.
open_in <- function(folder, every = 1e6, ...) suppressMessages(outlast_open(folder, every = every, ...))

load_from <- function(ck, default) { # the default as it is written, not evaluated
  eval.parent(substitute(suppressMessages(outlast_load(ck, default))))
}

new_folder <- function() file.path(tempfile("run"), "saved")

# Ask for a save at the next boundary.
ask <- function(ck) {
  file.create(ck$place$save)
  ck$looked_at <- -Inf
}

saved_in <- function(folder) sort(as.numeric(sub("-.*", "", list.files(folder, "[.]rds$"))))

newest_file <- function(folder) {
  files <- list.files(folder, "[.]rds$", full.names = TRUE)
  files[[which.max(as.numeric(sub("-.*", "", basename(files))))]]
}

keep_generator <- function(env = parent.frame()) {
  seed <- get0(".Random.seed", globalenv(), inherits = FALSE)
  kind <- RNGkind()
  do.call(on.exit, list(bquote({
    suppressWarnings(RNGkind(.(kind[[1]]), .(kind[[2]]), .(kind[[3]])))
    outlast:::put_seed(.(seed))
  }), add = TRUE), envir = env)
}
