"""Published measurements as jobs: each row of a points file is read, checked, and left out with a reason where it cannot be scored."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from provetune.errors import DataError, ModelError
from provetune.models.shapes import read_config, shape_sizes
from provetune.planning.architectures import known_shape
from provetune.planning.footprint import GIB, Base, Counter, Job, Loss, Offload, Sharding, Tuned, stored_bytes
from provetune.planning.request import ModelShape

NEEDED = ("id", "model", "method")
"""Columns without which a file is none of this kind; every other one may lack."""
OUT_OF_MEMORY = "OOM"
_METHODS: dict[str, Tuned] = {"full": "full", "lora": "lora", "lora+full_embed_and_head": "lora+embeddings", "qlora": "qlora"}
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
_ALL = ("all", "all-linear", "all_linear", "linear")
_HEAD = ("head", "lm_head", "output", "all incl. output")


@dataclass(frozen=True)
class Point:
    """One published run: what was run, and what it needed. `measured_gib` is per GPU, None where it ran out of memory."""

    id: str
    source: str
    job: Job
    counter: Counter
    measured_gib: float | None
    card_gib: float | None


@dataclass(frozen=True)
class LeftOutRow:
    """A row that is not scored, and why."""

    id: str
    reason: str


def read_points(file: Path) -> tuple[list[Point], list[LeftOutRow]]:
    """The rows of a file in the format of published measurements (docs/planning.md), and those that cannot be scored.

    Left out are rows without memory (times only), of quality C, without what the estimate needs, of models that are not known, and
    physically impossible ones. Raises DataError where the file cannot be read or lacks the needed columns.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read as a text file ({error})") from error
    reader = csv.DictReader(io.StringIO(text))
    missing = [name for name in NEEDED if name not in (reader.fieldnames or ())]
    if missing:
        raise DataError(f"{file}:1: columns {', '.join(missing)} are missing; wanted a CSV of measured points, see docs/planning.md")
    points: list[Point] = []
    left_out: list[LeftOutRow] = []
    for row in reader:
        found = _point({key: (value or "").strip() for key, value in row.items() if isinstance(key, str) and isinstance(value, str | None)})
        if isinstance(found, Point):
            points.append(found)
        else:
            left_out.append(found)
    if not points and not left_out:
        raise DataError(f"{file}: found no rows; wanted measured points, one a line")
    return points, left_out


class _Unscorable(Exception):
    pass


def _point(row: Mapping[str, str]) -> Point | LeftOutRow:
    try:
        measured = _measured(row)
        job = _job(row)
        card = _number(row, "gpu_mem_gb")
        if measured is None and card is None:
            raise _Unscorable("it ran out of memory on a GPU whose memory is not given")
        _refuse_impossible(job, measured, row)
    except _Unscorable as reason:
        return LeftOutRow(row["id"], str(reason))
    return Point(
        id=row["id"],
        source=row.get("source_repo") or row.get("source") or row["id"].partition("-")[0],
        job=job,
        counter=_counter(row.get("mem_kind", "")),
        measured_gib=measured,
        card_gib=None if card is None else card * 1e9 / GIB,
    )


def _measured(row: Mapping[str, str]) -> float | None:
    """GiB on one GPU; None where the run went out of memory. The normalised column wins over the printed figure."""
    if row.get("quality", "").upper() == "C":
        raise _Unscorable("quality C")
    if row.get("mem_reported", "").upper() == OUT_OF_MEMORY:
        return None
    normalised = _number(row, "mem_gib_per_gpu")
    if normalised is None:
        printed = _number(row, "mem_reported")
        if printed is None:
            raise _Unscorable("no memory was measured")
        unit = row.get("mem_unit", "")
        normalised = printed * (1e9 / GIB if unit == "GB" else 1e6 / GIB if unit == "MB" else 1 / 1024 if unit == "MiB" else 1.0)
        if row.get("mem_scope", "") == "sum_all_gpus":
            normalised /= max(1.0, _number(row, "n_gpus") or 1.0)
    if normalised <= 0:
        raise _Unscorable(f"the memory is {normalised:g} GiB")
    return normalised


