# A state of the Mersenne twister that brings a given spare value, whatever generator it came from.
#
# The value is R sin(theta), with theta = 2 pi u and R = sqrt(-2 log v). For any u, the v that fits is known, but for the
# rounding: about one u in a million has a v among the 2^32 values of the twister that gives all bits of the value, if R
# is about sqrt(2). For values beyond 3 it is far fewer, and the search may be in vain.

# A thousand blocks take some seconds, and nearly always less: several are expected to fit.
search_state <- function(value, seed, blocks = 1000) {
  for (block in seq_len(blocks)) {
    u_word <- search_words(value, block)
    sine <- sin(2 * pi * (u_word * twister_unit))
    v_word <- round(exp(-(value / sine)^2 / 2) / twister_unit)
    v <- v_word * twister_unit
    fits <- which(v_word >= 1 & v_word < 2^32 & sqrt(-2 * log(v)) * sine == value)
    for (i in fits) {
      state <- twister_state(u_word[[i]], v_word[[i]], seed[[1]])
      if (identical(spare_from(state), value)) {
        return(state)
      }
    }
  }
  NULL
}

twister_unit <- 2.3283064365386963e-10

# Words to try: those of u where R is from 0.7 to 2.3, or, for a large value, a little above the value.
search_words <- function(value, block) {
  share <- ((block * 65536 + 0:65535) * 41475557) %% 2^26 / 2^26 # spread evenly over [0, 1)
  lowest <- max(0.7, abs(value) * (1 + 1e-9))
  size <- lowest + share * (max(2.3, lowest + 0.4) - lowest)
  angle <- asin(value / size) / (2 * pi) # -1/4 to 1/4; another with the same sine is 1/2 - angle
  round((if (block %% 2) 0.5 - angle else angle %% 1) / twister_unit) %% 2^32
}

# The twister's state from which these two words come next, the kinds of normal values and of sampling as they are.
twister_state <- function(first, second, code) {
  kind <- code - code %% 100L + 3L
  c(kind, 1L, 1L, from_bits(cbind(untempered(first), untempered(second))), rep(1L, 621))
}

untempered <- function(word) {
  y <- bits(signed(word))
  undo <- function(by, mask) {
    x <- y
    for (round in seq_len(32 %/% abs(by))) x <- xor(y, shifted(x, by) & mask)
    x
  }
  all <- bits(-1L)
  y <- undo(-18, all)
  y <- undo(15, bits(signed(0xefc60000)))
  y <- undo(7, bits(signed(0x9d2c5680)))
  undo(-11, all)
}
