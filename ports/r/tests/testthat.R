if (requireNamespace("testthat", quietly = TRUE)) {
  library(testthat)
  library(outlast)
  test_check("outlast")
}
