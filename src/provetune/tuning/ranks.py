"""Ranks: the processes that train one model together, each on its part of the packs of every step.

The packs of a step do not depend on how many ranks there are; each rank takes some of them, and gradients are summed, not
averaged, over ranks before the step: the loss is already divided by the labelled tokens of all ranks. So one rank and many take
the same steps, and a checkpoint of some is gone on from by any number.

Gradients are summed once a step, after the last pack, by one plain sum over all ranks. `DistributedDataParallel` sums within the
last backward pass: every rank would then need the same number of packs, and none could say before that its memory ran out.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed

from provetune.engine.packing import Lengths, Pack, tokens_of
from provetune.errors import RunFailed

PATIENCE = timedelta(hours=2)
"""How long a rank waits for others: the first one measures validation alone. A rank that dies is noticed at once by torchrun."""
BUCKET = 2**25
"""Elements of gradients that are sent at a time."""


@dataclass(frozen=True)
class Ranks:
    """Rank `rank` of `count`; alone without a process group."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes and measures."""
        return self.rank == 0

    def mine(self, packs: Sequence[Pack], lengths: Lengths) -> list[tuple[int, Pack]]:
        """The packs of this rank with their numbers: the longest pack goes to the rank that has least so far."""
        if self.count == 1:
            return list(enumerate(packs))
        loads, taken = [0] * self.count, []
        tokens = [tokens_of(pack, lengths) for pack in packs]
        for number in sorted(range(len(packs)), key=lambda number: (-tokens[number], number)):
            least = loads.index(min(loads))
            loads[least] += tokens[number]
            if least == self.rank:
                taken.append(number)
        return [(number, packs[number]) for number in sorted(taken)]

    def summed(self, values: Sequence[float]) -> list[float]:
        """Sums over ranks, the same on all of them."""
        if self.count == 1:
            return list(values)
        found = torch.tensor(values, dtype=torch.float64, device=device())
        distributed.all_reduce(found)
        return [float(value) for value in found.tolist()]

    def told(self, values: Sequence[float]) -> list[float]:
        """What the first rank says; the others give as many values, which do not count."""
        return self.summed(list(values) if self.first else [0.0] * len(values))

    def wait(self) -> None:
        """Until all ranks are here."""
        self.summed([0.0])

    def sum_gradients(self, trained: Iterable[torch.Tensor]) -> None:
        """Put the sum over ranks into every `grad`; a rank without any packs adds nothing."""
        if self.count == 1:
            return
        waiting: list[torch.Tensor] = []
        for parameter in trained:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            waiting.append(parameter.grad)
            if sum(gradient.numel() for gradient in waiting) >= BUCKET:
                _sum(waiting)
                waiting = []
        if waiting:
            _sum(waiting)

    def same_start(self, trained: Mapping[str, torch.Tensor]) -> None:
        """Give all ranks the first one's values, whatever each drew for itself."""
        if self.count > 1:
            for value in trained.values():
                distributed.broadcast(value.detach(), 0)

    def check_same(self, trained: Mapping[str, torch.Tensor], step: int) -> None:
        """Raise RunFailed where ranks hold different weights: then gradients were not summed, whatever was asked for."""
        if self.count == 1:
            return
        size = sum(float(value.detach().double().abs().sum()) for value in trained.values())
        found = torch.tensor([size, -size], dtype=torch.float64, device=device())
        distributed.all_reduce(found, distributed.ReduceOp.MAX)
        high, low = float(found[0]), -float(found[1])
        if high != low:
            raise RunFailed(
                f"step {step}: ranks hold different weights (sums of sizes from {low:.9g} to {high:.9g}), wanted the same on all "
                f"{self.count}; use the same versions of torch on every machine. The same command goes on from the last checkpoint"
            )


def device() -> torch.device:
    """This rank's own."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def _sum(gradients: Sequence[torch.Tensor]) -> None:
    flat = torch.cat([gradient.reshape(-1).float() for gradient in gradients])
    distributed.all_reduce(flat)
    for gradient, summed in zip(gradients, flat.split([one.numel() for one in gradients]), strict=True):
        gradient.copy_(summed.view_as(gradient))


def join() -> Ranks:
    """The ranks that torchrun started, connected and counted; one alone where it did not start this process.

    Raises RunFailed where the connection is not the one that was asked for: other ranks than torchrun's, or another way of sending.
    """
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started == 1:
        return Ranks()
    wanted = "nccl" if torch.cuda.is_available() else "gloo"
    if torch.cuda.is_available():
        local = int(os.environ["LOCAL_RANK"])
        if local >= torch.cuda.device_count():
            raise RunFailed(f"rank {local} of this machine finds {torch.cuda.device_count()} GPUs, wanted its own; lower train.devices")
        torch.cuda.set_device(local)
    if not distributed.is_initialized():
        distributed.init_process_group(wanted, timeout=PATIENCE)
    found = Ranks(distributed.get_rank(), distributed.get_world_size())
    counted = round(found.summed([1.0])[0])
    if (found.count, counted, str(distributed.get_backend())) != (started, started, wanted):
        raise RunFailed(
            f"found {counted} of {found.count} ranks connected through {distributed.get_backend()}, wanted {started} through {wanted}: "
            "they would train apart. Start the ranks with torchrun alone"
        )
    return found


def leave() -> None:
    """Close the connection, if there is one."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def connection() -> dict[str, int | str]:
    """How this process is connected to others, as the library says; nothing where it is alone."""
    if not distributed.is_initialized():
        return {}
    return {"ranks": distributed.get_world_size(), "sharing": f"data parallel, {distributed.get_backend()}"}
