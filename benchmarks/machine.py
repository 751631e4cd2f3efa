"""The machine and the versions of a measurement: no result means anything without them."""

from __future__ import annotations

import os
import platform
import re
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from msgspec import Struct

PACKAGES = (
    "segsync",
    "aiohttp",
    "aiolimiter",
    "msgspec",
    "tenacity",
    "uvloop",
    "yarl",
    "dlt",
    "requests",
    "matplotlib",
)


class Machine(Struct, frozen=True):
    """A machine by what it can do, never by its name, and the software on it. `date` is of the run, in UTC."""

    cpu: str
    cores: int
    memory_gb: float
    system: str
    python: str
    packages: dict[str, str]
    date: str

    def __str__(self) -> str:
        return f"{self.cpu}, {self.cores} cores, {self.memory_gb:.0f} GB, {self.system}, {self.python}"


def this_machine() -> Machine:
    return Machine(
        cpu=_cpu(),
        cores=os.cpu_count() or 1,
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        system=_system(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        packages=_packages(),
        date=f"{datetime.now(UTC):%Y-%m-%d}",
    )


def _cpu() -> str:
    """The model by Linux's name, else the architecture."""
    with suppress(OSError):
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return " ".join(found.group(1).split())
    return platform.processor() or platform.machine()


def _system() -> str:
    """The distribution, and the kernel by its number alone: the rest of its name identifies whoever built it."""
    number = re.match(r"[\d.]*\d", platform.release())
    kernel = f"{platform.system()} {number.group() if number else ''}".strip()
    with suppress(OSError):
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {kernel}"
    return kernel


def _packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
