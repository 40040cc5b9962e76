# One draw back in the sequence of each of R's uniform generators. Their definitions: help(RNGkind) and its references.
#
# Words of 32 bits are doubles from 0 to 2^32 - 1 here, in .Random.seed they are signed (and 2^31 is NA).

step_back <- function(seed) {
  state <- seed[-1]
  back <- switch(seed[[1]] %% 100 + 1,
    back_wichmann_hill, back_multicarry, back_super_duper, back_twister, back_knuth, NULL, back_knuth, back_lecuyer
  )
  c(seed[[1]], back(state))
}

unsigned <- function(word) ifelse(is.na(word), 2^31, ifelse(word < 0, word + 2^32, word))

signed <- function(word) {
  word <- ifelse(word >= 2^31, word - 2^32, word)
  word[word == -2^31] <- NA
  as.integer(word)
}

# a * b mod m, for a, b, m of up to 32 bits: exact in doubles by halves.
times <- function(a, b, m) {
  high <- floor(b / 65536)
  ((a * high) %% m * 65536 + a * (b - high * 65536)) %% m
}

# The x with a * x mod m == 1, by Euclid's algorithm.
inverse <- function(a, m) {
  r <- c(m, a)
  x <- c(0, 1)
  while (r[[2]] != 0) {
    q <- floor(r[[1]] / r[[2]])
    r <- c(r[[2]], r[[1]] - q * r[[2]])
    x <- c(x[[2]], x[[1]] - q * x[[2]])
  }
  x[[1]] %% m
}

back_wichmann_hill <- function(state) {
  m <- c(30269, 30307, 30323)
  as.integer((state * wichmann_hill_inverse) %% m)
}

back_multicarry <- function(state) {
  a <- c(36969, 18000)
  word <- unsigned(state)
  signed((word %% a) * 65536 + floor(word / a))
}

back_super_duper <- function(state) {
  word <- bits(state[[1]])
  word <- xor(word, shifted(word, 17))
  before <- word
  for (round in 1:2) before <- xor(word, shifted(before, -15))
  c(from_bits(before), signed(times(super_duper_inverse, unsigned(state[[2]]), 2^32)))
}

back_lecuyer <- function(state) {
  x <- unsigned(state)
  m1 <- 4294967087
  m2 <- 4294944443
  first <- times(lecuyer_inverse[[1]], (times(1403580, x[[1]], m1) - x[[3]]) %% m1, m1)
  second <- times(lecuyer_inverse[[2]], (times(527612, x[[5]], m2) - x[[6]]) %% m2, m2)
  signed(c(first, x[1:2], second, x[4:5]))
}

wichmann_hill_inverse <- c(inverse(171, 30269), inverse(172, 30307), inverse(170, 30323))
super_duper_inverse <- inverse(69069, 2^32)
lecuyer_inverse <- c(inverse(810728, 4294967087), inverse(1370589, 4294944443))

# Knuth's: 100 values of a block of 1009 are used, then comes the next block.
back_knuth <- function(state) {
  position <- state[[101]]
  if (position > 1) {
    return(c(state[1:100], position - 1L))
  }
  x <- c(numeric(1009), as.numeric(state[1:100]))
  for (j in 1109:101) x[[j - 100]] <- (x[[j]] + x[[j - 37]]) %% 2^30
  c(as.integer(x[1:100]), 100L)
}

# The twister: 624 words are used, then all are made anew. A position of 0 means 624, so that the step back from 1 goes
# to the words before.
back_twister <- function(state) {
  if (state[[1]] > 1) {
    return(c(state[[1]] - 1L, state[-1]))
  }
  c(624L, twister_words_before(state[-1]))
}

# x[k + 624] == x[k + 397] ^ f(upper bit of x[k], lower 31 bits of x[k + 1]), and f can be undone.
twister_words_before <- function(words) {
  x <- matrix(as.raw(0), 32, 1248) # a column for each word, the lowest bit first
  x[, 625:1248] <- bits(words)
  undone <- function(k) {
    y <- xor(x[, k + 624, drop = FALSE], x[, k + 397, drop = FALSE])
    odd <- y[32, ] != 0
    y[, odd] <- xor(y[, odd, drop = FALSE], matrix(twister_matrix, 32, sum(odd)))
    rbind(as.raw(odd), y[-32, , drop = FALSE])
  }
  put <- function(k, y) { # y is of the words k - 1 and k
    n <- length(k)
    x[, k] <<- rbind(y[-32, seq_len(n), drop = FALSE], y[32, seq_len(n) + 1, drop = FALSE])
  }
  late <- undone(228:624)
  put(229:624, late)
  early <- undone(1:227)
  put(2:228, cbind(early, late[, 1, drop = FALSE]))
  # Of the first word only the upper bit is used; the lower ones come from the word before it.
  before <- xor(x[, 624], x[, 397])
  odd <- before[[32]] != 0
  if (odd) before <- xor(before, twister_matrix)
  x[, 1] <- c(as.raw(odd), before[1:30], early[32, 1])
  from_bits(x[, 1:624])
}

bits <- function(words) matrix(intToBits(words), 32)

from_bits <- function(bits) packBits(as.vector(bits), "integer")

# Bits (a column a word), moved towards the higher ones; towards the lower ones if `by` is negative.
shifted <- function(bits, by) {
  zero <- matrix(as.raw(0), abs(by), ncol(bits))
  if (by > 0) rbind(zero, bits[seq_len(32 - by), , drop = FALSE]) else rbind(bits[(1 - by):32, , drop = FALSE], zero)
}

twister_matrix <- as.vector(bits(signed(0x9908b0df)))
