"""Training by TRL's SFTTrainer and transformers' Trainer, each with settings from its own documentation."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    DataCollatorWithFlattening,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from benchmarks.measure import Row, Stopwatch

GROUPED = {"train_sampling_strategy": "group_by_length"}
EXTRA: dict[str, dict[str, Any]] = {
    "hf-padded": GROUPED,
    "hf-flattening": {},
    "trl-default": {"gradient_checkpointing": True},
    "trl-padded": GROUPED,
    "trl-packed": {"packing": True, "packing_strategy": "bfd", "shuffle_dataset": True},
}
"""Settings of each system beyond what all share. TRL checkpoints by default, which costs time: off, save in `trl-default`."""


def load_trainable(folder: Path, method: str, rank: int) -> Any:
    """The model in float32 with all parameters or LoRA adapters to be trained, the same start for every system."""
    torch.manual_seed(0)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    if method == "lora":
        from peft import LoraConfig, get_peft_model

        model = get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"))
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


class _Ticks(TrainerCallback):
    def __init__(self, watch: Stopwatch) -> None:
        self.watch = watch

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.watch.tick()


class _Counted:
    """A collator that notes (tokens, labelled tokens) of every batch that passes through it."""

    def __init__(self, collate: Callable[[list[Row]], dict[str, Any]]) -> None:
        self.collate = collate
        self.batches: list[tuple[int, int]] = []
        self.last: dict[str, Any] = {}

    def __call__(self, examples: list[Row]) -> dict[str, Any]:
        batch = self.collate(examples)
        self.batches.append((sum(len(row["input_ids"]) for row in examples), int((batch["labels"][..., 1:] != -100).sum())))
        self.last = dict(batch)
        return batch


def train(model: Any, rows: Sequence[Row], job: dict[str, Any], watch: Stopwatch) -> dict[str, Any]:
    """One epoch by `job["system"]`; (tokens, labelled tokens) of each optimizer step, and whether packed rows were kept apart."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(model, rows, job, folder)
        trainer.add_callback(_Ticks(watch))
        trainer.data_collator = counted = _Counted(trainer.data_collator)
        trainer.train()
    trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    each = trainer.args.gradient_accumulation_steps
    steps = [counted.batches[start : start + each] for start in range(0, len(counted.batches), each)]
    return {"trained": [tuple(map(sum, zip(*step, strict=True))) for step in steps], "apart": _kept_apart(model, counted.last)}


def _trainer(model: Any, rows: Sequence[Row], job: dict[str, Any], folder: str) -> Any:
    system, gpu = job["system"], torch.cuda.is_available()
    micro, each = job["micro_batch"], max(1, job["rows_per_step"] // job["micro_batch"])
    extra = dict(EXTRA[system])
    if system == "trl-packed":
        # a packed sequence of about 1,024 tokens stands for several rows: as many sequences a step as hold the rows of a step
        lengths = [len(row["input_ids"]) for row in rows]
        mean = sum(lengths) / len(lengths)
        tokens = job["rows_per_step"] * mean
        extra["max_length"] = max(*lengths, math.ceil(tokens / math.ceil(tokens / 1024)))
        micro, each = 1, max(1, round(job["rows_per_step"] / max(1, extra["max_length"] // mean)))
    settings = {
        "output_dir": folder,
        "num_train_epochs": 1,
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": each,
        "learning_rate": job["learning_rate"],
        "lr_scheduler_type": "constant",
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "bf16": job["precision"] == "bf16",
        "use_cpu": not gpu,
        "dataloader_pin_memory": gpu,
        "save_strategy": "no",
        "logging_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "gradient_checkpointing": False,
        **extra,
    }
    tokenizer = AutoTokenizer.from_pretrained(job["model_folder"])
    columns = [{key: row[key] for key in ("input_ids", "labels")} for row in rows]
    if system.startswith("trl"):
        from datasets import Dataset  # type: ignore[import-not-found]
        from trl import SFTConfig, SFTTrainer  # type: ignore[import-not-found]

        return SFTTrainer(model, SFTConfig(**settings), train_dataset=Dataset.from_list(columns), processing_class=tokenizer)
    collator = DataCollatorWithFlattening() if system == "hf-flattening" else DataCollatorForSeq2Seq(tokenizer)
    return Trainer(model, TrainingArguments(**settings), collator, columns)


def logits(model: Any, ids: torch.Tensor) -> Any:
    """Logits of one plain row."""
    return model(input_ids=ids, use_cache=False).logits


@torch.no_grad()
def _kept_apart(model: Any, batch: dict[str, Any]) -> bool | None:
    """Whether a packed batch gives each row the logits that it gets alone; None where the batch is not packed."""
    if "position_ids" not in batch:
        return None
    model.eval()
    batch = {key: value.to(model.device) if isinstance(value, torch.Tensor) else value for key, value in batch.items() if key != "labels"}
    packed = model(**batch, use_cache=False).logits[0]
    starts = (batch["position_ids"][0] == 0).nonzero().flatten().tolist()
    spans = [slice(start, end) for start, end in zip(starts, [*starts[1:], len(packed)], strict=True)]
    return all(float((packed[span] - logits(model, batch["input_ids"][:, span])[0]).abs().max()) < 1e-2 for span in spans)
