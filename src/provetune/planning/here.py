"""This machine as a plan sees it without torch: its first GPU, or its free memory."""

from __future__ import annotations

import shutil
import subprocess

import psutil

from provetune.planning.gpus import Gpu, of_row
from provetune.planning.request import Hardware


def here() -> tuple[Hardware, Gpu | None]:
    """This machine, without torch: its first GPU as the driver's tool tells, with its kind; else its free memory, speed unknown."""
    gpu = _own_gpu()
    if gpu is None:
        return Hardware("this machine", psutil.virtual_memory().available / 2**30, "cpu", None), None
    name, memory_gib, free_gib = gpu
    return Hardware(name, free_gib, "gpu", None), of_row(name, memory_gib * 2**30 / 1e9)


def _own_gpu() -> tuple[str, float, float] | None:
    """(name, GiB, GiB that are free) of the first GPU; None without one, or where the tool says something else."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    asked = [tool, "--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True).stdout
        name, total, free = said.splitlines()[0].rsplit(",", 2)
        return name.strip(), float(total) / 1024, float(free) / 1024
    except (OSError, subprocess.SubprocessError, IndexError, ValueError):
        return None
