# Without a store of the supervisor's: the program keeps its files itself, in one folder.
#
#   .outlast/1200-<md5 of the file>.rds    whole, by its being there; the newest that is good counts
#   .outlast/quarantine/                   damaged ones: moved, never deleted
#   .outlast/stop, save                    made by a person or a job script: save and leave, save and go on
#   .outlast/done                          the work is done

saved_name <- "^([0-9]+)-([0-9a-f]{32})[.]rds$"

# A task of a job array is a run of its own.
own_folder <- function() {
  tasks <- Sys.getenv(c("SLURM_ARRAY_TASK_ID", "PBS_ARRAY_INDEX", "SGE_TASK_ID", "LSB_JOBINDEX"))
  task <- tasks[!tasks %in% c("", "undefined", "0")]
  if (!nzchar(Sys.getenv("SLURM_ARRAY_TASK_ID")) && !length(task)) {
    return(".outlast")
  }
  file.path(".outlast", paste0("task-", c(task, "0")[[1]]))
}

own_place <- function(folder, keep, every_s, control) {
  dir.create(folder, showWarnings = FALSE, recursive = TRUE, mode = "0700")
  if (!dir.exists(folder)) refuse("outlast_write", "the folder to save in, ", folder, ", cannot be made.")
  folder <- normalizePath(folder)
  unlink(file.path(folder, list.files(folder, "^[.]new-", all.files = TRUE))) # of attempts that were killed
  newest_known <- -1 # the step of the newest file that this process has restored or written
  if (nzchar(control)) register(control, folder)
  say(
    "saving every ", as_text(every_s), " s in ", folder, if (can_sync()) "" else
      "; nothing here makes files durable: a loss of power may cost the last ones"
  )

  newest <- function() {
    saved <- saved_files(folder)
    problems <- character()
    for (i in seq_along(saved$path)) {
      got <- verified(saved$path[[i]], saved$md5[[i]])
      if (is.null(got$problem)) {
        set_aside(folder, saved$path[seq_len(i - 1)])
        newest_known <<- saved$step[[i]]
        if (file.exists(file.path(folder, "done"))) say("this run was done before, at step ", as_text(newest_known))
        return(got$content)
      }
      say(saved$path[[i]], " is damaged and not used: ", got$problem)
      problems <- c(problems, got$problem)
    }
    if (length(problems)) {
      refuse("outlast_damage", "nothing saved in ", folder, " can be restored. To start from the beginning, remove it.")
    }
    NULL
  }

  write <- function(content, compress) {
    others <- saved_files(folder)$step
    if (length(others) && others[[1]] > newest_known) {
      refuse(
        "outlast_busy", "another program saves in ", folder, ": it has saved step ", as_text(others[[1]]),
        " since. Give each a folder of its own."
      )
    }
    new <- file.path(folder, paste0(".new-", Sys.getpid()))
    write_content(content, new, compress)
    synced(new)
    put_under_its_name(new, file.path(folder, paste0(as_text(content$step), "-", md5sum(new)[[1]], ".rds")))
    synced(folder)
    newest_known <<- content$step
    unlink(file.path(folder, "done"))
    unlink(saved_files(folder)$path[-seq_len(keep)])
    if (nzchar(control)) report(control, folder, content$step, FALSE)
  }

  done <- function(step) {
    if (!file.create(file.path(folder, "done"))) refuse("outlast_write", "'done' cannot be written in ", folder, ".")
    if (nzchar(control)) report(control, folder, step, TRUE)
  }

  asking <- if (nzchar(control)) control else folder
  list(
    name = folder, from = paste("saved in", folder), asked_only = FALSE, stop = file.path(asking, "stop"),
    save = file.path(asking, "save"), newest = newest, write = write, done = done,
    leave = function() if (!nzchar(control)) unlink(file.path(folder, "stop")) # or it would stop the next start
  )
}

# The newest first.
saved_files <- function(folder) {
  names <- list.files(folder, saved_name)
  step <- as.numeric(sub(saved_name, "\\1", names))
  order <- order(step, decreasing = TRUE)
  list(path = file.path(folder, names)[order], step = step[order], md5 = sub(saved_name, "\\2", names)[order])
}

verified <- function(path, md5) {
  if (!identical(md5sum(path)[[1]], md5)) {
    return(list(problem = "its bytes are not those that were saved"))
  }
  read_content(path)
}

set_aside <- function(folder, paths) {
  for (path in paths) {
    quarantine <- file.path(folder, "quarantine")
    dir.create(quarantine, showWarnings = FALSE)
    put_under_its_name(path, file.path(quarantine, basename(path)))
  }
}

# R has no fsync; the program sync of GNU does it for a file or a folder.
can_sync <- function() nzchar(Sys.which("sync"))

synced <- function(path) {
  if (can_sync() && system2("sync", shQuote(path), stdout = FALSE, stderr = FALSE) != 0) {
    say("it is not known whether ", path, " would survive a loss of power: sync failed")
  }
}

# The supervisor knows no store, but it is there: it asks by files, and is told what was reached.
register <- function(control, folder) {
  put_json(control, "program.json", sprintf(
    '{"pid": %d, "store": %s, "notice": "file"}', Sys.getpid(), in_json(folder)
  ))
}

report <- function(control, folder, step, done) {
  put_json(control, "progress.json", sprintf(
    '{"store": %s, "step": %s, "done": %s}', in_json(folder), as_text(step), if (done) "true" else "false"
  ))
}

put_json <- function(control, name, text) {
  new <- file.path(control, paste0(".", name, ".new"))
  writeLines(text, new, useBytes = TRUE)
  put_under_its_name(new, file.path(control, name))
}

in_json <- function(text) paste0('"', gsub('(["\\\\])', "\\\\\\1", enc2utf8(text)), '"')
