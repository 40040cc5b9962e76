"""`outlast demo`: a real training run, killed and resumed. `train` is an ordinary user program, `show` directs."""
