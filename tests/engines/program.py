"""Random numbers, a file that grows, and lines on standard output: OUT STEPS."""

import os
import random
import sys
import time

draws, total = random.Random(5), 0
with open(sys.argv[1], "a") as out:
    for step in range(int(sys.argv[2])):
        total += draws.randrange(1000)
        out.write(f"{step} {total}\n")
        out.flush()
        sys.stdout.write(f"step {step}\n")  # at once: an image may be made between two writes
        sys.stdout.flush()
        if not os.path.exists("fast"):
            time.sleep(0.02)
print("total", total)
