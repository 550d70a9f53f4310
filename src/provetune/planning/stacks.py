"""What the columns of a published run say of its stack, in the many words in which sources say it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from provetune.planning.footprint import Base, Counter, Job, Loss, Offload, Sharding, Tuned
from provetune.planning.request import ModelShape

_LINEAR = {
    "q": ("q_proj",),
    "k": ("k_proj",),
    "v": ("v_proj",),
    "o": ("o_proj",),
    "proj": ("o_proj",),
    "dense": ("o_proj",),
    "c_attn": ("q_proj", "k_proj", "v_proj"),
    "qkv": ("q_proj", "k_proj", "v_proj"),
    "c_proj": ("o_proj", "down_proj"),
    "w1": ("up_proj",),
    "w2": ("gate_proj",),
    "gate": ("gate_proj",),
    "up": ("up_proj",),
    "down": ("down_proj",),
    "mlp": ("gate_proj", "up_proj", "down_proj"),
    "attention": ("q_proj", "k_proj", "v_proj", "o_proj"),
}
"""Names of adapted layers in the sources, as those of the Llama family."""
DROPPED = 3.0
"""Bytes per value of an adapter's input under dropout: a 16-bit copy, and whether it was dropped."""
USUAL_RANK = 16
"""Of a LoRA whose rank is not given: its memory depends little on it."""
_ALL = ("all", "all-linear", "all_linear", "linear")
_HEAD = ("head", "lm_head", "output", "all incl. output")
_WHOLE = ("fp32", "float32", "32", "32-true")
_SHARDINGS: tuple[tuple[str, Sharding], ...] = (
    ("zero3", "zero3"),
    ("stage3", "zero3"),
    ("shardgradop", "zero2"),
    ("fsdp", "fsdp"),
    ("fullshard", "fsdp"),
    ("ddp", "ddp"),
    ("zero2", "zero2"),
    ("zero1", "zero2"),
    ("stage2", "zero2"),
)
"""Marks in the order in which they are looked for. ZeRO-1 keeps whole gradients, which the formulas take for ZeRO-2's."""
_OFFLOADS: tuple[tuple[str, Offload], ...] = (
    ("param", "parameters"),
    ("weight", "parameters"),
    ("optim", "optimizer"),
    ("activation", "activations"),
)
_YES = ("full", "true", "yes", "on", "1", "selective", "unsloth")


class Unscorable(Exception):
    """Why a row cannot be scored."""


