"""`python -m benchmarks.peak start …`: metaqnn-orch in this fresh process, and what that took of the machine.

The last line on standard error: processor seconds, and the most memory that was ever in use, in MiB.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

from metaqnn_orch.cli.app import main


def peak_mib() -> float:
    """Linux's VmHWM: getrusage there begins with what the parent had when it started this process."""
    status = Path("/proc/self/status")
    if not status.exists():  # macOS, in bytes
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    fields = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
    return int(fields["VmHWM"].split()[0]) / 2**10


if __name__ == "__main__":
    try:
        main()
    finally:
        print(time.process_time(), peak_mib(), file=sys.stderr)
