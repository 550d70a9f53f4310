"""PiSSA (Meng et al. 2024, arXiv 2404.02948): the adapter starts as the largest singular vectors of the base."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

Start = dict[str, torch.Tensor]
WEIGHTS, SETTINGS = "adapter_model.safetensors", "adapter_config.json"


def start_of(model: Any) -> Start:
    """A copy of the adapter that training starts from."""
    from peft import get_peft_model_state_dict

    return {name: value.detach().cpu().clone() for name, value in get_peft_model_state_dict(model, save_embedding_layers=False).items()}


def fit_to_given_base(folder: Path, start: Start) -> None:
    """Rewrite a saved adapter as one of twice the rank that belongs to the base as it was given.

    B A - B0 A0 = [B | -B0] [A ; A0], with scale alpha / r (or alpha / sqrt(r)) kept by a larger alpha.
    """
    settings = json.loads((folder / SETTINGS).read_text())
    factor = math.sqrt(2) if settings["use_rslora"] else 2
    settings |= {"r": 2 * settings["r"], "lora_alpha": factor * settings["lora_alpha"], "init_lora_weights": True}
    tuned = load_file(folder / WEIGHTS)
    joined = {
        name: torch.cat([value, start[name]], dim=0) if "lora_A" in name else torch.cat([value, -start[name]], dim=1)
        for name, value in tuned.items()
    }
    save_file({name: value.contiguous() for name, value in joined.items()}, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / SETTINGS).write_text(json.dumps(settings, indent=2))
