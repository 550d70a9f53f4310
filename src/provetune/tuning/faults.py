"""What can go wrong while weights are trained, and what is made of it: signals, disk, memory, numbers."""

from __future__ import annotations

import math
import signal
import statistics
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from provetune.errors import ModelError, RunFailed

SIGNALS = (signal.SIGINT, signal.SIGTERM)
RISING_STEPS = 5
"""So many steps in a row must be far above what was seen before a run counts as diverged: one hard step says little."""
KNOWING = 2.0
"""Below so many nats a token a model still knows something of what it writes."""
_NO_MEMORY = ("can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED", "out of memory")


@contextmanager
def uninterrupted() -> Iterator[None]:
    """SIGINT and SIGTERM wait until the block is done, so that what it changes is changed whole."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    before = {number: signal.signal(number, lambda got, _: waiting.append(got)) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for got in waiting[:1]:
            signal.raise_signal(got)


@contextmanager
def disk_faults(place: Path) -> Iterator[None]:
    """A disk that is full, broken or read-only raises RunFailed, naming `place`; what was saved before stays."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise RunFailed(
            f"{place}: cannot be written ({reason}); what was saved before is kept. "
            "Free some space, or make the folder writable; the same command continues"
        ) from error


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory, of the processor or of a GPU, is used up."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)


def check_trainable(trainable: Mapping[str, torch.Tensor]) -> None:
    """Raise ModelError where nothing is trained, or in 16 bits: updates smaller than a weight's last digit would vanish."""
    if not trainable:
        raise ModelError("found no trainable parameter, wanted at least one; name layers of the base model in train.lora.targets")
    coarse = next((f"{name} is {p.dtype}" for name, p in trainable.items() if p.dtype != torch.float32), None)
    if coarse is not None:
        raise ModelError(f"{coarse}, wanted torch.float32: small updates vanish in fewer digits")


def check_step(model: Any, taken: Sequence[tuple[int, float, float]], loss: float, norm: float) -> str | None:
    """Why a step that gave this loss and norm of the gradient, after the steps `taken`, may not be taken; None where it may.

    It may not where one of them is no finite number, where no gradient arrives at all, or where each of the last RISING_STEPS losses is
    above ten times the median before them, twice the highest of the first RISING_STEPS, and KNOWING nats a token: a base that
    already does the task begins near 0, and may rise a little.
    """
    if not (math.isfinite(loss) and math.isfinite(norm)):
        sick = next((name for name, p in model.named_parameters() if not bool(p.isfinite().all())), None)
        if sick is not None:
            return f"the weights {sick} hold values that are no numbers; use another copy of the base model"
        return f"the {'gradient' if math.isfinite(loss) else 'loss'} overflows; lower train.learning_rate"
    if norm == 0 and loss > 1e-3:
        return "no gradient arrives at any trainable weight, so nothing would be learned; use another method or base model"
    known, last = taken[: 1 - RISING_STEPS], [*(loss for _, loss, _ in taken[1 - RISING_STEPS :]), loss]
    high = len(known) > RISING_STEPS and min(last) > max(KNOWING, 2 * max(loss for _, loss, _ in known[:RISING_STEPS]))
    if high and min(last) > 10 * statistics.median(loss for _, loss, _ in known):
        return f"the loss has exploded: {RISING_STEPS} steps in a row above ten times the median before; lower train.learning_rate"
    return None
