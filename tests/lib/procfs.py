"""What processes cost, from /proc; those that have ended count as nothing."""

import os
import pathlib
import re

TICK = os.sysconf("SC_CLK_TCK")


def cpu(pids):
    """Seconds of processor time, with that of children they have waited for."""
    total = 0
    for pid in pids:
        try:
            total += sum(map(int, pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:15]))
        except OSError:
            pass
    return total / TICK


def pss(pids):
    """Memory in MiB, shared pages counted in shares."""
    total = 0
    for pid in pids:
        try:
            total += int(re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M).group(1))
        except (OSError, AttributeError):
            pass
    return total / 1024
