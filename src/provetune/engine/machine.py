"""What this machine can do: its speed in the arithmetic that training is made of."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

import torch


def fast_bf16() -> bool:
    """Whether bfloat16 products run on hardware made for them."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    features = torch.cpu.get_capabilities()
    return bool(features.get("avx512_bf16") or features.get("amx_bf16"))


def describe() -> tuple[str, Literal["cpu", "gpu"], float | None]:
    """(name, kind, GPU memory in GiB or None) of the device that training would use."""
    if torch.cuda.is_available():
        found = torch.cuda.get_device_properties(0)
        return found.name, "gpu", found.total_memory / 2**30
    return f"{torch.cpu.get_capabilities().get('cpu_name', 'CPU')}, {torch.get_num_threads()} threads", "cpu", None


def measured_flops(seconds: float = 0.3) -> float:
    """Floating-point operations per second of a 2048 x 512 x 2048 product in the dtype that training will use."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if fast_bf16() else torch.float32
    left = torch.ones(2048, 512, dtype=dtype, device=device)
    right = torch.ones(512, 2048, dtype=dtype, device=device)
    for _ in range(3):
        left @ right
    rounds, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        left @ right
        if device == "cuda":
            torch.cuda.synchronize()
        rounds += 1
    return 2 * 2048 * 512 * 2048 * rounds / (time.perf_counter() - started)


def fastest_threads(work: Callable[[], object], repeats: int = 2) -> int:
    """The number of threads, of all and their halves, at which `work` takes the least time here and now.

    Threads wait for each other many times in a training step: beside other work all cores can be ten times slower than half of them.
    Fewer are only taken where they are a tenth faster. Leaves the number as it was. `OMP_NUM_THREADS` is the most that is tried.
    """
    most = best = torch.get_num_threads()
    seconds: dict[int, float] = {}
    try:
        while best > 0:
            torch.set_num_threads(best)
            seconds[best] = min(_seconds(work) for _ in range(repeats))
            best //= 2
    finally:
        torch.set_num_threads(most)
    fastest = min(seconds, key=lambda threads: seconds[threads])
    return fastest if seconds[fastest] < 0.9 * seconds[most] else most


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
