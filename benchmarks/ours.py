"""Every call of the product that the benchmarks make; nothing else here imports it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.measure import Row, Stopwatch
from provetune.chat import TokenRow, encode_prompt, encode_training
from provetune.engine.choice_scores import choice_nats
from provetune.engine.packing import PackSettings, pack_rows, plan_epoch
from provetune.models.locate import STARTER as STARTER
from provetune.models.tokenizer import FolderTokenizer
from provetune.models.transformers import TransformersGenerator, load_model
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Message
from provetune.tuning.checkpoint import CheckpointFolder
from provetune.tuning.loop import Trainer
from provetune.tuning.methods import METHODS
from provetune.tuning.state import Hooks, LoopSettings, LoopState, ValidationPoint

Turns = Sequence[Sequence[str]]


def tokenizer(folder: Path) -> FolderTokenizer:
    """The model's tokenizer and chat template."""
    return FolderTokenizer(folder)


def _messages(turns: Turns) -> list[Message]:
    return [Message.model_validate({"role": role, "content": content}) for role, content in turns]


def encode(turns: Turns, tokens: FolderTokenizer) -> TokenRow:
    """A whole conversation, its assistant turns labelled."""
    return encode_training(_messages(turns), tokens)


def render(turns: Turns, tokens: FolderTokenizer) -> str:
    """The prompt's text, waiting for the assistant."""
    return tokens.render(_messages(turns), open_turn=True)


def load_trainable(folder: Path, method: str, rank: int) -> Any:
    """The loaded model with the parameters of `method` to be trained; LoRA's start is that of the rivals."""
    torch.manual_seed(0)
    return METHODS[method](load_model(folder), {"r": rank, "alpha": 2 * rank, "dropout": 0.0, "targets": "all-linear"})


def train(model: Any, rows: Sequence[Row], job: dict[str, Any], watch: Stopwatch) -> dict[str, Any]:
    """One epoch of the real loop; (tokens, labelled tokens) of each optimizer step."""
    held = [TokenRow(np.asarray(row["input_ids"], dtype=np.int64), np.asarray(row["labels"]) != -100) for row in rows]
    return {"trained": train_rows(model, held, job, watch), "apart": None}


def train_rows(model: Any, rows: Sequence[TokenRow], job: dict[str, Any], watch: Stopwatch) -> list[tuple[int, int]]:
    """One epoch, without looks at validation, at most `job["max_seconds"]`; (tokens, labelled tokens) of each optimizer step."""
    settings = LoopSettings(
        learning_rate=job["learning_rate"],
        epochs=1,
        rows_per_step=job["rows_per_step"],
        warmup_share=0.0,
        decay_share=0.0,
        betas=(0.9, 0.999),
        evaluations_per_epoch=0,
        precision="bf16" if job["precision"] == "bf16" else "no",
    )
    seen = [(0, 0)]

    def progress(state: LoopState, total: int) -> None:
        watch.tick()
        seen.append((state.tokens, state.labelled_tokens))

    hooks = Hooks(lambda model, step: ValidationPoint(step, 0.0, 0.0), progress, float("inf"), job.get("max_seconds", float("inf")))
    with tempfile.TemporaryDirectory() as folder:
        Trainer(model, rows, settings, CheckpointFolder(Path(folder)), hooks).run()
    return [
        (tokens - before, labelled - labelled_before) for (before, labelled_before), (tokens, labelled) in zip(seen, seen[1:], strict=False)
    ]


def plan(rows: Sequence[TokenRow], rows_per_step: int) -> int:
    """Packs of one epoch: all that is computed about the data before and between the steps."""
    steps = plan_epoch(len(rows), rows_per_step, 0, 0)
    return sum(len(pack_rows(rows, numbers, PackSettings(LoopSettings.max_tokens))) for numbers in steps)


def logits(model: Any, ids: torch.Tensor) -> Any:
    """Logits of one plain row, by the model's own code."""
    return model(input_ids=ids, use_cache=False).logits


def load(job: dict[str, Any]) -> Any:
    """The model as the product loads it."""
    return load_model(Path(job["model_folder"]))


def _generate(model: Any, rows: Sequence[Row], job: dict[str, Any], work: dict[str, Any]) -> list[str | None]:
    """Greedy completions; of the kind `choices` each is one of them."""
    settings = GenerationSettings(max_new_tokens=work["max_new_tokens"], choices=tuple(work["choices"] if job["kind"] == "choices" else ()))
    generator = TransformersGenerator(model, tokenizer(Path(job["model_folder"])))
    return [done.text for done in generator.generate([_messages(row["turns"]) for row in rows], settings, lambda *_: None)]


def _choice_nats(model: Any, rows: Sequence[Row], job: dict[str, Any], work: dict[str, Any]) -> list[list[float]]:
    """Negative log-likelihood in nats of every choice after every prompt."""
    tokens = tokenizer(Path(job["model_folder"]))
    prompts = [encode_prompt(_messages(row["turns"]), tokens) for row in rows]
    return choice_nats(model, prompts, [tokens.encode(choice) for choice in work["choices"]])


SCORED_BY = {"ours": _generate, "ours-nats": _choice_nats}
