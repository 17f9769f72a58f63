"""How much memory a process has taken: `peak_mb`."""

from __future__ import annotations

import re
from pathlib import Path


def peak_mb() -> float:
    """The most that this process had at once, in MiB.

    Not getrusage's figure: a child begins with that of the process that started it.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(kilobytes) / 1024
