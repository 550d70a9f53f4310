"""The methods: which parameters of a loaded base model are trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from peft import LoraConfig, get_peft_model

Hyperparameters = dict[str, float | int | str]


def full(model: Any, hyperparameters: Hyperparameters) -> Any:
    """All parameters."""
    model = model.float()  # small updates vanish in bfloat16 weights
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    return model


def lora(model: Any, hyperparameters: Hyperparameters) -> Any:
    """Low-rank adapters (Hu et al. 2021, arXiv 2106.09685) on the linear layers; the base stays frozen."""
    config = LoraConfig(
        r=int(hyperparameters["r"]),
        lora_alpha=int(hyperparameters["alpha"]),
        lora_dropout=float(hyperparameters["dropout"]),
        target_modules=_targets(str(hyperparameters["targets"])),
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def _targets(names: str) -> str | list[str]:
    return names if names == "all-linear" else [name.strip() for name in names.split(",")]


METHODS: dict[str, Callable[[Any, Hyperparameters], Any]] = {"full": full, "lora": lora}
