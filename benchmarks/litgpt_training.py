"""Training by LitGPT's own LoRA loop (`litgpt.finetune.lora.fit`), in an environment of its own; it does not clip gradients."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning  # type: ignore[import-not-found]
import torch
from litgpt.args import EvalArgs, TrainArgs  # type: ignore[import-not-found]
from litgpt.data.base import get_sft_collate_fn  # type: ignore[import-not-found]
from litgpt.finetune.lora import fit  # type: ignore[import-not-found]
from litgpt.lora import GPT, Config, mark_only_lora_as_trainable  # type: ignore[import-not-found]
from litgpt.scripts.convert_hf_checkpoint import copy_weights_hf_llama  # type: ignore[import-not-found]
from safetensors.torch import load_file

from benchmarks.measure import Row, Stopwatch


def load_trainable(folder: Path, method: str, rank: int) -> Any:
    """The model in LitGPT's form, float32, with adapters on every linear layer of the blocks."""
    found = json.loads((folder / "config.json").read_text())
    config = Config(
        block_size=found["max_position_embeddings"],
        vocab_size=found["vocab_size"],
        padded_vocab_size=found["vocab_size"],
        n_layer=found["num_hidden_layers"],
        n_head=found["num_attention_heads"],
        head_size=found["head_dim"],
        n_embd=found["hidden_size"],
        n_query_groups=found["num_key_value_heads"],
        intermediate_size=found["intermediate_size"],
        rotary_percentage=1.0,
        rope_base=int(found["rope_parameters"]["rope_theta"]),
        parallel_residual=False,
        bias=False,
        norm_class_name="RMSNorm",
        norm_eps=found["rms_norm_eps"],
        mlp_class_name="LLaMAMLP",
        lora_r=rank,
        lora_alpha=2 * rank,
        **{f"lora_{part}": True for part in ("query", "key", "value", "projection", "mlp")},
    )
    torch.manual_seed(0)
    model = GPT(config)
    weights: dict[str, torch.Tensor] = {}
    copy_weights_hf_llama(config, {}, weights, load_file(folder / "model.safetensors"), dtype=torch.float32)
    missing = [name for name in model.load_state_dict(weights, strict=False).missing_keys if "lora" not in name]
    if missing:
        raise ValueError(f"weights of {folder} lack {missing}")
    mark_only_lora_as_trainable(model)
    return model


def train(model: Any, rows: Sequence[Row], job: dict[str, Any], watch: Stopwatch) -> dict[str, Any]:
    """One epoch by `fit`; (tokens, labelled tokens) of each optimizer step."""
    fabric = lightning.Fabric(devices=1, precision="bf16-mixed" if job["precision"] == "bf16" else "32-true")
    micro, each = job["micro_batch"], job["rows_per_step"] // job["micro_batch"]
    pad = get_sft_collate_fn()
    batches: list[tuple[int, int]] = []

    def collate(samples: list[Row]) -> Any:
        batches.append((sum(len(row["input_ids"]) for row in samples), sum(int((row["labels"][1:] != -100).sum()) for row in samples)))
        return pad(samples)

    data: Any = [{key: torch.tensor(row[key]) for key in ("input_ids", "labels")} for row in rows]
    for row in data:
        row["token_counts"] = {"raw": len(row["input_ids"]), "raw_plus_prompt_template": len(row["input_ids"])}
    shuffled = torch.utils.data.DataLoader(data, batch_size=micro, shuffle=True, collate_fn=collate)
    looked_at = torch.utils.data.DataLoader(data[:1], batch_size=1, collate_fn=pad)
    adapters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    wrapped, optimizer = fabric.setup(model, torch.optim.AdamW(adapters, lr=job["learning_rate"], weight_decay=0.0))
    steps = len(shuffled) // each
    with tempfile.TemporaryDirectory() as out:
        fit(
            fabric=fabric,
            model=wrapped,
            optimizer=optimizer,
            scheduler=SimpleNamespace(step=watch.tick),
            train_dataloader=fabric.setup_dataloaders(shuffled),
            val_dataloader=fabric.setup_dataloaders(looked_at),
            devices=1,
            checkpoint_dir=Path(job["model_folder"]),
            out_dir=Path(out),
            train=TrainArgs(None, 10**9, job["rows_per_step"], micro, lr_warmup_steps=0, epochs=2, max_steps=steps),
            eval=EvalArgs(interval=10**9, max_new_tokens=1, max_iters=1),
            data=None,
        )
    groups = [batches[start : start + each] for start in range(0, steps * each, each)]
    return {"trained": [tuple(map(sum, zip(*step, strict=True))) for step in groups], "apart": None}


def logits(model: Any, ids: torch.Tensor) -> Any:
    """Logits of one plain row."""
    return model(ids)
