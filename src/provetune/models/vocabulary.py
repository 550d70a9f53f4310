"""Words that become tokens of their own: the model's vocabulary grown for them, and for nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from provetune.errors import ModelError


def grow(model: Any, base_folder: Path, tokens: Mapping[int, str]) -> None:
    """Give each new token, by its id, a row in the embedding and the LM head: the mean of the rows of the old tokens that spelled it.

    So the untrained model reads a new token about as it read the word (Gee et al. 2022, Fast vocabulary transfer, EMNLP industry track).
    Rows of old tokens stay as they are.
    """
    if not tokens:
        return
    old = AutoTokenizer.from_pretrained(base_folder, trust_remote_code=False)
    if max(tokens) >= model.get_input_embeddings().weight.shape[0]:
        model.resize_token_embeddings(max(tokens) + 1, mean_resizing=False)
    layers = (model.get_input_embeddings(), model.get_output_embeddings())
    matrices = {layer.weight.data_ptr(): layer.weight for layer in layers if layer is not None}
    with torch.no_grad():
        for number, text in tokens.items():
            spelled = old.encode(text, add_special_tokens=False)
            for matrix in matrices.values():
                matrix[number] = matrix[spelled].float().mean(0).to(matrix.dtype)


def tokens_of(adapter: Path) -> dict[int, str]:
    """The new tokens that an adapter was trained with, by id; ModelError where its tokenizer does not lie beside it."""
    named = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8")).get("trainable_token_indices")
    numbers = set(named) if isinstance(named, list) else {number for some in (named or {}).values() for number in some}
    if not numbers:
        return {}
    if not (adapter / "tokenizer.json").is_file():
        raise ModelError(
            f"{adapter}: the adapter has {len(numbers)} tokens of its own, but no tokenizer.json lies beside it; train it again"
        )
    tokenizer = AutoTokenizer.from_pretrained(adapter, trust_remote_code=False)
    return {number: str(tokenizer.convert_ids_to_tokens(number)) for number in sorted(numbers)}
