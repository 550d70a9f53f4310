"""What is measured and how: time, memory, useful arithmetic, the loss after training. No import of the project."""

from __future__ import annotations

import ctypes
import gc
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

Row = dict[str, Any]
"""`input_ids`, and `labels` with -100 where no loss is taken; for scoring also `turns`, `text` and `target`."""
COMPARED_ROWS = 32
"""Rows whose loss after training is compared between systems."""


class Stopwatch:
    """Time between the first and the last `tick`: what happens before the first one is warm-up."""

    def __init__(self, decoder: torch.nn.Module | None = None) -> None:
        self.marks: list[tuple[float, float, int]] = []
        self.read = 0
        if decoder is not None:
            decoder.register_forward_pre_hook(self._note, with_kwargs=True)

    def _note(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = kwargs.get("input_ids", args[0] if args else None)
        self.read += given.numel() if given is not None else 0

    def tick(self) -> None:
        """One optimizer step is done (for other work: it begins or ends)."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.marks.append((time.process_time(), time.perf_counter(), self.read))

    def seconds(self) -> dict[str, Any]:
        """`cpu_s` of all threads of this process, `wall_s`, and `read_tokens` that went through the decoder, padding included."""
        if len(self.marks) < 2:
            raise ValueError(f"{len(self.marks)} optimizer steps, wanted at least 2, as the first one is warm-up: take more rows")
        (cpu, wall, read), (cpu_end, wall_end, read_end) = self.marks[0], self.marks[-1]
        return {"cpu_s": cpu_end - cpu, "wall_s": wall_end - wall, "read_tokens": read_end - read}


class Memory:
    """Highest memory above that of the loaded, idle model, in MiB: of the process, or of the GPU where there is one."""

    def __init__(self) -> None:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
            self.idle = torch.cuda.memory_allocated() / 2**20
        else:
            ctypes.CDLL(None).malloc_trim(0)  # freed pages of the loading are not the model's
            Path("/proc/self/clear_refs").write_text("5")  # the peak so far was the loading's
            self.idle = _status_mib("VmRSS")

    def peak(self) -> dict[str, float]:
        """`idle_mib`, and `peak_mib` above it since then."""
        highest = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else _status_mib("VmHWM")
        return {"idle_mib": self.idle, "peak_mib": highest - self.idle}


def _status_mib(key: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key + ":"))
    return int(line.split()[1]) / 1024


def matrix_peak(seconds: float = 1.0) -> dict[str, float]:
    """Floating-point operations per second of large matrix products, the best of three shapes, by precision."""
    device, clock = ("cuda", "wall_s") if torch.cuda.is_available() else ("cpu", "cpu_s")
    found = {"fp32": 0.0, "bf16": 0.0}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        for m, k, n in ((2048, 2048, 2048), (4096, 1024, 4096), (1024, 4096, 4096)):
            left, right = torch.randn(m, k, device=device).to(dtype), torch.randn(k, n, device=device).to(dtype)
            times: list[float] = []
            end = time.perf_counter() + seconds
            while len(times) < 4 or time.perf_counter() < end:
                watch = Stopwatch()
                watch.tick()
                left @ right
                watch.tick()
                times.append(watch.seconds()[clock])
            found[name] = max(found[name], 2 * m * k * n / statistics.median(times[1:]))
    return found


def useful_flops(shape: dict[str, int], rank: int, lengths: Sequence[int], labelled: int) -> float:
    """Operations that training on these rows needs: no padding, no recomputation; a multiply-add counts 2, full tuning is rank 0.

    `6 N D` for full tuning and `4 N D + 6 N_l D` for LoRA, with N the matrix parameters of the blocks, N_l those of the adapters
    and D the tokens; the head at labelled tokens only (`6 H V`, frozen `4 H V`); causal attention `3 * L * 2 * W * sum(l^2)`,
    W the width of all heads together.

    >>> shape = dict(matrices=3_200_000_000, adapters_per_rank=0, hidden=1, vocabulary=1, layers=1, width=0)
    >>> round(useful_flops(shape, 0, [9174], 0) / 1e12)  # torchtune, 3B, full, 9,174 tokens/s
    176
    >>> round(useful_flops(shape, 16, [8210], 0) / 1e12)  # the same with LoRA, 8,210 tokens/s
    105
    """
    passes, tokens = (4, sum(lengths)) if rank else (6, sum(lengths))
    matrices = (passes * shape["matrices"] + 6 * rank * shape["adapters_per_rank"]) * tokens
    head = passes * shape["hidden"] * shape["vocabulary"] * labelled
    return float(matrices + head + 3 * shape["layers"] * 2 * shape["width"] * sum(length**2 for length in lengths))


def model_shape(folder: Path) -> dict[str, int]:
    """The sizes that `useful_flops` needs, of a Llama-like config.json."""
    config = json.loads((folder / "config.json").read_text())
    hidden, layers, mlp = config["hidden_size"], config["num_hidden_layers"], config["intermediate_size"]
    width, kv = config["num_attention_heads"] * config["head_dim"], config["num_key_value_heads"] * config["head_dim"]
    matrices = [(hidden, width), (hidden, kv), (hidden, kv), (width, hidden), (hidden, mlp), (hidden, mlp), (mlp, hidden)]
    return {
        "matrices": layers * sum(a * b for a, b in matrices),
        "adapters_per_rank": layers * sum(a + b for a, b in matrices),
        "hidden": hidden,
        "vocabulary": config["vocab_size"],
        "layers": layers,
        "width": width,
    }


@torch.no_grad()
def plain_loss(forward: Callable[[torch.Tensor], torch.Tensor], rows: Sequence[Row], device: Any) -> float:
    """Nats per labelled token of the first rows, one row at a time; `forward` maps ids `[1, T]` to logits `[1, T, V]`."""
    total, count = 0.0, 0
    for row in rows[:COMPARED_ROWS]:
        ids, labels = torch.tensor([row["input_ids"]], device=device), torch.tensor(row["labels"][1:], device=device)
        total += float(torch.nn.functional.cross_entropy(forward(ids)[0, :-1].float(), labels, ignore_index=-100, reduction="sum"))
        count += int((labels != -100).sum())
    return total / count
