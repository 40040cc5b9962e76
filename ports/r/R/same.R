# Is what is asked of outlast_map what was asked before? Compared are the elements, the further arguments, the seed, the
# text of the function, and the user's variables and functions that it uses, each by a digest under its name.

what_is_asked <- function(X, FUN, dots, seed) {
  used <- used_by(FUN)
  used <- used[setdiff(names(used), c("X", "FUN", "...", "seed"))]
  vapply(c(list(X = X, FUN = FUN, "..." = dots, seed = seed), used), function(value) digest(essence(value)), "")
}

differing <- function(before, now) {
  names <- union(names(before), names(now))
  names[!mapply(identical, before[match(names, names(before))], now[match(names, names(now))], USE.NAMES = FALSE)]
}

# A value as far as it is compared: of long ones a sample, of functions the text, of what has an identity only the kind.
essence <- function(value) {
  if (is.function(value)) {
    return(if (is.primitive(value)) deparse(value) else c(as_code(formals(value)), as_code(body(value))))
  }
  if (is.language(value)) {
    return(as_code(value))
  }
  if (!is.atomic(value) && !is.list(value)) {
    return(c(typeof(value), class(value)))
  }
  attributes <- attributes(value)
  attributes <- attributes[!names(attributes) %in% c("srcref", ".internal.selfref")]
  value <- unclass(value)
  attributes(value) <- NULL
  n <- length(value)
  if (n > 10000) value <- value[round(seq(1, n, length.out = 10000))]
  list(n, if (is.list(value)) lapply(value, essence) else value, lapply(attributes, essence))
}

as_code <- function(expression) {
  paste(deparse(expression, control = c("keepInteger", "keepNA", "digits17")), collapse = "\n")
}

# The user's own variables and functions that a function uses, and those that these functions use: a named list.
used_by <- function(fun) {
  found <- list()
  look <- function(fun) {
    if (is.primitive(fun) || is_kept_by_name(environment(fun)) && !identical(environment(fun), globalenv())) {
      return()
    }
    code <- c(as.list(body(fun)), as.list(formals(fun)))
    names <- setdiff(unlist(lapply(code, all.names, unique = TRUE)), c(names(formals(fun)), assigned_in(body(fun))))
    for (name in setdiff(names, names(found))) {
      value <- own_variable(name, environment(fun))
      if (is.null(value)) next
      found[[name]] <<- value
      if (is.function(value)) look(value)
    }
  }
  look(fun)
  found[order(as.character(names(found)))]
}

# What a name stands for in the user's own environments, up to the global one; NULL beyond.
own_variable <- function(name, env) {
  repeat {
    if (exists(name, envir = env, inherits = FALSE)) {
      return(value_of(name, env))
    }
    if (is_kept_by_name(env)) {
      return(NULL)
    }
    env <- parent.env(env)
  }
}

# The names that get a value in this code.
assigned_in <- function(code) {
  if (!is.call(code)) {
    return(character())
  }
  own <- if (is.symbol(code[[1]]) && as.character(code[[1]]) %in% c("<-", "=", "for")) {
    if (is.symbol(code[[2]]) || is.character(code[[2]])) as.character(code[[2]])
  }
  c(own, unlist(lapply(as.list(code), function(part) if (!missing(part)) assigned_in(part))))
}

digest <- function(value) {
  path <- tempfile()
  on.exit(unlink(path))
  writeBin(serialize(value, NULL, version = 2), path) # version 2 writes 1:n as it writes c(1L, 2L, ...)
  md5sum(path)[[1]]
}
