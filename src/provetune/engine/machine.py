"""What this machine can do: its speed in the arithmetic that training is made of."""

from __future__ import annotations

import time
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
