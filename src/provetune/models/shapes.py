"""Sizes of a decoder-only architecture from its config.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypedDict

from provetune.errors import ModelError


class ShapeSizes(TypedDict):
    """`mlp_matrices` is 3 for gated MLPs, 2 for plain ones; `tied` where the LM head is the embedding."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    mlp: int
    mlp_matrices: int
    vocabulary: int
    tied: bool


def read_config(folder: Path) -> dict[str, Any]:
    """The language model's part of config.json; ModelError where there is none."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder / 'config.json'}: cannot be read ({error}); wanted the config.json of a transformers model") from error
    found = config.get("text_config", config) if isinstance(config, dict) else None
    if not isinstance(found, dict):
        raise ModelError(f"{folder / 'config.json'}: found no object; wanted the config.json of a transformers model")
    return found


def read_shape(folder: Path) -> ShapeSizes:
    """Sizes of the architecture from config.json; ModelError where one is missing."""
    return shape_sizes(read_config(folder), str(folder / "config.json"))


def shape_sizes(config: dict[str, Any], where: str) -> ShapeSizes:
    """Sizes of the architecture from the content of config.json; ModelError, naming `where`, where one is missing."""
    try:
        hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
        return {
            "hidden": hidden,
            "layers": int(config["num_hidden_layers"]),
            "heads": heads,
            "kv_heads": int(config.get("num_key_value_heads") or heads),
            "head_dim": int(config.get("head_dim") or hidden // heads),
            "mlp": int(config.get("intermediate_size") or 4 * hidden),
            "mlp_matrices": 3 if config.get("hidden_act", "silu") in ("silu", "gelu_pytorch_tanh") else 2,
            "vocabulary": int(config["vocab_size"]),
            "tied": bool(config.get("tie_word_embeddings", True)),
        }
    except KeyError as error:
        raise ModelError(f"{where}: no {error.args[0]!r}; wanted a decoder-only language model") from error
