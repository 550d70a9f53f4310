"""Peak memory of one GPU in a training, from first principles: any method, stack and sharding, published ones included.

The sum of what stays (weights, gradients, optimizer state) and what one micro-batch adds (kept activations, then the larger of
one layer and the loss). It is what the allocator hands out; `Fitted` is what is fitted, not derived.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from provetune.planning.request import ModelShape

Tuned = Literal["full", "lora", "lora+embeddings", "qlora"]
Base = Literal["fp32", "bf16", "int8", "nf4", "nf4-dq", "gptq4"]
Loss = Literal["full", "full-fp32", "pieces", "chunked", "fused"]
Sharding = Literal["none", "ddp", "zero2", "zero3", "fsdp"]
Offload = Literal["activations", "parameters", "optimizer"]
Counter = Literal["allocated", "reserved", "device", "unknown"]

GIB = 2**30
BYTES = {
    "fp32": 4.0,
    "bf16": 2.0,
    "int8": 1.0,
    "nf4": 0.5 + 4 / 64,  # blocks of 64 share a 32-bit maximum
    "nf4-dq": 0.5 + 1 / 64 + 4 / (64 * 256),  # these maxima in 8 bits, 256 of them share a 32-bit one
    "gptq4": 0.5 + 2.5 / 128,  # groups of 128 share a 16-bit scale and a 4-bit zero
}
"""Stored bytes per parameter of a linear layer (Dettmers et al. 2023, arXiv 2305.14314; Frantar et al. 2022, arXiv 2210.17323)."""
LOGIT_BYTES = {"full": 10.0, "full-fp32": 16.0, "pieces": 6.0, "chunked": 10.0, "fused": 0.0}
"""Bytes per logit that is held: the value, copies (shifted, in 32 bits), log-probabilities, gradients.

`full`: five times 16 bits. `full-fp32`: those that autocast makes in 32 bits. `pieces`: logits and log-probabilities of all tokens,
the gradient of some. `chunked`: as full, of one chunk.
"""


@dataclass(frozen=True)
class Job:
    """A training as far as memory is concerned, on each of `gpus` GPUs.

    `tokens` are those of one micro-batch on one GPU, `longest` those of its longest row. Bytes are per trained parameter: `weight` as
    it is trained, `gradient`, `states` of the optimizer, `master` for a second copy in another width. `other` is the width of
    what a 4-bit base leaves unquantised. `kept` is how many bytes norms and those who read them keep per token, layer and hidden width.
    """

    shape: ModelShape
    method: Tuned
    trained: int
    tokens: int
    longest: int
    base: Base = "bf16"
    other: float = 2.0
    weight: float = 2.0
    gradient: float = 2.0
    states: float = 4.0
    master: float = 0.0
    kept: float = 12.0
    checkpointing: bool = False
    loss: Loss = "chunked"
    chunk: int = 256
    eager_attention: bool = False
    compiled: bool = False
    adapter_inputs: float = 0.0
    optimizer_in_backward: bool = False
    gpus: int = 1
    sharding: Sharding = "none"
    offload: frozenset[Offload] = field(default_factory=frozenset)
    unsharded_load: bool = False
    paged: bool = False


@dataclass(frozen=True)
class Fitted:
    """What is fitted to published runs, not derived.

    `four_bit` multiplies what is kept of a 4-bit base without checkpointing: its kernels keep more than 16-bit ones.
    """

    four_bit: float = 1.0


@dataclass(frozen=True)
class Footprint:
    """GiB of one GPU by what they are for; `peak` is when they are needed together."""

    weights: float
    trained: float
    kept: float
    working: float
    load: float

    @property
    def peak(self) -> float:
        """Most GiB at once: in a training step, or while the weights are loaded."""
        return max(self.weights + self.trained + self.kept + self.working, self.load)


def stored_bytes(shape: ModelShape, base: Base, other: float) -> float:
    """Bytes of the base's weights: linear layers as `base`, embedding and head at `other` bytes per parameter.

    >>> llama_3_8b = ModelShape(4096, 32, 32, 8, 128, 14336, 3, 128256, False)
    >>> round(stored_bytes(llama_3_8b, "nf4", 4.0) / 1e9 - stored_bytes(llama_3_8b, "nf4", 2.0) / 1e9, 1)
    2.1
    """
    rest = shape.parameters - shape.linear_parameters
    return BYTES[base] * shape.linear_parameters + (other if base not in ("fp32", "bf16") else BYTES[base]) * rest


def layer_bytes(job: Job) -> float:
    """What one decoder layer keeps per token for the backward pass, without checkpointing.

    Norms (`kept` times the width), queries, keys, values, the attended values and a log-sum for each head, the MLP's inner
    values; what adapters keep of their inputs. After Korthikanti et al. 2022, arXiv 2205.05198, section 4, for kernels of the Llama family.
    """
    shape = job.shape
    attention = 2 * 2 * (shape.heads + shape.kv_heads) * shape.head_dim + 8 * shape.heads
    scores = 8 * shape.heads * job.longest if job.eager_attention else 0
    gated = shape.mlp_matrices == 3
    # a compiler fuses what works on single values, and computes it again rather than keep it
    mlp = 2 * ((3 if job.method == "full" else 2) if job.compiled and gated else 4 if gated else 2) * shape.mlp
    norms = (min(job.kept, 8.0) if job.compiled else job.kept) * shape.hidden
    return norms + attention + scores + mlp + job.adapter_inputs


def footprint(job: Job, fitted: Fitted) -> Footprint:
    """GiB that the job needs on one GPU."""
    shape, per_token = job.shape, layer_bytes(job)
    if job.base not in ("fp32", "bf16") and not job.checkpointing:
        per_token *= fitted.four_bit
    inputs = 2 * shape.hidden * shape.layers * job.tokens
    within = inputs if job.checkpointing else (shape.layers - 1) * per_token * job.tokens
    kept = 0.0 if "activations" in job.offload else within
    logits = min(job.tokens, job.chunk) if job.loss == "chunked" else job.tokens
    loss = LOGIT_BYTES[job.loss] * logits * shape.vocabulary + 2 * 2 * shape.hidden * job.tokens
    working = max(per_token * job.tokens, loss)
    weights, trained = _state(job)
    whole = stored_bytes(shape, job.base, job.other)
    load = whole * (1 + 1 / job.gpus) if job.unsharded_load else 0.0  # the whole beside the shard that is made of it
    return Footprint(*(part / GIB for part in (weights, trained, kept, working, load)))


def _state(job: Job) -> tuple[float, float]:
    """(bytes of frozen weights, bytes of all that belongs to the trained ones) on one GPU."""
    shape, shards = job.shape, job.gpus if job.sharding in ("zero3", "fsdp") else 1
    split = job.gpus if job.sharding in ("zero2", "zero3", "fsdp") else 1
    layer = 2.0 * shape.linear_parameters / shape.layers
    whole = job.method == "full"
    frozen = 0.0 if whole else stored_bytes(shape, job.base, job.other) / shards
    gradient = job.gradient * (min(1.0, layer / 2 / job.trained) if job.optimizer_in_backward else 1.0)
    optimizer = 0.0 if "optimizer" in job.offload or job.paged else (job.states + job.master) / split
    resting = 0.0 if "parameters" in job.offload else job.weight / shards + gradient / split
    width = 1.0 if whole else stored_bytes(shape, job.base, job.other) / (2.0 * shape.parameters)
    gathered = 2 * layer * width if job.sharding in ("zero3", "fsdp") and job.gpus > 1 else 0.0
    return frozen, job.trained * (resting + optimizer) + gathered