def _refuse_impossible(job: Job, measured: float | None, row: Mapping[str, str]) -> None:
    """Less than the weights and what is trained must take, or more than the card has."""
    if measured is None:
        return
    split = job.gpus if job.sharding in ("zero3", "fsdp") else 1
    away = "parameters" in job.offload
    frozen = 0.0 if job.method == "full" or away else stored_bytes(job.shape, job.base, job.other) / split
    states = 0.0 if job.paged or "optimizer" in job.offload else job.states / (job.gpus if job.sharding != "none" else 1)
    gradient = 0.0 if job.optimizer_in_backward or away else job.gradient / (job.gpus if job.sharding != "none" else 1)
    floor = (frozen + job.trained * ((0 if away else job.weight / split) + gradient + states)) / GIB
    if measured < 0.9 * floor:
        raise _Unscorable(f"impossible: {measured:.1f} GiB were measured, the weights and what is trained alone take {floor:.1f} GiB")
    card = _number(row, "gpu_mem_gb")
    if card is not None and measured > 1.1 * card:
        raise _Unscorable(f"impossible: {measured:.1f} GiB were measured on a GPU of {card:g} GB")


def _job(row: Mapping[str, str]) -> Job:
    method = _METHODS.get(row["method"].lower())
    if method is None:
        raise _Unscorable(f"the method {row['method']!r} is not estimated")
    shape, batch, length = _shape(row), _number(row, "micro_batch"), _number(row, "seq_len")
    if length is None or batch is None:
        raise _Unscorable("no length of its rows" if length is None else "no micro-batch")
    precision, optimizer, sharding = row.get("base_dtype", ""), row.get("optimizer", "").lower(), _sharding(row)
    base = _base(row.get("base_quant", ""), precision)
    wide = sharding == "zero3" or "fp32 master" in precision or precision.startswith(("amp", "mixed"))
    adapter = row.get("adapter_dtype", "")
    given = _number(row, "n_gpus")
    gpus = 1 if given is None else int(given)
    if gpus < 1 or batch < 1 or length < 1:
        raise _Unscorable("n_gpus, micro_batch and seq_len must be at least 1")
    job = Job(
        shape=shape,
        method=method,
        trained=_trained(row, shape, method),
        tokens=int(batch * length),
        longest=int(length),
        base=base,
        other=4.0 if base == "gptq4" else 2.0,  # PEFT's preparation, which GPTQ needs, casts the rest to 32 bits
        states=_states(optimizer, wide=_adam_in_32_bits(optimizer)),
        checkpointing=row.get("grad_ckpt", "").lower().startswith(("full", "true", "yes")),
        loss=_loss(row.get("loss_kernel", ""), autocast=not (precision.startswith("fp16") or sharding.startswith("zero"))),
        chunk=max(256, int(batch * length) // 8),  # torchtune's chunks are an eighth, TRL's 256 tokens
        adapter_inputs=_adapter_inputs(row, shape, method),
        eager_attention=_eager(row),
        compiled=row.get("compile", "").lower() in ("yes", "true"),
        optimizer_in_backward="in_bwd" in optimizer or "in_backward" in optimizer,
        gpus=gpus,
        sharding=sharding if gpus > 1 or sharding.startswith("zero") else "none",
        offload=_offload(row.get("offload", "")),
        unsharded_load=_loads_whole(row),
        paged="paged" in optimizer,
    )
    if method == "full":
        return replace(
            job,
            master=4.0 if wide else 0.0,
            gradient=4.0 if precision == "fp32" or wide else 2.0,
            weight=4.0 if precision == "fp32" else 2.0,
        )
    width = 2.0 if adapter == "bf16" or adapter == "fp16" else 4.0 if adapter == "fp32" else 2.0
    return replace(job, weight=width, gradient=width)


def _shape(row: Mapping[str, str]) -> ModelShape:
    if row.get("config"):
        try:
            shape = ModelShape(**shape_sizes(read_config(Path(row["config"])), row["config"]))
        except ModelError as error:
            raise _Unscorable(str(error)) from error
    else:
        found = known_shape(row["model"])
        if found is None:
            raise _Unscorable(f"the model {row['model']!r} is not known; add a column `config` with the folder of its config.json")
        shape = found[0]
    given = _number(row, "params_b")
    if given is None:
        return shape
    # some loaders keep a head of its own beside a tied embedding
    untied = replace(shape, tied=False)
    close = min((shape, untied), key=lambda one: abs(one.parameters / 1e9 - given))
    if abs(close.parameters / 1e9 / given - 1) > 0.15:
        raise _Unscorable(f"{row['model']} is known with {shape.parameters / 1e9:.2f} billion parameters, the row says {given:g}")
    return close


def _trained(row: Mapping[str, str], shape: ModelShape, method: Tuned) -> int:
    if method == "full":
        return shape.parameters
    given, rank = _number(row, "trainable_params"), _number(row, "lora_rank")
    heads = 2 * shape.head_parameters if method == "lora+embeddings" else 0
    if given is not None:
        return int(given)
    if rank is None:
        raise _Unscorable("neither trainable_params nor lora_rank is given")
    adapted, head = _targets(row.get("lora_targets", ""))
    layers = shape.linear_layers
    wanted = [layers[name] for name in (layers if adapted is None else adapted) if name in layers]
    sides = shape.layers * sum(map(sum, wanted)) + (shape.hidden + shape.vocabulary if head else 0)
    return int(rank) * sides + heads


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


def _base(quantization: str, precision: str) -> Base:
    text = quantization.lower()
    if text.startswith(("nf4-dq", "nf4_dq", "nf4+dq")) or ("nf4" in text and "double" in text):
        return "nf4-dq"
    if text.startswith(("nf4", "fp4", "bnb4", "bnb-4", "int4-bnb")):
        return "nf4"
    if text.startswith(("gptq", "awq")):
        return "gptq4"
    if text in ("", "none", "no", "-"):
        return "fp32" if precision.lower() == "fp32" else "bf16"
    raise _Unscorable(f"the quantisation {quantization!r} is not estimated")


def _adam_in_32_bits(optimizer: str) -> bool:
    return "fp32" in optimizer


def _states(optimizer: str, *, wide: bool) -> float:
    """Bytes of an optimizer's state per trained parameter."""
    if re.search(r"8.?bit|int8|fp8", optimizer):
        return 2.0
    if re.search(r"4.?bit|int4", optimizer):
        return 1.0
    if "lion" in optimizer or ("sgd" in optimizer and "momentum" in optimizer):
        return 4.0 if wide else 2.0
    if "adafactor" in optimizer or "sgd" in optimizer:
        return 0.0
    return 8.0 if wide else 4.0


def _adapter_inputs(row: Mapping[str, str], shape: ModelShape, method: Tuned) -> float:
    """Bytes per token and layer that adapters keep: of every adapted layer's input a copy after dropout, and where it was dropped."""
    if method == "full" or _number(row, "lora_dropout") == 0 or "torchtune" in row.get("source_repo", ""):
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
    text = kernel.lower()
    if "litgpt" in text:
        return "pieces"
    if "chunk" in text:
        return "chunked"
    if any(word in text for word in ("fused", "liger", "cut", "cce")):
        return "fused"
    return "full-fp32" if "fp32" in text and autocast else "full"


def _sharding(row: Mapping[str, str]) -> Sharding:
    text = row.get("sharding", "").lower()
    for mark, name in (
        ("zero3", "zero3"),
        ("zero-3", "zero3"),
        ("fsdp", "fsdp"),
        ("full_shard", "fsdp"),
        ("ddp", "ddp"),
        ("zero2", "zero2"),
    ):
        if mark in text:
            return name  # type: ignore[return-value]
    return "none"


def _loads_whole(row: Mapping[str, str]) -> bool:
    """Whether every GPU holds the whole model while it is loaded: so do litgpt's FSDP runs."""
    return "fsdp" in row.get("sharding", "") and ("litgpt" in row.get("source_repo", "").lower() or "unsharded" in row.get("notes", ""))


def _offload(text: str) -> frozenset[Offload]:
    text, found = text.lower(), set[Offload]()
    if "param" in text:
        found.add("parameters")
    if "optim" in text:
        found.add("optimizer")
    if "activation" in text:
        found.add("activations")
    return frozenset(found)


def _counter(kind: str) -> Counter:
    text = kind.lower()
    if "reserved" in text:
        return "reserved"
    if "nvidia" in text or "device" in text:
        return "device"
    return "unknown" if not text or "unknown" in text else "allocated"


def _number(row: Mapping[str, str], name: str) -> float | None:
    text = row.get(name, "").lstrip("~").replace(",", "")
    try:
        return float(text) if text else None
    except ValueError:
        return None
