"""Runs a program that would outlive us: it ends when stdin does, and at once on the line "kill".

Run as a file, by Python without its site packages, so that it is up within a few hundredths of a
second: `python -I -S guard.py redis-server ...`. Its rule: the standard library only. A node needs
no guard, since it reads its own stdin.
"""

import os
import select
import shutil
import subprocess
import sys
import time

LOOK_S = 0.05
PATIENCE_S = 1.5  # for the program to end properly


def main(command: list[str]) -> int:
    """Run the program until it ends, or is to end; return its exit code."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    is_over = False
    while child.poll() is None:
        ready, _, _ = select.select([sys.stdin], [], [], LOOK_S)
        if not ready:
            continue
        if sys.stdin.readline():
            child.kill()
        else:
            child.terminate()
            is_over = True
        deadline_s = time.monotonic() + PATIENCE_S
        while child.poll() is None:
            if time.monotonic() > deadline_s:
                child.kill()
            time.sleep(0.005)
    if is_over:  # who started it may be gone: what is kept in here nobody else takes away
        shutil.rmtree(os.getcwd(), ignore_errors=True)
    return child.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
