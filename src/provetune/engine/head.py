"""The language-model head: from last hidden states to logits, as one description that the loss can follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Head:
    """Logits are `cap * tanh(scale * (h W^T + b) / cap)`; without cap, `scale * (h W^T + b)`.

    `weight` `[V, H]`, `bias` `[V]` or None. Scale: Cohere, Granite; cap: Gemma 2.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None = None
    scale: float = 1.0
    cap: float | None = None

    @classmethod
    def of(cls, model: Any) -> Head:
        """The head of a transformers causal LM, from its output embeddings and the keys of its config."""
        layer = model.get_output_embeddings()
        config = model.config.get_text_config().to_dict()
        scale = float(config.get("logit_scale") or 1.0) / float(config.get("logits_scaling") or 1.0)
        cap = config.get("final_logit_softcapping")
        return cls(layer.weight, getattr(layer, "bias", None), scale, None if cap is None else float(cap))

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """`[N, V]` of hidden states `[N, H]`, in their dtype."""
        bias = None if self.bias is None else self.bias.to(hidden.dtype)
        z = torch.nn.functional.linear(hidden, self.weight.to(hidden.dtype), bias)
        if self.scale != 1.0:
            z = z * self.scale
        return z if self.cap is None else torch.tanh(z / self.cap) * self.cap
