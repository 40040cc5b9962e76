# What R writes into a file but does not get back: external pointers, weak references, connections. Refused, by name.

refuse_what_cannot_be_saved <- function(state) {
  if (serialized(state, file, nullfile())$pointers) refuse_by_name(state)
}

# Looks for what is known to be there.
refuse_by_name <- function(state) {
  found <- find_unsavable(state)
  if (is.null(found)) {
    found <- list(path = "something in the state", why = "a function or an environment carries an external pointer with it")
  }
  refuse(
    "outlast_unsavable", found$path, " cannot be saved: ", found$why,
    ". Keep in the state what it is made from, and make it anew after outlast_load."
  )
}

# The first one found: list(path =, why =), or NULL.
find_unsavable <- function(state) {
  seen <- list()
  known <- function(env) {
    for (other in seen) if (identical(other, env)) return(TRUE)
    FALSE
  }
  walk <- function(object, path) {
    why <- unsavable(object)
    if (!is.null(why)) {
      return(list(path = path, why = why))
    }
    type <- typeof(object)
    if (type == "environment") {
      if (is_kept_by_name(object) || known(object)) {
        return(NULL)
      }
      seen[[length(seen) + 1]] <<- object
    }
    for (child in children(object, type, path)) {
      found <- walk(child$object, child$path)
      if (!is.null(found)) {
        return(found)
      }
    }
    NULL
  }
  walk(state, "state")
}

unsavable <- function(object) {
  if (inherits(object, "connection")) {
    return("it is an open connection")
  }
  switch(typeof(object),
    externalptr = "it is an external pointer, which lives outside of R's memory",
    weakref = "it is a weak reference",
    NULL
  )
}

# R writes these as a name, and finds them again by it.
is_kept_by_name <- function(env) {
  identical(env, globalenv()) || identical(env, baseenv()) || identical(env, emptyenv()) || isNamespace(env) ||
    !is.null(attr(env, "name")) && startsWith(attr(env, "name"), "package:")
}

children <- function(object, type, path) {
  found <- switch(type,
    list = , expression = elements(object, path),
    environment = bindings(object, path),
    closure = list(list(object = environment(object), path = paste0("environment(", path, ")"))),
    list()
  )
  c(found, attributes_of(object, path))
}

elements <- function(object, path) {
  if (is.null(attributes(object)) && length(object) && all(vapply(object, is.atomic, NA))) {
    plain <- vapply(object, function(value) is.null(attributes(value)), NA)
    if (all(plain)) {
      return(list())
    }
  }
  names <- names(object)
  object <- unclass(object)
  lapply(seq_along(object), function(i) {
    name <- if (is.null(names) || is.na(names[[i]])) "" else names[[i]]
    list(object = object[[i]], path = if (nzchar(name)) paste0(path, "$", name) else paste0(path, "[[", i, "]]"))
  })
}

bindings <- function(env, path) {
  names <- ls(env, all.names = TRUE, sorted = TRUE)
  names <- names[!vapply(names, bindingIsActive, NA, env = env)]
  c(
    lapply(names, function(name) list(object = value_of(name, env), path = paste0(path, "$", name))),
    list(list(object = parent.env(env), path = paste0("parent.env(", path, ")")))
  )
}

# What is missing, or was promised and cannot be had, is nothing to look into.
value_of <- function(name, env) tryCatch(get(name, envir = env, inherits = FALSE), error = function(e) NULL)

attributes_of <- function(object, path) {
  values <- attributes(object)
  values <- values[!names(values) %in% c("names", "dim", "dimnames", "class", "row.names", "levels", "tsp", "srcref")]
  lapply(names(values), function(name) {
    list(object = values[[name]], path = paste0("attr(", path, ", \"", name, "\")"))
  })
}
