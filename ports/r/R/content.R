# One saved state as a file of R's own format, whole or noticed.

# Written uncompressed and in the machine's own byte order, unless told otherwise: compression takes many times as long.
write_content <- function(content, path, compress) {
  written <- tryCatch(
    serialized(content, if (compress) gzfile else file, path),
    error = function(e) {
      unlink(path)
      refuse("outlast_write", "saving step ", as_text(content$step), " failed: ", conditionMessage(e))
    }
  )
  if (written$pointers) {
    unlink(path)
    refuse_by_name(content$state)
  }
  # Closing a compressed file tells nothing.
  if (!written$closed || compress && !is.null(read_content(path)$problem)) {
    unlink(path)
    refuse("outlast_write", "saving step ", as_text(content$step), " failed: ", path, " could not be written to its end.")
  }
  invisible()
}

# Writes; tells whether there were pointers, which R sees only when it writes, and whether what was in a buffer until the
# end could be written: that fails without an error.
serialized <- function(content, connection_to, path) {
  pointers <- FALSE
  seen <- function(object) {
    if (typeof(object) != "environment") pointers <<- TRUE
    NULL
  }
  connection <- suppressWarnings(connection_to(path, "wb")) # the error says it as well
  on.exit(if (!is.null(connection)) close(connection))
  serialize(content, connection, xdr = FALSE, refhook = seen)
  closing <- connection
  connection <- NULL
  status <- suppressWarnings(close(closing)) # it warns as well
  list(pointers = pointers, closed = is.null(status) || status == 0)
}

# Returns list(content =) or list(problem = <why not>). A warning is damage as well: R only warns where zlib finds some.
read_content <- function(path) {
  tryCatch(
    {
      content <- readRDS(path)
      fields <- c("outlast", "step", "what", "state")
      if (!is.list(content) || !all(fields %in% names(content))) {
        list(problem = "it was not saved by outlast")
      } else if (!identical(content$outlast, 1L)) {
        list(problem = "it was saved by a later version of outlast")
      } else {
        list(content = content)
      }
    },
    error = function(e) list(problem = conditionMessage(e)),
    warning = function(w) list(problem = conditionMessage(w))
  )
}
