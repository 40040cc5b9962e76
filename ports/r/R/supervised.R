# Under `outlast run` with a store: the program writes files, the supervisor verifies, commits and offers them again
# (spec/process-v1.md). It asks by files as well: never by a signal, which R cannot take.

supervised_place <- function(save, restore, control) {
  # That this folder is there says that the program saves files, and is not to be sent signals.
  dir.create(save, showWarnings = FALSE, recursive = TRUE)
  if (!dir.exists(save)) refuse("outlast_write", "the folder to save in, ", save, ", cannot be made.")
  if (file.exists(".outlast")) {
    say("what was saved in ", file.path(getwd(), ".outlast"), " without the supervisor is not used here")
  }

  newest <- function() {
    if (!nzchar(restore)) {
      return(NULL)
    }
    if (!length(list.files(restore, all.files = TRUE, no.. = TRUE))) { # it was done without a save
      return(NULL)
    }
    got <- read_content(file.path(restore, "state"))
    if (!is.null(got$problem)) {
      refuse("outlast_damage", "what the supervisor offers in ", restore, " cannot be restored: ", got$problem)
    }
    got$content
  }

  write <- function(content, compress) {
    new <- file.path(save, ".new")
    write_content(content, new, compress)
    put_under_its_name(new, file.path(save, as_text(content$step)))
  }

  done <- function(step) {
    if (!file.create(file.path(control, "done"))) refuse("outlast_write", "'done' cannot be written in ", control, ".")
  }

  list(
    name = "the supervisor's", from = "given by the supervisor", asked_only = TRUE, stop = file.path(control, "stop"),
    save = file.path(control, "save"), newest = newest, write = write, done = done, leave = function() NULL
  )
}

put_under_its_name <- function(new, path) {
  # R warns where rename(2) fails.
  if (!suppressWarnings(file.rename(new, path))) {
    refuse("outlast_write", new, " could not be renamed to ", path, ".")
  }
}
