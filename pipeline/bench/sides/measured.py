"""`python -m pipeline.bench.sides.measured FILE COMMAND…` runs a command and writes its cost to FILE, as JSON.

Linux counts a parent's memory as its child's too, so this small process starts the command.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

_MEBIBYTE = 1024  # of ru_maxrss's kibibytes


def main() -> None:
    """Runs the command, and exits with its status."""
    start = time.monotonic()
    process = subprocess.Popen(sys.argv[2:])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    took = {
        "seconds": time.monotonic() - start,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "mebibytes": usage.ru_maxrss // _MEBIBYTE,
    }
    Path(sys.argv[1]).write_text(json.dumps(took))
    sys.exit(process.returncode)


if __name__ == "__main__":
    main()
