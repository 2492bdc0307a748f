"""Starts a stage behind $SEMFLOW_LAUNCH."""

import os
import shlex
import sys

if __name__ == "__main__":
    prefix = shlex.split(os.environ.get("SEMFLOW_LAUNCH", ""))
    command = [*prefix, sys.executable, "-m", f"stages.{sys.argv[1]}", *sys.argv[2:]]
    os.execvp(command[0], command)