def job_of(row: Mapping[str, str], shape: ModelShape) -> Job:
    """The training that the row tells of, with a model of this shape. Raises Unscorable where what the estimate needs is not there."""
    method, batch, length, given = _method(row["method"]), number(row, "micro_batch"), number(row, "seq_len"), number(row, "n_gpus")
    if length is None or batch is None:
        raise Unscorable("no length of its rows" if length is None else "no micro-batch")
    gpus = 1 if given is None else int(given)
    if gpus < 1 or batch < 1 or length < 1:
        raise Unscorable("n_gpus, micro_batch and seq_len must be at least 1")
    precision, optimizer, sharding = row.get("base_dtype", "").lower(), row.get("optimizer", "").lower(), _sharding(row)
    base = _base(row.get("base_quant", "").lower(), precision, method)
    job = Job(
        shape=shape,
        method="qlora" if method == "lora" and base not in ("fp32", "bf16") else method,
        trained=_trained(row, shape, method),
        tokens=int(batch * length),
        longest=int(length),
        base=base,
        other=4.0 if base == "gptq4" else 2.0,  # PEFT's preparation, which GPTQ needs, casts the rest to 32 bits
        states=_states(optimizer),
        checkpointing=row.get("grad_ckpt", "").lower().startswith(_YES),
        loss=_loss(row.get("loss_kernel", "").lower(), autocast=not (precision.startswith("fp16") or sharding.startswith("zero"))),
        chunk=max(256, int(batch * length) // 8),  # torchtune's chunks are an eighth, TRL's 256 tokens
        adapter_inputs=_adapter_inputs(row, shape, method),
        eager_attention=_eager(row),
        compiled=row.get("compile", "").lower().startswith(_YES),
        optimizer_in_backward="in_bwd" in optimizer or "in_backward" in optimizer,
        gpus=gpus,
        sharding=sharding if gpus > 1 or sharding.startswith("zero") else "none",
        offload=_offload(row),
        unsharded_load=_loads_whole(row),
        paged="paged" in optimizer,
    )
    return _in_widths(job, precision, row.get("adapter_dtype", "").lower())


def _in_widths(job: Job, precision: str, adapter: str) -> Job:
    """Bytes of each trained parameter."""
    whole, mixed = precision in _WHOLE, "fp32 master" in precision or "amp" in precision or "mixed" in precision
    if job.method == "full":
        wide = mixed or job.sharding == "zero3"
        return replace(job, master=4.0 if wide else 0.0, gradient=4.0 if whole or wide else 2.0, weight=4.0 if whole else 2.0)
    width = 4.0 if adapter in _WHOLE else 2.0
    return replace(job, weight=width, gradient=width)


def _method(text: str) -> Tuned:
    plain = re.sub(r"[^a-z]+", " ", text.lower())
    if re.search("[ld]ora", plain) or "adapter" in plain:
        whole_ends = any(word in plain for word in ("embed", "head", "modules to save"))
        return "lora+embeddings" if whole_ends else "qlora" if re.search("q[ld]ora", plain) else "lora"
    if plain.strip() in (
        "full",
        "fft",
        "sft",
        "full ft",
        "full finetune",
        "full fine tuning",
        "full finetuning",
        "full tuning",
        "pretrain",
    ):
        return "full"
    raise Unscorable(f"the method {text!r} is not estimated")


def _trained(row: Mapping[str, str], shape: ModelShape, method: Tuned) -> int:
    if method == "full":
        return shape.parameters
    given, rank = number(row, "trainable_params"), number(row, "lora_rank")
    heads = 2 * shape.head_parameters if method == "lora+embeddings" else 0
    if given is not None:
        return int(given)
    adapted, head = _targets(row.get("lora_targets", ""))
    layers = shape.linear_layers
    wanted = [layers[name] for name in (layers if adapted is None else adapted) if name in layers]
    sides = shape.layers * sum(map(sum, wanted)) + (shape.hidden + shape.vocabulary if head else 0)
    return int(rank or USUAL_RANK) * sides + heads


def _targets(text: str) -> tuple[set[str] | None, bool]:
    """(adapted layers or None for all, whether the head is adapted too)."""
    text = text.lower()
    head = "incl. output" in text
    words = [word for word in re.split(r"[\s,;()+/]+", text) if word]
    names: set[str] = set()
    for word in words:
        plain = word.removesuffix("_proj")
        head |= word in _HEAD
        names |= set(_LINEAR.get(word, _LINEAR.get(plain, ())))
    return (None if not names or text.startswith(_ALL) else names), head


def _base(quantization: str, precision: str, method: Tuned) -> Base:
    four_bits = any(mark in quantization for mark in ("nf4", "fp4", "4bit", "4-bit", "int4", "bnb4", "w4"))
    if quantization.startswith(("gptq", "awq")):
        return "gptq4"
    if four_bits and ("dq" in quantization or "double" in quantization):
        return "nf4-dq"
    if four_bits:
        return "nf4"
    if any(mark in quantization for mark in ("int8", "8bit", "8-bit", "fp8")):
        return "int8"
    if quantization in ("", "none", "no", "-", "bf16", "fp16", "fp32"):
        return "nf4" if method == "qlora" else "fp32" if precision in _WHOLE else "bf16"
    raise Unscorable(f"the quantisation {quantization!r} is not estimated")


def _states(optimizer: str) -> float:
    """Bytes of an optimizer's state per trained parameter: one or two values, as wide as said; Adam's two in 16 bits where nothing is."""
    if re.search(r"8.?bit|int8|fp8", optimizer):
        return 2.0
    if re.search(r"4.?bit|int4", optimizer):
        return 1.0
    wide = "fp32" in optimizer
    if any(name in optimizer for name in ("lion", "muon", "rmsprop", "adagrad")) or ("sgd" in optimizer and "momentum" in optimizer):
        return 4.0 if wide else 2.0
    if any(name in optimizer for name in ("adafactor", "sgd", "lomo", "galore", "apollo", "came")):
        return 0.0
    return 8.0 if wide else 4.0


def _adapter_inputs(row: Mapping[str, str], shape: ModelShape, method: Tuned) -> float:
    """Bytes per token and layer that adapters keep: of every adapted layer's input a copy after dropout, and where it was dropped."""
    if method == "full" or number(row, "lora_dropout") == 0 or "torchtune" in row.get("source_repo", ""):
        return 0.0  # without dropout they read what is kept anyway; so do torchtune's recipes
    adapted, _ = _targets(row.get("lora_targets", ""))
    wanted = [name for name in shape.linear_layers if adapted is None or name in adapted]
    inputs = {"qkv" if name[0] in "qkv" and name[1] == "_" else name: shape.linear_layers[name][0] for name in wanted}
    return DROPPED * sum(inputs.values())


def _eager(row: Mapping[str, str]) -> bool:
    """Whether attention scores are kept: so asked for, or Gemma 2, whose capped scores PyTorch's kernel does not compute."""
    attention = row.get("attention", "").lower()
    return attention == "eager" or (attention == "sdpa" and "gemma-2-" in row["model"].lower())


def _loss(kernel: str, *, autocast: bool) -> Loss:
    if "litgpt" in kernel:
        return "pieces"
    if "chunk" in kernel:
        return "chunked"
    if any(word in kernel for word in ("fused", "liger", "cut", "cce", "unsloth")):
        return "fused"
    return "full-fp32" if "fp32" in kernel and autocast else "full"


def _sharding(row: Mapping[str, str]) -> Sharding:
    text = re.sub(r"[^a-z0-9]", "", row.get("sharding", "").lower())
    for mark, name in _SHARDINGS:
        if mark in text:
            return name
    return "none"


def _loads_whole(row: Mapping[str, str]) -> bool:
    """Whether every GPU holds the whole model while it is loaded: so do litgpt's FSDP runs."""
    return "fsdp" in row.get("sharding", "") and ("litgpt" in row.get("source_repo", "").lower() or "unsharded" in row.get("notes", ""))


def _offload(row: Mapping[str, str]) -> frozenset[Offload]:
    """What is kept off the GPU. "CPU" alone means parameters and optimizer, as FSDP's switch does; under ZeRO-2 the optimizer only."""
    text, sharding = row.get("offload", "").lower(), row.get("sharding", "").lower()
    found: set[Offload] = {name for mark, name in _OFFLOADS if mark in text}
    if not found and (text.startswith((*_YES, "cpu")) or "offload" in sharding):
        found = {"optimizer"} if _sharding(row) == "zero2" else {"parameters", "optimizer"}
    return frozenset(found)


def counter_of(kind: str) -> Counter:
    """What the tool of a row counts."""
    text = kind.lower()
    if "reserved" in text:
        return "reserved"
    if "nvidia" in text or "device" in text or "nvml" in text or "smi" in text:
        return "device"
    return "unknown" if not text or "unknown" in text else "allocated"


def number(row: Mapping[str, str], name: str) -> float | None:
    """The number that a cell begins with, whatever unit follows it; `2k` is 2048, 2,048 is, too. None where there is none.

    >>> [number({"cell": text}, "cell") for text in ("~7.2B", "2k", "8x", "80 GB", "1,024", "", "unknown")]
    [7.2, 2048.0, 8.0, 80.0, 1024.0, None, None]
    """
    found = re.match(r"[~<>=x ]*([-+]?\d*\.?\d+(?:e[-+]?\d+)?)\s*(k\b)?", row.get(name, "").lower().replace(",", ""))
    return None if found is None else float(found[1]) * (1024 if found[2] else 1)
