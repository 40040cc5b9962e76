"""A program without the library, in a container that has none: it saves on SIGTERM, by a file that it keeps itself."""

import os
import signal
import sys
import time

path, text = sys.argv[1], sys.argv[2]


def leave(*_):
    with open(path, "w") as file:
        file.write(text)
    sys.exit(85)


if os.path.exists(path):
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("ready", flush=True)
while True:
    time.sleep(0.02)  # not pause(): a signal just before it would be heard only after the next one
