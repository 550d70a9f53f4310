"""Tiny models of many architectures, and rows that share beginnings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import transformers

from provetune.chat import TokenRow
from tests.models import SPECIALS, VOCABULARY

SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.1,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
WIDE = {"head_dim": 16}
SLIDING = {"sliding_window": 12}
PACKED: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", {}),
    "mistral": ("Mistral", {"sliding_window": None}),
    "mistral-sliding": ("Mistral", SLIDING),
    "qwen2": ("Qwen2", {}),
    "qwen2-sliding": ("Qwen2", {**SLIDING, "use_sliding_window": True, "max_window_layers": 1}),
    "qwen3": ("Qwen3", WIDE),
    "qwen3-moe": ("Qwen3Moe", {**WIDE, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}),
    "gemma": ("Gemma", WIDE),
    "gemma3-sliding": ("Gemma3Text", {**WIDE, **SLIDING, "layer_types": ["sliding_attention", "full_attention"]}),
    "phi": ("Phi", {}),
    "phi3-sliding": ("Phi3", SLIDING),
    "gpt2": ("GPT2", {}),
    "gpt-neox": ("GPTNeoX", {}),
    "opt": ("OPT", {}),
    "olmo2": ("Olmo2", {}),
    "granite": ("Granite", {"logits_scaling": 2.0}),
    "cohere": ("Cohere", {}),
    "smollm3": ("SmolLM3", {}),
    "starcoder2": ("Starcoder2", {}),
}
"""Name -> (configuration class of transformers without its ending, changes to `SIZES`)."""

PADDED: dict[str, tuple[str, dict[str, Any], str]] = {
    "gemma2": ("Gemma2", {**WIDE, "query_pre_attn_scalar": 16}, "soft cap or sinks"),
    "gpt-j": ("GPTJ", {"rotary_dim": 8}, "cannot be replaced"),
    "bloom": ("Bloom", {}, "cannot be replaced"),
    "falcon": ("Falcon", {}, "cannot be replaced"),
}
"""The same, with what the reason for the padded path says."""


def build(config: str, changes: dict[str, Any]) -> Any:
    """A seeded model in float32, in evaluation mode, attention by the library's own code."""
    torch.manual_seed(0)
    settings = getattr(transformers, f"{config}Config")(**{**SIZES, **changes})
    return transformers.AutoModelForCausalLM.from_config(settings).float().eval()


def alike_rows(groups: Sequence[tuple[int, int]] = ((30, 3), (0, 3)), seed: int = 0) -> list[TokenRow]:
    """For each (prefix, rows): rows of random tokens with that common beginning, the last tokens labelled."""
    draw = np.random.default_rng(seed)
    rows = []
    for prefix, count in groups:
        head = draw.integers(len(SPECIALS), VOCABULARY, prefix)
        for _ in range(count):
            own = int(draw.integers(3, 14))
            ids = np.concatenate([head, draw.integers(len(SPECIALS), VOCABULARY, own)])
            rows.append(TokenRow(ids, np.arange(len(ids)) >= len(ids) - max(1, own // 2)))
    return rows
