"""Starts one program, waits for it, and writes down the operating system's account of it.

It is a separate process, and imports next to nothing, because of how Linux accounts for memory: the peak of a child
begins with what its parent held when it was started, so a large parent would hide a small child.

    python -I -S launcher.py ACCOUNT PROGRAM ARGUMENT…
"""

import json
import os
import sys
import time

account, *command = sys.argv[1:]
started = time.perf_counter()
_, status, usage = os.wait4(os.posix_spawn(command[0], command, os.environ), 0)
wall_seconds = time.perf_counter() - started
unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux kilobytes
with open(account, "w", encoding="utf-8") as file:  # noqa: PTH123 - pathlib would be half of this process's memory
    json.dump(
        {
            "exit_code": os.waitstatus_to_exitcode(status),
            "wall_seconds": wall_seconds,
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
            "peak_rss_mb": usage.ru_maxrss * unit / 1e6,
        },
        file,
    )
