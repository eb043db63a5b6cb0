"""What the figures were measured on."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")


def cpu_model() -> str:
    """The processor as the system names it, or its architecture where it does not."""
    if CPU_INFO.is_file():
        for line in CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def machine() -> str:
    """Processor, cores that this process may use, and the versions that its speed depends on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    libraries = ", ".join(f"{name} {version(name)}" for name in ("numpy", "numba"))
    return f"{cpu_model()}, {cores} cores, Python {platform.python_version()}, {libraries}"
